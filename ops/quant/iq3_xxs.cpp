// SPDX-License-Identifier: MIT
// IQ3_XXS: 256 weights in 98 bytes, 3.0625 bits per weight; a grid of 256 points of four, an even number of minus signs in
// each eight weights.
//
//   | d: half | q[64] | of each 32 weights: signs: 4 * 7 bits, scale: 4 bits |
//
//       w[4g + i] = d / 4 * (2 scale + 1) * (+-) grid[q[g]][i]
//
// Signs of weights 8k and up: bits 7 (k mod 4) and up of the word of 32 bits, the eighth is the parity of the seven; scale:
// its highest four. Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
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

}  // namespace

constinit const QuantFormat quant_iq3_xxs = quant_of_codes<DType::iq3_xxs, codes>();

}  // namespace infer
