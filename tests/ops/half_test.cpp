// SPDX-License-Identifier: MIT
// Half floats and bfloat16 against their definitions, written with ldexp and nearbyint: every bit pattern to float,
// every rounding tie and its two neighbours back.
#include "ops/quant/half.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "tests/testing/random.h"

namespace infer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A binary format of 16 bits: sign, exponent, mantissa.
struct Narrow {
  int mantissa_bits;
  int bias;
  float (*widen)(std::uint16_t) noexcept;
  std::uint16_t (*narrow)(float) noexcept;

  int exponent_mask() const { return (1 << (15 - mantissa_bits)) - 1; }
  std::uint16_t infinity() const { return static_cast<std::uint16_t>(exponent_mask() << mantissa_bits); }

  /// What a pattern means; NaN included.
  float meaning(std::uint16_t bits) const {
    const int exponent = (bits >> mantissa_bits) & exponent_mask();
    const int mantissa = bits & ((1 << mantissa_bits) - 1);
    double magnitude = std::ldexp(mantissa, 1 - bias - mantissa_bits);
    if (exponent != 0) magnitude = std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    if (exponent == exponent_mask()) {
      magnitude = mantissa == 0 ? static_cast<double>(kInfinity) : std::numeric_limits<double>::quiet_NaN();
    }
    return static_cast<float>(std::copysign(magnitude, (bits & 0x8000) != 0 ? -1.0 : 1.0));
  }

  /// The nearest value of the format, ties to even, by the definition.
  float rounded(float f) const {
    if (std::isinf(f)) return f;
    const int largest_exponent = exponent_mask() - 1 - bias;
    const int exponent = std::max(f == 0.0f ? 1 - bias : std::ilogb(f), 1 - bias);
    const double unit = std::ldexp(1.0, exponent - mantissa_bits);
    const double value = std::nearbyint(static_cast<double>(f) / unit) * unit;
    if (std::fabs(value) >= std::ldexp(1.0, largest_exponent + 1)) return std::copysign(kInfinity, f);
    return static_cast<float>(value);
  }
};

constexpr Narrow kHalf{10, 15, half_to_float, float_to_half};
constexpr Narrow kBf16{7, 127, bf16_to_float, float_to_bf16};

std::uint32_t bits_of(float f) { return std::bit_cast<std::uint32_t>(f); }

void expect_every_pattern_widens(const Narrow& format) {
  for (std::uint32_t b = 0; b < 65536; ++b) {
    const auto bits = static_cast<std::uint16_t>(b);
    const float expected = format.meaning(bits), found = format.widen(bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(found)) << b;
      ASSERT_EQ(std::signbit(found), std::signbit(expected)) << b;
    } else {
      ASSERT_EQ(bits_of(found), bits_of(expected)) << b;
    }
  }
}

void expect_every_pattern_returns(const Narrow& format) {
  for (std::uint32_t b = 0; b < 65536; ++b) {
    const auto bits = static_cast<std::uint16_t>(b);
    const std::uint16_t back = format.narrow(format.widen(bits));
    if ((bits & 0x7fff) > format.infinity()) {   // a NaN: made quiet, otherwise kept
      ASSERT_EQ(back, bits | (1 << (format.mantissa_bits - 1))) << b;
    } else {
      ASSERT_EQ(back, bits) << b;
    }
  }
}

void expect_ties_go_to_even(const Narrow& format) {
  for (std::uint16_t low = 0; low + 1 < format.infinity(); ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double sum = static_cast<double>(format.meaning(low)) + static_cast<double>(format.meaning(high));
    const float tie = static_cast<float>(sum / 2.0);   // exact: a float has room for one bit more
    const auto even = static_cast<std::uint16_t>(low % 2 == 0 ? low : high);
    ASSERT_EQ(format.narrow(tie), even) << low;
    ASSERT_EQ(format.narrow(std::nextafter(tie, 0.0f)), low) << low;
    ASSERT_EQ(format.narrow(std::nextafter(tie, kInfinity)), high) << low;
    ASSERT_EQ(format.narrow(-tie), even | 0x8000) << low;
  }
}

void expect_random_floats_round(const Narrow& format) {
  testing::Random random(1);
  for (int i = 0; i < 200000; ++i) {
    // Exponents around the format's own range, beyond both ends included.
    const float f = std::ldexp(static_cast<float>(random.uniform() * 2.0 - 1.0),
                               static_cast<int>(random.below(2 * format.bias + 60)) - format.bias - 30);
    ASSERT_EQ(bits_of(format.widen(format.narrow(f))), bits_of(format.rounded(f))) << f;
  }
}

TEST(Half, WidensEveryPatternAsDefined) { expect_every_pattern_widens(kHalf); }
TEST(Half, NarrowsBackToEveryPattern) { expect_every_pattern_returns(kHalf); }
TEST(Half, RoundsTiesToEven) { expect_ties_go_to_even(kHalf); }
TEST(Half, RoundsRandomFloatsToTheNearest) { expect_random_floats_round(kHalf); }

TEST(Half, OverflowsToInfinityFromTheMiddleOn) {
  EXPECT_EQ(float_to_half(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(-65520.0f), 0xfc00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(float_to_half(kInfinity), 0x7c00);
}

TEST(Half, UnderflowsToSignedZero) {
  EXPECT_EQ(float_to_half(0x1p-25f), 0x0000);   // a tie between 0 and the smallest subnormal
  EXPECT_EQ(float_to_half(std::nextafter(0x1p-25f, 1.0f)), 0x0001);
  EXPECT_EQ(float_to_half(-0x1p-149f), 0x8000);
}

TEST(Bf16, WidensEveryPatternAsDefined) { expect_every_pattern_widens(kBf16); }
TEST(Bf16, NarrowsBackToEveryPattern) { expect_every_pattern_returns(kBf16); }
TEST(Bf16, RoundsTiesToEven) { expect_ties_go_to_even(kBf16); }
TEST(Bf16, RoundsRandomFloatsToTheNearest) { expect_random_floats_round(kBf16); }

TEST(Bf16, OverflowsToInfinityFromTheMiddleOn) {
  EXPECT_EQ(float_to_bf16(0x1.feffp127f), 0x7f7f);
  EXPECT_EQ(float_to_bf16(0x1.ffp127f), 0x7f80);
  EXPECT_EQ(float_to_bf16(-std::numeric_limits<float>::max()), 0xff80);
}

}  // namespace
}  // namespace infer
