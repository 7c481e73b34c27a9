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
  static constexpr int kTileTokens = 4;
  static constexpr int kHeads = 4;

  INFER_INLINE static Reg fma(Reg a, Reg b, Reg c) noexcept { return vfmaq_f32(c, a, b); }
  INFER_INLINE static Reg max(Reg a, Reg b) noexcept { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  INFER_INLINE static Reg nearest(Reg a) noexcept { return vrndnq_f32(a); }

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
  INFER_INLINE static float load_half(const std::byte* p) noexcept {
    __fp16 h;
    __builtin_memcpy(&h, p, 2);
    return static_cast<float>(h);
  }
  INFER_INLINE static void store_half(float f, std::byte* p) noexcept {
    const __fp16 h = static_cast<__fp16>(f);
    __builtin_memcpy(p, &h, 2);
  }

  INFER_INLINE static std::uint32_t largest_magnitude(const float* x) noexcept {
    uint32x4_t most = vdupq_n_u32(0);
    for (int i = 0; i < 8; ++i) {
      most = vmaxq_u32(most, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + 4 * i)), vdupq_n_u32(0x7fffffff)));
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

  struct Ints {
    int32x4_t v[4];
  };
  INFER_INLINE static Ints ints(std::int32_t n) noexcept {
    return four<Ints>([&](int) noexcept { return vdupq_n_s32(n); });
  }
  INFER_INLINE static Ints load_ints(const std::int16_t* p) noexcept {
    return four<Ints>([&](int i) noexcept { return vreinterpretq_s32_s16(vld1q_s16(p + 8 * i)); });
  }
  INFER_INLINE static Ints minus(Ints a) noexcept {
    return four<Ints>([&](int i) noexcept { return vnegq_s32(a.v[i]); });
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

  struct Line {
    uint8x16_t v[4];
  };
  INFER_INLINE static Line line(const std::byte* p) noexcept {
    return four<Line>([&](int i) noexcept { return vld1q_u8(reinterpret_cast<const std::uint8_t*>(p) + 16 * i); });
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
    INFER_INLINE Ints plus(Ints sum) const noexcept {
      return four<Ints>([&](int i) noexcept { return vaddq_s32(sum.v[i], t.v[i]); });
    }
    INFER_INLINE Ints plus(Ints sum, Ints scale) const noexcept {
      return four<Ints>([&](int i) noexcept { return vmlaq_s32(sum.v[i], t.v[i], scale.v[i]); });
    }
  };
  template <int sub, int subs>
  INFER_INLINE static Ints sub_scale(const std::int16_t* pairs) noexcept {
    const Ints a = load_ints(pairs);
    return four<Ints>([&](int i) noexcept { return vshrq_n_s32(sub == 0 && subs == 2 ? vshlq_n_s32(a.v[i], 16) : a.v[i], 16); });
  }
};

}  // namespace infer::simd
