// SPDX-License-Identifier: MIT
// What products take of activations: tiles of tokens side by side, as floats or rounded to codes. Specification: the inputs
// of ops/scalar.cpp.
// Tested by tests/ops/kernels_test.cpp and bad_bytes_test.cpp.
#pragma once

#include "ops/simd/lanes.h"

namespace infer::simd {

/// The sums of the codes of 32 columns: of the first sixteen, and of the others.
struct SubSums {
  std::int32_t first, second;
};

template <class Isa>
void input_f32(const InputArgs& a) noexcept {
  float* out = reinterpret_cast<float*>(a.out);
  for (std::int64_t first = 0; first < a.tokens; first += Isa::kTileTokens) {
    const std::int64_t n = a.tokens - first < Isa::kTileTokens ? a.tokens - first : Isa::kTileTokens;
    for (std::int64_t t = 0; t < n; ++t) {
      const float* x = a.x + (first + t) * a.stride;
      for (std::int64_t c = 0; c < a.cols; ++c) out[c * n + t] = x[c];
    }
    out += n * a.cols;
  }
}

/// `kCols` floats that share a scale to codes, which stand `n` dwords apart; answers the scale. `sums` gets the sums of the
/// codes of each 32.
template <class Isa, std::int64_t kCols>
INFER_INLINE float round_block(const float* x, std::int32_t* out, std::int64_t n, SubSums* sums) noexcept {
  std::uint32_t bits = 0;
  for (std::int64_t c = 0; c < kCols; c += kBlockCols) {
    const std::uint32_t of_32 = Isa::largest_magnitude(x + c);
    bits = bits < of_32 ? of_32 : bits;
  }
  const float magnitude = __builtin_bit_cast(float, bits);
  const bool finite = bits < 0x7f800000u, zero = finite && magnitude < kLeastQ8;
  const float inverse = finite && !zero ? 127.0f / magnitude : 0.0f;
  for (std::int64_t b = 0; b < kCols / kBlockCols; ++b, out += 8 * n) {
    alignas(32) std::int32_t codes[8] = {};
    sums[b] = {};
    if (inverse > 0.0f) sums[b] = Isa::round_block(x + b * kBlockCols, inverse, codes);
    for (std::int64_t g = 0; g < 8; ++g) out[g * n] = codes[g];
  }
  return !finite ? __builtin_nanf("") : zero ? 0.0f : magnitude / 127.0f;
}

template <class Isa, InputForm kForm>
void input_codes(const InputArgs& a) noexcept {
  constexpr std::int64_t kCols = input_block(kForm), kScaleCols = scale_cols(kForm), kDwords = input_bytes(kForm, kCols) / 4;
  std::byte* tile = a.out;
  for (std::int64_t first = 0; first < a.tokens; first += Isa::kTileTokens) {
    const std::int64_t n = a.tokens - first < Isa::kTileTokens ? a.tokens - first : Isa::kTileTokens;
    for (std::int64_t t = 0; t < n; ++t) {
      const float* x = a.x + (first + t) * a.stride;
      std::int32_t* out = reinterpret_cast<std::int32_t*>(tile) + t;
      for (std::int64_t c = 0; c < a.cols; c += kCols, out += kDwords * n) {
        SubSums sums[kCols / kBlockCols];
        std::int32_t* rest = out + kCols / 4 * n;
        for (std::int64_t i = 0; i < kCols; i += kScaleCols, rest += n) {
          const float scale = round_block<Isa, kScaleCols>(x + c + i, out + i / 4 * n, n, sums + i / kBlockCols);
          *rest = __builtin_bit_cast(std::int32_t, scale);
        }
        if constexpr (kForm == InputForm::q8) {
          *rest = -(sums[0].first + sums[0].second);
        } else {
          for (std::int64_t b = 0; b < kCols / kBlockCols; ++b) {
            rest[b * n] = static_cast<std::int32_t>((static_cast<std::uint32_t>(sums[b].second) << 16) |
                                                          (static_cast<std::uint32_t>(sums[b].first) & 0xffffu));
          }
        }
      }
    }
    tile += n * input_bytes(kForm, a.cols);
  }
}

}  // namespace infer::simd
