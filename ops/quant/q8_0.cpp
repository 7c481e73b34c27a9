// SPDX-License-Identifier: MIT
// Q8_0: 32 weights in 34 bytes, 8.5 bits per weight.
//
//   | d: half | q[0] q[1] ... q[31]: int8 |        w[i] = d * q[i]
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
  const auto b = read_block<BlockQ8_0>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 32);
  std::memcpy(out.codes, b.q, sizeof b.q);
}

constexpr SearchRule kRule = {.subs = 1, .cols = 32, .least = -127, .most = 127, .reach = {0.97f, 1.03f, 25}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ8_0 b;
  b.d = float_to_half(in.d);
  std::memcpy(b.q, in.codes, sizeof b.q);
  std::memcpy(out, &b, sizeof b);
}

void pack(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept {
  for (std::int64_t block = 0; block < cols / 32; ++block) {
    std::byte* lines = panel + PanelQ8_0::lines(block);
    std::byte* scales = panel + PanelQ8_0::scales(block);
    for (std::size_t r = 0; r < kPanelRows; ++r) {
      const std::byte* src = rows + r * row_bytes + static_cast<std::size_t>(block) * sizeof(BlockQ8_0);
      std::memcpy(scales + 2 * r, src, 2);
      for (std::size_t g = 0; g < 8; ++g) {
        std::uint32_t four;
        std::memcpy(&four, src + 2 + 4 * g, 4);
        four ^= 0x80808080u;   // + 128
        std::memcpy(lines + 64 * g + 4 * r, &four, 4);
      }
    }
  }
}

}  // namespace

constinit const QuantFormat quant_q8_0 = quant_of_codes<DType::q8_0, codes>(
    {.encode = encode_searched<DType::q8_0, kRule, put>, .panel_bytes = PanelQ8_0::panel_bytes, .pack = pack});

}  // namespace infer
