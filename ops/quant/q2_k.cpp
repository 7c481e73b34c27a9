// SPDX-License-Identifier: MIT
// Q2_K: 256 weights in 84 bytes, 2.625 bits per weight; sixteen sub-blocks of 16 with a scale and a min of 4 bits.
//
//   | scales[16]: scale | min << 4 | q[64] | d: half | m: half |        w = d * scale * q - m * min
//
// Weights 128h + 32j + l have two bits, 2j and up, of q[32h + l].
//
// Encoding: all scales are searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/panels.h"
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
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

void pack_row(const BlockQ2_K& b, std::size_t row, std::byte* chunk, std::size_t) noexcept {
  pack_lines(bytes_of(b.q), 16, row, chunk);
  std::byte* const scales = chunk + PanelQ2_K::kScales;
  for (std::size_t s = 0; s < 16; ++s) {
    scales[s * kPanelRows + row] |= static_cast<std::byte>(b.scales[s] & 15);
    scales[pair_place(s, row)] |= static_cast<std::byte>(b.scales[s] & 0xf0);
  }
  std::memcpy(chunk + PanelQ2_K::kD + 2 * row, &b.d, 2);
  std::memcpy(chunk + PanelQ2_K::kM + 2 * row, &b.m, 2);
}

}  // namespace

constinit const QuantFormat quant_q2_k = quant_of_codes<DType::q2_k, codes, true>(
    {.encode = encode_searched<DType::q2_k, kRule, put>,
     .panel_bytes = PanelQ2_K::panel_bytes, .pack = pack_blocks<PanelQ2_K, BlockQ2_K, 1, pack_row>});

}  // namespace infer
