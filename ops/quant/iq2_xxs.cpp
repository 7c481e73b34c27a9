// SPDX-License-Identifier: MIT
// IQ2_XXS: 256 weights in 66 bytes, 2.0625 bits per weight; a grid of 256 points, an even number of minus signs in eight.
//
//   | d: half | of each 32 weights: point[4] | signs: 4 * 7 bits, scale: 4 bits |
//
//       w[8g + i] = d / 8 * (2 scale + 1) * (+-) grid[point[g]][i]
//
// Signs of group g: bits 7g and up of the word of 32 bits, the eighth is the parity of the seven; scale: its highest four.
//
// Encoding: points and scales are searched (ops/quant/grid_search.h). Tested by tests/ops/quant_test.cpp, blocks_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grid_search.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {

constinit const GridRule grid_iq2_xxs = {
    .points = kPointsIq2Xxs.data(), .n_points = 256, .bits = 2, .group = 8,
    .levels = {{8, 25, 43}}, .kind = GridKind::even_signs,
    .sub_cols = 32, .n_scales = 16, .unit = 0.125f};

namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq2Xxs>(block);
  out.d = half_to_float(b.d) * 0.125f;
  for (int s = 0; s < 8; ++s) {
    const auto& part = b.parts[s];
    std::uint32_t word;
    std::memcpy(&word, part.signs_scale, sizeof word);
    set_scale(out, s, static_cast<int>(2 * (word >> 28) + 1));
    for (int g = 0; g < 4; ++g) {
      const std::uint64_t mask = kEvenSignMasks[word >> 7 * g & 127];
      put_codes(out.codes + 32 * s + 8 * g, with_signs(kGridIq2Xxs[part.point[g]], mask));
    }
  }
}

/// Four times seven signs, and the scale.
std::uint32_t signs_scale(const GridBlock& found, int s) noexcept {
  std::uint32_t word = static_cast<std::uint32_t>(found.scales[s]) << 28;
  for (int k = 0; k < 4; ++k) word |= static_cast<std::uint32_t>(found.signs[4 * s + k] & 127) << 7 * k;
  return word;
}

void put(const GridBlock& found, std::byte* out) noexcept {
  BlockIq2Xxs b;
  b.d = float_to_half(found.d);
  for (int s = 0; s < 8; ++s) {
    for (int g = 0; g < 4; ++g) b.parts[s].point[g] = static_cast<std::uint8_t>(found.points[4 * s + g]);
    const std::uint32_t word = signs_scale(found, s);
    std::memcpy(b.parts[s].signs_scale, &word, sizeof word);
  }
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_iq2_xxs = quant_of_codes<DType::iq2_xxs, codes>(
    {.needs_importance = true, .encode = encode_on_grid<DType::iq2_xxs, grid_iq2_xxs, put>});

}  // namespace infer
