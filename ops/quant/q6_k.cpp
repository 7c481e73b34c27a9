// SPDX-License-Identifier: MIT
// Q6_K: 256 weights in 210 bytes, 6.5625 bits per weight; sixteen sub-blocks of 16 with a scale of 8 bits.
//
//   | q[128] | high[64] | scales[16]: int8 | d: half |        w = d * scale * (q + 16 * high - 32)
//
// Of half h, weights 128h + 32j + l: nibbles of q[64h + 32 (j % 2) + l], the low ones for j < 2; two more bits, 2j and up, of
// high[32h + l].
//
// Encoding: all scales are searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ6_K>(block);
  out.d = half_to_float(b.d);
  for (int s = 0; s < 16; ++s) out.scales[s] = b.scales[s];
  for (int i = 0; i < 256; ++i) {
    const int h = i / 128, j = i % 128 / 32, l = i % 32;
    const int low = b.q[64 * h + 32 * (j % 2) + l] >> j / 2 * 4 & 15, high = b.high[32 * h + l] >> 2 * j & 3;
    out.codes[i] = static_cast<std::int8_t>((low | high << 4) - 32);
  }
}

constexpr SearchRule kRule = {.subs = 16, .cols = 16, .least = -32, .most = 31, .reach = {0.96f, 1.1f, 9},
                              .least_scale = -128, .most_scale = 127, .scale_reach = {0.98f, 1.02f, 5}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ6_K b = {};
  b.d = float_to_half(in.d);
  for (int s = 0; s < 16; ++s) b.scales[s] = static_cast<std::int8_t>(in.scales[s]);
  for (int i = 0; i < 256; ++i) {
    const int h = i / 128, j = i % 128 / 32, l = i % 32, code = in.codes[i] + 32;
    b.q[64 * h + 32 * (j % 2) + l] |= static_cast<std::uint8_t>((code & 15) << j / 2 * 4);
    b.high[32 * h + l] |= static_cast<std::uint8_t>(code >> 4 << 2 * j);
  }
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t) noexcept {
  pack_codes<PanelQ6_K>(blocks.from(offsetof(BlockQ6_K, q)), chunk);
  for (std::size_t half = 0; half < 2; ++half) {
    pack_lines<8, PanelQ6_K::high(1) - PanelQ6_K::high(0)>(blocks.from(offsetof(BlockQ6_K, high) + half * 32),
                                                          chunk + PanelQ6_K::lines(half) + PanelQ6_K::high(0));
  }
  pack_bytes(blocks.from(offsetof(BlockQ6_K, scales)), chunk + PanelQ6_K::kScales);
  pack_halves(blocks.from(offsetof(BlockQ6_K, d)), chunk + PanelQ6_K::kD);
}

}  // namespace

constinit const QuantFormat quant_q6_k = quant_of_codes<DType::q6_k, codes>(
    {.encode = encode_searched<DType::q6_k, kRule, put>,
     .panel_bytes = PanelQ6_K::panel_bytes, .pack = pack_blocks<PanelQ6_K, BlockQ6_K, 1, pack>});

}  // namespace infer
