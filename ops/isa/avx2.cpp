// SPDX-License-Identifier: MIT
// AVX2 with FMA and F16C: the primitives, two registers of eight lanes each.
// A register tile is 1 panel x 3 tokens: 6 + 6 registers of sums out of 16.
#include <immintrin.h>

#include "ops/cpu_features.h"
#include "ops/ops.h"
#include "ops/simd/table.h"

namespace infer {
namespace {

struct Avx2 {
  using Arch = xsimd::avx2;
  using Reg = xsimd::batch<float, Arch>;
  using Vector = simd::Lanes<Avx2>;
  static constexpr int kTilePanels = 1;
  static constexpr int kTileTokens = 3;
  static constexpr int kHeads = 4;

  INFER_INLINE static Reg fma(Reg a, Reg b, Reg c) noexcept { return _mm256_fmadd_ps(a, b, c); }

  INFER_INLINE static __m128i eight(const std::byte* p) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  INFER_INLINE static Vector load_halves(const std::byte* p) noexcept {
    return {{_mm256_cvtph_ps(eight(p)), _mm256_cvtph_ps(eight(p + 16))}};
  }
  INFER_INLINE static Vector load_bf16(const std::byte* p) noexcept {
    const __m256i low = _mm256_slli_epi32(_mm256_cvtepu16_epi32(eight(p)), 16);
    const __m256i high = _mm256_slli_epi32(_mm256_cvtepu16_epi32(eight(p + 16)), 16);
    return {{_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)}};
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

  INFER_INLINE static __m256i line(const std::byte* p) noexcept { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
  INFER_INLINE static __m128i fold_max(__m128i v) noexcept {
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    return _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
  }
  INFER_INLINE static std::uint32_t largest_magnitude(const float* x) noexcept {
    const __m256i mask = _mm256_set1_epi32(0x7fffffff);
    __m256i most = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 8 * i));
      most = _mm256_max_epi32(most, _mm256_and_si256(v, mask));
    }
    const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(fold_max(four)));
  }
  INFER_INLINE static std::int32_t total(__m256i v) noexcept {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
  }
  INFER_INLINE static simd::SubSums round_block(const float* x, float inverse, std::int32_t* codes) noexcept {
    const __m256 factor = _mm256_set1_ps(inverse);
    __m256i v[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), factor));
    // Packing works within 128-bit halves: the permutation puts the groups of four back in order.
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    const __m256i bytes = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_store_si256(reinterpret_cast<__m256i*>(codes), bytes);
    return {total(_mm256_add_epi32(v[0], v[1])), total(_mm256_add_epi32(v[2], v[3]))};
  }

  /// Without VNNI a product of bytes needs one side unsigned, and pairs must fit 16 bits: the magnitude of the weight
  /// times the activation with the weight's sign.
  struct DotQ8_0 {
    using Panel = PanelQ8_0;
    template <int M, int N>
    INFER_INLINE static void block(const std::byte* w, std::size_t stride, const std::int32_t* x, Vector (&sums)[M][N]) noexcept {
      const __m256i offset = _mm256_set1_epi8(-128), ones = _mm256_set1_epi16(1);
      __m256i t[M][N][2];
      for (int p = 0; p < M; ++p) {
        for (int n = 0; n < N; ++n) t[p][n][0] = t[p][n][1] = _mm256_setzero_si256();
      }
      for (std::size_t g = 0; g < 8; ++g) {
        for (std::size_t p = 0; p < M; ++p) {
          for (std::size_t half = 0; half < 2; ++half) {
            const __m256i weight = _mm256_xor_si256(line(w + p * stride + 64 * g + 32 * half), offset);
            const __m256i magnitude = _mm256_abs_epi8(weight);
            for (int n = 0; n < N; ++n) {
              const __m256i four = _mm256_set1_epi32(x[g * N + static_cast<std::size_t>(n)]);
              const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(four, weight));
              t[p][n][half] = _mm256_add_epi32(t[p][n][half], _mm256_madd_epi16(pairs, ones));
            }
          }
        }
      }
      for (int p = 0; p < M; ++p) {
        for (int n = 0; n < N; ++n) {
          for (int half = 0; half < 2; ++half) sums[p][n].reg[half] = _mm256_cvtepi32_ps(t[p][n][half]);
        }
      }
    }
  };

  /// Nibbles times bytes: the eight groups of a block fit in 16 bits (2 * 15 * 127 * 8 < 2^15).
  struct DotQ4_0 {
    using Panel = PanelQ4_0;
    template <int M, int N>
    INFER_INLINE static void block(const std::byte* w, std::size_t stride, const std::int32_t* x, Vector (&sums)[M][N]) noexcept {
      const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
      __m256i t[M][N][2];
      for (int p = 0; p < M; ++p) {
        for (int n = 0; n < N; ++n) t[p][n][0] = t[p][n][1] = _mm256_setzero_si256();
      }
      for (std::size_t g = 0; g < 4; ++g) {
        for (std::size_t p = 0; p < M; ++p) {
          for (std::size_t half = 0; half < 2; ++half) {
            const __m256i both = line(w + p * stride + 64 * g + 32 * half);
            const __m256i low = _mm256_and_si256(both, nibble);
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
            for (int n = 0; n < N; ++n) {
              const __m256i first = _mm256_set1_epi32(x[g * N + static_cast<std::size_t>(n)]);
              const __m256i second = _mm256_set1_epi32(x[(g + 4) * N + static_cast<std::size_t>(n)]);
              const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(low, first), _mm256_maddubs_epi16(high, second));
              t[p][n][half] = _mm256_add_epi16(t[p][n][half], pairs);
            }
          }
        }
      }
      for (int n = 0; n < N; ++n) {
        const __m256i seed = _mm256_slli_epi32(_mm256_set1_epi32(x[9 * N + n]), 3);   // -8 times the sum of the codes
        for (int p = 0; p < M; ++p) {
          for (int half = 0; half < 2; ++half) {
            const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(t[p][n][half], ones), seed);
            sums[p][n].reg[half] = _mm256_cvtepi32_ps(sum);
          }
        }
      }
    }
  };
};

}  // namespace

constinit const KernelTable kernels_avx2 = simd::make_table<Avx2>("avx2", has_avx2);

}  // namespace infer
