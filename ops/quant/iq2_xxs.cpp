// SPDX-License-Identifier: MIT
// IQ2_XXS: 256 weights in 66 bytes, 2.0625 bits per weight; a grid of 256 points, an even number of minus signs in eight.
//
//   | d: half | of each 32 weights: point[4] | signs: 4 * 7 bits, scale: 4 bits |
//
//       w[8g + i] = d / 8 * (2 scale + 1) * (+-) grid[point[g]][i]
//
// Signs of group g: bits 7g and up of the word of 32 bits, the eighth is the parity of the seven; scale: its highest four.
// Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
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

}  // namespace

constinit const QuantFormat quant_iq2_xxs = quant_of_codes<DType::iq2_xxs, codes>({.needs_importance = true});

}  // namespace infer
