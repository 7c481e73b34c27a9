// SPDX-License-Identifier: MIT
// Q5_1: 32 weights in 24 bytes, 6 bits per weight.
//
//   | d: half | m: half | high: 32 bits | q[0] ... q[15] |        w[i]      = d * (q[i] & 15 | bit i of high << 4) + m
//                                                                 w[i + 16] = d * (q[i] >> 4 | bit i + 16 of high << 4) + m
//
// Encoding: d and m are searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/panels.h"
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ5_1>(block);
  out.d = half_to_float(b.d);
  out.m = -half_to_float(b.m);
  set_scale(out, 0, 1, 1);
  for (int i = 0; i < 16; ++i) {
    const int low = b.high[i / 8] >> i % 8 & 1, high = b.high[2 + i / 8] >> i % 8 & 1;
    out.codes[i] = static_cast<std::int8_t>(((b.q[i] & 15) | low << 4));
    out.codes[i + 16] = static_cast<std::int8_t>((b.q[i] >> 4 | high << 4));
  }
}

constexpr SearchRule kRule = {.subs = 1, .cols = 32, .least = 0, .most = 31, .reach = {-0.02f, 0.06f, 5}, .has_mins = true};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ5_1 b = {};
  b.d = float_to_half(in.d);
  b.m = float_to_half(-in.m);
  for (int i = 0; i < 16; ++i) {
    const int low = in.codes[i], high = in.codes[i + 16];
    b.q[i] = static_cast<std::uint8_t>((low & 15) | (high & 15) << 4);
    b.high[i / 8] |= static_cast<std::uint8_t>(low >> 4 << i % 8);
    b.high[2 + i / 8] |= static_cast<std::uint8_t>(high >> 4 << i % 8);
  }
  std::memcpy(out, &b, sizeof b);
}

void pack_row(const BlockQ5_1& b, std::size_t row, std::byte* chunk, std::size_t half) noexcept {
  pack_lines(bytes_of(b.q), 4, row, chunk + PanelQ5_1::lines(half));
  pack_fifth_bits(b.high, row, chunk + PanelQ5_1::lines(half) + 4 * kLineBytes);
  std::memcpy(chunk + PanelQ5_1::scales(half) + 2 * row, &b.d, 2);
  const Half minus_m = b.m ^ 0x8000;
  std::memcpy(chunk + PanelQ5_1::mins(half) + 2 * row, &minus_m, 2);
}

}  // namespace

constinit const QuantFormat quant_q5_1 = quant_of_codes<DType::q5_1, codes, true>(
    {.encode = encode_searched<DType::q5_1, kRule, put>,
     .panel_bytes = PanelQ5_1::panel_bytes, .pack = pack_blocks<PanelQ5_1, BlockQ5_1, 2, pack_row>});

}  // namespace infer
