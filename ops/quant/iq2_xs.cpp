// SPDX-License-Identifier: MIT
// IQ2_XS: 256 weights in 74 bytes, 2.3125 bits per weight; a grid of 512 points, an even number of minus signs in eight.
//
//   | d: half | q[32]: 9 bits of point, 7 of signs | scales[8] |     w[8g + i] = d / 8 * (2 scale + 1) * (+-) grid[point][i]
//
// Scale of weights 16j and up: nibble j of scales. The eighth sign is the parity of the seven.
//
// Encoding: points and scales are searched (ops/quant/grid_search.h). Tested by tests/ops/quant_test.cpp, blocks_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grid_search.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {

constinit const GridRule grid_iq2_xs = {
    .points = kPointsIq2Xs.data(), .n_points = 512, .bits = 2, .group = 8,
    .levels = {{8, 25, 43}}, .kind = GridKind::even_signs,
    .sub_cols = 16, .n_scales = 16, .unit = 0.125f};

namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq2Xs>(block);
  out.d = half_to_float(b.d) * 0.125f;
  set_odd_scales(out, b.scales);
  for (int g = 0; g < 32; ++g) {
    put_codes(out.codes + 8 * g, with_signs(kGridIq2Xs[b.q[g] & 511], kEvenSignMasks[b.q[g] >> 9]));
  }
}

void put(const GridBlock& found, std::byte* out) noexcept {
  BlockIq2Xs b;
  b.d = float_to_half(found.d);
  for (int g = 0; g < 32; ++g) b.q[g] = static_cast<std::uint16_t>(found.points[g] | (found.signs[g] & 127) << 9);
  for (int k = 0; k < 8; ++k) b.scales[k] = static_cast<std::uint8_t>(found.scales[2 * k] | found.scales[2 * k + 1] << 4);
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_iq2_xs = quant_of_codes<DType::iq2_xs, codes>(
    {.needs_importance = true, .encode = encode_on_grid<DType::iq2_xs, grid_iq2_xs, put>});

}  // namespace infer
