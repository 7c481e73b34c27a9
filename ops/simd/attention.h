// SPDX-License-Identifier: MIT
// Attention over pages: scores of sixteen positions at a time, values of sixteen entries at a time; several query heads
// share every load of keys and values. The operations are those of the specification, head by head.
#pragma once

#include "ops/simd/elementwise.h"

namespace infer::simd {

/// Keys and values as they are stored: `load` makes sixteen floats of sixteen neighbours, `one` a float of one.
template <class Isa>
struct StoredF32 {
  static constexpr std::size_t kBytes = 4;
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Lanes<Isa>::load(reinterpret_cast<const float*>(p)); }
  INFER_INLINE static float one(const std::byte* p) noexcept {
    float f;
    __builtin_memcpy(&f, p, 4);
    return f;
  }
  INFER_INLINE static void put(float f, std::byte* p) noexcept { __builtin_memcpy(p, &f, 4); }
};
template <class Isa>
struct StoredF16 {
  static constexpr std::size_t kBytes = 2;
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Isa::load_halves(p); }
  INFER_INLINE static float one(const std::byte* p) noexcept { return Isa::load_half(p); }
  INFER_INLINE static void put(float f, std::byte* p) noexcept { Isa::store_half(f, p); }
};

template <class Isa, class Stored>
void kv_store(const KvStoreArgs& a) noexcept {
  std::byte* key = a.keys + static_cast<std::size_t>(a.slot / kLanes * a.key_dim * kLanes + a.slot % kLanes) * Stored::kBytes;
  for (std::int64_t i = 0; i < a.key_dim; ++i, key += kLanes * Stored::kBytes) Stored::put(a.key[i], key);
  std::byte* value = a.values + static_cast<std::size_t>(a.slot * a.value_dim) * Stored::kBytes;
  for (std::int64_t i = 0; i < a.value_dim; ++i, value += Stored::kBytes) Stored::put(a.value[i], value);
}

inline constexpr int kPageLanes = static_cast<int>(kKvPageTokens) / kLanes;

/// What a head has gathered so far; the weighted values are in its out row.
template <class Isa>
struct Running {
  float largest;
  Lanes<Isa> sums;
};

/// The part of a page that takes part: slots begin .. end - 1.
struct PagePart {
  const std::byte* keys;
  const std::byte* values;
  int begin, end;
};

/// Scores of N heads with a page, as weights relative to the new maximum; updates the running parts.
template <class Isa, class Stored, int N>
INFER_INLINE void weigh(const AttentionArgs& a, const float* q, const PagePart& page, Running<Isa> (&running)[N],
                        float (&weights)[N][kKvPageTokens], float (&shrink)[N]) noexcept {
  Lanes<Isa> scores[N][kPageLanes];
  for (int h = 0; h < N; ++h) {
    for (int part = 0; part < kPageLanes; ++part) scores[h][part] = Lanes<Isa>::of(0.0f);
  }
  const std::size_t line = kLanes * Stored::kBytes, half = static_cast<std::size_t>(a.key_dim) * line;
  for (std::int64_t i = 0; i < a.key_dim; ++i) {
    Lanes<Isa> key[kPageLanes];
    const std::byte* const entry_of_all = page.keys + static_cast<std::size_t>(i) * line;
    for (std::size_t part = 0; part < kPageLanes; ++part) key[part] = Stored::load(entry_of_all + part * half);
    for (int h = 0; h < N; ++h) {
      const Lanes<Isa> entry = Lanes<Isa>::of(q[h * a.key_dim + i]);
      for (int part = 0; part < kPageLanes; ++part) scores[h][part] = fma(entry, key[part], scores[h][part]);
    }
  }
  const Lanes<Isa> scale = Lanes<Isa>::of(a.scale);
  for (int h = 0; h < N; ++h) {
    float* w = weights[h];
    for (int part = 0; part < kPageLanes; ++part) (scores[h][part] * scale).store(w + part * kLanes);
    if (a.softcap > 0.0f) softcap<Isa>(w, kKvPageTokens, a.softcap);   // a call: inlined, it slows models without a cap
    // Slots that take no part score as the lowest that does: they change no maximum.
    for (int slot = 0; slot < page.begin; ++slot) w[slot] = w[page.begin];
    for (int slot = page.end; slot < static_cast<int>(kKvPageTokens); ++slot) w[slot] = w[page.begin];
    Lanes<Isa> most = Lanes<Isa>::load(w);
    for (int part = 1; part < kPageLanes; ++part) most = max(most, Lanes<Isa>::load(w + part * kLanes));
    const float page_largest = largest(most);
    const float now = running[h].largest < page_largest ? page_largest : running[h].largest;
    float before[kLanes] = {running[h].largest - now};
    exp(Lanes<Isa>::load(before)).store(before);
    shrink[h] = before[0];
    running[h].largest = now;
    const Lanes<Isa> top = Lanes<Isa>::of(now);
    for (int part = 0; part < kPageLanes; ++part) exp(Lanes<Isa>::load(w + part * kLanes) - top).store(w + part * kLanes);
    for (int slot = 0; slot < page.begin; ++slot) w[slot] = 0.0f;
    for (int slot = page.end; slot < static_cast<int>(kKvPageTokens); ++slot) w[slot] = 0.0f;
    Lanes<Isa>& sums = running[h].sums;
    sums = sums * Lanes<Isa>::of(shrink[h]);
    for (int part = 0; part < kPageLanes; ++part) sums = sums + Lanes<Isa>::load(w + part * kLanes);
  }
}

