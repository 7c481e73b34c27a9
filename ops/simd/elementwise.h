// SPDX-License-Identifier: MIT
// Norms, rotation, activations, sums: one float after the other, sixteen at a time. What is left over goes one by one, or
// beside zeros, through the same operations.
#pragma once

#include "ops/simd/lanes.h"

namespace infer::simd {

template <class Isa>
void rms_norm(const RmsNormArgs& a) noexcept {
  Lanes<Isa> squares = Lanes<Isa>::of(0.0f);
  std::int64_t i = 0;
  for (; i + kLanes <= a.n; i += kLanes) {
    const Lanes<Isa> x = Lanes<Isa>::load(a.x + i);
    squares = fma(x, x, squares);
  }
  float lanes[kLanes];
  squares.store(lanes);
  for (int l = 0; i + l < a.n; ++l) lanes[l] = __builtin_fmaf(a.x[i + l], a.x[i + l], lanes[l]);
  const float mean = total(Lanes<Isa>::load(lanes)) / static_cast<float>(a.n);
  const float scale = 1.0f / __builtin_sqrtf(mean + a.eps);
  const Lanes<Isa> scales = Lanes<Isa>::of(scale);
  for (i = 0; i + kLanes <= a.n; i += kLanes) {
    (Lanes<Isa>::load(a.x + i) * scales * Lanes<Isa>::load(a.weight + i)).store(a.out + i);
  }
  for (; i < a.n; ++i) a.out[i] = a.x[i] * scale * a.weight[i];
}

template <class Isa>
void layer_norm(const LayerNormArgs& a) noexcept {
  using L = Lanes<Isa>;
  float lanes[kLanes];
  const std::int64_t whole = a.n / kLanes * kLanes;
  L sums = L::of(0.0f);
  for (std::int64_t i = 0; i < whole; i += kLanes) sums = sums + L::load(a.x + i);
  sums.store(lanes);
  for (std::int64_t i = whole; i < a.n; ++i) lanes[i - whole] += a.x[i];
  const float mean = total(L::load(lanes)) / static_cast<float>(a.n);
  const L means = L::of(mean);
  L squares = L::of(0.0f);
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    const L rest = L::load(a.x + i) - means;
    squares = fma(rest, rest, squares);
  }
  squares.store(lanes);
  for (std::int64_t i = whole; i < a.n; ++i) lanes[i - whole] = __builtin_fmaf(a.x[i] - mean, a.x[i] - mean, lanes[i - whole]);
  const float scale = 1.0f / __builtin_sqrtf(total(L::load(lanes)) / static_cast<float>(a.n) + a.eps);
  const L scales = L::of(scale);
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    const L z = (L::load(a.x + i) - means) * scales, weight = L::load(a.weight + i);
    (a.bias == nullptr ? z * weight : fma(z, weight, L::load(a.bias + i))).store(a.out + i);
  }
  for (std::int64_t i = whole; i < a.n; ++i) {
    const float z = (a.x[i] - mean) * scale;
    a.out[i] = a.bias == nullptr ? z * a.weight[i] : __builtin_fmaf(z, a.weight[i], a.bias[i]);
  }
}

/// u and v are the two halves of pairs.
template <class Isa>
void rope_halves(const RopeArgs& a) noexcept {
  for (std::int64_t h = 0; h < a.heads; ++h) {
    float* u = a.x + h * a.head_dim;
    float* v = u + a.n_pairs;
    std::int64_t p = 0;
    for (; p + kLanes <= a.n_pairs; p += kLanes) {
      const Lanes<Isa> x = Lanes<Isa>::load(u + p), y = Lanes<Isa>::load(v + p);
      const Lanes<Isa> cosines = Lanes<Isa>::load(a.cos + p), sines = Lanes<Isa>::load(a.sin + p);
      (x * cosines - y * sines).store(u + p);
      (x * sines + y * cosines).store(v + p);
    }
    for (; p < a.n_pairs; ++p) {
      const float x = u[p], y = v[p];
      u[p] = x * a.cos[p] - y * a.sin[p];
      v[p] = x * a.sin[p] + y * a.cos[p];
    }
  }
}

/// A plain loop: compilers know the shuffles of neighbours.
template <class Isa>
void rope_interleaved(const RopeArgs& a) noexcept {
  const float* __restrict cosines = a.cos;
  const float* __restrict sines = a.sin;
  for (std::int64_t h = 0; h < a.heads; ++h) {
    float* __restrict x = a.x + h * a.head_dim;
    for (std::int64_t p = 0; p < a.n_pairs; ++p) {
      const float u = x[2 * p], v = x[2 * p + 1];
      x[2 * p] = u * cosines[p] - v * sines[p];
      x[2 * p + 1] = u * sines[p] + v * cosines[p];
    }
  }
}

/// out[i] = fn(x[i], y[i]), sixteen at a time.
template <class Isa, class Fn>
INFER_INLINE void each(const float* x, const float* y, float* out, std::int64_t n, const Fn& fn) noexcept {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) fn(Lanes<Isa>::load(x + i), Lanes<Isa>::load(y + i)).store(out + i);
  if (i == n) return;
  float a[kLanes] = {}, b[kLanes] = {};
  for (std::int64_t l = 0; i + l < n; ++l) a[l] = x[i + l], b[l] = y[i + l];
  fn(Lanes<Isa>::load(a), Lanes<Isa>::load(b)).store(a);
  for (std::int64_t l = 0; i + l < n; ++l) out[i + l] = a[l];
}

template <class Isa, Activation kind>
INFER_INLINE Lanes<Isa> activation_of(const Lanes<Isa>& z) noexcept {
  using L = Lanes<Isa>;
  const L one = L::of(1.0f);
  if constexpr (kind == Activation::silu) {
    return z / (one + exp(L::of(-0.0f) - z));
  } else {
    const L u = fma(z * z, z * L::of(0.044715f), z);
    return z / (one + exp(u * L::of(-1.5957691216f)));
  }
}

template <class Isa, Activation kind>
void activation(float* x, std::int64_t n) noexcept {
  each<Isa>(x, x, x, n, [](const Lanes<Isa>& z, const Lanes<Isa>&) noexcept { return activation_of<Isa, kind>(z); });
}

template <class Isa, Activation kind>
void gated(const float* gate, const float* up, float* out, std::int64_t n) noexcept {
  each<Isa>(gate, up, out, n,
            [](const Lanes<Isa>& g, const Lanes<Isa>& u) noexcept { return activation_of<Isa, kind>(g) * u; });
}

template <class Isa>
void softcap(float* x, std::int64_t n, float cap) noexcept {
  each<Isa>(x, x, x, n, [&](const Lanes<Isa>& v, const Lanes<Isa>&) noexcept { return softcap(v, cap); });
}

template <class Isa>
void add(float* x, const float* y, std::int64_t n) noexcept {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) (Lanes<Isa>::load(x + i) + Lanes<Isa>::load(y + i)).store(x + i);
  for (; i < n; ++i) x[i] += y[i];
}

template <class Isa>
void add_scaled(float* x, const float* y, float factor, std::int64_t n) noexcept {
  const Lanes<Isa> factors = Lanes<Isa>::of(factor);
  each<Isa>(y, x, x, n, [&](const Lanes<Isa>& v, const Lanes<Isa>& sum) noexcept { return fma(factors, v, sum); });
}

}  // namespace infer::simd
