// SPDX-License-Identifier: MIT
// Norms, rotation, activations, soft-caps and sums of every kernel table: the bits of the specification over odd sizes, all magnitudes
// and numbers that are none, and the specification itself against double.
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ops/ops.h"
#include "tests/testing/kernel_tables.h"
#include "tests/testing/kernel_tester.h"

namespace infer {
namespace {

using testing::Random;
using testing::same_bits;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kHuge = std::numeric_limits<float>::max();
constexpr float kSpecials[] = {kNaN, kInfinity, -kInfinity, kHuge, -kHuge, std::numeric_limits<float>::denorm_min(),
                               0.0f, -0.0f};
constexpr std::int64_t kLengths[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000};
constexpr auto kSilu = static_cast<std::size_t>(Activation::silu), kGelu = static_cast<std::size_t>(Activation::gelu);

class Elementwise : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table_ = *GetParam();

  void SetUp() override {
    if (!table_.runs_here()) GTEST_SKIP() << "this machine does not run " << table_.name;
  }
};

std::string test_name(const ::testing::TestParamInfo<const KernelTable*>& test) { return test.param->name; }

INSTANTIATE_TEST_SUITE_P(Tables, Elementwise, ::testing::ValuesIn(testing::tested_kernels()),
                         test_name);

using Floats = std::vector<float>;

std::int64_t length(const Floats& v) { return static_cast<std::int64_t>(v.size()); }

/// One entry with two inputs; the answer is a vector.
struct Entry {
  const char* name;
  Floats (*run)(const KernelTable& table, const Floats& x, const Floats& y);
};

template <std::size_t kind>
Floats gated(const KernelTable& t, const Floats& x, const Floats& y) {
  Floats out(x.size());
  t.gated[kind](x.data(), y.data(), out.data(), length(x));
  return out;
}

template <std::size_t kind>
Floats activated(const KernelTable& t, const Floats& x, const Floats&) {
  Floats out = x;
  t.activation[kind](out.data(), length(out));
  return out;
}

Floats layer_norm(const KernelTable& t, const Floats& x, const Floats& weight, const float* bias, float eps) {
  Floats out(x.size());
  t.layer_norm({.x = x.data(), .weight = weight.data(), .bias = bias, .out = out.data(), .n = length(x), .eps = eps});
  return out;
}

Floats rms_norm(const KernelTable& t, const Floats& x, const Floats& weight, float eps) {
  Floats out(x.size());
  t.rms_norm({.x = x.data(), .weight = weight.data(), .out = out.data(), .n = length(x), .eps = eps});
  return out;
}

Floats softcapped(const KernelTable& t, Floats x, float cap) {
  t.softcap(x.data(), length(x), cap);
  return x;
}

template <RopeStyle style>
Floats rotated(const KernelTable& t, const Floats& x, const Floats& y) {
  Floats out = x;
  t.rope[static_cast<std::size_t>(style)](
      {.x = out.data(), .heads = 1, .head_dim = length(x), .n_pairs = length(x) / 2, .cos = y.data(), .sin = x.data()});
  return out;
}

const Entry kEntries[] = {
    {"rope interleaved", rotated<RopeStyle::interleaved>},
    {"rope halves", rotated<RopeStyle::halves>},
    {"rms_norm", [](const KernelTable& t, const Floats& x, const Floats& y) { return rms_norm(t, x, y, 1e-5f); }},
    {"layer_norm", [](const KernelTable& t, const Floats& x, const Floats& y) { return layer_norm(t, x, y, nullptr, 1e-5f); }},
    {"layer_norm with bias",
     [](const KernelTable& t, const Floats& x, const Floats& y) { return layer_norm(t, x, y, x.data(), 1e-5f); }},
    {"activation silu", activated<kSilu>},
    {"activation gelu", activated<kGelu>},
    {"gated silu", gated<kSilu>},
    {"gated gelu", gated<kGelu>},
    {"softcap", [](const KernelTable& t, const Floats& x, const Floats&) { return softcapped(t, x, 3.5f); }},
    {"add",
     [](const KernelTable& t, const Floats& x, const Floats& y) {
       Floats sum = x;
       t.add(sum.data(), y.data(), length(x));
       return sum;
     }},
    {"add_scaled",
     [](const KernelTable& t, const Floats& x, const Floats& y) {
       Floats sum = x;
       t.add_scaled(sum.data(), y.data(), -0.37f, length(x));
       return sum;
     }},
};

void expect_specified(const KernelTable& table, const Entry& entry, const Floats& x, const Floats& y) {
  const Floats found = entry.run(table, x, y), expected = entry.run(kernels_scalar, x, y);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_TRUE(same_bits(found[i], expected[i]))
        << entry.name << "(" << x[i] << ", " << y[i] << ") at " << i << " of " << x.size() << ": " << found[i] << ", not "
        << expected[i];
  }
}

