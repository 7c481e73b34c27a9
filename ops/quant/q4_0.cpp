// SPDX-License-Identifier: MIT
// Q4_0: 32 weights in 18 bytes, 4.5 bits per weight.
//
//   | d: half | q[0] ... q[15] |        w[i]      = d * ((q[i] & 15) - 8)
//                                       w[i + 16] = d * ((q[i] >> 4) - 8)
//
// Encoding: the weight of largest magnitude becomes -8, so d = that weight / -8. Tested by tests/ops/quant_test.cpp.
#include <cmath>
#include <cstring>

#include "ops/panels.h"
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ4_0>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 32);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = static_cast<std::int8_t>((b.q[i] & 15) - 8);
    out.codes[i + 16] = static_cast<std::int8_t>((b.q[i] >> 4) - 8);
  }
}

/// The code of w when one step is 1 / inverse. A NaN weight becomes code 0.
std::uint8_t code(float w, float inverse) noexcept {
  return static_cast<std::uint8_t>(std::fmin(15.0f, std::fmax(0.0f, std::round(w * inverse) + 8.0f)));
}

void encode(const float* src, const float*, std::byte* dst, std::int64_t n) noexcept {
  for (std::int64_t first = 0; first < n; first += 32, dst += sizeof(BlockQ4_0)) {
    float extreme = 0.0f;   // the weight of largest magnitude, with its sign
    for (int i = 0; i < 32; ++i) {
      if (std::fabs(src[first + i]) > std::fabs(extreme)) extreme = src[first + i];
    }
    const float d = extreme / -8.0f;
    const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
    BlockQ4_0 b;
    b.d = float_to_half(d);
    for (int i = 0; i < 16; ++i) {
      b.q[i] = static_cast<std::uint8_t>(code(src[first + i], inverse) | code(src[first + i + 16], inverse) << 4);
    }
    std::memcpy(dst, &b, sizeof b);
  }
}

void pack_row(const BlockQ4_0& b, std::size_t row, std::byte* chunk, std::size_t half) noexcept {
  pack_lines(bytes_of(b.q), 4, row, chunk + PanelQ4_0::lines(half));
  std::memcpy(chunk + PanelQ4_0::scales(half) + 2 * row, &b.d, 2);
}

}  // namespace

constinit const QuantFormat quant_q4_0 = quant_of_codes<DType::q4_0, codes>(
    {.encode = encode,
     .panel_bytes = PanelQ4_0::panel_bytes, .pack = pack_blocks<PanelQ4_0, BlockQ4_0, 2, pack_row>});

}  // namespace infer
