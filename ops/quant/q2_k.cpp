// SPDX-License-Identifier: MIT
// Q2_K: 256 weights in 84 bytes, 2.625 bits per weight; sixteen sub-blocks of 16 with a scale and a min of 4 bits.
//
//   | scales[16]: scale | min << 4 | q[64] | d: half | m: half |        w = d * scale * q - m * min
//
// Weights 128h + 32j + l have two bits, 2j and up, of q[32h + l].
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
  const auto b = read_block<BlockQ2_K>(block);
  out.d = half_to_float(b.d);
  out.m = half_to_float(b.m);
  for (int sub = 0; sub < 16; ++sub) {
    out.scales[sub] = b.scales[sub] & 15;
    out.mins[sub] = b.scales[sub] >> 4;
  }
  for (int i = 0; i < 256; ++i) {
    out.codes[i] = static_cast<std::int8_t>(b.q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3);
  }
}

constexpr SearchRule kRule = {.subs = 16, .cols = 16, .least = 0, .most = 3, .reach = {-0.1f, 0.3f, 5},
                              .most_scale = 15, .scale_reach = {0.9f, 1.2f, 7}, .has_mins = true, .most_min = 15};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ2_K b = {};
  b.d = float_to_half(in.d);
  b.m = float_to_half(in.m);
  for (int sub = 0; sub < 16; ++sub) b.scales[sub] = static_cast<std::uint8_t>(in.scales[sub] | in.mins[sub] << 4);
  for (int i = 0; i < 256; ++i) b.q[i / 128 * 32 + i % 32] |= static_cast<std::uint8_t>(in.codes[i] << i % 128 / 32 * 2);
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t) noexcept {
  pack_codes<PanelQ2_K>(blocks.from(offsetof(BlockQ2_K, q)), chunk);
  pack_bytes(blocks.from(offsetof(BlockQ2_K, scales)), chunk + PanelQ2_K::kScales);
  pair_upper_nibbles(16, chunk + PanelQ2_K::kScales);
  pack_halves(blocks.from(offsetof(BlockQ2_K, d)), chunk + PanelQ2_K::kD);
  pack_halves(blocks.from(offsetof(BlockQ2_K, m)), chunk + PanelQ2_K::kM);
}

}  // namespace

constinit const QuantFormat quant_q2_k = quant_of_codes<DType::q2_k, codes, true>(
    {.encode = encode_searched<DType::q2_k, kRule, put>,
     .panel_bytes = PanelQ2_K::panel_bytes, .pack = pack_blocks<PanelQ2_K, BlockQ2_K, 1, pack>});

}  // namespace infer
