// SPDX-License-Identifier: MIT
// Blocks made by hand, at least one for each family of types: places of nibbles, high bits, scales and signs as the drawings in
// ops/quant say. MXFP4 and TQ1_0 against their definitions, written here a second time.
#include <array>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "tests/testing/kernel_tester.h"

namespace infer {
namespace {

/// A block of zeros of a type, to be filled in.
struct Block {
  explicit Block(const QuantFormat& quant) : q(quant), bytes(info(quant.dtype).block_bytes) {}

  Block& half(std::size_t at, float value) {
    const std::uint16_t h = float_to_half(value);
    std::memcpy(&bytes[at], &h, 2);
    return *this;
  }
  Block& byte(std::size_t at, int value) {
    bytes[at] = static_cast<std::byte>(value);
    return *this;
  }
  Block& fill(std::size_t first, std::size_t n, int value) {
    for (std::size_t i = first; i < first + n; ++i) byte(i, value);
    return *this;
  }
  std::vector<float> decoded() const {
    std::vector<float> values(info(q.dtype).block_elems);
    q.decode(bytes.data(), values.data(), static_cast<std::int64_t>(values.size()));
    return values;
  }

  const QuantFormat& q;
  std::vector<std::byte> bytes;
};

TEST(Q4_1, AddsTheMinimum) {
  const auto w = Block(quant_q4_1).half(0, 0.5f).half(2, -3.0f).byte(4, 0xf1).decoded();

  EXPECT_EQ(w[0], -2.5f);
  EXPECT_EQ(w[16], 4.5f);
  EXPECT_EQ(w[1], -3.0f);
}

TEST(Q5_0, HasTheFifthBitsInAWord) {
  const auto w = Block(quant_q5_0).half(0, 1.0f).byte(2, 0x01).byte(5, 0x80).byte(6, 0x0f).byte(21, 0x20).decoded();

  EXPECT_EQ(w[0], 15.0f);      // 16 + 15 - 16
  EXPECT_EQ(w[16], -16.0f);
  EXPECT_EQ(w[31], 2.0f);      // 16 + 2 - 16
  EXPECT_EQ(w[15], -16.0f);
}

TEST(Q5_1, HasTheFifthBitsInAWordAndAMinimum) {
  const auto w = Block(quant_q5_1).half(0, 1.0f).half(2, 0.5f).byte(4, 0x01).byte(8, 0x3f).decoded();

  EXPECT_EQ(w[0], 31.5f);
  EXPECT_EQ(w[16], 3.5f);
  EXPECT_EQ(w[1], 0.5f);
}

TEST(Q2_K, HasScaleAndMinInANibbleEach) {
  const auto w = Block(quant_q2_k).half(80, 1.0f).half(82, 0.5f).byte(0, 0x23).byte(15, 0x10).byte(16, 0x03).decoded();

  EXPECT_EQ(w[0], 3.0f * 3.0f - 0.5f * 2.0f);
  EXPECT_EQ(w[1], -1.0f);
  EXPECT_EQ(w[255], -0.5f);
  EXPECT_EQ(w[16], 0.0f);
}

TEST(Q3_K, IsLessByFourWithoutItsHighBit) {
  const auto w = Block(quant_q3_k).half(108, 1.0f).fill(0, 32, 0xff).byte(0, 0xfe).byte(32, 0x03).decoded();

  EXPECT_EQ(w[0], -32.0f * (3.0f - 4.0f));   // scale bits of 0 stand for -32
  EXPECT_EQ(w[1], -32.0f * 0.0f);
  EXPECT_EQ(w[32], 0.0f);                    // the next bit is set
}

TEST(Q4_K, HasSixBitsOfScaleAndMin) {
  const auto w = Block(quant_q4_k).half(0, 1.0f).half(2, 1.0f).byte(4, 63).byte(8, 62).byte(16, 0x12).decoded();

  EXPECT_EQ(w[0], 63.0f * 2.0f - 62.0f);
  EXPECT_EQ(w[1], -62.0f);
  EXPECT_EQ(w[32], 0.0f);   // its scale is 0
}

TEST(Q5_K, HasTheFifthBitOfEachSubBlock) {
  const auto w = Block(quant_q5_k).half(0, 1.0f).byte(4, 1).byte(5, 1).byte(16, 0x03).byte(48, 0x21).decoded();

  EXPECT_EQ(w[0], 17.0f);
  EXPECT_EQ(w[32], 18.0f);
  EXPECT_EQ(w[1], 0.0f);
}

TEST(Q6_K, HasSignedScales) {
  const auto w = Block(quant_q6_k).half(208, 1.0f).byte(192, 0xfe).byte(0, 0x0f).byte(128, 0x03).decoded();

  EXPECT_EQ(w[0], -2.0f * (63.0f - 32.0f));
  EXPECT_EQ(w[1], -2.0f * -32.0f);
  EXPECT_EQ(w[16], 0.0f);
}

TEST(Iq4Nl, LooksCodesUp) {
  const auto w = Block(quant_iq4_nl).half(0, 2.0f).byte(2, 0xf0).decoded();

  EXPECT_EQ(w[0], -254.0f);
  EXPECT_EQ(w[16], 226.0f);
}

TEST(Iq4Xs, HasSixBitsOfScale) {
  const auto w = Block(quant_iq4_xs).half(0, 1.0f).byte(2, 0x02).byte(4, 0x01).byte(8, 0x80).decoded();

  EXPECT_EQ(w[0], (33.0f - 32.0f) * -127.0f);
  EXPECT_EQ(w[16], 1.0f);
  EXPECT_EQ(w[32], -32.0f * -127.0f);
}

TEST(Tq2_0, IsAThirdCodeLessOne) {
  const auto w = Block(quant_tq2_0).half(64, 0.5f).byte(0, 0xe4).decoded();

  EXPECT_EQ(w[0], -0.5f);
  EXPECT_EQ(w[32], 0.0f);
  EXPECT_EQ(w[64], 0.5f);
  EXPECT_EQ(w[96], 1.0f);   // a code that no encoder writes
}

/// Five digits of a number below 243 as a fraction of 256, rounded up, and back by multiplying.
TEST(Tq1_0, HasFiveDigitsInAByte) {
  for (int number = 0; number < 243; ++number) {
    const int last = number / 3 * 3;   // bytes of four digits have a 0 for the fifth
    const auto w =
        Block(quant_tq1_0).half(52, 1.0f).byte(0, (number * 256 + 242) / 243).byte(48, (last * 256 + 242) / 243).decoded();

    for (int n = 0, left = number, power = 81; n < 5; ++n, left %= power, power /= 3) {
      const auto digit = static_cast<float>(left / power - 1);
      EXPECT_EQ(w[static_cast<std::size_t>(32 * n)], digit) << number;
      if (n < 4) {
        EXPECT_EQ(w[static_cast<std::size_t>(240 + 4 * n)], digit) << number;
      }
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    for (const float w : Block(quant_tq1_0).half(52, 1.0f).fill(0, 52, byte).decoded()) EXPECT_LE(std::fabs(w), 1.0f) << byte;
  }
}

/// E2M1 under E8M0: OCP Microscaling Formats (MX) Specification 1.0, sections 5.3.3 and 5.4.1.
TEST(Mxfp4, IsE2M1UnderAPowerOfTwo) {
  for (int e = 0; e < 256; ++e) {
    for (int code = 0; code < 16; ++code) {
      const auto w = Block(quant_mxfp4).byte(0, e).byte(1, code).byte(16, code << 4).decoded();

      const int exponent = code >> 1 & 3, mantissa = code & 1;
      const double magnitude = exponent == 0 ? 0.5 * mantissa : std::ldexp(1.0 + 0.5 * mantissa, exponent - 1);
      const double expected = std::ldexp((code & 8) != 0 ? -magnitude : magnitude, e - 127);
      for (const float found : {w[0], w[31]}) {
        if (e == 255) {
          EXPECT_TRUE(std::isnan(found));
        } else {
          EXPECT_EQ(found, static_cast<float>(expected)) << e << ", " << code;
        }
      }
    }
  }
}

TEST(Iq2Xxs, HasAnEvenNumberOfMinusSigns) {
  // Group 0: point 1, signs 1: the first weight's, and the parity's; scale 15 of the first 32.
  const auto w = Block(quant_iq2_xxs).half(0, 8.0f).byte(2, 1).byte(6, 0x01).byte(9, 0xf0).decoded();

  EXPECT_EQ(w[0], -43.0f * 31.0f);
  EXPECT_EQ(w[1], 8.0f * 31.0f);
  EXPECT_EQ(w[7], -8.0f * 31.0f);
  EXPECT_EQ(w[8], 8.0f * 31.0f);
  EXPECT_EQ(w[32], 8.0f);
}

TEST(Iq2Xs, HasPointAndSignsInAWord) {
  const auto w = Block(quant_iq2_xs).half(0, 8.0f).byte(2, 1).byte(3, 0x02).byte(66, 0x31).decoded();

  EXPECT_EQ(w[0], -43.0f * 3.0f);
  EXPECT_EQ(w[7], -8.0f * 3.0f);
  EXPECT_EQ(w[8], 8.0f * 3.0f);
  EXPECT_EQ(w[16], 8.0f * 7.0f);
}

TEST(Iq2S, HasTenBitsOfPointAndAllSigns) {
  // The last point has 43 everywhere.
  const auto w = Block(quant_iq2_s).half(0, 8.0f).byte(2, 0xff).byte(34, 0x81).byte(66, 0x03).byte(74, 0x10).decoded();

  EXPECT_EQ(w[0], -43.0f);
  EXPECT_EQ(w[1], 43.0f);
  EXPECT_EQ(w[7], -43.0f);
  EXPECT_EQ(w[16], 8.0f * 3.0f);
}

TEST(Iq3Xxs, HasSignsBehindThePoints) {
  const auto w = Block(quant_iq3_xxs).half(0, 4.0f).byte(2, 1).byte(66, 0x02).byte(69, 0x10).decoded();

  EXPECT_EQ(w[0], 20.0f * 3.0f);    // the second point is 20, 4, 4, 4
  EXPECT_EQ(w[1], -4.0f * 3.0f);
  EXPECT_EQ(w[7], -4.0f * 3.0f);
  EXPECT_EQ(w[32], 4.0f);
}

TEST(Iq3S, HasTheNinthBitOfAPointApart) {
  const auto w = Block(quant_iq3_s).half(0, 1.0f).byte(2, 0xff).byte(66, 0x01).byte(74, 0x08).byte(106, 0x21).decoded();

  EXPECT_EQ(w[0], 3.0f);            // the last point is 1, 1, 15, 15: octal 7700
  EXPECT_EQ(w[1], 3.0f);
  EXPECT_EQ(w[2], 45.0f);
  EXPECT_EQ(w[3], -45.0f);
  EXPECT_EQ(w[32], 5.0f);
}

TEST(Iq1S, IsMovedByAnEighth) {
  // The last point is 1 everywhere, the first one -1.
  const auto w = Block(quant_iq1_s).half(0, 1.0f).byte(2, 0xff).byte(34, 0x07).byte(35, 0x90).decoded();

  EXPECT_EQ(w[0], 3.0f * 0.875f);
  EXPECT_EQ(w[8], 3.0f * -1.125f);
  EXPECT_EQ(w[32], -0.875f);
}

TEST(Iq1M, HasItsScaleInFourNibbles) {
  // 0x3c00 is 1; scale 2 for the second sixteen weights; the second group is moved down.
  const auto w = Block(quant_iq1_m).byte(53, 0xc0).byte(55, 0x30).byte(0, 0xff).byte(32, 0x87).byte(48, 2 << 3).decoded();

  EXPECT_EQ(w[0], 1.125f);
  EXPECT_EQ(w[8], -1.125f);
  EXPECT_EQ(w[16], 5.0f * -0.875f);
}

}  // namespace
}  // namespace infer
