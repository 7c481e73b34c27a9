// SPDX-License-Identifier: MIT
// AVX-512 with VNNI: the primitives, one register of sixteen lanes. Machines with AVX-512 but no VNNI run AVX2.
// A register tile is 2 panels x 6 tokens: 12 running sums, 12 sums of a block, and what they are made of, in 32 registers; of
// bfloat16, whose products take longer, 2 x 8: 16 sums of a block, while the running ones wait in the first cache. Few tokens are
// taken by eights: one panel at a time is a straight stream of memory.
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
  static constexpr int kTileTokens = 6, kPairTokens = 8, kFewTokens = 8, kManyTokens = 48;
  static constexpr int kQueries = 12, kIntQueries = 8, kKeyLanes = 2;
  static constexpr int kGathered = 6, kValueLanes = 4;

  INFER_INLINE static Reg fma(Reg a, Reg b, Reg c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  INFER_INLINE static float largest(Reg v) noexcept { return _mm512_reduce_max_ps(v); }
  INFER_INLINE static float total(Reg v) noexcept {   // the intrinsic for it promises no order
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
  }
  INFER_INLINE static Reg max(Reg a, Reg b) noexcept { return _mm512_max_ps(a, b); }
  INFER_INLINE static Reg nearest(Reg a) noexcept { return xsimd::nearbyint(a); }

  INFER_INLINE static Vector load_halves(const std::byte* p) noexcept {
    return {{_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}};
  }
  INFER_INLINE static Vector load_bf16(const std::byte* p) noexcept {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {{_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))}};
  }
  INFER_INLINE static Vector load_codes(const std::byte* p) noexcept {
    return {{_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))}};
  }
  INFER_INLINE static Vector load_nibbles(const std::byte* p, int shift) noexcept {
    const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m512 floats = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    return {{_mm512_permutexvar_ps(_mm512_srl_epi32(wide, _mm_cvtsi32_si128(shift)), floats)}};   // looks at four bits
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

  INFER_INLINE static std::uint32_t largest_magnitude(const float* x, std::int64_t n) noexcept {
    __m512i most = _mm512_setzero_si512();
    for (std::int64_t i = 0; i < n; i += 16) {
      most = _mm512_max_epi32(most, _mm512_and_si512(_mm512_loadu_si512(x + i), _mm512_set1_epi32(0x7fffffff)));
    }
    return static_cast<std::uint32_t>(_mm512_reduce_max_epi32(most));
  }
  INFER_INLINE static simd::SubSums round_block(const float* x, float inverse, std::int32_t* codes) noexcept {
    const __m512 factor = _mm512_set1_ps(inverse);
    const __m128i a = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor)));
    const __m128i b = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), factor)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), a);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 4), b);
    const __m128i zero = _mm_setzero_si128(), ones = _mm_set1_epi8(1);
    return simd::sums_of(simd::FourInts(_mm_dpbusd_epi32(zero, ones, a)), simd::FourInts(_mm_dpbusd_epi32(zero, ones, b)));
  }

  using Ints = __m512i;
  static constexpr bool kSeeds = true;
  static constexpr bool kFolds = true;
  INFER_INLINE static Ints ints(std::int32_t i) noexcept { return _mm512_set1_epi32(i); }
  INFER_INLINE static Ints scale(const std::int8_t* p) noexcept {
    return _mm512_cvtepi8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  INFER_INLINE static Ints scale_pairs(const std::int8_t* first, const std::int8_t* second) noexcept {
    return _mm512_mask_blend_epi16(0xaaaaaaaau, scale(first), _mm512_slli_epi32(scale(second), 16));
  }
  INFER_INLINE static Ints min_pairs(const std::uint8_t* p) noexcept {
    return _mm512_cvtepu8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
  }
  template <int n>
  INFER_INLINE static Ints seed(const std::int16_t* sum) noexcept {
    return _mm512_slli_epi32(_mm512_srai_epi32(_mm512_set1_epi16(*sum), 16), n);
  }
  template <int n>
  INFER_INLINE static Ints shift_left(Ints a) noexcept {
    return _mm512_slli_epi32(a, n);
  }
  INFER_INLINE static Vector floats(Ints a) noexcept { return {{_mm512_cvtepi32_ps(a)}}; }
  INFER_INLINE static Ints add_pairs(Ints sum, Ints pairs, std::int32_t sums) noexcept {
    return _mm512_dpwssd_epi32(sum, pairs, _mm512_set1_epi32(sums));
  }

  using Pairs = __m512i;
  INFER_INLINE static Pairs pairs(const std::byte* p) noexcept { return _mm512_loadu_si512(p); }
  INFER_INLINE static void add_products(Ints& sum, Pairs pairs, std::int32_t pair) noexcept { sum = add_pairs(sum, pairs, pair); }
  INFER_INLINE static void store_shorts(const Vector& v, std::int32_t* pairs) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(pairs), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v.reg[0])));
  }

  using Line = __m512i;
  INFER_INLINE static Line line(const std::byte* p) noexcept { return _mm512_load_si512(p); }
  INFER_INLINE static void store_line(Line a, std::byte* p) noexcept { _mm512_store_si512(p, a); }
  INFER_INLINE static __m512 first_of(__m512i pairs) noexcept { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
  INFER_INLINE static __m512 second_of(__m512i pairs) noexcept {
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  INFER_INLINE static Vector dot_bf16(Line a, std::int32_t pair, Vector sum) noexcept {
    const __m512i x = _mm512_set1_epi32(pair);
    const __m512 second = _mm512_fmadd_ps(second_of(a), second_of(x), sum.reg[0]);
    return {{_mm512_fmadd_ps(first_of(a), first_of(x), second)}};
  }
  INFER_INLINE static Line either(Line a, Line b) noexcept { return _mm512_or_si512(a, b); }
  template <int n, int mask>
  INFER_INLINE static Line bits(Line a) noexcept {
    if constexpr (n > 0) a = _mm512_srli_epi16(a, n);
    if constexpr (n < 0) a = _mm512_slli_epi16(a, -n);
    return _mm512_and_si512(a, _mm512_set1_epi8(mask));
  }
  static constexpr int kSignedOffset = 128;   // Dot takes unsigned codes only
  INFER_INLINE static Line signed_line(const std::byte* p) noexcept { return line(p); }
  template <int n>
  INFER_INLINE static Line less(Line a) noexcept {
    return _mm512_sub_epi8(a, _mm512_set1_epi8(n));
  }
  INFER_INLINE static Line lookup(Line a, const std::int8_t (&book)[16]) noexcept {
    const __m128i table = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(book)), _mm_set1_epi8(-128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), a);
  }

  /// VNNI adds up in 32 bits: any number of lines.
  template <int kMax>
  struct Dot {
    static constexpr int kLines = 8;
    __m512i t = _mm512_setzero_si512();

    INFER_INLINE void add(Line w, std::int32_t x) noexcept { t = _mm512_dpbusd_epi32(t, w, _mm512_set1_epi32(x)); }
    INFER_INLINE void begin(Ints sum) noexcept { t = sum; }
    INFER_INLINE Ints sum(Ints) const noexcept { return t; }
    INFER_INLINE Ints plus(Ints sum, Ints scale) const noexcept {
      sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(t, scale));
      asm("" : "+v"(sum));   // is made here: left alone, GCC puts many products first, by way of the stack, and adds them up behind
      return sum;
    }
  };
};

/// With the instruction for bfloat16, written as such: the compiler is not told of it, nor are machines without it.
struct Avx512Bf16 : Avx512Vnni {
  using Vector = simd::Lanes<Avx512Bf16>;
  INFER_INLINE static Vector dot_bf16(Line a, std::int32_t pair, Vector sum) noexcept {
    __m512 s = sum.reg[0];
    asm("vdpbf16ps %2, %1, %0" : "+v"(s) : "v"(a), "v"(_mm512_set1_epi32(pair)));
    return {{s}};
  }
};

constexpr KernelTable with_bf16(KernelTable t) noexcept {
  t.name = "avx512bf16";
  t.runs_here = has_avx512bf16;
  t.matmul[static_cast<int>(DType::bf16)].run = simd::matmul<Avx512Bf16, simd::PairTiles>;
  t.probes.bf16 = simd::probe_bf16<Avx512Bf16>;
  return t;
}

}  // namespace

constinit const KernelTable kernels_avx512vnni = simd::make_table<Avx512Vnni>("avx512vnni", has_avx512vnni);
constinit const KernelTable kernels_avx512bf16 = with_bf16(simd::make_table<Avx512Vnni>("avx512vnni", has_avx512vnni));

}  // namespace infer
