// SPDX-License-Identifier: MIT
// Norm, rotation, activation, sum: one float after the other, sixteen at a time. What is left over goes one by one through
// the same operations.
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

template <class Isa>
void silu_mul(const float* gate, const float* up, float* out, std::int64_t n) noexcept {
  const Lanes<Isa> one = Lanes<Isa>::of(1.0f), zero = Lanes<Isa>::of(-0.0f);
  const auto silu = [&](const Lanes<Isa>& g, const Lanes<Isa>& u) noexcept { return g / (one + exp(zero - g)) * u; };
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) silu(Lanes<Isa>::load(gate + i), Lanes<Isa>::load(up + i)).store(out + i);
  if (i == n) return;
  float g[kLanes] = {}, u[kLanes] = {};
  for (std::int64_t l = 0; i + l < n; ++l) g[l] = gate[i + l], u[l] = up[i + l];
  silu(Lanes<Isa>::load(g), Lanes<Isa>::load(u)).store(g);
  for (std::int64_t l = 0; i + l < n; ++l) out[i + l] = g[l];
}

template <class Isa>
void add(float* x, const float* y, std::int64_t n) noexcept {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) (Lanes<Isa>::load(x + i) + Lanes<Isa>::load(y + i)).store(x + i);
  for (; i < n; ++i) x[i] += y[i];
}

}  // namespace infer::simd
