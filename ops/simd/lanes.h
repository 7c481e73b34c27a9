// SPDX-License-Identifier: MIT
// Sixteen floats, whatever the width of a register: the vector of every kernel in this folder. `Isa` is the struct of
// primitives of an instruction set (ops/isa/*.cpp): an xsimd architecture, and what xsimd has not: fused multiply-adds
// on all of them, halves, dot products of bytes.
//
// Headers of this folder are compiled once for each instruction set. Everything is a template over Isa, which lives in an
// unnamed namespace of its file, so that the linker can never take one file's code for another's; no function of the
// standard library is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "libinfer/kernels.h"

#define INFER_INLINE [[gnu::always_inline]] inline
#define INFER_INLINE_LAMBDA __attribute__((always_inline))

namespace infer::simd {

inline constexpr int kLanes = 16;

template <class Isa>
struct Lanes {
  using Reg = xsimd::batch<float, typename Isa::Arch>;
  static constexpr int kRegs = kLanes / static_cast<int>(Reg::size);
  static constexpr int kRegFloats = static_cast<int>(Reg::size);
  Reg reg[kRegs];

  INFER_INLINE static Lanes of(float f) noexcept {
    Lanes v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = Reg(f);
    return v;
  }
  INFER_INLINE static Lanes load(const float* p) noexcept {
    Lanes v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = Reg::load_unaligned(p + i * kRegFloats);
    return v;
  }
  INFER_INLINE void store(float* p) const noexcept {
    for (int i = 0; i < kRegs; ++i) reg[i].store_unaligned(p + i * kRegFloats);
  }

  /// op on each register of a and b.
  template <class Op>
  INFER_INLINE static Lanes each(const Lanes& a, const Lanes& b, Op op) noexcept {
    Lanes v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = op(a.reg[i], b.reg[i]);
    return v;
  }
  INFER_INLINE friend Lanes operator+(const Lanes& a, const Lanes& b) noexcept {
    return each(a, b, [](Reg x, Reg y) noexcept { return x + y; });
  }
  INFER_INLINE friend Lanes operator-(const Lanes& a, const Lanes& b) noexcept {
    return each(a, b, [](Reg x, Reg y) noexcept { return x - y; });
  }
  INFER_INLINE friend Lanes operator*(const Lanes& a, const Lanes& b) noexcept {
    return each(a, b, [](Reg x, Reg y) noexcept { return x * y; });
  }
  INFER_INLINE friend Lanes operator/(const Lanes& a, const Lanes& b) noexcept {
    return each(a, b, [](Reg x, Reg y) noexcept { return Reg(x.data / y.data); });   // the machine's: xsimd's is another on ARM
  }
  INFER_INLINE friend Lanes abs(const Lanes& a) noexcept {
    Lanes v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = xsimd::abs(a.reg[i]);
    return v;
  }
  /// The second where one is no number.
  INFER_INLINE friend Lanes max(const Lanes& a, const Lanes& b) noexcept {
    return each(a, b, [](Reg x, Reg y) noexcept { return Isa::max(x, y); });
  }
  /// a * b + c, rounded once.
  INFER_INLINE friend Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) noexcept {
    Lanes v;
    for (int i = 0; i < kRegs; ++i) v.reg[i] = Isa::fma(a.reg[i], b.reg[i], c.reg[i]);
    return v;
  }
};

/// The sum as a tree: 8 + 8, 4 + 4, 2 + 2, 1 + 1.
template <class Isa>
INFER_INLINE float total(const Lanes<Isa>& lanes) noexcept {
  typename Lanes<Isa>::Reg sum[Lanes<Isa>::kRegs];
  for (int i = 0; i < Lanes<Isa>::kRegs; ++i) sum[i] = lanes.reg[i];
  for (int half = Lanes<Isa>::kRegs / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) sum[i] = sum[i] + sum[i + half];
  }
  return Isa::total(sum[0]);
}

/// The largest, of numbers.
template <class Isa>
INFER_INLINE float largest(const Lanes<Isa>& lanes) noexcept {
  typename Lanes<Isa>::Reg most = lanes.reg[0];
  for (int i = 1; i < Lanes<Isa>::kRegs; ++i) most = Isa::max(most, lanes.reg[i]);
  return Isa::largest(most);
}

/// x = n ln 2 + r as the specification has it (reduce).
template <class Isa>
struct Reduced {
  typename Lanes<Isa>::Reg n, r;
  INFER_INLINE explicit Reduced(typename Lanes<Isa>::Reg x) noexcept {
    using Reg = typename Lanes<Isa>::Reg;
    n = Isa::nearest(x * Reg(kLog2E));
    r = Isa::fma(n, Reg(-0x1.62e4p-1f), x);
    r = Isa::fma(n, Reg(-0x1.7f7d1cp-20f), r);
  }
};

