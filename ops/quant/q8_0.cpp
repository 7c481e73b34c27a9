// SPDX-License-Identifier: MIT
// Q8_0: 32 weights in 34 bytes, 8.5 bits per weight.
//
//   | d: half | q[0] q[1] ... q[31]: int8 |        w[i] = d * q[i]
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include <cstring>

#include "ops/panels.h"
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
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

void pack_row(const BlockQ8_0& b, std::size_t row, std::byte* chunk, std::size_t half) noexcept {
  std::uint8_t unsigned_codes[32];   // + 128
  for (int i = 0; i < 32; ++i) unsigned_codes[i] = static_cast<std::uint8_t>(b.q[i] ^ 0x80);
  pack_lines(bytes_of(unsigned_codes), 8, row, chunk + PanelQ8_0::lines(half));
  std::memcpy(chunk + PanelQ8_0::scales(half) + 2 * row, &b.d, 2);
}

}  // namespace

constinit const QuantFormat quant_q8_0 = quant_of_codes<DType::q8_0, codes>(
    {.encode = encode_searched<DType::q8_0, kRule, put>,
     .panel_bytes = PanelQ8_0::panel_bytes, .pack = pack_blocks<PanelQ8_0, BlockQ8_0, 2, pack_row>});

}  // namespace infer
