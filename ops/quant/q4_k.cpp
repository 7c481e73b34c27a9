// SPDX-License-Identifier: MIT
// Q4_K: 256 weights in 144 bytes, 4.5 bits per weight; eight sub-blocks of 32 with a scale and a min of 6 bits.
//
//   | d: half | m: half | scales[12] | q[128] |        w = d * scale * q - m * min
//
// Weights 64c + l have the low nibble of q[32c + l], weights 64c + 32 + l the high one.
// Scales and mins: ops/quant/six_bits.h.
//
// Encoding: all scales are searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/six_bits.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ4_K>(block);
  out.d = half_to_float(b.d);
  out.m = half_to_float(b.m);
  for (int s = 0; s < 8; ++s) set_scale(out, s, scale_of(b.scales, s), min_of(b.scales, s));
  for (int i = 0; i < 256; ++i) {
    const int low = b.q[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
    out.codes[i] = static_cast<std::int8_t>(low);
  }
}

constexpr SearchRule kRule = {.subs = 8, .cols = 32, .least = 0, .most = 15, .reach = {-0.03f, 0.12f, 6},
                              .most_scale = 63, .scale_reach = {0.97f, 1.05f, 4}, .has_mins = true, .most_min = 63};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ4_K b = {};
  b.d = float_to_half(in.d);
  b.m = float_to_half(in.m);
  for (int s = 0; s < 8; ++s) put_scale_min(b.scales, s, in.scales[2 * s], in.mins[2 * s]);
  for (int i = 0; i < 256; ++i) b.q[i / 64 * 32 + i % 32] |= static_cast<std::uint8_t>(in.codes[i] << i % 64 / 32 * 4);
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t) noexcept {
  pack_codes<PanelQ4_K>(blocks.from(offsetof(BlockQ4_K, q)), chunk);
  pack_planes<12>(blocks.from(offsetof(BlockQ4_K, scales)), planes_of, chunk + PanelQ4_K::kScales);
  pair_upper_nibbles(12, chunk + PanelQ4_K::kScales);
  pack_halves(blocks.from(offsetof(BlockQ4_K, d)), chunk + PanelQ4_K::kD);
  pack_halves(blocks.from(offsetof(BlockQ4_K, m)), chunk + PanelQ4_K::kM);
}

}  // namespace

constinit const QuantFormat quant_q4_k = quant_of_codes<DType::q4_k, codes, true>(
    {.encode = encode_searched<DType::q4_k, kRule, put>,
     .panel_bytes = PanelQ4_K::panel_bytes, .pack = pack_blocks<PanelQ4_K, BlockQ4_K, 1, pack>});

}  // namespace infer