/// e^x as the specification has it (ops/scalar.cpp, exp_of), operation by operation, where the result is a normal number.
template <class Isa>
INFER_INLINE typename Lanes<Isa>::Reg exp_in_range(typename Lanes<Isa>::Reg x) noexcept {
  using Reg = typename Lanes<Isa>::Reg;
  using Int = xsimd::batch<std::int32_t, typename Isa::Arch>;
  const auto [n, r] = Reduced<Isa>(x);
  Reg p(1.0f / 5040.0f);
  for (const float c : {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f}) p = Isa::fma(p, r, Reg(c));
  return xsimd::bitwise_cast<Reg>(xsimd::bitwise_cast<Int>(p) + (xsimd::to_int(n) << 23));
}

/// e^x of anything.
template <class Isa>
INFER_INLINE Lanes<Isa> exp(const Lanes<Isa>& lanes) noexcept {
  using Reg = typename Lanes<Isa>::Reg;
  Lanes<Isa> result;
  for (int i = 0; i < Lanes<Isa>::kRegs; ++i) {
    const Reg x = lanes.reg[i];
    const Reg above = xsimd::select(x > Reg(88.72f), Reg(__builtin_inff()), exp_in_range<Isa>(x));
    const Reg below = xsimd::select(x < Reg(-87.33f), Reg(0.0f), above);
    result.reg[i] = xsimd::select(x != x, x, below);
  }
  return result;
}

/// 2^x as the specification has it (exp2_of), where the result is a normal number.
template <class Isa>
INFER_INLINE typename Lanes<Isa>::Reg exp2_in_range(typename Lanes<Isa>::Reg x) noexcept {
  using Reg = typename Lanes<Isa>::Reg;
  using Int = xsimd::batch<std::int32_t, typename Isa::Arch>;
  const Reg n = Isa::nearest(x), r = x - n;
  Reg p(0x1.5bba14p-10f);
  for (const float c : {0x1.3cea88p-7f, 0x1.c6b752p-5f, 0x1.ebf9bcp-3f, 0x1.62e42ap-1f, 1.0f}) p = Isa::fma(p, r, Reg(c));
  return xsimd::bitwise_cast<Reg>(xsimd::bitwise_cast<Int>(p) + (xsimd::to_int(n) << 23));
}

/// power(x) of each, 0 below `least`; NaN of what is no number.
template <class Isa, class Power>
INFER_INLINE Lanes<Isa> zero_below(const Lanes<Isa>& lanes, float least, const Power& power) noexcept {
  using Reg = typename Lanes<Isa>::Reg;
  Lanes<Isa> result;
  for (int i = 0; i < Lanes<Isa>::kRegs; ++i) {
    result.reg[i] = xsimd::select(lanes.reg[i] < Reg(least), Reg(0.0f), power(lanes.reg[i]));
  }
  return result;
}

/// e^x of x <= 0.
template <class Isa>
INFER_INLINE Lanes<Isa> exp_of_falling(const Lanes<Isa>& lanes) noexcept {
  return zero_below(lanes, -87.33f, [](typename Lanes<Isa>::Reg x) INFER_INLINE_LAMBDA { return exp_in_range<Isa>(x); });
}

/// 2^x of x <= 0.
template <class Isa>
INFER_INLINE Lanes<Isa> exp2_of_falling(const Lanes<Isa>& lanes) noexcept {
  return zero_below(lanes, -126.0f, [](typename Lanes<Isa>::Reg x) INFER_INLINE_LAMBDA { return exp2_in_range<Isa>(x); });
}

/// e^-x - 1 for x >= 0 as the specification has it (expm1_of_minus).
template <class Isa>
INFER_INLINE Lanes<Isa> expm1_of_minus(const Lanes<Isa>& lanes) noexcept {
  using Reg = typename Lanes<Isa>::Reg;
  using Int = xsimd::batch<std::int32_t, typename Isa::Arch>;
  Lanes<Isa> result;
  for (int i = 0; i < Lanes<Isa>::kRegs; ++i) {
    const Reg x = lanes.reg[i];
    const auto [n, r] = Reduced<Isa>(-x);
    Reg p(1.0f / 5040.0f);
    for (const float c : {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f}) p = Isa::fma(p, r, Reg(c));
    const Reg power = xsimd::bitwise_cast<Reg>((xsimd::to_int(n) + Int(127)) << 23);
    const Reg in_range = Isa::fma(power, p * r, power - Reg(1.0f));
    result.reg[i] = xsimd::select(x != x, x, xsimd::select(x > Reg(87.33f), Reg(-1.0f), in_range));
  }
  return result;
}

/// cap * tanh(x / cap) as the specification has it (softcap_of).
template <class Isa>
INFER_INLINE Lanes<Isa> softcap(const Lanes<Isa>& x, float cap) noexcept {
  using L = Lanes<Isa>;
  const L ratio = x / L::of(cap);
  const L t = expm1_of_minus(L::of(2.0f) * abs(ratio));
  L tanh = (L::of(-0.0f) - t) / (t + L::of(2.0f));
  for (int i = 0; i < L::kRegs; ++i) tanh.reg[i] = xsimd::copysign(tanh.reg[i], ratio.reg[i]);
  return L::of(cap) * tanh;
}

}  // namespace infer::simd
