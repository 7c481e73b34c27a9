// SPDX-License-Identifier: MIT
// IQ4_NL: 32 weights in 18 bytes, 4.5 bits per weight; nibbles name entries of a codebook (ops/quant/codebooks.h).
//
//   | d: half | q[0] ... q[15] |        w[i]      = d * book[q[i] & 15]
//                                       w[i + 16] = d * book[q[i] >> 4]
//
// Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/codebooks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq4Nl>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 32);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = kIq4Codebook[b.q[i] & 15];
    out.codes[i + 16] = kIq4Codebook[b.q[i] >> 4];
  }
}

}  // namespace

constinit const QuantFormat quant_iq4_nl = quant_of_codes<DType::iq4_nl, codes>();

}  // namespace infer
