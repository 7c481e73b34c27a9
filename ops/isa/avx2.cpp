// SPDX-License-Identifier: MIT
// AVX2 with FMA and F16C: the primitives beside those of every set with registers of 32 bytes.
#include "ops/cpu_features.h"
#include "ops/isa/ymm.h"
#include "ops/ops.h"

namespace infer {
namespace {

struct Avx2 : simd::Ymm<Avx2> {
  static constexpr bool kSeeds = false;
  static constexpr bool kFolds = false;
  /// In both halves of each pair, as plus() multiplies.
  INFER_INLINE static Ints scale(const std::int8_t* p) noexcept { return scale_pairs(p, p); }
  INFER_INLINE static Ints add_pairs(Ints sum, Ints pairs, std::int32_t sums) noexcept {
    const __m256i two = _mm256_set1_epi32(sums);
    for (int i = 0; i < 2; ++i) sum.v[i] = _mm256_add_epi32(sum.v[i], _mm256_madd_epi16(pairs.v[i], two));
    return sum;
  }

  INFER_INLINE static void add_products(Ints& sum, const Ints& pairs, std::int32_t pair) noexcept {
    const __m256i two = _mm256_set1_epi32(pair);
    for (int i = 0; i < 2; ++i) {
      sum.v[i] = _mm256_add_epi32(sum.v[i], _mm256_madd_epi16(pairs.v[i], two));
      now(sum.v[i]);
    }
  }

  static constexpr int kSignedOffset = 0;   // Dot<0> takes signed codes
  INFER_INLINE static Line signed_line(const std::byte* p) noexcept {
    Line a = line(p);
    for (__m256i& v : a.v) v = _mm256_xor_si256(v, _mm256_set1_epi8(-128));
    return a;
  }
  INFER_INLINE static Line lookup(Line a, const std::int8_t (&book)[16]) noexcept {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(book)));
    return {{_mm256_shuffle_epi8(table, a.v[0]), _mm256_shuffle_epi8(table, a.v[1])}};
  }

  /// Products of unsigned codes up to kMax with signed ones, in pairs of int16: as many lines as 2 * kMax * 127 fits there.
  /// Without an unsigned side (0) it is the magnitude of the weight times the activation with the weight's sign.
  template <int kMax>
  struct Dot {
    static constexpr int kMost = kMax == 0 ? 1 : 32767 / (2 * 127 * (kMax == 0 ? 1 : kMax));
    static constexpr int kLines = kMost >= 8 ? 8 : kMost >= 4 ? 4 : kMost >= 2 ? 2 : 1;
    __m256i t[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};

    INFER_INLINE void add(Line w, std::int32_t x) noexcept {
      const __m256i four = _mm256_set1_epi32(x);
      for (int i = 0; i < 2; ++i) {
        if constexpr (kMax == 0) {
          t[i] = _mm256_maddubs_epi16(_mm256_abs_epi8(w.v[i]), _mm256_sign_epi8(four, w.v[i]));
        } else {
          t[i] = _mm256_add_epi16(t[i], _mm256_maddubs_epi16(w.v[i], four));
          now(t[i]);
        }
      }
    }
    INFER_INLINE void begin(Ints) noexcept {}
    INFER_INLINE Ints sum(Ints before) const noexcept { return plus(before, {{_mm256_set1_epi16(1), _mm256_set1_epi16(1)}}); }
    INFER_INLINE Ints plus(Ints sum, Ints scale) const noexcept {
      for (int i = 0; i < 2; ++i) {
        sum.v[i] = _mm256_add_epi32(sum.v[i], _mm256_madd_epi16(t[i], scale.v[i]));
        now(sum.v[i]);
      }
      return sum;
    }
  };
};

}  // namespace

constinit const KernelTable kernels_avx2 = simd::make_table<Avx2>("avx2", has_avx2);

}  // namespace infer
