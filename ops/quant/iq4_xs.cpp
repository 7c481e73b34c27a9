// SPDX-License-Identifier: MIT
// IQ4_XS: 256 weights in 136 bytes, 4.25 bits per weight; the codebook of IQ4_NL, eight sub-blocks of 32 with a scale of 6 bits.
//
//   | d: half | scales_high: 16 bits | scales_low[4] | q[128] |        w = d * (scale - 32) * book[q]
//
// Weights 32s + l have the low nibble of q[16s + l], weights 32s + 16 + l the high one. Scale s: nibble s of scales_low, then bits
// 2s and up of scales_high.
//
// Encoding: all scales are searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/codebooks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

/// Six bits.
unsigned scale_bits(const BlockIq4Xs& b, std::size_t s) noexcept {
  const int low = b.scales_low[s / 2] >> s % 2 * 4 & 15, high = b.scales_high >> 2 * s & 3;
  return static_cast<unsigned>(low | high << 4);
}

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq4Xs>(block);
  out.d = half_to_float(b.d);
  for (int s = 0; s < 8; ++s) {
    set_scale(out, s, static_cast<int>(scale_bits(b, static_cast<std::size_t>(s))) - 32);
    for (int l = 0; l < 16; ++l) {
      out.codes[32 * s + l] = kIq4Codebook[b.q[16 * s + l] & 15];
      out.codes[32 * s + 16 + l] = kIq4Codebook[b.q[16 * s + l] >> 4];
    }
  }
}

constexpr SearchRule kRule = {.subs = 8, .cols = 32, .least = -127, .most = 113, .reach = {0.9f, 1.4f, 11}, .book = kIq4Codebook,
                              .least_scale = -32, .most_scale = 31, .scale_reach = {0.95f, 1.05f, 5}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockIq4Xs b = {};
  b.d = float_to_half(in.d);
  for (int s = 0; s < 8; ++s) {
    const int scale = in.scales[2 * s] + 32;
    b.scales_low[s / 2] |= static_cast<std::uint8_t>((scale & 15) << s % 2 * 4);
    b.scales_high = static_cast<std::uint16_t>(b.scales_high | scale >> 4 << 2 * s);
    for (int l = 0; l < 16; ++l) {
      b.q[16 * s + l] = static_cast<std::uint8_t>(iq4_index(in.codes[32 * s + l]) | iq4_index(in.codes[32 * s + 16 + l]) << 4);
    }
  }
  std::memcpy(out, &b, sizeof b);
}

/// Four bytes of nibbles j and j + 4, two of pairs j, j + 2, j + 4 and j + 6: the bits of their numbers go round by one place.
void planes_of(const std::byte* scales, std::byte* planes) noexcept {
  std::uint16_t pairs;
  std::uint32_t nibbles;
  std::memcpy(&pairs, scales, 2);
  std::memcpy(&nibbles, scales + 2, 4);
  nibbles = swap_bits(swap_bits(nibbles, 0x0000ff00, 8), 0x00f000f0, 4);
  pairs = static_cast<std::uint16_t>(swap_bits(swap_bits(pairs, 0x00cc, 6), 0x0c0c, 2));
  std::memcpy(planes, &nibbles, 4);
  std::memcpy(planes + 4, &pairs, 2);
}

void pack(Rows blocks, std::byte* chunk, std::size_t) noexcept {
  static_assert(offsetof(BlockIq4Xs, scales_low) == offsetof(BlockIq4Xs, scales_high) + 2);
  pack_codes<PanelIq4Xs>(blocks.from(offsetof(BlockIq4Xs, q)), chunk);
  pack_planes<6>(blocks.from(offsetof(BlockIq4Xs, scales_high)), planes_of, chunk + PanelIq4Xs::kScales);
  pack_halves(blocks.from(offsetof(BlockIq4Xs, d)), chunk + PanelIq4Xs::kD);
}

}  // namespace

constinit const QuantFormat quant_iq4_xs = quant_of_codes<DType::iq4_xs, codes>(
    {.encode = encode_searched<DType::iq4_xs, kRule, put>,
     .panel_bytes = PanelIq4Xs::panel_bytes, .pack = pack_blocks<PanelIq4Xs, BlockIq4Xs, 1, pack>});

}  // namespace infer
