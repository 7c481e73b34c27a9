// SPDX-License-Identifier: MIT
// IQ2_S: 256 weights in 82 bytes, 2.5625 bits per weight; a grid of 1024 points, signs in full.
//
//   | d: half | q[32] | signs[32] | high[8] | scales[8] |     w[8g + i] = d / 8 * (2 scale + 1) * (+-) grid[point][i]
//
// Point of group g: q[g], above it bits 2 (g mod 4) and up of high[g / 4]. Scale of weights 16j and up: nibble j of
// scales.
//
// Encoding: points and scales are searched (ops/quant/grid_search.h). Tested by tests/ops/quant_test.cpp, blocks_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grid_search.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {

constinit const GridRule grid_iq2_s = {
    .points = kPointsIq2S.data(), .n_points = 1024, .bits = 2, .group = 8,
    .levels = {{8, 25, 43}}, .kind = GridKind::free_signs,
    .sub_cols = 16, .n_scales = 16, .unit = 0.125f};

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

void put(const GridBlock& found, std::byte* out) noexcept {
  BlockIq2S b = {};
  b.d = float_to_half(found.d);
  for (int g = 0; g < 32; ++g) {
    b.q[g] = static_cast<std::uint8_t>(found.points[g] & 255);
    b.high[g / 4] = static_cast<std::uint8_t>(b.high[g / 4] | (found.points[g] >> 8) << g % 4 * 2);
    b.signs[g] = found.signs[g];
  }
  for (int k = 0; k < 8; ++k) b.scales[k] = static_cast<std::uint8_t>(found.scales[2 * k] | found.scales[2 * k + 1] << 4);
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_iq2_s = quant_of_codes<DType::iq2_s, codes>(
    {.needs_importance = true, .encode = encode_on_grid<DType::iq2_s, grid_iq2_s, put>});

}  // namespace infer
