// SPDX-License-Identifier: MIT
// Every type of the table: rounding with little error, stable under a second rounding, robust against any bytes, and the
// same bits as the golden blocks.
#include "ops/quant/quants.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "ops/quant/codebooks.h"
#include "ops/quant/half.h"
#include "tests/testing/golden.h"
#include "tests/testing/random.h"

namespace infer {
namespace {

using testing::Random;
using Bytes = std::vector<std::byte>;

Bytes encoded(const QuantFormat& q, const std::vector<float>& values, const float* importance = nullptr) {
  const DTypeInfo& i = info(q.dtype);
  Bytes bytes(values.size() / i.block_elems * i.block_bytes);
  q.encode(values.data(), importance, bytes.data(), static_cast<std::int64_t>(values.size()));
  return bytes;
}

std::vector<float> decoded(const QuantFormat& q, const Bytes& bytes) {
  const DTypeInfo& i = info(q.dtype);
  std::vector<float> values(bytes.size() / i.block_bytes * i.block_elems);
  q.decode(bytes.data(), values.data(), static_cast<std::int64_t>(values.size()));
  return values;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = std::bit_cast<std::uint32_t>(values[i]);
  return bits;
}

/// Half a step of a float type at this value; nothing for types whose scales are searched.
std::optional<double> half_a_step(DType type, double value) {
  switch (type) {
    case DType::f32:
      return 0.0;
    case DType::f16:
      return std::max(std::fabs(value) * 0x1p-11, 0x1p-25);   // 2^-25: half of the smallest subnormal
    case DType::bf16:
      return std::fabs(value) * 0x1p-8;
    default:
      return std::nullopt;
  }
}

/// IQ1, IQ2, IQ3: no single weight has codes of its own. What they lose is in tests/ops/grid_search_test.cpp.
bool is_on_a_grid(DType type) {
  const std::string name = info(type).name;
  return name.starts_with("IQ") && name[2] < '4';
}

/// What a type of searched scales must keep to.
struct Limits {
  DType type;
  std::vector<double> codes;   ///< ascending
  std::int64_t cols;           ///< that share a scale
  double plain_slack;          ///< what rounding sub-scales may cost, against a plain rounding without that; 1: nothing
  double relative_rms;         ///< of 1 << 16 Gaussian weights
  double second_rounding;      ///< rms of what a second rounding changes, relative to the rms error of the first
};

std::vector<double> whole(int least, int most) {
  std::vector<double> codes;
  for (int c = least; c <= most; ++c) codes.push_back(c);
  return codes;
}
const std::vector<double> kBook(std::begin(kIq4Codebook), std::end(kIq4Codebook));
const std::vector<double> kE2m1 = {-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6};

const Limits kLimits[] = {
    {DType::q4_0, whole(-8, 7), 32, 1.0, 0.082, 0.0},
    {DType::q4_1, whole(0, 15), 32, 1.0, 0.07, 0.001},
    {DType::q5_0, whole(-16, 15), 32, 1.0, 0.0405, 0.0},
    {DType::q5_1, whole(0, 31), 32, 1.0, 0.0338, 0.01},
    {DType::q8_0, whole(-127, 127), 32, 1.0, 0.00485, 0.0},
    {DType::iq4_nl, kBook, 32, 1.0, 0.074, 0.0},
    {DType::mxfp4, kE2m1, 32, 1.0, 0.1125, 0.0},
    {DType::q2_k, whole(0, 3), 16, 1.03, 0.262, 0.04},
    {DType::q3_k, whole(-4, 3), 16, 1.05, 0.1455, 0.02},
    {DType::q4_k, whole(0, 15), 32, 1.03, 0.0705, 0.1},
    {DType::q5_k, whole(0, 31), 32, 1.03, 0.0347, 0.25},
    {DType::q6_k, whole(-32, 31), 16, 1.03, 0.0171, 0.12},
    {DType::iq4_xs, kBook, 32, 1.03, 0.0745, 0.05},
    {DType::tq1_0, whole(-1, 1), 256, 1.0, 0.436, 0.0},
    {DType::tq2_0, whole(-1, 1), 256, 1.0, 0.436, 0.0},
};
const Limits* limits_of(DType type) {
  const auto* found = std::find_if(std::begin(kLimits), std::end(kLimits), [&](const Limits& l) { return l.type == type; });
  return found != std::end(kLimits) ? found : nullptr;
}

/// The scale and min that the extremes ask for: the largest magnitude becomes the outermost code; without negative codes, the ends become
/// the outermost ones. MXFP4 has powers of two, and its specification this rule.
std::pair<double, double> plain_scale(const Limits& limits, double low, double high) {
  if (limits.codes.front() == 0.0) return {(high - low) / limits.codes.back(), -low};
  const double extreme = -low > high ? low : high;
  if (limits.type == DType::mxfp4) return {extreme != 0.0 ? std::ldexp(1.0, std::ilogb(extreme) - 2) : 0.0, 0.0};
  return {extreme / limits.codes.front(), 0.0};
}

/// Squared error of rounding with that scale and min; halves where a block has no more than these.
double plain_error(const Limits& limits, const float* x) {
  double low = 0.0, high = 0.0;
  for (std::int64_t i = 0; i < limits.cols; ++i) {
    low = std::min(low, static_cast<double>(x[i]));
    high = std::max(high, static_cast<double>(x[i]));
  }
  auto [scale, min] = plain_scale(limits, low, high);
  if (limits.plain_slack == 1.0 && limits.type != DType::mxfp4) {
    scale = static_cast<double>(half_to_float(float_to_half(static_cast<float>(scale))));
    min = static_cast<double>(half_to_float(float_to_half(static_cast<float>(min))));
  }
  double error = 0.0;
  for (std::int64_t i = 0; i < limits.cols; ++i) {
    double least = std::numeric_limits<double>::infinity();
    for (const double code : limits.codes) least = std::min(least, std::fabs(static_cast<double>(x[i]) - (scale * code - min)));
    error += least * least;
  }
  return error;
}

double squared_difference(const float* a, const float* b, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum;
}
double root(double squares, std::size_t n) { return std::sqrt(squares / static_cast<double>(n)); }

class Quant : public ::testing::TestWithParam<const QuantFormat*> {
 protected:
  const QuantFormat& q_ = *GetParam();
  const DTypeInfo& info_ = info(GetParam()->dtype);
};

std::string test_name(const ::testing::TestParamInfo<const QuantFormat*>& test) { return info(test.param->dtype).name; }

TEST_P(Quant, RoundsFloatsWithinHalfAStep) {
  if (q_.encode == nullptr || !half_a_step(q_.dtype, 1.0)) GTEST_SKIP() << info_.name << " is not a float type";
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const double scale = std::ldexp(1.0, static_cast<int>(seed % 7) - 5);   // between 1/32 and 2
    const std::vector<float> values = random.normals(1024, scale);

    const std::vector<float> back = decoded(q_, encoded(q_, values));

    for (std::size_t i = 0; i < values.size(); ++i) {
      const double value = static_cast<double>(values[i]);
      ASSERT_LE(std::fabs(static_cast<double>(back[i]) - value), *half_a_step(q_.dtype, value)) << "seed " << seed << ", value " << i;
    }
  }
}

TEST_P(Quant, LosesNoMoreThanPlainRounding) {
  if (q_.encode == nullptr || half_a_step(q_.dtype, 1.0)) GTEST_SKIP() << info_.name << " has no scales to search";
  if (is_on_a_grid(q_.dtype)) GTEST_SKIP() << info_.name << " is tested with its search";
  const Limits* limits = limits_of(q_.dtype);
  ASSERT_NE(limits, nullptr) << "state the codes of " << info_.name << " in kLimits";
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    std::vector<float> values = random.normals(2048, std::ldexp(1.0, static_cast<int>(seed % 7) - 5));
    for (std::size_t i = 0; seed % 2 == 0 && i < values.size(); i += 97) values[i] *= 8.0f;   // outliers

    const std::vector<float> back = decoded(q_, encoded(q_, values));

    for (std::size_t block = 0; block < values.size(); block += info_.block_elems) {
      double plain = 0.0;
      for (std::size_t sub = 0; sub < info_.block_elems; sub += static_cast<std::size_t>(limits->cols)) {
        plain += plain_error(*limits, &values[block + sub]);
      }
      const double allowed = plain * limits->plain_slack * (1.0 + 1e-5);   // the search sums floats
      ASSERT_LE(squared_difference(&values[block], &back[block], info_.block_elems), allowed)
          << "seed " << seed << ", block at " << block;
    }
  }
}

