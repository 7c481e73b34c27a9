// SPDX-License-Identifier: MIT
// The primitives of registers of 32 bytes, two for sixteen lanes, that AVX2 and AVX-VNNI have in common; they need AVX2, FMA
// and F16C. `Isa` is the instruction set itself, in an unnamed namespace of its file (ops/simd/lanes.h says why).
// A register tile is 1 panel x 3 tokens: 6 + 6 registers of sums out of 16.
#pragma once

#include <immintrin.h>

#include "ops/simd/table.h"

namespace infer::simd {

template <class Isa>
struct Ymm {
  using Arch = xsimd::avx2;
  using Reg = xsimd::batch<float, Arch>;
  using Vector = Lanes<Isa>;
  static constexpr int kTilePanels = 1;
  static constexpr int kTileTokens = 3, kPairTokens = 3, kFewTokens = 3, kManyTokens = 12;
  static constexpr int kQueries = 6, kIntQueries = 4, kKeyLanes = 1;
  static constexpr int kGathered = 6, kValueLanes = 1;

  INFER_INLINE static Reg fma(Reg a, Reg b, Reg c) noexcept { return _mm256_fmadd_ps(a, b, c); }
  INFER_INLINE static Reg max(Reg a, Reg b) noexcept { return _mm256_max_ps(a, b); }
  INFER_INLINE static Reg nearest(Reg a) noexcept { return xsimd::nearbyint(a); }
  INFER_INLINE static float largest(Reg v) noexcept {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
  }
  INFER_INLINE static float total(Reg v) noexcept {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
  }

