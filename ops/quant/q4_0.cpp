// SPDX-License-Identifier: MIT
// Q4_0: 32 weights in 18 bytes, 4.5 bits per weight.
//
//   | d: half | q[0] ... q[15] |        w[i]      = d * ((q[i] & 15) - 8)
//                                       w[i + 16] = d * ((q[i] >> 4) - 8)
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include <cstring>

#include "ops/panels.h"
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
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

constexpr SearchRule kRule = {.subs = 1, .cols = 32, .least = -8, .most = 7, .reach = {0.9f, 1.5f, 13}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ4_0 b;
  b.d = float_to_half(in.d);
  for (int i = 0; i < 16; ++i) b.q[i] = static_cast<std::uint8_t>((in.codes[i] + 8) | (in.codes[i + 16] + 8) << 4);
  std::memcpy(out, &b, sizeof b);
}

void pack(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept {
  for (std::int64_t block = 0; block < cols / 32; ++block) {
    std::byte* lines = panel + PanelQ4_0::lines(block);
    std::byte* scales = panel + PanelQ4_0::scales(block);
    for (std::size_t r = 0; r < kPanelRows; ++r) {
      const std::byte* src = rows + r * row_bytes + static_cast<std::size_t>(block) * sizeof(BlockQ4_0);
      std::memcpy(scales + 2 * r, src, 2);
      for (std::size_t g = 0; g < 4; ++g) std::memcpy(lines + 64 * g + 4 * r, src + 2 + 4 * g, 4);
    }
  }
}

}  // namespace

constinit const QuantFormat quant_q4_0 = quant_of_codes<DType::q4_0, codes>(
    {.encode = encode_searched<DType::q4_0, kRule, put>, .panel_bytes = PanelQ4_0::panel_bytes, .pack = pack});

}  // namespace infer
