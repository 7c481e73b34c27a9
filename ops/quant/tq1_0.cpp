// SPDX-License-Identifier: MIT
// TQ1_0: 256 weights of -1, 0, 1 in 54 bytes, 1.6875 bits per weight; five to a byte, as a fraction in base 3.
//
//   | q[48] | rest[4] | d: half |        w = d * (digit - 1)
//
// Digit n of a byte is floor(3 (q 3^n mod 256) / 256). Weights 32n + l, n < 5: digit n of q[l]; 160 + 16n + l: digit n of q[32 + l];
// 240 + 4n + l, n < 4: digit n of rest[l].
//
// Encoding: d is searched (ops/quant/search.h). Tested by tests/ops/quant_test.cpp.
#include "ops/quant/blocks.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "ops/quant/search.h"
#include "ops/quant/unpack.h"

namespace infer {
namespace {

int digit(std::uint8_t q, int n) noexcept {
  constexpr int kPowers[5] = {1, 3, 9, 27, 81};
  return (q * kPowers[n] & 255) * 3 >> 8;
}

void codes(const std::byte* block, CodeBlock& out) noexcept {
  const auto b = read_block<BlockTq1_0>(block);
  out.d = half_to_float(b.d);
  unit_scales(out, 256);
  for (int i = 0; i < 256; ++i) {
    const int d = i < 160 ? digit(b.q[i % 32], i / 32)
                : i < 240 ? digit(b.q[32 + i % 16], (i - 160) / 16)
                          : digit(b.rest[i % 4], (i - 240) / 4);
    out.codes[i] = static_cast<std::int8_t>(d - 1);
  }
}

constexpr SearchRule kRule = {.subs = 1, .cols = 256, .least = -1, .most = 1, .reach = {1.0f, 5.0f, 13}};

/// The byte whose digits these are: the least q with floor(q 3^5 / 256) = their number, so that a fraction is rounded up.
std::uint8_t byte_of(const std::int8_t* codes, int stride, int n) noexcept {
  int number = 0;
  for (int i = 0; i < 5; ++i) number = 3 * number + (i < n ? codes[i * stride] + 1 : 0);
  return static_cast<std::uint8_t>((number * 256 + 242) / 243);
}

void put(const CodeBlock& in, std::byte* out) noexcept {
  BlockTq1_0 b;
  b.d = float_to_half(in.d);
  for (int l = 0; l < 32; ++l) b.q[l] = byte_of(in.codes + l, 32, 5);
  for (int l = 0; l < 16; ++l) b.q[32 + l] = byte_of(in.codes + 160 + l, 16, 5);
  for (int l = 0; l < 4; ++l) b.rest[l] = byte_of(in.codes + 240 + l, 4, 4);
  std::memcpy(out, &b, sizeof b);
}

}  // namespace

constinit const QuantFormat quant_tq1_0 = quant_of_codes<DType::tq1_0, codes>({.encode = encode_searched<DType::tq1_0, kRule, put>});

}  // namespace infer
