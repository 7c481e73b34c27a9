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
  for (std::int64_t first = 0; first < a.tokens; first += a.tile_tokens) {
    const std::int64_t n = a.tokens - first < a.tile_tokens ? a.tokens - first : a.tile_tokens;
    for (std::int64_t t = 0; t < n; ++t) {
      const float* x = a.x + (first + t) * a.stride;
      for (std::int64_t c = 0; c < a.cols; ++c) out[c * n + t] = x[c];
    }
    out += n * a.cols;
  }
}

/// A float to bfloat16, ties to even; NaNs are quiet.
INFER_INLINE std::uint32_t to_bf16(float f) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, f);
  return (bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

template <class Isa>
void input_bf16(const InputArgs& a) noexcept {
  std::uint32_t* out = reinterpret_cast<std::uint32_t*>(a.out);
  for (std::int64_t first = 0; first < a.tokens; first += a.tile_tokens) {
    const std::int64_t n = a.tokens - first < a.tile_tokens ? a.tokens - first : a.tile_tokens;
    const std::int64_t pairs = a.cols / 2;
    for (std::int64_t t = 0; t < n; ++t) {
      const float* x = a.x + (first + t) * a.stride;
      for (std::int64_t i = 0; i < pairs; ++i) out[i * n + t] = to_bf16(x[2 * i]) | to_bf16(x[2 * i + 1]) << 16;
      if (a.cols % 2 != 0) out[pairs * n + t] = to_bf16(x[2 * pairs]);
    }
    out += n * ((a.cols + 1) / 2);
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

/// Two int16, the first in the lower half.
INFER_INLINE std::int32_t minus_pair(std::int32_t first, std::int32_t second) noexcept {
  return static_cast<std::int32_t>((static_cast<std::uint32_t>(-second) << 16) | (static_cast<std::uint32_t>(-first) & 0xffffu));
}

template <class Isa, InputForm kForm>
void input_codes(const InputArgs& a) noexcept {
  constexpr std::int64_t kCols = input_block(kForm), kScaleCols = scale_cols(kForm), kDwords = input_bytes(kForm, kCols) / 4;
  std::byte* tile = a.out;
  for (std::int64_t first = 0; first < a.tokens; first += a.tile_tokens) {
    const std::int64_t n = a.tokens - first < a.tile_tokens ? a.tokens - first : a.tile_tokens;
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
          constexpr std::int64_t kBlocks = kCols / kBlockCols;
          for (std::int64_t b = 0; b < kBlocks; ++b) rest[b * n] = minus_pair(sums[b].first, sums[b].second);
          for (std::int64_t b = 0; b < kBlocks; b += 2) {
            rest[(kBlocks + b / 2) * n] = minus_pair(sums[b].first + sums[b].second, sums[b + 1].first + sums[b + 1].second);
          }
        }
      }
    }
    tile += n * input_bytes(kForm, a.cols);
  }
}

}  // namespace infer::simd