TEST_P(Quant, LosesLittleOfGaussianWeights) {
  if (q_.encode == nullptr || half_a_step(q_.dtype, 1.0)) GTEST_SKIP() << info_.name << " has no scales to search";
  if (is_on_a_grid(q_.dtype)) GTEST_SKIP() << info_.name << " is tested with its search";
  const std::vector<float> values = Random(7).normals(1 << 16, 0.02);

  const std::vector<float> back = decoded(q_, encoded(q_, values));

  const double relative = root(squared_difference(values.data(), back.data(), 1 << 16), values.size()) / 0.02;
  EXPECT_LE(relative, limits_of(q_.dtype)->relative_rms);
}

TEST_P(Quant, LosesOfSmallWeightsWhatHalvesCostAndNeverMoreThanZeros) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  // Scales are halves, of which the least are 2^-24 apart; the levels of a codebook are about twelve of these.
  const bool has_halves = q_.dtype != DType::f32 && q_.dtype != DType::bf16 && q_.dtype != DType::mxfp4;
  const bool has_book = q_.dtype == DType::iq4_nl || q_.dtype == DType::iq4_xs;
  const double step = !has_halves ? 0.0 : has_book ? 12 * 0x1p-24 : 0x1p-24;
  const std::vector<float> normals = Random(11).normals(1 << 13);
  std::optional<double> usual;
  for (const double deviation : {1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 6e-6, 3e-6, 1e-6, 6e-7, 3e-7, 1e-7, 3e-8}) {
    std::vector<float> values = normals;
    for (float& v : values) v *= static_cast<float>(deviation);
    const std::vector<float> zeros(values.size());

    const std::vector<float> back = decoded(q_, encoded(q_, values));

    for (std::size_t block = 0; block < values.size(); block += info_.block_elems) {
      ASSERT_LE(squared_difference(&values[block], &back[block], info_.block_elems),
                squared_difference(&values[block], &zeros[block], info_.block_elems) * (1.0 + 1e-5))
          << "deviation " << deviation << ", block at " << block;
    }
    const double found = root(squared_difference(values.data(), back.data(), 1 << 13), values.size()) / deviation;
    if (!usual) usual = found;
    EXPECT_LE(found, 1.15 * *usual + 0.5 * step / deviation) << "deviation " << deviation;
  }
}