// ---- the specification's bits

TEST_P(Elementwise, HasTheBitsOfTheSpecification) {
  Random random(1);
  for (const std::int64_t n : kLengths) {
    const Floats x = random.normals(n, 5.0), y = random.normals(n);
    for (const Entry& entry : kEntries) expect_specified(table_, entry, x, y);
  }
}

TEST_P(Elementwise, HasThemForAnyFloats) {
  for (const float special : kSpecials) {
    for (const Entry& entry : kEntries) {
      expect_specified(table_, entry, Floats(33, special), Floats(33, special));
      expect_specified(table_, entry, Floats(33, special), Floats(33, 1.0f));
      Floats one(33, 0.5f);
      one[20] = special;
      expect_specified(table_, entry, one, Floats(33, 1.0f));
    }
  }
}

/// Every exponent and sign, and both ends of the range of exp.
TEST_P(Elementwise, HasThemOverAllMagnitudes) {
  Floats x;
  for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += 0x7ffffu) x.push_back(std::bit_cast<float>(bits));
  for (float v = 40.0f; v < 90.0f; v += v < 85.0f ? 0.03f : 0.001f) x.push_back(v);
  for (std::size_t i = 0, n = x.size(); i < n; ++i) x.push_back(-x[i]);
  const Floats ones(x.size(), 1.0f);
  for (const Entry& entry : kEntries) expect_specified(table_, entry, x, ones);
  for (const float cap : {0.01f, 1.0f, 30.0f, 50.0f, 1e5f}) {
    const Floats found = softcapped(table_, x, cap), expected = softcapped(kernels_scalar, x, cap);
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_TRUE(same_bits(found[i], expected[i])) << x[i] << ", cap " << cap;
  }
}

TEST_P(Elementwise, WorksInPlace) {
  Random random(2);
  for (const std::int64_t n : kLengths) {
    const Floats x = random.normals(n, 2.0), y = random.normals(n);
    Floats in_place = x;
    table_.rms_norm({.x = in_place.data(), .weight = y.data(), .out = in_place.data(), .n = n, .eps = 1e-6f});
    ASSERT_EQ(in_place, rms_norm(table_, x, y, 1e-6f));
    in_place = x;
    table_.layer_norm(
        {.x = in_place.data(), .weight = y.data(), .bias = y.data(), .out = in_place.data(), .n = n, .eps = 1e-6f});
    ASSERT_EQ(in_place, layer_norm(table_, x, y, y.data(), 1e-6f));
    in_place = x;
    table_.gated[kGelu](in_place.data(), y.data(), in_place.data(), n);
    ASSERT_EQ(in_place, gated<kGelu>(table_, x, y));
  }
}

// ---- the specification against double

double exact(float f) { return static_cast<double>(f); }

TEST(ElementwiseSpecification, NormalisesByTheRootMeanSquare) {
  Random random(3);
  for (const std::int64_t n : kLengths) {
    for (const float eps : {0.0f, 1e-5f, 0.5f}) {
      const Floats x = random.normals(n), weight = random.normals(n), out = rms_norm(kernels_scalar, x, weight, eps);
      double squares = 0.0;
      for (const float v : x) squares += exact(v) * exact(v);
      const double root = std::sqrt(squares / static_cast<double>(n) + exact(eps));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double expected = exact(x[i]) / root * exact(weight[i]);
        ASSERT_NEAR(exact(out[i]), expected, std::fabs(expected) * 0x1p-24 * (static_cast<double>(n) / 16.0 + 16.0));
      }
    }
  }
}

TEST(ElementwiseSpecification, NormalisesByMeanAndDeviation) {
  Random random(4);
  for (const std::int64_t n : kLengths) {
    for (const float shift : {0.0f, 3.0f, -40.0f}) {
      Floats x = random.normals(n);
      for (float& v : x) v += shift;
      const Floats weight = random.normals(n), bias = random.normals(n);
      const Floats out = layer_norm(kernels_scalar, x, weight, bias.data(), 1e-5f);
      double mean = 0.0, squares = 0.0;
      for (const float v : x) mean += exact(v) / static_cast<double>(n);
      for (const float v : x) squares += (exact(v) - mean) * (exact(v) - mean);
      const double root = std::sqrt(squares / static_cast<double>(n) + 1e-5);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double expected = (exact(x[i]) - mean) / root * exact(weight[i]) + exact(bias[i]);
        // The mean is off by roundings of its own size, which the division enlarges where the deviation is small.
        const double tolerance = 0x1p-24 * (16.0 + static_cast<double>(n) / 16.0) *
                                 (std::fabs(exact(weight[i])) * (3.0 + (std::fabs(mean) + 1.0) / root) + std::fabs(expected));
        ASSERT_NEAR(exact(out[i]), expected, tolerance) << n << ", " << shift;
      }
    }
  }
}

