// SPDX-License-Identifier: MIT
// What the files of the specification (ops/scalar.cpp, ops/scalar_attention.cpp) share: sums of a vector, exponentials.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "libinfer/kernels.h"

namespace infer::scalar {

inline constexpr int kLanes = 16;

/// Sixteen partial sums, added as a tree.
inline float total(const float* lanes) noexcept {
  float s[kLanes];
  std::copy(lanes, lanes + kLanes, s);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) s[l] += s[l + half];
  }
  return s[0];
}

/// x = n ln 2 + r, with |r| <= ln 2 / 2.
struct Reduced {
  float n, r;
};
inline Reduced reduce(float x) noexcept {
  const float n = std::nearbyint(x * kLog2E);
  const float r = std::fma(n, -0x1.62e4p-1f, x);             // ln 2 in two parts: n times the first is exact
  return {n, std::fma(n, -0x1.7f7d1cp-20f, r)};
}

/// e^x: x = n ln 2 + r, the Taylor series of e^r to its seventh power (|r| <= ln 2 / 2: a tenth of an ulp off), times 2^n through
/// the exponent. 0 below -87.33 and infinity above 88.72, where the result would not be a normal number.
inline float exp_of(float x) noexcept {
  if (std::isnan(x)) return x;
  if (x < -87.33f) return 0.0f;
  if (x > 88.72f) return std::numeric_limits<float>::infinity();
  const auto [n, r] = reduce(x);
  float p = 1.0f / 5040.0f;
  for (const float c : {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f}) p = std::fma(p, r, c);
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + static_cast<std::int32_t>(n) * (1 << 23));
}

/// 2^x of x <= 0: x = n + r, a polynomial of 2^r (|r| <= 1/2) with the least largest relative error that is 1 at 0 (9e-8), times 2^n
/// through the exponent. 0 below -126.
inline float exp2_of(float x) noexcept {
  if (std::isnan(x)) return x;
  if (x < -126.0f) return 0.0f;
  const float n = std::nearbyint(x), r = x - n;
  float p = 0x1.5bba14p-10f;
  for (const float c : {0x1.3cea88p-7f, 0x1.c6b752p-5f, 0x1.ebf9bcp-3f, 0x1.62e42ap-1f, 1.0f}) p = std::fma(p, r, c);
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + static_cast<std::int32_t>(n) * (1 << 23));
}

/// e^-x - 1 for x >= 0, with the digits of small x: the series without its 1, r e', and 2^n (1 + r e') - 1. -1 above 87.33.
inline float expm1_of_minus(float x) noexcept {
  if (std::isnan(x)) return x;
  if (x > 87.33f) return -1.0f;
  const auto [n, r] = reduce(-x);
  float p = 1.0f / 5040.0f;
  for (const float c : {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f}) p = std::fma(p, r, c);
  const float power = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) * (1 << 23));   // 2^n
  return std::fma(power, p * r, power - 1.0f);
}

/// tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|), with the sign of x.
inline float tanh_of(float x) noexcept {
  const float t = expm1_of_minus(2.0f * std::fabs(x));
  return std::copysign(-t / (t + 2.0f), x);
}

inline float softcap_of(float x, float cap) noexcept { return cap * tanh_of(x / cap); }

/// Of each KvType: ops/scalar_attention.cpp.
template <KvType type>
void kv_store(const KvStoreArgs& a) noexcept;
template <KvType type>
void attention(const AttentionArgs& a) noexcept;

}  // namespace infer::scalar
