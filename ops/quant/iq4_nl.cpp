// SPDX-License-Identifier: MIT
// IQ4_NL: 32 weights in 18 bytes, 4.5 bits per weight; nibbles name entries of a codebook (ops/quant/codebooks.h).
//
//   | d: half | q[0] ... q[15] |        w[i]      = d * book[q[i] & 15]
//                                       w[i + 16] = d * book[q[i] >> 4]
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/codebooks.h"
#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockIq4Nl>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 32);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = kIq4Codebook[b.q[i] & 15];
    out.codes[i + 16] = kIq4Codebook[b.q[i] >> 4];
  }
}

constexpr SearchRule kRule = {.subs = 1, .cols = 32, .least = -127, .most = 113, .reach = {0.9f, 1.4f, 11}, .book = kIq4Codebook};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockIq4Nl b;
  b.d = float_to_half(in.d);
  for (int i = 0; i < 16; ++i) b.q[i] = static_cast<std::uint8_t>(iq4_index(in.codes[i]) | iq4_index(in.codes[i + 16]) << 4);
  std::memcpy(out, &b, sizeof b);
}

void pack(Rows blocks, std::byte* chunk, std::size_t half) noexcept {
  pack_lines<4>(blocks.from(offsetof(BlockIq4Nl, q)), chunk + PanelQ4_0::lines(half));
  pack_halves(blocks.from(offsetof(BlockIq4Nl, d)), chunk + PanelQ4_0::scales(half));
}

}  // namespace

constinit const QuantFormat quant_iq4_nl = quant_of_codes<DType::iq4_nl, codes>(
    {.encode = encode_searched<DType::iq4_nl, kRule, put>,
     .panel_bytes = PanelQ4_0::panel_bytes, .pack = pack_blocks<PanelQ4_0, BlockIq4Nl, 2, pack>});

}  // namespace infer
