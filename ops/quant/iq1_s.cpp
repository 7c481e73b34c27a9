// SPDX-License-Identifier: MIT
// IQ1_S: 256 weights in 50 bytes, 1.5625 bits per weight; a grid of 2048 points of -1, 0, 1, moved by an eighth.
//
//   | d: half | q[32] | high[8]: 16 bits |        w[8g + i] = d / 8 * (2 scale + 1) * (8 grid[point][i] +- 1)
//
// high[s], of weights 32s and up: four times the three high bits of a point, whose low ones are q[g]; three bits of scale; a
// bit that is set for - 1.
//
// Encoding: points and scales are searched (ops/quant/grid_search.h). Tested by tests/ops/quant_test.cpp, blocks_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grid_search.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {

constinit const GridRule grid_iq1_s = {
    .points = kPointsIq1.data(), .n_points = 2048, .bits = 2, .group = 8,
    .levels = {{-7, 1, 9}, {-9, -1, 7}}, .kind = GridKind::common_shift,
    .sub_cols = 32, .n_scales = 8, .unit = 0.125f};

namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq1S>(block);
  out.d = half_to_float(b.d) * 0.125f;
  for (int s = 0; s < 8; ++s) {
    const unsigned high = b.high[s];
    set_scale(out, s, static_cast<int>(2 * (high >> 12 & 7) + 1));
    for (int g = 0; g < 4; ++g) {
      put_codes(out.codes + 32 * s + 8 * g, shifted(kGridIq1[b.q[4 * s + g] | (high >> 3 * g & 7) << 8], high >> 15));
    }
  }
}

void put(const GridBlock& found, std::byte* out) noexcept {
  BlockIq1S b;
  b.d = float_to_half(found.d);
  for (int s = 0; s < 8; ++s) {
    int high = found.scales[s] << 12 | found.down[4 * s] << 15;
    for (int g = 0; g < 4; ++g) {
      b.q[4 * s + g] = static_cast<std::uint8_t>(found.points[4 * s + g] & 255);
      high |= (found.points[4 * s + g] >> 8) << 3 * g;
    }
    b.high[s] = static_cast<std::uint16_t>(high);
  }
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_iq1_s = quant_of_codes<DType::iq1_s, codes>(
    {.needs_importance = true, .encode = encode_on_grid<DType::iq1_s, grid_iq1_s, put>});

}  // namespace infer