TEST(ElementwiseSpecification, NormalisesZerosToZeros) {
  const Floats zeros(65, 0.0f), weight(65, 2.0f);
  EXPECT_EQ(rms_norm(kernels_scalar, zeros, weight, 1e-5f), zeros);
  EXPECT_EQ(layer_norm(kernels_scalar, Floats(65, 3.0f), weight, zeros.data(), 1e-5f), zeros);
}

/// Relative error over magnitudes at which floats show it.
void expect_near(const Floats& x, const Floats& found, const std::function<double(double)>& exactly, double relative,
                 double absolute = 0.0) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = exactly(exact(x[i]));
    ASSERT_NEAR(exact(found[i]), expected, std::fabs(expected) * relative + absolute + 1e-37) << x[i];
  }
}

Floats spread() {
  Floats x;
  for (double v = 1e-20; v < 80.0; v *= 1.003) {
    x.push_back(static_cast<float>(v));
    x.push_back(static_cast<float>(-v));
  }
  return x;
}

double gelu(double z) { return 0.5 * z * (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979323846) * (z + 0.044715 * z * z * z))); }

TEST(ElementwiseSpecification, Activates) {
  const Floats x = spread(), ones(x.size(), 1.0f);
  expect_near(x, activated<kSilu>(kernels_scalar, x, x), [](double z) { return z / (1.0 + std::exp(-z)); }, 2.5e-7);
  EXPECT_EQ((gated<kSilu>(kernels_scalar, x, ones)), (activated<kSilu>(kernels_scalar, x, x)));
  expect_near(x, activated<kGelu>(kernels_scalar, x, x), gelu, 1e-6, 1e-7);
  EXPECT_EQ((gated<kGelu>(kernels_scalar, x, ones)), (activated<kGelu>(kernels_scalar, x, x)));
}

/// Far below zero GELU is z e^2u, without digits in the form with tanh: relative errors grow with u, the values vanish.
TEST(ElementwiseSpecification, ActivatesTheTailOfGelu) {
  const Floats x = spread(), out = activated<kGelu>(kernels_scalar, x, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double z = exact(x[i]), u = std::sqrt(2.0 / 3.14159265358979323846) * (z + 0.044715 * z * z * z);
    const double expected = z / (1.0 + std::exp(-2.0 * u));
    ASSERT_NEAR(exact(out[i]), expected, std::fabs(expected) * 3e-7 * (1.0 + std::fmax(-u, 0.0)) + 1e-37) << z;
  }
}

TEST(ElementwiseSpecification, ActivatesExtremesWithoutNaNs) {
  const Floats x = {-1e30f, -200.0f, -88.8f, 0.0f, 88.8f, 200.0f, 1e30f};
  for (const Floats& out : {activated<kSilu>(kernels_scalar, x, x), activated<kGelu>(kernels_scalar, x, x)}) {
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(out[i], 0.0f, 1e-35f);
    for (std::size_t i = 3; i < 7; ++i) EXPECT_EQ(out[i], x[i]);
  }
}

/// An infinity is a model gone wrong already: below zero it is infinity by infinity. NaNs stay.
TEST(ElementwiseSpecification, ActivatesInfinitiesAndNaNs) {
  const Floats x = {kInfinity, -kInfinity, kNaN, -0.0f};
  for (const Floats& out : {activated<kSilu>(kernels_scalar, x, x), activated<kGelu>(kernels_scalar, x, x)}) {
    EXPECT_EQ(out[0], kInfinity);
    EXPECT_TRUE(std::isnan(out[1]));
    EXPECT_TRUE(std::isnan(out[2]));
    EXPECT_TRUE(same_bits(out[3], -0.0f));
  }
}

TEST(ElementwiseSpecification, CapsSoftly) {
  const Floats x = spread();
  for (const float cap : {0.5f, 30.0f, 50.0f}) {
    const double c = exact(cap);
    expect_near(x, softcapped(kernels_scalar, x, cap), [=](double v) { return c * std::tanh(v / c); }, 3e-7);
  }
  EXPECT_EQ(softcapped(kernels_scalar, {0.0f, -0.0f, kInfinity, -kInfinity, kHuge}, 30.0f),
            (Floats{0.0f, -0.0f, 30.0f, -30.0f, 30.0f}));
  EXPECT_TRUE(std::isnan(softcapped(kernels_scalar, {kNaN}, 30.0f)[0]));
}

TEST(ElementwiseSpecification, Adds) {
  Random random(5);
  const Floats x = random.normals(100), y = random.normals(100);
  Floats sum = x, scaled = x;
  kernels_scalar.add(sum.data(), y.data(), 100);
  kernels_scalar.add_scaled(scaled.data(), y.data(), 0.3f, 100);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(sum[i], x[i] + y[i]);
    ASSERT_EQ(scaled[i], std::fma(0.3f, y[i], x[i]));
  }
}

}  // namespace
}  // namespace infer
