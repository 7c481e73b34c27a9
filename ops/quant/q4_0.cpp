// SPDX-License-Identifier: MIT
// Q4_0: 32 weights in 18 bytes, 4.5 bits per weight.
//
//   | d: half | q[0] ... q[15] |        w[i]      = d * ((q[i] & 15) - 8)
//                                       w[i + 16] = d * ((q[i] >> 4) - 8)
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include <cstring>

#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
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

void pack(Rows blocks, std::byte* chunk, std::size_t half) noexcept {
  pack_lines<4>(blocks.from(offsetof(BlockQ4_0, q)), chunk + PanelQ4_0::lines(half));
  pack_halves(blocks.from(offsetof(BlockQ4_0, d)), chunk + PanelQ4_0::scales(half));
}

}  // namespace

constinit const QuantFormat quant_q4_0 = quant_of_codes<DType::q4_0, codes>(
    {.encode = encode_searched<DType::q4_0, kRule, put>,
     .panel_bytes = PanelQ4_0::panel_bytes, .pack = pack_blocks<PanelQ4_0, BlockQ4_0, 2, pack>});

}  // namespace infer