TEST_P(Quant, IsStableUnderASecondRounding) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  if (is_on_a_grid(q_.dtype)) GTEST_SKIP() << info_.name << " is tested with its search";
  const std::vector<float> values = Random(1).normals(1 << 14);
  const std::vector<float> once = decoded(q_, encoded(q_, values));

  const std::vector<float> twice = decoded(q_, encoded(q_, once));

  if (half_a_step(q_.dtype, 1.0)) {
    EXPECT_EQ(once, twice);
  } else {
    EXPECT_LE(std::sqrt(squared_difference(once.data(), twice.data(), 1 << 14) / squared_difference(values.data(), once.data(), 1 << 14)),
              limits_of(q_.dtype)->second_rounding);
  }
}

TEST_P(Quant, RoundsImportantColumnsBetter) {
  if (q_.encode == nullptr || half_a_step(q_.dtype, 1.0)) GTEST_SKIP() << info_.name << " has no scales to search";
  const std::vector<float> values = Random(5).normals(1 << 14);
  std::vector<float> importance(values.size());
  for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = i % 4 == 0 ? 100.0f : 1.0f;
  const auto weighted = [&](const std::vector<float>& back) {
    double sum = 0.0;
    for (std::size_t i = 0; i < back.size(); ++i) sum += static_cast<double>(importance[i]) * squared_difference(&values[i], &back[i], 1);
    return sum;
  };

  const std::vector<float> without = decoded(q_, encoded(q_, values)), with = decoded(q_, encoded(q_, values, importance.data()));

  EXPECT_LT(weighted(with), 0.99 * weighted(without));
}

