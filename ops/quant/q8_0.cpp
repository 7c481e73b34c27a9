// SPDX-License-Identifier: MIT
// Q8_0: 32 weights in 34 bytes, 8.5 bits per weight.
//
//   | d: half | q[0] q[1] ... q[31]: int8 |        w[i] = d * q[i]
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include <cstring>

#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ8_0>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 32);
  std::memcpy(out.codes, b.q, sizeof b.q);
}

constexpr SearchRule kRule = {.subs = 1, .cols = 32, .least = -127, .most = 127, .reach = {0.97f, 1.03f, 25}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockQ8_0 b;
  b.d = float_to_half(in.d);
  std::memcpy(b.q, in.codes, sizeof b.q);
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t half) noexcept {
  std::byte* const lines = chunk + PanelQ8_0::lines(half);
  pack_lines<8>(blocks.from(offsetof(BlockQ8_0, q)), lines);
  flip(std::byte{0x80}, 8 * kLineBytes, lines);   // + 128
  pack_halves(blocks.from(offsetof(BlockQ8_0, d)), chunk + PanelQ8_0::scales(half));
}

}  // namespace

constinit const QuantFormat quant_q8_0 = quant_of_codes<DType::q8_0, codes>(
    {.encode = encode_searched<DType::q8_0, kRule, put>,
     .panel_bytes = PanelQ8_0::panel_bytes, .pack = pack_blocks<PanelQ8_0, BlockQ8_0, 2, pack>});

}  // namespace infer