/// out = out * shrink + weighted values, positions ascending.
template <class Isa, class Stored, int N>
INFER_INLINE void gather(const AttentionArgs& a, float* out, const PagePart& page, const float (&weights)[N][kKvPageTokens],
                         const float (&shrink)[N]) noexcept {
  const std::size_t row = static_cast<std::size_t>(a.value_dim) * Stored::kBytes;
  std::int64_t i = 0;
  for (; i + kLanes <= a.value_dim; i += kLanes) {
    Lanes<Isa> sum[N];
    for (int h = 0; h < N; ++h) sum[h] = Lanes<Isa>::load(out + h * a.value_dim + i) * Lanes<Isa>::of(shrink[h]);
    const std::byte* value = page.values + static_cast<std::size_t>(page.begin) * row + static_cast<std::size_t>(i) * Stored::kBytes;
    for (int slot = page.begin; slot < page.end; ++slot, value += row) {
      const Lanes<Isa> v = Stored::load(value);
      for (int h = 0; h < N; ++h) sum[h] = fma(Lanes<Isa>::of(weights[h][slot]), v, sum[h]);
    }
    for (int h = 0; h < N; ++h) sum[h].store(out + h * a.value_dim + i);
  }
  for (; i < a.value_dim; ++i) {
    for (int h = 0; h < N; ++h) {
      float sum = out[h * a.value_dim + i] * shrink[h];
      for (int slot = page.begin; slot < page.end; ++slot) {
        const std::byte* value = page.values + static_cast<std::size_t>(slot) * row + static_cast<std::size_t>(i) * Stored::kBytes;
        sum = __builtin_fmaf(weights[h][slot], Stored::one(value), sum);
      }
      out[h * a.value_dim + i] = sum;
    }
  }
}

/// N heads over all pages.
template <class Isa, class Stored, int N>
void attend(const AttentionArgs& a, const float* q, float* out) noexcept {
  Running<Isa> running[N];
  for (int h = 0; h < N; ++h) running[h] = {-__builtin_inff(), Lanes<Isa>::of(0.0f)};
  for (std::int64_t i = 0; i < N * a.value_dim; ++i) out[i] = 0.0f;
  for (std::int64_t p = a.first / kKvPageTokens; p <= a.last / kKvPageTokens; ++p) {
    const std::int64_t start = p * kKvPageTokens;
    const auto place = static_cast<std::size_t>(a.pages[p]);
    const PagePart page{.keys = a.keys + place * a.key_page_bytes,
                        .values = a.values + place * a.value_page_bytes,
                        .begin = static_cast<int>(a.first > start ? a.first - start : 0),
                        .end = static_cast<int>(a.last - start + 1 < kKvPageTokens ? a.last - start + 1 : kKvPageTokens)};
    alignas(64) float weights[N][kKvPageTokens];
    float shrink[N];
    weigh<Isa, Stored, N>(a, q, page, running, weights, shrink);
    gather<Isa, Stored, N>(a, out, page, weights, shrink);
  }
  for (int h = 0; h < N; ++h) {
    const float sum = total(running[h].sums);
    for (std::int64_t i = 0; i < a.value_dim; ++i) out[h * a.value_dim + i] /= sum;
  }
}

template <class Isa, class Stored>
void attention(const AttentionArgs& a) noexcept {
  std::int64_t h = 0;
  for (; h + 8 <= a.heads && Isa::kHeads >= 8; h += 8) attend<Isa, Stored, 8>(a, a.q + h * a.key_dim, a.out + h * a.value_dim);
  for (; h + 4 <= a.heads; h += 4) attend<Isa, Stored, 4>(a, a.q + h * a.key_dim, a.out + h * a.value_dim);
  for (; h + 2 <= a.heads; h += 2) attend<Isa, Stored, 2>(a, a.q + h * a.key_dim, a.out + h * a.value_dim);
  for (; h < a.heads; ++h) attend<Isa, Stored, 1>(a, a.q + h * a.key_dim, a.out + h * a.value_dim);
}

}  // namespace infer::simd
