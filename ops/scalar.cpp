// SPDX-License-Identifier: MIT
// THE SPECIFICATION: every entry of KernelTable as the shortest loop that is right. Faster tables are tested against it.
//
// Sums over a row are taken in one stated order, `lanes`: element i goes to partial sum i mod 16, and the 16 partial sums
// are added as a tree. It rounds less than one long sum, a compiler can keep it in vector registers without changing a
// bit, and it does not depend on how many rows or tokens are computed together. docs/numerics.md has the reasons.
// Tested by tests/ops/kernels_test.cpp.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "ops/ops.h"
#include "ops/quant/half.h"

namespace infer {
namespace {

constexpr int kLanes = 16;

struct Lanes {
  float sum[kLanes] = {};

  /// Adds a[i] * b[i]; i continues a multiple of kLanes.
  void add_products(const float* a, const float* b, std::int64_t n) noexcept {
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (int l = 0; l < kLanes; ++l) sum[l] += a[i + l] * b[i + l];
    }
    for (int l = 0; i + l < n; ++l) sum[l] += a[i + l] * b[i + l];
  }

  float total() const noexcept {
    float s[kLanes];
    std::copy(sum, sum + kLanes, s);
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) s[l] += s[l + half];
    }
    return s[0];
  }
};

float dot(const float* a, const float* b, std::int64_t n) noexcept {
  Lanes lanes;
  lanes.add_products(a, b, n);
  return lanes.total();
}

/// The matmul of every weight type: decodes a stretch of a row, multiplies it with a few tokens, goes on. Weights are
/// never expanded further than one stretch.
void matmul(const MatmulArgs& m) noexcept {
  constexpr std::int64_t kStretch = 256;   // a multiple of every block and of kLanes
  constexpr std::int64_t kTokens = 8;
  for (std::int64_t r = 0; r < m.rows; ++r) {
    const std::byte* row = m.weights + static_cast<std::size_t>(r) * m.row_bytes;
    for (std::int64_t t0 = 0; t0 < m.tokens; t0 += kTokens) {
      const std::int64_t n_tokens = std::min(kTokens, m.tokens - t0);
      std::array<Lanes, kTokens> lanes{};
      for (std::int64_t c = 0; c < m.cols; c += kStretch) {
        const std::int64_t n = std::min(kStretch, m.cols - c);
        float weights[kStretch];
        m.decode(row + static_cast<std::size_t>(c) * m.row_bytes / static_cast<std::size_t>(m.cols), weights, n);
        for (std::int64_t t = 0; t < n_tokens; ++t) {
          lanes[static_cast<std::size_t>(t)].add_products(weights, m.x + (t0 + t) * m.x_stride + c, n);
        }
      }
      for (std::int64_t t = 0; t < n_tokens; ++t) {
        const float sum = lanes[static_cast<std::size_t>(t)].total();
        m.y[(t0 + t) * m.y_stride + r] = m.bias == nullptr ? sum : sum + m.bias[r];
      }
    }
  }
}

void rms_norm(const RmsNormArgs& a) noexcept {
  const float mean = dot(a.x, a.x, a.n) / static_cast<float>(a.n);
  const float scale = 1.0f / std::sqrt(mean + a.eps);
  for (std::int64_t i = 0; i < a.n; ++i) a.out[i] = a.x[i] * scale * a.weight[i];
}

/// Pair p of a head is (x[first(p)], x[second(p)]).
template <RopeStyle style>
void rope(const RopeArgs& a) noexcept {
  for (std::int64_t h = 0; h < a.heads; ++h) {
    float* x = a.x + h * a.head_dim;
    for (std::int64_t p = 0; p < a.n_pairs; ++p) {
      const std::int64_t first = style == RopeStyle::interleaved ? 2 * p : p;
      const std::int64_t second = style == RopeStyle::interleaved ? 2 * p + 1 : p + a.n_pairs;
      const float u = x[first], v = x[second];
      x[first] = u * a.cos[p] - v * a.sin[p];
      x[second] = u * a.sin[p] + v * a.cos[p];
    }
  }
}

void silu_mul(const float* gate, const float* up, float* out, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void add(float* x, const float* y, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) x[i] += y[i];
}

