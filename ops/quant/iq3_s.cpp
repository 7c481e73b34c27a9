// SPDX-License-Identifier: MIT
// IQ3_S: 256 weights in 110 bytes, 3.4375 bits per weight; a grid of 512 points of four, signs in full.
//
//   | d: half | q[64] | high[8] | signs[32] | scales[4] |     w[4g + i] = d * (2 scale + 1) * (+-) grid[point][i]
//
// Point of group g: q[g], its ninth bit is bit g mod 8 of high[g / 8]. Scale of weights 32s and up: nibble s of scales.
//
// Encoding: points and scales are searched (ops/quant/grid_search.h). Tested by tests/ops/quant_test.cpp, blocks_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grid_search.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {

constinit const GridRule grid_iq3_s = {
    .points = kPointsIq3S.data(), .n_points = 512, .bits = 3, .group = 4,
    .levels = {{1, 3, 5, 7, 9, 11, 13, 15}}, .kind = GridKind::free_signs,
    .sub_cols = 32, .n_scales = 16, .unit = 1.0f};

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

void put(const GridBlock& found, std::byte* out) noexcept {
  BlockIq3S b = {};
  b.d = float_to_half(found.d);
  for (int g = 0; g < 64; ++g) {
    b.q[g] = static_cast<std::uint8_t>(found.points[g] & 255);
    b.high[g / 8] = static_cast<std::uint8_t>(b.high[g / 8] | (found.points[g] >> 8) << g % 8);
  }
  std::memcpy(b.signs, found.signs, sizeof b.signs);
  for (int k = 0; k < 4; ++k) b.scales[k] = static_cast<std::uint8_t>(found.scales[2 * k] | found.scales[2 * k + 1] << 4);
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_iq3_s = quant_of_codes<DType::iq3_s, codes>(
    {.encode = encode_on_grid<DType::iq3_s, grid_iq3_s, put>});

}  // namespace infer
