// SPDX-License-Identifier: MIT
// Q5_K: 256 weights in 176 bytes, 5.5 bits per weight; eight sub-blocks of 32 with a scale and a min of 6 bits.
//
//   | d: half | m: half | scales[12] | high[32] | q[128] |        w = d * scale * q - m * min
//
// Weights 64c + l have the low nibble of q[32c + l], weights 64c + 32 + l the high one; the fifth bit of weight 32s + l is
// bit s of high[l].
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
  const auto b = read_block<BlockQ5_K>(block);
  out.d = half_to_float(b.d);
  out.m = half_to_float(b.m);
  for (int s = 0; s < 8; ++s) set_scale(out, s, scale_of(b.scales, s), min_of(b.scales, s));
  for (int i = 0; i < 256; ++i) {
    const int low = b.q[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15, high = b.high[i % 32] >> i / 32 & 1;
    out.codes[i] = static_cast<std::int8_t>(low | high << 4);
  }
}

constexpr SearchRule kRule = {.subs = 8, .cols = 32, .least = 0, .most = 31, .reach = {-0.02f, 0.06f, 5},
                              .most_scale = 63, .scale_reach = {0.97f, 1.05f, 4}, .has_mins = true, .most_min = 63};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ5_K b = {};
  b.d = float_to_half(in.d);
  b.m = float_to_half(in.m);
  for (int s = 0; s < 8; ++s) put_scale_min(b.scales, s, in.scales[2 * s], in.mins[2 * s]);
  for (int i = 0; i < 256; ++i) {
    b.q[i / 64 * 32 + i % 32] |= static_cast<std::uint8_t>((in.codes[i] & 15) << i % 64 / 32 * 4);
    b.high[i % 32] |= static_cast<std::uint8_t>(in.codes[i] >> 4 << i / 32);
  }
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t) noexcept {
  pack_codes<PanelQ5_K>(blocks.from(offsetof(BlockQ5_K, q)), chunk);
  pack_one_bits<PanelQ5_K>(blocks.from(offsetof(BlockQ5_K, high)), chunk);
  pack_planes<12>(blocks.from(offsetof(BlockQ5_K, scales)), planes_of, chunk + PanelQ5_K::kScales);
  pair_upper_nibbles(12, chunk + PanelQ5_K::kScales);
  pack_halves(blocks.from(offsetof(BlockQ5_K, d)), chunk + PanelQ5_K::kD);
  pack_halves(blocks.from(offsetof(BlockQ5_K, m)), chunk + PanelQ5_K::kM);
}

}  // namespace

constinit const QuantFormat quant_q5_k = quant_of_codes<DType::q5_k, codes, true>(
    {.encode = encode_searched<DType::q5_k, kRule, put>,
     .panel_bytes = PanelQ5_K::panel_bytes, .pack = pack_blocks<PanelQ5_K, BlockQ5_K, 1, pack>});

}  // namespace infer