/// Reads cached keys or values back, a stretch at a time.
template <KvType type>
void kv_load(const std::byte* src, float* dst, std::int64_t n) noexcept {
  if constexpr (type == KvType::f32) {
    std::memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(float));
  } else {
    for (std::int64_t i = 0; i < n; ++i) {
      std::uint16_t h;
      std::memcpy(&h, src + 2 * i, 2);
      dst[i] = half_to_float(h);
    }
  }
}

template <KvType type>
void kv_store(const float* src, std::byte* dst, std::int64_t n) noexcept {
  if constexpr (type == KvType::f32) {
    std::memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(float));
  } else {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::uint16_t h = float_to_half(src[i]);
      std::memcpy(dst + 2 * i, &h, 2);
    }
  }
}

constexpr std::size_t kv_bytes(KvType type) noexcept { return type == KvType::f32 ? 4 : 2; }

/// Scores, softmax with the largest score subtracted, weighted sum; positions in ascending order throughout.
template <KvType type>
void attention(const AttentionArgs& a) noexcept {
  constexpr std::int64_t kStretch = 256;
  float part[kStretch];
  const auto place = [&](const std::byte* base, std::size_t page_bytes, std::int64_t dim, std::int64_t pos) noexcept {
    return base + static_cast<std::size_t>(a.pages[pos / kKvPageTokens]) * page_bytes +
           static_cast<std::size_t>(pos % kKvPageTokens * dim) * kv_bytes(type);
  };

  float largest = -HUGE_VALF;
  for (std::int64_t pos = a.first; pos <= a.last; ++pos) {
    const std::byte* key = place(a.keys, a.key_page_bytes, a.key_dim, pos);
    Lanes lanes;
    for (std::int64_t i = 0; i < a.key_dim; i += kStretch) {
      const std::int64_t n = std::min(kStretch, a.key_dim - i);
      kv_load<type>(key + static_cast<std::size_t>(i) * kv_bytes(type), part, n);
      lanes.add_products(a.q + i, part, n);
    }
    const float score = lanes.total() * a.scale;
    a.scores[pos - a.first] = score;
    largest = std::max(largest, score);
  }

  float sum = 0.0f;
  for (std::int64_t i = 0; i <= a.last - a.first; ++i) {
    a.scores[i] = std::exp(a.scores[i] - largest);
    sum += a.scores[i];
  }

  std::fill_n(a.out, a.value_dim, 0.0f);
  for (std::int64_t pos = a.first; pos <= a.last; ++pos) {
    const std::byte* value = place(a.values, a.value_page_bytes, a.value_dim, pos);
    const float weight = a.scores[pos - a.first];
    for (std::int64_t i = 0; i < a.value_dim; i += kStretch) {
      const std::int64_t n = std::min(kStretch, a.value_dim - i);
      kv_load<type>(value + static_cast<std::size_t>(i) * kv_bytes(type), part, n);
      for (std::int64_t j = 0; j < n; ++j) a.out[i + j] += weight * part[j];
    }
  }
  for (std::int64_t i = 0; i < a.value_dim; ++i) a.out[i] /= sum;
}

constexpr KernelTable make_table() noexcept {
  KernelTable t{};
  t.name = "scalar";
  for (MatmulFn& f : t.matmul) f = matmul;
  t.attention[static_cast<int>(KvType::f32)] = attention<KvType::f32>;
  t.attention[static_cast<int>(KvType::f16)] = attention<KvType::f16>;
  t.kv_store[static_cast<int>(KvType::f32)] = kv_store<KvType::f32>;
  t.kv_store[static_cast<int>(KvType::f16)] = kv_store<KvType::f16>;
  t.rms_norm = rms_norm;
  t.rope[static_cast<int>(RopeStyle::interleaved)] = rope<RopeStyle::interleaved>;
  t.rope[static_cast<int>(RopeStyle::halves)] = rope<RopeStyle::halves>;
  t.silu_mul = silu_mul;
  t.add = add;
  return t;
}

}  // namespace

constinit const KernelTable kernels_scalar = make_table();

}  // namespace infer
