// SPDX-License-Identifier: MIT
// exp(x) for x <= 0 in vectors of 16 bytes: what sampling spends its time on where the vocabulary is large. Every step is one
// rounded IEEE operation, so it has the same bits on every machine, which no C library promises. x = n ln 2 + r with |r| <= ln 2 / 2;
// exp(r) is its Taylor polynomial, whose remainder is below the last place; 2^n is added to the exponent.
// Tested by tests/runtime/samplers_test.cpp against std::exp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace infer {

template <class T>
struct ExpOf;

template <>
struct ExpOf<float> {
  using Bits = std::uint32_t;
  static constexpr std::size_t kDegree = 7;
  static constexpr int kMantissa = 23;
  static constexpr float kLeast = -80.0f;         ///< below it, 0
  static constexpr float kRound = 0x1.8p23f;      ///< added, it leaves the nearest integer in the lowest bits
  static constexpr float kLn2High = 0x1.62ep-1f, kLn2Low = 0x1.0bfbe8p-15f;   ///< n * kLn2High is exact
};

template <>
struct ExpOf<double> {
  using Bits = std::uint64_t;
  static constexpr std::size_t kDegree = 13;
  static constexpr int kMantissa = 52;
  static constexpr double kLeast = -700.0;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
};

template <class T>
using ExpVector [[gnu::vector_size(16)]] = T;
template <class T>
inline constexpr std::size_t kExpLanes = 16 / sizeof(T);

/// 1 / k!
template <class T>
constexpr std::array<T, ExpOf<T>::kDegree + 1> taylor_coefficients() noexcept {
  std::array<T, ExpOf<T>::kDegree + 1> c{};
  double factorial = 1.0;
  for (std::size_t k = 0; k < c.size(); ++k) {
    factorial *= k == 0 ? 1.0 : static_cast<double>(k);
    c[k] = static_cast<T>(1.0 / factorial);
  }
  return c;
}

/// x may be -inf; not above 0, and not NaN.
template <class T>
[[gnu::always_inline]] inline ExpVector<T> exp_not_above_1(ExpVector<T> x) noexcept {
  using Of = ExpOf<T>;
  using Bits [[gnu::vector_size(16)]] = typename Of::Bits;
  constexpr auto kTaylor = taylor_coefficients<T>();
  constexpr T kLog2E = static_cast<T>(1.4426950408889634074);
  const auto counts = x >= Of::kLeast;   // all bits or none
  x = counts ? x : ExpVector<T>{};
  const ExpVector<T> shifted = x * kLog2E + Of::kRound, n = shifted - Of::kRound;
  const ExpVector<T> r = (x - n * Of::kLn2High) - n * Of::kLn2Low;
  ExpVector<T> p = ExpVector<T>{} + kTaylor[Of::kDegree];
  for (std::size_t k = Of::kDegree; k-- > 0;) p = p * r + kTaylor[k];
  const Bits bits = (Bits)p + ((Bits)shifted << Of::kMantissa);   // the bits above n are shifted out
  return (ExpVector<T>)(bits & (Bits)counts);
}

}  // namespace infer
