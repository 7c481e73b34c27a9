// SPDX-License-Identifier: MIT
// The primitives of NEON on 64-bit ARM, four registers of four lanes each, that its extensions have in common: those of codes
// need dot products of bytes (FEAT_DotProd). `Isa` is the extension, in an unnamed namespace of its file (ops/simd/lanes.h says
// why). A register tile is 1 panel x 4 tokens: 16 registers of sums out of 32.
#pragma once

#include <arm_neon.h>

#include "ops/simd/table.h"

namespace infer::simd {

template <class Isa>
struct Neon {
  using Arch = xsimd::neon64;
  using Reg = xsimd::batch<float, Arch>;
  using Vector = Lanes<Isa>;
  static constexpr int kTilePanels = 1;
  static constexpr int kTileTokens = 4, kPairTokens = 4, kFewTokens = 4, kManyTokens = 48;
  static constexpr int kQueries = 6, kIntQueries = 6, kKeyLanes = 1;
  static constexpr int kGathered = 6, kValueLanes = 1;

  INFER_INLINE static Reg fma(Reg a, Reg b, Reg c) noexcept { return vfmaq_f32(c, a, b); }
  INFER_INLINE static Reg max(Reg a, Reg b) noexcept { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  INFER_INLINE static Reg nearest(Reg a) noexcept { return vrndnq_f32(a); }
  INFER_INLINE static float largest(Reg v) noexcept { return vmaxvq_f32(v); }
  INFER_INLINE static float total(Reg v) noexcept {
    const float32x2_t sum = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(sum, 0) + vget_lane_f32(sum, 1);
  }

  struct Ints {
    int32x4_t v[4];
  };

  /// Four of one kind: what each register of sixteen lanes gets.
  template <class T, class Fn>
  INFER_INLINE static T four(const Fn& fn) noexcept {
    return {{fn(0), fn(1), fn(2), fn(3)}};
  }

  INFER_INLINE static uint16x4_t four_shorts(const std::byte* p, int i) noexcept {
    return vld1_u16(reinterpret_cast<const std::uint16_t*>(p) + 4 * i);
  }
  INFER_INLINE static Vector load_halves(const std::byte* p) noexcept {
    return four<Vector>([&](int i) noexcept { return vcvt_f32_f16(vreinterpret_f16_u16(four_shorts(p, i))); });
  }
  INFER_INLINE static Vector load_bf16(const std::byte* p) noexcept {
    return four<Vector>([&](int i) noexcept { return vreinterpretq_f32_u32(vshll_n_u16(four_shorts(p, i), 16)); });
  }
  /// Sixteen bytes with a sign to sixteen lanes.
  INFER_INLINE static Ints widened(int8x16_t a) noexcept {
    const int16x8_t low = vmovl_s8(vget_low_s8(a)), high = vmovl_high_s8(a);
    return {{vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)}};
  }
  INFER_INLINE static int8x16_t codes(const std::byte* p) noexcept { return vld1q_s8(reinterpret_cast<const std::int8_t*>(p)); }
  INFER_INLINE static Vector load_codes(const std::byte* p) noexcept { return floats(widened(codes(p))); }
  INFER_INLINE static Vector load_nibbles(const std::byte* p, int shift) noexcept {
    const uint8x16_t down = vshlq_u8(vreinterpretq_u8_s8(codes(p)), vdupq_n_s8(static_cast<std::int8_t>(-shift)));
    return floats(widened(vsubq_s8(vreinterpretq_s8_u8(vandq_u8(down, vdupq_n_u8(15))), vdupq_n_s8(8))));
  }
  INFER_INLINE static float load_half(const std::byte* p) noexcept {
    __fp16 h;
    __builtin_memcpy(&h, p, 2);
    return static_cast<float>(h);
  }
  INFER_INLINE static void store_half(float f, std::byte* p) noexcept {
    const __fp16 h = static_cast<__fp16>(f);
    __builtin_memcpy(p, &h, 2);
  }

