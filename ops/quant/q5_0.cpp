// SPDX-License-Identifier: MIT
// Q5_0: 32 weights in 22 bytes, 5.5 bits per weight.
//
//   | d: half | high: 32 bits | q[0] ... q[15] |        w[i]      = d * ((q[i] & 15 | bit i of high << 4) - 16)
//                                                       w[i + 16] = d * ((q[i] >> 4 | bit i + 16 of high << 4) - 16)
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ5_0>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 32);
  for (int i = 0; i < 16; ++i) {
    const int low = b.high[i / 8] >> i % 8 & 1, high = b.high[2 + i / 8] >> i % 8 & 1;
    out.codes[i] = static_cast<std::int8_t>(((b.q[i] & 15) | low << 4) - 16);
    out.codes[i + 16] = static_cast<std::int8_t>((b.q[i] >> 4 | high << 4) - 16);
  }
}

constexpr SearchRule kRule = {.subs = 1, .cols = 32, .least = -16, .most = 15, .reach = {0.95f, 1.25f, 13}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ5_0 b = {};
  b.d = float_to_half(in.d);
  for (int i = 0; i < 16; ++i) {
    const int low = in.codes[i] + 16, high = in.codes[i + 16] + 16;
    b.q[i] = static_cast<std::uint8_t>((low & 15) | (high & 15) << 4);
    b.high[i / 8] |= static_cast<std::uint8_t>(low >> 4 << i % 8);
    b.high[2 + i / 8] |= static_cast<std::uint8_t>(high >> 4 << i % 8);
  }
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t half) noexcept {
  pack_lines<4>(blocks.from(offsetof(BlockQ5_0, q)), chunk + PanelQ5_0::lines(half) + kLineBytes);
  pack_fifth_bits(blocks.from(offsetof(BlockQ5_0, high)), chunk + PanelQ5_0::lines(half));
  pack_halves(blocks.from(offsetof(BlockQ5_0, d)), chunk + PanelQ5_0::scales(half));
}

}  // namespace

constinit const QuantFormat quant_q5_0 = quant_of_codes<DType::q5_0, codes>(
    {.encode = encode_searched<DType::q5_0, kRule, put>,
     .panel_bytes = PanelQ5_0::panel_bytes, .pack = pack_blocks<PanelQ5_0, BlockQ5_0, 2, pack>});

}  // namespace infer
