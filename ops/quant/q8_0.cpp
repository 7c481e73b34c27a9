// SPDX-License-Identifier: MIT
// Q8_0: 32 weights in 34 bytes, 8.5 bits per weight.
//
//   | d: half | q[0] q[1] ... q[31]: int8 |        w[i] = d * q[i]
//
// Encoding: d = max |w| / 127, q = round(w / d). Tested by tests/ops/quant_test.cpp.
#include <cmath>
#include <cstring>

#include "ops/panels.h"
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockQ8_0>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 32);
  std::memcpy(out.codes, b.q, sizeof b.q);
}

void encode(const float* src, const float*, std::byte* dst, std::int64_t n) noexcept {
  for (std::int64_t first = 0; first < n; first += 32, dst += sizeof(BlockQ8_0)) {
    float largest = 0.0f;
    for (int i = 0; i < 32; ++i) largest = std::fmax(largest, std::fabs(src[first + i]));
    const float d = largest / 127.0f;
    const float inverse = d > 0.0f ? 1.0f / d : 0.0f;
    BlockQ8_0 b;
    b.d = float_to_half(d);
    for (int i = 0; i < 32; ++i) {
      b.q[i] = static_cast<std::int8_t>(std::fmin(127.0f, std::fmax(-127.0f, std::round(src[first + i] * inverse))));
    }
    std::memcpy(dst, &b, sizeof b);
  }
}

void pack_row(const BlockQ8_0& b, std::size_t row, std::byte* chunk, std::size_t half) noexcept {
  std::uint8_t unsigned_codes[32];   // + 128
  for (int i = 0; i < 32; ++i) unsigned_codes[i] = static_cast<std::uint8_t>(b.q[i] ^ 0x80);
  pack_lines(bytes_of(unsigned_codes), 8, row, chunk + PanelQ8_0::lines(half));
  std::memcpy(chunk + PanelQ8_0::scales(half) + 2 * row, &b.d, 2);
}

}  // namespace

constinit const QuantFormat quant_q8_0 = quant_of_codes<DType::q8_0, codes>(
    {.encode = encode,
     .panel_bytes = PanelQ8_0::panel_bytes, .pack = pack_blocks<PanelQ8_0, BlockQ8_0, 2, pack_row>});

}  // namespace infer
