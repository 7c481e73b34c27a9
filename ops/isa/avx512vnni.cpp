// SPDX-License-Identifier: MIT
// AVX-512 with VNNI: the primitives, one register of sixteen lanes. Machines with AVX-512 but no VNNI run AVX2.
// A register tile is 2 panels x 6 tokens: 12 running sums, 12 sums of a block, and what they are made of, in 32 registers.
#include <immintrin.h>

#include "ops/cpu_features.h"
#include "ops/ops.h"
#include "ops/simd/table.h"

namespace infer {
namespace {

struct Avx512Vnni {
  using Arch = xsimd::avx512bw;
  using Reg = xsimd::batch<float, Arch>;
  using Vector = simd::Lanes<Avx512Vnni>;
  static constexpr int kTilePanels = 2;
  static constexpr int kTileTokens = 6;
  static constexpr int kHeads = 8;

  INFER_INLINE static Reg fma(Reg a, Reg b, Reg c) noexcept { return _mm512_fmadd_ps(a, b, c); }

  INFER_INLINE static Vector load_halves(const std::byte* p) noexcept {
    return {{_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}};
  }
  INFER_INLINE static Vector load_bf16(const std::byte* p) noexcept {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {{_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))}};
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

  INFER_INLINE static std::uint32_t largest_magnitude(const float* x) noexcept {
    const __m512i mask = _mm512_set1_epi32(0x7fffffff);
    const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), mask), b = _mm512_and_si512(_mm512_loadu_si512(x + 16), mask);
    return static_cast<std::uint32_t>(_mm512_reduce_max_epi32(_mm512_max_epi32(a, b)));
  }
  INFER_INLINE static simd::SubSums round_block(const float* x, float inverse, std::int32_t* codes) noexcept {
    const __m512 factor = _mm512_set1_ps(inverse);
    const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor));
    const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), factor));
    _mm_store_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtepi32_epi8(a));
    _mm_store_si128(reinterpret_cast<__m128i*>(codes + 4), _mm512_cvtepi32_epi8(b));
    return {_mm512_reduce_add_epi32(a), _mm512_reduce_add_epi32(b)};
  }

  INFER_INLINE static __m512i line(const std::byte* p) noexcept { return _mm512_load_si512(p); }

  /// The codes of weights are unsigned, w + 128: sums begin at -128 times the sum of the activations' codes.
  struct DotQ8_0 {
    using Panel = PanelQ8_0;
    template <int M, int N>
    INFER_INLINE static void block(const std::byte* w, std::size_t stride, const std::int32_t* x, Vector (&sums)[M][N]) noexcept {
      __m512i t[M][N];
      for (int n = 0; n < N; ++n) {
        const __m512i seed = _mm512_slli_epi32(_mm512_set1_epi32(x[9 * N + n]), 7);
        for (int p = 0; p < M; ++p) t[p][n] = seed;
      }
#pragma GCC unroll 8
      for (std::size_t g = 0; g < 8; ++g) {
        __m512i weights[M];
        for (std::size_t p = 0; p < M; ++p) weights[p] = line(w + p * stride + 64 * g);
        for (int n = 0; n < N; ++n) {
          const __m512i four = _mm512_set1_epi32(x[g * N + static_cast<std::size_t>(n)]);
          for (int p = 0; p < M; ++p) t[p][n] = _mm512_dpbusd_epi32(t[p][n], weights[p], four);
        }
      }
      for (int p = 0; p < M; ++p) {
        for (int n = 0; n < N; ++n) sums[p][n].reg[0] = _mm512_cvtepi32_ps(t[p][n]);
      }
    }
  };

  /// Nibbles, w + 8; a line has the columns of group g low and of group g + 4 high.
  struct DotQ4_0 {
    using Panel = PanelQ4_0;
    template <int M, int N>
    INFER_INLINE static void block(const std::byte* w, std::size_t stride, const std::int32_t* x, Vector (&sums)[M][N]) noexcept {
      const __m512i nibble = _mm512_set1_epi8(15);
      __m512i t[M][N];
      for (int n = 0; n < N; ++n) {
        const __m512i seed = _mm512_slli_epi32(_mm512_set1_epi32(x[9 * N + n]), 3);
        for (int p = 0; p < M; ++p) t[p][n] = seed;
      }
#pragma GCC unroll 4
      for (std::size_t g = 0; g < 4; ++g) {
        __m512i low[M], high[M];
        for (std::size_t p = 0; p < M; ++p) {
          const __m512i both = line(w + p * stride + 64 * g);
          low[p] = _mm512_and_si512(both, nibble);
          high[p] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
        }
        for (int n = 0; n < N; ++n) {
          const __m512i four = _mm512_set1_epi32(x[g * N + static_cast<std::size_t>(n)]);
          for (int p = 0; p < M; ++p) t[p][n] = _mm512_dpbusd_epi32(t[p][n], low[p], four);
        }
        for (int n = 0; n < N; ++n) {
          const __m512i four = _mm512_set1_epi32(x[(g + 4) * N + static_cast<std::size_t>(n)]);
          for (int p = 0; p < M; ++p) t[p][n] = _mm512_dpbusd_epi32(t[p][n], high[p], four);
        }
      }
      for (int p = 0; p < M; ++p) {
        for (int n = 0; n < N; ++n) sums[p][n].reg[0] = _mm512_cvtepi32_ps(t[p][n]);
      }
    }
  };
};

}  // namespace

constinit const KernelTable kernels_avx512vnni = simd::make_table<Avx512Vnni>("avx512vnni", has_avx512vnni);

}  // namespace infer
