// SPDX-License-Identifier: MIT
// IQ2_S: 256 weights in 82 bytes, 2.5625 bits per weight; a grid of 1024 points, signs in full.
//
//   | d: half | q[32] | signs[32] | high[8] | scales[8] |     w[8g + i] = d / 8 * (2 scale + 1) * (+-) grid[point][i]
//
// Point of group g: q[g], above it bits 2 (g mod 4) and up of high[g / 4]. Scale of weights 16j and up: nibble j of
// scales. Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq2S>(block);
  out.d = half_to_float(b.d) * 0.125f;
  set_odd_scales(out, b.scales);
  for (int g = 0; g < 32; ++g) {
    const int point = b.q[g] | (b.high[g / 4] >> g % 4 * 2 & 3) << 8;
    put_codes(out.codes + 8 * g, with_signs(kGridIq2S[static_cast<std::size_t>(point)], kSignMasks[b.signs[g]]));
  }
}

}  // namespace

constinit const QuantFormat quant_iq2_s = quant_of_codes<DType::iq2_s, codes>({.needs_importance = true});

}  // namespace infer
