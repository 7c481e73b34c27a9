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

/// The sums of four numbers, and of four.
typedef std::int32_t FourInts __attribute__((vector_size(16)));
INFER_INLINE SubSums sums_of(FourInts a, FourInts b) noexcept {
  const FourInts two = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const FourInts one = two + __builtin_shufflevector(two, two, 2, 3, 0, 1);
  return {one[0], one[1]};
}

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

/// `kCols` floats that share a scale to codes; answers the scale. `sums` gets the sums of the codes of each 32.
template <class Isa, std::int64_t kCols>
INFER_INLINE float round_block(const float* x, std::int32_t* codes, SubSums* sums) noexcept {
  const std::uint32_t bits = Isa::largest_magnitude(x, kCols);
  const float magnitude = __builtin_bit_cast(float, bits);
  const bool finite = bits < 0x7f800000u;
  if (!finite || magnitude < kLeastQ8) {
    for (std::int64_t i = 0; i < kCols / 4; ++i) codes[i] = 0;
    for (std::int64_t b = 0; b < kCols / kBlockCols; ++b) sums[b] = {};
    return finite ? 0.0f : __builtin_nanf("");
  }
  const float inverse = 127.0f / magnitude;
  for (std::int64_t b = 0; b < kCols / kBlockCols; ++b) sums[b] = Isa::round_block(x + b * kBlockCols, inverse, codes + b * 8);
  return magnitude / 127.0f;
}

/// Two int16, the first in the lower half.
INFER_INLINE std::int32_t minus_pair(std::int32_t first, std::int32_t second) noexcept {
  return static_cast<std::int32_t>((static_cast<std::uint32_t>(-second) << 16) | (static_cast<std::uint32_t>(-first) & 0xffffu));
}

/// A block of one token: codes, scales, sums.
template <class Isa, InputForm kForm>
INFER_INLINE void round_token(const float* x, std::int32_t* out) noexcept {
  constexpr std::int64_t kCols = input_block(kForm), kScaleCols = scale_cols(kForm), kBlocks = kCols / kBlockCols;
  SubSums sums[kBlocks];
  std::int32_t* rest = out + kCols / 4;
  for (std::int64_t i = 0; i < kCols; i += kScaleCols) {
    *rest++ = __builtin_bit_cast(std::int32_t, round_block<Isa, kScaleCols>(x + i, out + i / 4, sums + i / kBlockCols));
  }
  if constexpr (kForm == InputForm::q8) {
    *rest = -(sums[0].first + sums[0].second);
  } else {
    for (std::int64_t b = 0; b < kBlocks; ++b) rest[b] = minus_pair(sums[b].first, sums[b].second);
    for (std::int64_t b = 0; b < kBlocks; b += 2) {
      rest[kBlocks + b / 2] = minus_pair(sums[b].first + sums[b].second, sums[b + 1].first + sums[b + 1].second);
    }
  }
}

/// Blocks of the tokens of a tile are made one by one; then their dwords go side by side.
template <class Isa, InputForm kForm>
void input_codes(const InputArgs& a) noexcept {
  constexpr std::int64_t kCols = input_block(kForm), kDwords = input_bytes(kForm, kCols) / 4;
  auto* out = reinterpret_cast<std::int32_t*>(a.out);
  for (std::int64_t first = 0; first < a.tokens; first += a.tile_tokens) {
    const std::int64_t n = a.tokens - first < a.tile_tokens ? a.tokens - first : a.tile_tokens;
    for (std::int64_t c = 0; c < a.cols; c += kCols, out += kDwords * n) {
      const float* const x = a.x + first * a.stride + c;
      if (n == 1) {
        round_token<Isa, kForm>(x, out);
        continue;
      }
      alignas(64) std::int32_t of_token[Isa::kFewTokens][kDwords];
      for (std::int64_t t = 0; t < n; ++t) round_token<Isa, kForm>(x + t * a.stride, of_token[t]);
      for (std::int64_t i = 0; i < kDwords; ++i) {
        for (std::int64_t t = 0; t < n; ++t) out[i * n + t] = of_token[t][i];
      }
    }
  }
}

}  // namespace infer::simd
