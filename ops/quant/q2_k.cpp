// SPDX-License-Identifier: MIT
// Q2_K: 256 weights in 84 bytes, 2.625 bits per weight; sixteen sub-blocks of 16 with a scale and a min of 4 bits.
//
//   | scales[16]: scale | min << 4 | q[64] | d: half | m: half |        w = d * scale * q - m * min
//
// Weights 128h + 32j + l have two bits, 2j and up, of q[32h + l]. Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ2_K>(block);
  out.d = half_to_float(b.d);
  out.m = half_to_float(b.m);
  for (int sub = 0; sub < 16; ++sub) {
    out.scales[sub] = b.scales[sub] & 15;
    out.mins[sub] = b.scales[sub] >> 4;
  }
  for (int i = 0; i < 256; ++i) {
    out.codes[i] = static_cast<std::int8_t>(b.q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3);
  }
}

}  // namespace

constinit const QuantFormat quant_q2_k = quant_of_codes<DType::q2_k, codes, true>();

}  // namespace infer
