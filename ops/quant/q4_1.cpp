// SPDX-License-Identifier: MIT
// Q4_1: 32 weights in 20 bytes, 5 bits per weight.
//
//   | d: half | m: half | q[0] ... q[15] |        w[i]      = d * (q[i] & 15) + m
//                                                 w[i + 16] = d * (q[i] >> 4) + m
//
// Encoding: d and m are searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ4_1>(block);
  out.d = half_to_float(b.d);
  out.m = -half_to_float(b.m);
  set_scale(out, 0, 1, 1);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = static_cast<std::int8_t>(b.q[i] & 15);
    out.codes[i + 16] = static_cast<std::int8_t>(b.q[i] >> 4);
  }
}

constexpr SearchRule kRule = {.subs = 1, .cols = 32, .least = 0, .most = 15, .reach = {-0.03f, 0.12f, 6}, .has_mins = true};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ4_1 b;
  b.d = float_to_half(in.d);
  b.m = float_to_half(-in.m);
  for (int i = 0; i < 16; ++i) b.q[i] = static_cast<std::uint8_t>(in.codes[i] | in.codes[i + 16] << 4);
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t half) noexcept {
  pack_lines<4>(blocks.from(offsetof(BlockQ4_1, q)), chunk + PanelQ4_1::lines(half));
  pack_halves(blocks.from(offsetof(BlockQ4_1, d)), chunk + PanelQ4_1::scales(half));
  pack_halves<kMinus>(blocks.from(offsetof(BlockQ4_1, m)), chunk + PanelQ4_1::mins(half));
}

}  // namespace

constinit const QuantFormat quant_q4_1 = quant_of_codes<DType::q4_1, codes, true>(
    {.encode = encode_searched<DType::q4_1, kRule, put>,
     .panel_bytes = PanelQ4_1::panel_bytes, .pack = pack_blocks<PanelQ4_1, BlockQ4_1, 2, pack>});

}  // namespace infer
