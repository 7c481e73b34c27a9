// SPDX-License-Identifier: MIT
// MXFP4: 32 weights in 17 bytes, 4.25 bits per weight; floats of 4 bits under a power of two.
//
//   | e: 8 bits | q[0] ... q[15] |        w[i]      = 2^(e - 127) * e2m1(q[i] & 15)
//                                         w[i + 16] = 2^(e - 127) * e2m1(q[i] >> 4)
//
// e2m1: sign, two bits of exponent, one of mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; e = 255 is NaN.
// Source: OCP Microscaling Formats (MX) Specification 1.0. Here codes are doubled and the scale halved, to be integers; -0 decodes
// to 0. Tested by tests/ops/quant_test.cpp.
#include <bit>
#include <limits>

#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

constexpr std::int8_t kTwiceE2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// 2^(e - 128). The two smallest are subnormal.
float half_of_scale(std::uint8_t e) noexcept {
  if (e == 255) return std::numeric_limits<float>::quiet_NaN();
  const std::uint32_t bits = e >= 2 ? static_cast<std::uint32_t>(e - 1) << 23 : 0x00200000u << e;
  return std::bit_cast<float>(bits);
}

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockMxfp4>(block);
  out.d = half_of_scale(b.e);
  unit_scales(out, 32);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = kTwiceE2m1[b.q[i] & 15];
    out.codes[i + 16] = kTwiceE2m1[b.q[i] >> 4];
  }
}

}  // namespace

constinit const QuantFormat quant_mxfp4 = quant_of_codes<DType::mxfp4, codes>();

}  // namespace infer