  INFER_INLINE static std::uint32_t largest_magnitude(const float* x, std::int64_t n) noexcept {
    uint32x4_t most = vdupq_n_u32(0);
    for (std::int64_t i = 0; i < n; i += 4) {
      most = vmaxq_u32(most, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), vdupq_n_u32(0x7fffffff)));
    }
    return vmaxvq_u32(most);
  }
  INFER_INLINE static SubSums round_block(const float* x, float inverse, std::int32_t* codes) noexcept {
    int8x8_t bytes[4];
    std::int32_t sums[2] = {};
    for (int i = 0; i < 4; ++i) {
      const int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 8 * i), inverse));
      const int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 8 * i + 4), inverse));
      sums[i / 2] += vaddvq_s32(vaddq_s32(a, b));
      bytes[i] = vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b)));
    }
    __builtin_memcpy(codes, bytes, sizeof bytes);
    return {sums[0], sums[1]};
  }

  INFER_INLINE static Ints ints(std::int32_t n) noexcept {
    return four<Ints>([&](int) noexcept { return vdupq_n_s32(n); });
  }
  INFER_INLINE static Ints shorts(int16x8_t a, int16x8_t b, int16x8_t c, int16x8_t d) noexcept {
    return {{vreinterpretq_s32_s16(a), vreinterpretq_s32_s16(b), vreinterpretq_s32_s16(c), vreinterpretq_s32_s16(d)}};
  }
  static constexpr bool kSeeds = true;
  static constexpr bool kFolds = false;
  template <int n>
  INFER_INLINE static Ints seed(const std::int16_t* sum) noexcept {
    return ints(std::int32_t{*sum} << n);
  }
  INFER_INLINE static Ints scale(const std::int8_t* p) noexcept { return widened(vld1q_s8(p)); }
  INFER_INLINE static Ints scale_pairs(const std::int8_t* first, const std::int8_t* second) noexcept {
    const int8x16_t a = vld1q_s8(first), b = vld1q_s8(second);
    return shorts(vmovl_s8(vget_low_s8(vzip1q_s8(a, b))), vmovl_high_s8(vzip1q_s8(a, b)),
                  vmovl_s8(vget_low_s8(vzip2q_s8(a, b))), vmovl_high_s8(vzip2q_s8(a, b)));
  }
  INFER_INLINE static Ints min_pairs(const std::uint8_t* p) noexcept {
    return four<Ints>([&](int i) noexcept { return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p + 8 * i))); });
  }
  template <int n>
  INFER_INLINE static Ints shift_left(Ints a) noexcept {
    return four<Ints>([&](int i) noexcept { return vshlq_n_s32(a.v[i], n); });
  }
  INFER_INLINE static Vector floats(Ints a) noexcept {
    return four<Vector>([&](int i) noexcept { return vcvtq_f32_s32(a.v[i]); });
  }
  INFER_INLINE static Ints add_pairs(Ints sum, Ints pairs, std::int32_t sums) noexcept {
    const int16x8_t both = vreinterpretq_s16_s32(vdupq_n_s32(sums));
    return four<Ints>([&](int i) noexcept {
      const int16x8_t p = vreinterpretq_s16_s32(pairs.v[i]);
      return vaddq_s32(sum.v[i], vpaddq_s32(vmull_s16(vget_low_s16(p), vget_low_s16(both)), vmull_high_s16(p, both)));
    });
  }

  /// The first ones of sixteen pairs, and the second ones.
  struct Pairs {
    int16x8x2_t v[2];
  };
  INFER_INLINE static Pairs pairs(const std::byte* p) noexcept {
    const auto* const v = reinterpret_cast<const std::int16_t*>(p);
    return {{vld2q_s16(v), vld2q_s16(v + 16)}};
  }
  INFER_INLINE static void add_products(Ints& sum, const Pairs& pairs, std::int32_t pair) noexcept {
    const int16x4_t both = vreinterpret_s16_s32(vdup_n_s32(pair));
    for (int i = 0; i < 2; ++i) {
      const auto [first, second] = pairs.v[i].val;
      sum.v[2 * i] = vmlal_lane_s16(sum.v[2 * i], vget_low_s16(first), both, 0);
      sum.v[2 * i] = vmlal_lane_s16(sum.v[2 * i], vget_low_s16(second), both, 1);
      sum.v[2 * i + 1] = vmlal_high_lane_s16(sum.v[2 * i + 1], first, both, 0);
      sum.v[2 * i + 1] = vmlal_high_lane_s16(sum.v[2 * i + 1], second, both, 1);
    }
  }
  INFER_INLINE static void store_shorts(const Vector& v, std::int32_t* pairs) noexcept {
    for (int i = 0; i < 4; ++i) {
      vst1_s16(reinterpret_cast<std::int16_t*>(pairs) + 4 * i, vqmovn_s32(vcvtnq_s32_f32(v.reg[i])));
    }
  }

  struct Line {
    uint8x16_t v[4];
  };
  INFER_INLINE static Line line(const std::byte* p) noexcept {
    return four<Line>([&](int i) noexcept { return vld1q_u8(reinterpret_cast<const std::uint8_t*>(p) + 16 * i); });
  }
  INFER_INLINE static void store_line(Line a, std::byte* p) noexcept {
    for (int i = 0; i < 4; ++i) vst1q_u8(reinterpret_cast<std::uint8_t*>(p) + 16 * i, a.v[i]);
  }
  INFER_INLINE static float32x4_t first_of(uint32x4_t pairs) noexcept { return vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)); }
  INFER_INLINE static float32x4_t second_of(uint32x4_t pairs) noexcept {
    return vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000u)));
  }
  INFER_INLINE static Vector dot_bf16(Line a, std::int32_t pair, Vector sum) noexcept {
    const uint32x4_t x = vreinterpretq_u32_s32(vdupq_n_s32(pair));
    return four<Vector>([&](int i) noexcept {
      const uint32x4_t pairs = vreinterpretq_u32_u8(a.v[i]);
      return vfmaq_f32(vfmaq_f32(sum.reg[i], second_of(pairs), second_of(x)), first_of(pairs), first_of(x));
    });
  }
  INFER_INLINE static Line either(Line a, Line b) noexcept {
    return four<Line>([&](int i) noexcept { return vorrq_u8(a.v[i], b.v[i]); });
  }
  template <int n, int mask>
  INFER_INLINE static Line bits(Line a) noexcept {
    constexpr int kLeft = n > 0 ? 0xff >> n : 0xff << -n & 0xff;   // what shifting leaves
    for (uint8x16_t& v : a.v) {
      if constexpr (n > 0) v = vshrq_n_u8(v, n);
      if constexpr (n < 0) v = vshlq_n_u8(v, -n);
      if constexpr (mask != kLeft) v = vandq_u8(v, vdupq_n_u8(mask));
    }
    return a;
  }
  static constexpr int kSignedOffset = 0;   // dot products take signed codes, as those of 0..63 are too
  INFER_INLINE static Line signed_line(const std::byte* p) noexcept {
    const Line a = line(p);
    return four<Line>([&](int i) noexcept { return veorq_u8(a.v[i], vdupq_n_u8(128)); });
  }
  template <int n>
  INFER_INLINE static Line less(Line a) noexcept {
    return four<Line>([&](int i) noexcept { return vsubq_u8(a.v[i], vdupq_n_u8(n)); });
  }
  INFER_INLINE static Line lookup(Line a, const std::int8_t (&book)[16]) noexcept {
    const uint8x16_t table = vreinterpretq_u8_s8(vld1q_s8(book));
    return four<Line>([&](int i) noexcept { return vqtbl1q_u8(table, a.v[i]); });
  }

  /// Adds up in 32 bits: any number of lines.
  template <int kMax>
  struct Dot {
    static constexpr int kLines = 8;
    Ints t = ints(0);

    INFER_INLINE void add(Line w, std::int32_t x) noexcept {
      const int8x16_t codes = vreinterpretq_s8_s32(vdupq_n_s32(x));
      for (int i = 0; i < 4; ++i) t.v[i] = vdotq_s32(t.v[i], vreinterpretq_s8_u8(w.v[i]), codes);
    }
    INFER_INLINE void begin(Ints sum) noexcept { t = sum; }
    INFER_INLINE Ints sum(Ints) const noexcept { return t; }
    INFER_INLINE Ints plus(Ints sum, Ints scale) const noexcept {
      return four<Ints>([&](int i) noexcept { return vmlaq_s32(sum.v[i], t.v[i], scale.v[i]); });
    }
  };
};

}  // namespace infer::simd
