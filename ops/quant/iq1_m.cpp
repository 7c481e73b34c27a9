// SPDX-License-Identifier: MIT
// IQ1_M: 256 weights in 56 bytes, 1.75 bits per weight; the grid of IQ1_S, moved by an eighth in each eight weights.
//
//   | q[32] | high[16] | scales[4]: 16 bits |        w[8g + i] = d / 8 * (2 scale + 1) * (8 grid[point][i] +- 1)
//
// Group g: nibble g of high has the three high bits of its point, whose low ones are q[g], and a bit that is set for - 1.
// Scale of weights 16j and up: three bits of scales[j / 4], 3 (j mod 4) and up. d is a half whose nibbles, the lowest first,
// are the highest nibbles of scales[0] ... scales[3].
//
// Encoding: points and scales are searched (ops/quant/grid_search.h). Tested by tests/ops/quant_test.cpp, blocks_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grid_search.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {

constinit const GridRule grid_iq1_m = {
    .points = kPointsIq1.data(), .n_points = 2048, .bits = 2, .group = 8,
    .levels = {{-7, 1, 9}, {-9, -1, 7}}, .kind = GridKind::shift,
    .sub_cols = 16, .n_scales = 8, .unit = 0.125f};

namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq1M>(block);
  const int d = b.scales[0] >> 12 | (b.scales[1] >> 12) << 4 | (b.scales[2] >> 12) << 8 | (b.scales[3] >> 12) << 12;
  out.d = half_to_float(static_cast<Half>(d)) * 0.125f;
  for (int j = 0; j < 16; ++j) {
    out.scales[j] = static_cast<std::int16_t>(2 * (b.scales[j / 4] >> j % 4 * 3 & 7) + 1);
    for (int g = 0; g < 2; ++g) {
      const unsigned nibble = static_cast<unsigned>(b.high[j]) >> 4 * g & 15;
      put_codes(out.codes + 16 * j + 8 * g, shifted(kGridIq1[b.q[2 * j + g] | (nibble & 7) << 8], nibble >> 3));
    }
  }
}

void put(const GridBlock& found, std::byte* out) noexcept {
  BlockIq1M b = {};
  const unsigned d = float_to_half(found.d);
  for (int g = 0; g < 32; ++g) {
    b.q[g] = static_cast<std::uint8_t>(found.points[g] & 255);
    b.high[g / 2] = static_cast<std::uint8_t>(b.high[g / 2] | (found.points[g] >> 8 | found.down[g] << 3) << g % 2 * 4);
  }
  for (int k = 0; k < 4; ++k) {
    unsigned scales = (d >> 4 * k & 15) << 12;
    for (int j = 0; j < 4; ++j) scales |= static_cast<unsigned>(found.scales[4 * k + j]) << 3 * j;
    b.scales[k] = static_cast<std::uint16_t>(scales);
  }
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_iq1_m = quant_of_codes<DType::iq1_m, codes>(
    {.needs_importance = true, .encode = encode_on_grid<DType::iq1_m, grid_iq1_m, put>});

}  // namespace infer
