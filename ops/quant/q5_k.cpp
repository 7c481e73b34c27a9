// SPDX-License-Identifier: MIT
// Q5_K: 256 weights in 176 bytes, 5.5 bits per weight; eight sub-blocks of 32 with a scale and a min of 6 bits.
//
//   | d: half | m: half | scales[12] | high[32] | q[128] |        w = d * scale * q - m * min
//
// Weights 64c + l have the low nibble of q[32c + l], weights 64c + 32 + l the high one; the fifth bit of weight 32s + l is
// bit s of high[l].
// Scales and mins: ops/quant/six_bits.h. Tested by tests/ops/quant_test.cpp.
#include "ops/panels.h"
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
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

void pack_row(const BlockQ5_K& b, std::size_t row, std::byte* chunk, std::size_t) noexcept {
  pack_lines(bytes_of(b.q), 32, row, chunk);
  pack_one_bits(b.high, row, chunk + PanelQ5_K::kHigh);
  for (std::size_t s = 0; s < 8; ++s) {
    pack_six_bits(static_cast<unsigned>(scale_of(b.scales, static_cast<int>(s))), s, 16, row, chunk + PanelQ5_K::kScales);
    pack_six_bits(static_cast<unsigned>(min_of(b.scales, static_cast<int>(s))), s + 8, 16, row, chunk + PanelQ5_K::kScales);
  }
  std::memcpy(chunk + PanelQ5_K::kD + 2 * row, &b.d, 2);
  std::memcpy(chunk + PanelQ5_K::kM + 2 * row, &b.m, 2);
}

}  // namespace

constinit const QuantFormat quant_q5_k = quant_of_codes<DType::q5_k, codes, true>(
    {.panel_bytes = PanelQ5_K::panel_bytes, .pack = pack_blocks<PanelQ5_K, BlockQ5_K, 1, pack_row>});

}  // namespace infer
