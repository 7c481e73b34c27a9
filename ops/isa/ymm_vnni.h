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

  INFER_INLINE static Ints add_pairs(Ints sum, Ints pairs, std::int32_t sums) noexcept {
    for (int i = 0; i < 2; ++i) sum.v[i] = Isa::dot_pairs(sum.v[i], pairs.v[i], _mm256_set1_epi32(sums));
    return sum;
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
    __m256i t[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};

    INFER_INLINE void add(Line w, std::int32_t x) noexcept {
      for (int i = 0; i < 2; ++i) t[i] = Isa::dot_bytes(t[i], w.v[i], _mm256_set1_epi32(x));
    }
    INFER_INLINE Ints plus(Ints sum) const noexcept {
      for (int i = 0; i < 2; ++i) sum.v[i] = _mm256_add_epi32(sum.v[i], t[i]);
      return sum;
    }
    INFER_INLINE Ints plus(Ints sum, Ints scale) const noexcept {
      for (int i = 0; i < 2; ++i) sum.v[i] = _mm256_add_epi32(sum.v[i], _mm256_mullo_epi32(t[i], scale.v[i]));
      return sum;
    }
  };
  template <int sub, int subs>
  INFER_INLINE static Ints sub_scale(const std::int16_t* pairs) noexcept {
    Ints a = Ymm<Isa>::load_ints(pairs);
    for (__m256i& v : a.v) v = _mm256_srai_epi32(sub == 0 && subs == 2 ? _mm256_slli_epi32(v, 16) : v, 16);
    return a;
  }
};

}  // namespace infer::simd
