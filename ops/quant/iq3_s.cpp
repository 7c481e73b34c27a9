// SPDX-License-Identifier: MIT
// IQ3_S: 256 weights in 110 bytes, 3.4375 bits per weight; a grid of 512 points of four, signs in full.
//
//   | d: half | q[64] | high[8] | signs[32] | scales[4] |     w[4g + i] = d * (2 scale + 1) * (+-) grid[point][i]
//
// Point of group g: q[g], its ninth bit is bit g mod 8 of high[g / 8]. Scale of weights 32s and up: nibble s of scales.
// Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq3S>(block);
  out.d = half_to_float(b.d);
  for (int s = 0; s < 8; ++s) {
    set_scale(out, s, 2 * (b.scales[s / 2] >> s % 2 * 4 & 15) + 1);
    for (int k = 0; k < 4; ++k) {
      const std::uint8_t* q = b.q + 8 * s + 2 * k;
      const unsigned high = static_cast<unsigned>(b.high[s]) >> 2 * k;
      const std::uint64_t points = pair_of(kGridIq3S[q[0] | (high & 1) << 8], kGridIq3S[q[1] | (high & 2) << 7]);
      put_codes(out.codes + 32 * s + 8 * k, with_signs(points, kSignMasks[b.signs[4 * s + k]]));
    }
  }
}

}  // namespace

constinit const QuantFormat quant_iq3_s = quant_of_codes<DType::iq3_s, codes>();

}  // namespace infer
