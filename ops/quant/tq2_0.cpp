// SPDX-License-Identifier: MIT
// TQ2_0: 256 weights of -1, 0, 1 in 66 bytes, 2.0625 bits per weight.
//
//   | q[64] | d: half |        w = d * (q - 1)
//
// Weights 128h + 32j + l have two bits, 2j and up, of q[32h + l].
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockTq2_0>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 256);
  for (int i = 0; i < 256; ++i) {
    out.codes[i] = static_cast<std::int8_t>((b.q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1);
  }
}

constexpr SearchRule kRule = {.subs = 1, .cols = 256, .least = -1, .most = 1, .reach = {1.0f, 5.0f, 13}};

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockTq2_0 b = {};
  b.d = float_to_half(in.d);
  for (int i = 0; i < 256; ++i) b.q[i / 128 * 32 + i % 32] |= static_cast<std::uint8_t>((in.codes[i] + 1) << i % 128 / 32 * 2);
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_tq2_0 = quant_of_codes<DType::tq2_0, codes>({.encode = encode_searched<DType::tq2_0, kRule, put>});

}  // namespace infer
