// SPDX-License-Identifier: MIT
// Q5_K: 256 weights in 176 bytes, 5.5 bits per weight; eight sub-blocks of 32 with a scale and a min of 6 bits.
//
//   | d: half | m: half | scales[12] | high[32] | q[128] |        w = d * scale * q - m * min
//
// Weights 64c + l have the low nibble of q[32c + l], weights 64c + 32 + l the high one; the fifth bit of weight 32s + l is
// bit s of high[l].
// Scales and mins: ops/quant/six_bits.h. Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/six_bits.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ5_K>(block);
  out.d = half_to_float(b.d);
  out.m = half_to_float(b.m);
  for (int s = 0; s < 8; ++s) set_scale(out, s, scale_of(b.scales, s), min_of(b.scales, s));
  for (int i = 0; i < 256; ++i) {
    const int low = b.q[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15, high = b.high[i % 32] >> i / 32 & 1;
    out.codes[i] = static_cast<std::int8_t>(low | high << 4);
  }
}

}  // namespace

constinit const QuantFormat quant_q5_k = quant_of_codes<DType::q5_k, codes, true>();

}  // namespace infer