TEST_P(Quant, EncodesABlockAloneAsAmongOthers) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  const std::vector<float> values = Random(9).normals(static_cast<std::int64_t>(info_.block_elems) * 19);
  std::vector<float> importance = Random(10).normals(static_cast<std::int64_t>(values.size()));
  for (float& i : importance) i *= i;
  const Bytes together = encoded(q_, values, importance.data());

  for (std::size_t block = 0; block < 19; ++block) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(block * info_.block_elems);
    const Bytes alone = encoded(q_, {first, first + info_.block_elems}, &importance[block * info_.block_elems]);

    const auto expected = together.begin() + static_cast<std::ptrdiff_t>(block * info_.block_bytes);
    EXPECT_EQ(alone, Bytes(expected, expected + info_.block_bytes)) << "block " << block;
  }
}

TEST_P(Quant, KeepsZeros) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  const std::vector<float> zeros(512, 0.0f);

  EXPECT_EQ(decoded(q_, encoded(q_, zeros)), zeros);
}

TEST_P(Quant, DecodesBlocksOneByOneAndTogetherToTheSameBits) {
  Random random(3);
  Bytes bytes(static_cast<std::size_t>(info_.block_bytes) * 16);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next() & 0xff);
  const std::vector<float> together = decoded(q_, bytes);

  for (std::size_t block = 0; block < 16; ++block) {
    // At an odd address, and ending where the memory ends.
    Bytes alone(info_.block_bytes + 1);
    std::memcpy(alone.data() + 1, bytes.data() + block * info_.block_bytes, info_.block_bytes);
    std::vector<float> values(info_.block_elems);
    q_.decode(alone.data() + 1, values.data(), info_.block_elems);

    const auto first = together.begin() + static_cast<std::ptrdiff_t>(block * info_.block_elems);
    EXPECT_EQ(bits_of(values), bits_of({first, first + info_.block_elems}));
  }
}

TEST_P(Quant, DecodesAnyBytes) {
  for (const std::byte fill : {std::byte{0x00}, std::byte{0x7f}, std::byte{0x80}, std::byte{0xff}}) {
    const Bytes bytes(static_cast<std::size_t>(info_.block_bytes) * 4, fill);

    EXPECT_EQ(decoded(q_, bytes).size(), 4U * info_.block_elems);
  }
}

TEST_P(Quant, EncodesWhatIsNoNumber) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  const float specials[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::max(),
                            std::numeric_limits<float>::lowest(), std::numeric_limits<float>::denorm_min(),
                            std::numeric_limits<float>::min(), -0.0f, 1e-39f, 6e-8f, 65504.0f, 1e9f};
  const bool is_float = half_a_step(q_.dtype, 1.0).has_value();
  for (const float special : specials) {
    std::vector<float> values = Random(1).normals(512), importance(512, 1.0f);
    values[5] = special;
    importance[7] = special;
    const std::vector<float> all(512, special);
    for (const std::vector<float>& x : {values, all}) {
      for (const float* i : {static_cast<const float*>(nullptr), std::as_const(importance).data(), all.data()}) {
        const std::vector<float> back = decoded(q_, encoded(q_, x, i));

        EXPECT_TRUE(is_float || std::all_of(back.begin(), back.end(), [](float v) { return std::isfinite(v); })) << special;
      }
    }
  }
}

