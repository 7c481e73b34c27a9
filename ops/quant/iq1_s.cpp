// SPDX-License-Identifier: MIT
// IQ1_S: 256 weights in 50 bytes, 1.5625 bits per weight; a grid of 2048 points of -1, 0, 1, moved by an eighth.
//
//   | d: half | q[32] | high[8]: 16 bits |        w[8g + i] = d / 8 * (2 scale + 1) * (8 grid[point][i] +- 1)
//
// high[s], of weights 32s and up: four times the three high bits of a point, whose low ones are q[g]; three bits of scale; a
// bit that is set for - 1. Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/grids.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
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

}  // namespace

constinit const QuantFormat quant_iq1_s = quant_of_codes<DType::iq1_s, codes>({.needs_importance = true});

}  // namespace infer
