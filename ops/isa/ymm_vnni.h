// SPDX-License-Identifier: MIT
// VNNI on registers of 32 bytes: the primitives, but for the two instructions themselves, which have one encoding in AVX-VNNI
// and another in AVX-512: `Isa` has dot_bytes(sum, unsigned bytes, signed bytes) and dot_pairs(sum, int16, int16), sums of int32.
#pragma once

#include "ops/isa/ymm.h"

namespace infer::simd {

template <class Isa>
struct YmmVnni : Ymm<Isa> {
  using Ints = typename Ymm<Isa>::Ints;
  using Line = typename Ymm<Isa>::Line;

  static constexpr bool kSeeds = true;
  static constexpr bool kFolds = true;
  INFER_INLINE static Ints scale(const std::int8_t* p) noexcept { return {{Ymm<Isa>::widened(p), Ymm<Isa>::widened(p + 8)}}; }
  template <int n>
  INFER_INLINE static Ints seed(const std::int16_t* sum) noexcept {
    const __m256i v = _mm256_slli_epi32(_mm256_srai_epi32(_mm256_set1_epi16(*sum), 16), n);
    return {{v, v}};
  }
  INFER_INLINE static Ints add_pairs(Ints sum, Ints pairs, std::int32_t sums) noexcept {
    for (int i = 0; i < 2; ++i) sum.v[i] = Isa::dot_pairs(sum.v[i], pairs.v[i], _mm256_set1_epi32(sums));
    return sum;
  }

  INFER_INLINE static void add_products(Ints& sum, const Ints& pairs, std::int32_t pair) noexcept {
    for (int i = 0; i < 2; ++i) sum.v[i] = Isa::dot_pairs(sum.v[i], pairs.v[i], _mm256_set1_epi32(pair));
  }

  static constexpr int kSignedOffset = 128;   // Dot takes unsigned codes only
  INFER_INLINE static Line signed_line(const std::byte* p) noexcept { return Ymm<Isa>::line(p); }
  INFER_INLINE static Line lookup(Line a, const std::int8_t (&book)[16]) noexcept {
    const __m128i codes = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(book)), _mm_set1_epi8(-128));
    const __m256i table = _mm256_broadcastsi128_si256(codes);
    return {{_mm256_shuffle_epi8(table, a.v[0]), _mm256_shuffle_epi8(table, a.v[1])}};
  }

  /// Adds up in 32 bits: any number of lines.
  template <int kMax>
  struct Dot {
    static constexpr int kLines = 8;
    Ints t = {{_mm256_setzero_si256(), _mm256_setzero_si256()}};

    INFER_INLINE void add(Line w, std::int32_t x) noexcept {
      for (int i = 0; i < 2; ++i) t.v[i] = Isa::dot_bytes(t.v[i], w.v[i], _mm256_set1_epi32(x));
    }
    INFER_INLINE void begin(Ints sum) noexcept { t = sum; }
    INFER_INLINE Ints sum(Ints) const noexcept { return t; }
    INFER_INLINE Ints plus(Ints sum, Ints scale) const noexcept {
      for (int i = 0; i < 2; ++i) {
        sum.v[i] = _mm256_add_epi32(sum.v[i], _mm256_mullo_epi32(t.v[i], scale.v[i]));
        Ymm<Isa>::now(sum.v[i]);
      }
      return sum;
    }
  };
};

}  // namespace infer::simd