  INFER_INLINE static __m128i eight(const std::byte* p) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  INFER_INLINE static Vector load_halves(const std::byte* p) noexcept {
    return {{_mm256_cvtph_ps(eight(p)), _mm256_cvtph_ps(eight(p + 16))}};
  }
  INFER_INLINE static Vector load_bf16(const std::byte* p) noexcept {
    const __m256i low = _mm256_slli_epi32(_mm256_cvtepu16_epi32(eight(p)), 16);
    const __m256i high = _mm256_slli_epi32(_mm256_cvtepu16_epi32(eight(p + 16)), 16);
    return {{_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)}};
  }
  INFER_INLINE static Vector load_codes(const std::byte* p) noexcept {
    const __m128i codes = eight(p);
    return {{_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))}};
  }
  INFER_INLINE static Vector load_nibbles(const std::byte* p, int shift) noexcept {
    const __m128i low = _mm_and_si128(_mm_srl_epi16(eight(p), _mm_cvtsi32_si128(shift)), _mm_set1_epi8(15));
    const __m128i codes = _mm_sub_epi8(low, _mm_set1_epi8(8));
    return {{_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))}};
  }
  INFER_INLINE static float load_half(const std::byte* p) noexcept {
    std::uint16_t h;
    __builtin_memcpy(&h, p, 2);
    return _cvtsh_ss(h);
  }
  INFER_INLINE static void store_half(float f, std::byte* p) noexcept {
    const std::uint16_t h = _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
    __builtin_memcpy(p, &h, 2);
  }

  INFER_INLINE static __m128i fold_max(__m128i v) noexcept {
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    return _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
  }
  INFER_INLINE static std::uint32_t largest_magnitude(const float* x, std::int64_t n) noexcept {
    __m256i most = _mm256_setzero_si256();
    for (std::int64_t i = 0; i < n; i += 8) {
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      most = _mm256_max_epi32(most, _mm256_and_si256(v, _mm256_set1_epi32(0x7fffffff)));
    }
    const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(fold_max(four)));
  }
  INFER_INLINE static FourInts four_of(__m256i v) noexcept {
    return FourInts(_mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
  }
  INFER_INLINE static SubSums round_block(const float* x, float inverse, std::int32_t* codes) noexcept {
    const __m256 factor = _mm256_set1_ps(inverse);
    __m256i v[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), factor));
    // Packing works within 128-bit halves: the permutation puts the groups of four back in order.
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    const __m256i bytes = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), bytes);
    return sums_of(four_of(_mm256_add_epi32(v[0], v[1])), four_of(_mm256_add_epi32(v[2], v[3])));
  }

  struct Ints {
    __m256i v[2];
  };
  /// A sum is made here: left alone, GCC puts many products first, by way of the stack, and adds them up behind.
  INFER_INLINE static void now(__m256i& sum) noexcept { asm("" : "+x"(sum)); }
  INFER_INLINE static Ints ints(std::int32_t i) noexcept { return {{_mm256_set1_epi32(i), _mm256_set1_epi32(i)}}; }
  INFER_INLINE static __m256i widened(const std::int8_t* p) noexcept {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  INFER_INLINE static __m256i pairs_of(__m256i first, __m256i second) noexcept {
    return _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa);
  }
  INFER_INLINE static Ints scale_pairs(const std::int8_t* first, const std::int8_t* second) noexcept {
    return {{pairs_of(widened(first), widened(second)), pairs_of(widened(first + 8), widened(second + 8))}};
  }
  INFER_INLINE static Ints min_pairs(const std::uint8_t* p) noexcept {
    const auto* const v = reinterpret_cast<const __m128i*>(p);
    return {{_mm256_cvtepu8_epi16(_mm_load_si128(v)), _mm256_cvtepu8_epi16(_mm_load_si128(v + 1))}};
  }
  template <int n>
  INFER_INLINE static Ints shift_left(Ints a) noexcept {
    return {{_mm256_slli_epi32(a.v[0], n), _mm256_slli_epi32(a.v[1], n)}};
  }
  INFER_INLINE static Vector floats(Ints a) noexcept { return {{_mm256_cvtepi32_ps(a.v[0]), _mm256_cvtepi32_ps(a.v[1])}}; }

  using Pairs = Ints;
  INFER_INLINE static Pairs pairs(const std::byte* p) noexcept {
    const auto* const v = reinterpret_cast<const __m256i*>(p);
    return {{_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)}};
  }
  INFER_INLINE static void store_shorts(const Vector& v, std::int32_t* pairs) noexcept {
    const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(v.reg[0]), _mm256_cvtps_epi32(v.reg[1]));   // within halves
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(pairs), _mm256_permute4x64_epi64(packed, 0xd8));
  }

  struct Line {
    __m256i v[2];
  };
  INFER_INLINE static Line line(const std::byte* p) noexcept {
    return {{_mm256_load_si256(reinterpret_cast<const __m256i*>(p)), _mm256_load_si256(reinterpret_cast<const __m256i*>(p + 32))}};
  }
  INFER_INLINE static void store_line(Line a, std::byte* p) noexcept {
    for (int i = 0; i < 2; ++i) _mm256_store_si256(reinterpret_cast<__m256i*>(p + 32 * i), a.v[i]);
  }
  INFER_INLINE static __m256 first_of(__m256i pairs) noexcept { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
  INFER_INLINE static __m256 second_of(__m256i pairs) noexcept {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  INFER_INLINE static Vector dot_bf16(Line a, std::int32_t pair, Vector sum) noexcept {
    const __m256i x = _mm256_set1_epi32(pair);
    for (int i = 0; i < 2; ++i) {
      sum.reg[i] = _mm256_fmadd_ps(second_of(a.v[i]), second_of(x), sum.reg[i]);
      sum.reg[i] = _mm256_fmadd_ps(first_of(a.v[i]), first_of(x), sum.reg[i]);
    }
    return sum;
  }
  INFER_INLINE static Line either(Line a, Line b) noexcept {
    return {{_mm256_or_si256(a.v[0], b.v[0]), _mm256_or_si256(a.v[1], b.v[1])}};
  }
  template <int n, int mask>
  INFER_INLINE static Line bits(Line a) noexcept {
    for (__m256i& v : a.v) {
      if constexpr (n > 0) v = _mm256_srli_epi16(v, n);
      if constexpr (n < 0) v = _mm256_slli_epi16(v, -n);
      v = _mm256_and_si256(v, _mm256_set1_epi8(mask));
    }
    return a;
  }
  template <int n>
  INFER_INLINE static Line less(Line a) noexcept {
    return {{_mm256_sub_epi8(a.v[0], _mm256_set1_epi8(n)), _mm256_sub_epi8(a.v[1], _mm256_set1_epi8(n))}};
  }
};

}  // namespace infer::simd