TEST_P(Quant, KeepsOneOutlierAndTheSignOfWhatIsAllEqual) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  if (is_on_a_grid(q_.dtype)) GTEST_SKIP() << info_.name << " is tested with its search";
  for (const float value : {3.0f, -3.0f}) {
    std::vector<float> outlier(512, 0.0f);
    outlier[300] = value;

    EXPECT_NEAR(decoded(q_, encoded(q_, outlier))[300], value, 0.05f);
    for (const float v : decoded(q_, encoded(q_, std::vector<float>(512, value)))) EXPECT_NEAR(v, value, 0.05f);
  }
}

TEST_P(Quant, MatchesTheGoldenBlocksBitForBit) {
  INFER_SKIP_WITHOUT_GOLDEN_LOGITS();
  const std::string directory = testing::golden_logits_directory() + "/golden/blocks/";
  const nlohmann::json all = testing::read_json(directory + "blocks.json");
  ASSERT_TRUE(all.is_object());
  if (!all.contains(info_.name)) GTEST_SKIP() << "no golden blocks of " << info_.name;
  const nlohmann::json& facts = all[info_.name];
  const Bytes file = testing::read_bytes(directory + facts["file"].get<std::string>());
  const std::size_t values_at = facts["values_offset"].get<std::size_t>();
  ASSERT_GT(file.size(), values_at);
  std::vector<float> expected((file.size() - values_at) / sizeof(float));
  std::memcpy(expected.data(), file.data() + values_at, expected.size() * sizeof(float));

  const std::vector<float> found =
      decoded(q_, Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(values_at)));

  ASSERT_GE(found.size(), 2048U);
  EXPECT_EQ(bits_of(found), bits_of(expected));
}

INSTANTIATE_TEST_SUITE_P(Types, Quant, ::testing::ValuesIn(builtin_quants().begin(), builtin_quants().end()),
                         test_name);

TEST(Quants, AreListedOnceEach) {
  for (const QuantFormat* q : builtin_quants()) {
    EXPECT_EQ(std::count_if(builtin_quants().begin(), builtin_quants().end(),
                            [&](const QuantFormat* other) { return other->dtype == q->dtype; }),
              1)
        << info(q->dtype).name;
    EXPECT_EQ(info(q->dtype).use, DTypeUse::weight);
    EXPECT_EQ(q->block_bytes, info(q->dtype).block_bytes);
  }
}

TEST(Q8_0, IsAHalfTimesASignedByte) {
  Bytes block(34);
  const std::uint16_t d = float_to_half(0.5f);
  std::memcpy(block.data(), &d, 2);
  block[2] = std::byte{0x80};
  block[33] = std::byte{0x7f};

  const std::vector<float> values = decoded(quant_q8_0, block);

  EXPECT_EQ(values[0], -64.0f);
  EXPECT_EQ(values[1], 0.0f);
  EXPECT_EQ(values[31], 63.5f);
}

TEST(Q4_0, HasTheFirstHalfInTheLowNibbles) {
  Bytes block(18, std::byte{0x88});
  const std::uint16_t d = float_to_half(2.0f);
  std::memcpy(block.data(), &d, 2);
  block[2] = std::byte{0xf0};

  const std::vector<float> values = decoded(quant_q4_0, block);

  EXPECT_EQ(values[0], -16.0f);
  EXPECT_EQ(values[16], 14.0f);
  EXPECT_EQ(values[1], 0.0f);
}

}  // namespace
}  // namespace infer
