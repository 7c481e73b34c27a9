// SPDX-License-Identifier: MIT
// Sixteen floats in the compiler's own vectors, for code that every machine runs in the same bits: ops/simd/search.h. Only
// operations that IEEE 754 defines to the bit. `Isa::kRegBytes` is the size of a register. As for the other headers of this folder, all is
// a template over Isa, which lives in an unnamed namespace of its file.
#pragma once

#include <cstdint>

#ifndef INFER_INLINE
#define INFER_INLINE [[gnu::always_inline]] inline
#endif

namespace infer::simd {

template <class Isa>
struct Sixteen {
  static constexpr int kLength = Isa::kRegBytes / 4;
  static constexpr int kRegs = 16 / kLength;
  typedef float Reg __attribute__((vector_size(Isa::kRegBytes)));
  typedef std::int32_t Bits __attribute__((vector_size(Isa::kRegBytes)));
  struct Mask {
    Bits reg[kRegs];
  };
  Reg reg[kRegs];

  INFER_INLINE static Sixteen of(float f) noexcept {
    Sixteen v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = f - Reg{};
    return v;
  }
  INFER_INLINE static Sixteen load(const float* p) noexcept {
    Sixteen v;
    __builtin_memcpy(v.reg, p, sizeof v.reg);
    return v;
  }
  INFER_INLINE void store(float* p) const noexcept { __builtin_memcpy(p, reg, sizeof reg); }

  template <class Op>
  INFER_INLINE static Sixteen each(const Sixteen& a, const Sixteen& b, Op op) noexcept {
    Sixteen v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = op(a.reg[i], b.reg[i]);
    return v;
  }
  INFER_INLINE friend Sixteen operator+(const Sixteen& a, const Sixteen& b) noexcept {
    return each(a, b, [](const Reg& x, const Reg& y) noexcept { return x + y; });
  }
  INFER_INLINE friend Sixteen operator-(const Sixteen& a, const Sixteen& b) noexcept {
    return each(a, b, [](const Reg& x, const Reg& y) noexcept { return x - y; });
  }
  INFER_INLINE friend Sixteen operator*(const Sixteen& a, const Sixteen& b) noexcept {
    return each(a, b, [](const Reg& x, const Reg& y) noexcept { return x * y; });
  }
  INFER_INLINE friend Sixteen operator/(const Sixteen& a, const Sixteen& b) noexcept {
    return each(a, b, [](const Reg& x, const Reg& y) noexcept { return x / y; });
  }
  /// The second where they are no numbers, or zeros of two signs.
  INFER_INLINE friend Sixteen min(const Sixteen& a, const Sixteen& b) noexcept {
    return each(a, b, [](const Reg& x, const Reg& y) noexcept { return x < y ? x : y; });
  }
  INFER_INLINE friend Sixteen max(const Sixteen& a, const Sixteen& b) noexcept {
    return each(a, b, [](const Reg& x, const Reg& y) noexcept { return x > y ? x : y; });
  }
  INFER_INLINE friend Mask operator<(const Sixteen& a, const Sixteen& b) noexcept {
    Mask m;
    for (int i = 0; i < kRegs; ++i) m.reg[i] = a.reg[i] < b.reg[i];
    return m;
  }
  INFER_INLINE friend Sixteen choose(const Mask& m, const Sixteen& a, const Sixteen& b) noexcept {
    Sixteen v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = m.reg[i] ? a.reg[i] : b.reg[i];
    return v;
  }
  INFER_INLINE friend Sixteen abs(const Sixteen& a) noexcept { return max(a, of(0.0f) - a); }
};

/// To the nearest whole number, ties to even, of magnitudes below 2^22.
template <class Isa>
INFER_INLINE Sixteen<Isa> whole(const Sixteen<Isa>& v) noexcept {
  const auto big = Sixteen<Isa>::of(0x1.8p23f);
  return (v + big) - big;
}

/// To a number that a half float has, of those of at most twice the largest half. Dekker's splitting, 11 of 24 bits; below 2^-14, whole 2^-24.
template <class Isa>
INFER_INLINE Sixteen<Isa> to_half(const Sixteen<Isa>& v) noexcept {
  using V = Sixteen<Isa>;
  const V cut = min(max(v, V::of(-65504.0f)), V::of(65504.0f));
  const V scaled = cut * V::of(8193.0f);
  const V normal = scaled - (scaled - cut);
  const V tiny = (cut + V::of(0.75f)) - V::of(0.75f);
  return choose(abs(cut) < V::of(0x1p-14f), tiny, normal);
}

/// 1 / v, and 0 of 0.
template <class Isa>
INFER_INLINE Sixteen<Isa> inverse(const Sixteen<Isa>& v) noexcept {
  using V = Sixteen<Isa>;
  return choose(V::of(0.0f) < abs(v), V::of(1.0f) / v, V::of(0.0f));
}

/// op over each group of `size` lanes, as a tree; every lane of the group gets the result.
template <class Isa, class Op>
INFER_INLINE Sixteen<Isa> over_groups(const Sixteen<Isa>& v, int size, Op op) noexcept {
  alignas(64) float s[16];
  v.store(s);
  for (int first = 0; first < 16; first += size) {
    for (int half = size / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) s[first + l] = op(s[first + l], s[first + l + half]);
    }
    for (int l = 1; l < size; ++l) s[first + l] = s[first];
  }
  return Sixteen<Isa>::load(s);
}
template <class Isa>
INFER_INLINE Sixteen<Isa> group_sum(const Sixteen<Isa>& v, int size) noexcept {
  return over_groups(v, size, [](float a, float b) noexcept { return a + b; });
}
/// The one of largest magnitude.
template <class Isa>
INFER_INLINE Sixteen<Isa> group_extreme(const Sixteen<Isa>& v, int size) noexcept {
  return over_groups(v, size, [](float a, float b) noexcept { return a * a < b * b ? b : a; });
}

}  // namespace infer::simd
