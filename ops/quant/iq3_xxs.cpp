// SPDX-License-Identifier: MIT
// IQ3_XXS: 256 weights in 98 bytes, 3.0625 bits per weight; a grid of 256 points of four, an even number of minus signs in
// each eight weights.
//
//   | d: half | q[64] | of each 32 weights: signs: 4 * 7 bits, scale: 4 bits |
//
//       w[4g + i] = d / 4 * (2 scale + 1) * (+-) grid[q[g]][i]
//
// Signs of weights 8k and up: bits 7 (k mod 4) and up of the word of 32 bits, the eighth is the parity of the seven; scale:
// its highest four.
//
// Encoding: points and scales are searched (ops/quant/grid_search.h). Tested by tests/ops/quant_test.cpp, blocks_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grid_search.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {

constinit const GridRule grid_iq3_xxs = {
    .points = kPointsIq3Xxs.data(), .n_points = 256, .bits = 3, .group = 4,
    .levels = {{4, 12, 20, 28, 36, 44, 52, 62}}, .kind = GridKind::even_signs,
    .sub_cols = 32, .n_scales = 16, .unit = 0.25f};

namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq3Xxs>(block);
  out.d = half_to_float(b.d) * 0.25f;
  for (int s = 0; s < 8; ++s) {
    std::uint32_t word;
    std::memcpy(&word, b.signs_scale[s], sizeof word);
    set_scale(out, s, static_cast<int>(2 * (word >> 28) + 1));
    for (int k = 0; k < 4; ++k) {
      const std::uint8_t* q = b.q + 8 * s + 2 * k;
      put_codes(out.codes + 32 * s + 8 * k,
                with_signs(pair_of(kGridIq3Xxs[q[0]], kGridIq3Xxs[q[1]]), kEvenSignMasks[word >> 7 * k & 127]));
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
  BlockIq3Xxs b;
  b.d = float_to_half(found.d);
  for (int g = 0; g < 64; ++g) b.q[g] = static_cast<std::uint8_t>(found.points[g]);
  for (int s = 0; s < 8; ++s) {
    const std::uint32_t word = signs_scale(found, s);
    std::memcpy(b.signs_scale[s], &word, sizeof word);
  }
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_iq3_xxs = quant_of_codes<DType::iq3_xxs, codes>(
    {.encode = encode_on_grid<DType::iq3_xxs, grid_iq3_xxs, put>});

}  // namespace infer
