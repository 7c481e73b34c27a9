// SPDX-License-Identifier: MIT
// Q3_K: 256 weights in 110 bytes, 3.4375 bits per weight; sixteen sub-blocks of 16 with a scale of 6 bits.
//
//   | high[32] | q[64] | scales[12] | d: half |        w = d * (scale - 32) * (q + 4 * high - 4)
//
// Weights 128h + 32j + l have two bits, 2j and up, of q[32h + l], and bit 4h + j of high[l]. Scale s has its low four bits in
// scales[s % 8], the low or (s >= 8) the high nibble, and two more in scales[8 + s % 4], bits 2 (s / 4) and up.
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

/// Six bits.
unsigned scale_bits(const BlockQ3_K& b, std::size_t s) noexcept {
  const int low = b.scales[s % 8] >> s / 8 * 4 & 15, high = b.scales[8 + s % 4] >> s / 4 * 2 & 3;
  return static_cast<unsigned>(low | high << 4);
}

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ3_K>(block);
  out.d = half_to_float(b.d);
  for (std::size_t s = 0; s < 16; ++s) out.scales[s] = static_cast<std::int16_t>(static_cast<int>(scale_bits(b, s)) - 32);
  for (int i = 0; i < 256; ++i) {
    const int low = b.q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3, high = b.high[i % 32] >> i / 32 & 1;
    out.codes[i] = static_cast<std::int8_t>((low | high << 2) - 4);
  }
}

constexpr SearchRule kRule = {.subs = 16, .cols = 16, .least = -4, .most = 3, .reach = {0.8f, 1.6f, 13},
                              .least_scale = -32, .most_scale = 31, .scale_reach = {0.9f, 1.1f, 9}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ3_K b = {};
  b.d = float_to_half(in.d);
  for (int s = 0; s < 16; ++s) {
    const int scale = in.scales[s] + 32;
    b.scales[s % 8] |= static_cast<std::uint8_t>((scale & 15) << s / 8 * 4);
    b.scales[8 + s % 4] |= static_cast<std::uint8_t>(scale >> 4 << s / 4 * 2);
  }
  for (int i = 0; i < 256; ++i) {
    const int code = in.codes[i] + 4;
    b.q[i / 128 * 32 + i % 32] |= static_cast<std::uint8_t>((code & 3) << i % 128 / 32 * 2);
    b.high[i % 32] |= static_cast<std::uint8_t>(code >> 2 << i / 32);
  }
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t) noexcept {
  pack_codes<PanelQ3_K>(blocks.from(offsetof(BlockQ3_K, q)), chunk);
  pack_one_bits<PanelQ3_K>(blocks.from(offsetof(BlockQ3_K, high)), chunk);
  // The planes are what the block has.
  const auto planes = [](const std::byte* scales, std::byte* out) noexcept { std::memcpy(out, scales, 12); };
  pack_planes<12>(blocks.from(offsetof(BlockQ3_K, scales)), planes, chunk + PanelQ3_K::kScales);
  pack_halves(blocks.from(offsetof(BlockQ3_K, d)), chunk + PanelQ3_K::kD);
}

}  // namespace

constinit const QuantFormat quant_q3_k = quant_of_codes<DType::q3_k, codes>(
    {.encode = encode_searched<DType::q3_k, kRule, put>,
     .panel_bytes = PanelQ3_K::panel_bytes, .pack = pack_blocks<PanelQ3_K, BlockQ3_K, 1, pack>});

}  // namespace infer
