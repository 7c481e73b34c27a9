// SPDX-License-Identifier: MIT
// MXFP4: 32 weights in 17 bytes, 4.25 bits per weight; floats of 4 bits under a power of two.
//
//   | e: 8 bits | q[0] ... q[15] |        w[i]      = 2^(e - 127) * e2m1(q[i] & 15)
//                                         w[i + 16] = 2^(e - 127) * e2m1(q[i] >> 4)
//
// e2m1: sign, two bits of exponent, one of mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; e = 255 is NaN.
// Source: OCP Microscaling Formats (MX) Specification 1.0. Here codes are doubled and the scale halved, to be integers; -0 decodes
// to 0.
//
// Encoding: of three scales, next to the one that the specification proposes (its largest power of two is that of the largest
// weight), the one of least weighted squared error. Tested by tests/ops/quant_test.cpp.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
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

/// The place in kTwiceE2m1 of the entry next to v.
std::uint8_t nearest(double v) noexcept {
  const double magnitude = std::fabs(v);
  int index = 0;
  for (const double bound : {0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0}) index += magnitude > bound;
  return static_cast<std::uint8_t>(v < 0.0 && index > 0 ? index + 8 : index);
}

/// The block with this scale; returns its error.
double round_to(const double* x, const double* weights, int e, BlockMxfp4& b) noexcept {
  const double factor = std::ldexp(1.0, 128 - e);
  double error = 0.0;
  std::uint8_t codes[32];
  for (int i = 0; i < 32; ++i) {
    codes[i] = nearest(x[i] * factor);
    const double miss = x[i] - kTwiceE2m1[codes[i]] / factor;
    error += weights[i] * (miss * miss);
  }
  b.e = static_cast<std::uint8_t>(e);
  for (int i = 0; i < 16; ++i) b.q[i] = static_cast<std::uint8_t>(codes[i] | codes[i + 16] << 4);
  return error;
}

/// Of the columns' errors: importance where it is a number above zero, all alike where none is.
void take_weights(const float* importance, double (&weights)[32]) noexcept {
  double total = 0.0;
  for (int i = 0; i < 32; ++i) {
    const float v = importance != nullptr ? importance[i] : 0.0f;
    weights[i] = v > 0.0f && v <= std::numeric_limits<float>::max() ? static_cast<double>(v) : 0.0;
    total += weights[i];
  }
  for (double& w : weights) w = total > 0.0 ? w : 1.0;
}

void encode(const float* src, const float* importance, std::byte* dst, std::int64_t n) noexcept {
  for (std::int64_t first = 0; first < n; first += 32, dst += sizeof(BlockMxfp4)) {
    double x[32], weights[32], largest = 0.0;
    take_weights(importance != nullptr ? importance + first : nullptr, weights);
    for (int i = 0; i < 32; ++i) {
      const float v = src[first + i];
      constexpr float kMost = std::numeric_limits<float>::max();
      x[i] = v != v ? 0.0 : static_cast<double>(std::clamp(v, -kMost, kMost));
      largest = std::fmax(largest, std::fabs(x[i]));
    }
    BlockMxfp4 best = {};
    if (largest > 0.0) {
      // Above 252, the largest weights would become infinite.
      const int proposed = std::clamp(std::ilogb(largest) - 2 + 127, 0, 252);
      double least = 0.0;
      for (const int e : {proposed, std::min(proposed + 1, 252), std::max(proposed - 1, 0)}) {
        BlockMxfp4 b;
        const double error = round_to(x, weights, e, b);
        if (e == proposed || error < least) {
          least = error;
          best = b;
        }
      }
    }
    std::memcpy(dst, &best, sizeof best);
  }
}

}  // namespace

constinit const QuantFormat quant_mxfp4 = quant_of_codes<DType::mxfp4, codes>({.encode = encode});

}  // namespace infer
