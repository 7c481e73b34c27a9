// SPDX-License-Identifier: MIT
// Attention over pages: a tile of queries, heads and tokens alike, shares every load of keys and values. How these are multiplied
// with is in attention_floats.h and attention_ints.h. The operations on a query are those of the specification, in its order.
// Tested by tests/ops/attention_test.cpp.
#pragma once

#include "ops/simd/attention_floats.h"
#include "ops/simd/attention_ints.h"

namespace infer::simd {

/// What makes weights of scores: integers take them in powers of 2.
template <class Isa, class Stored>
INFER_INLINE Lanes<Isa> power_of(const Lanes<Isa>& falling) noexcept {
  if constexpr (Stored::kInts) return exp2_of_falling(falling);
  return exp_of_falling(falling);
}

/// Scores to weights relative to the new maximum, or to that of the page, for the queries that see it; updates their sums.
template <class Isa, class Stored>
[[gnu::noinline]] void weigh(const AttentionArgs& a, QueryTile<Isa, Stored>& t) noexcept {
  using L = Lanes<Isa>;
  float before[kLanes] = {}, of_page[kLanes] = {}, now[kLanes] = {};
  for (int k = t.from; k < t.to; ++k) {
    float* const w = t.weights[k];
    const L scale = L::of(t.scale[k]);
    L scores[kPageLanes];
    for (int p = 0; p < kPageLanes; ++p) scores[p] = L::load(w + p * kLanes) * scale;
    for (int p = 0; p < kPageLanes; ++p) scores[p].store(w + p * kLanes);
    if (a.softcap > 0.0f || !t.whole) {
      if (a.softcap > 0.0f) softcap<Isa>(w, kPageSlots, a.softcap);
      if constexpr (Stored::kInts) {
        const L unit = L::of(a.softcap > 0.0f ? kLog2E : 1.0f);
        for (int p = 0; p < kPageLanes; ++p) (L::load(w + p * kLanes) * unit).store(w + p * kLanes);
      }
      // Slots that take no part: they change no maximum, and their weights are 0.
      for (int slot = 0; !t.whole && slot < t.begin[k]; ++slot) w[slot] = -__builtin_inff();
      for (int slot = t.end[k]; !t.whole && slot < kPageSlots; ++slot) w[slot] = -__builtin_inff();
      for (int p = 0; p < kPageLanes; ++p) scores[p] = L::load(w + p * kLanes);
    }
    L most = scores[0];
    for (int p = 1; p < kPageLanes; ++p) most = max(most, scores[p]);
    before[k] = t.sums[k].largest;
    of_page[k] = largest(most);
  }
  const L earlier = L::load(before), page = L::load(of_page), later = max(page, earlier);
  later.store(now);
  power_of<Isa, Stored>(earlier - later).store(t.shrink);
  if constexpr (Stored::kInts) power_of<Isa, Stored>(page - later).store(t.fresh);
  for (int k = t.from; k < t.to; ++k) {
    float* const w = t.weights[k];
    AttentionSum& of_query = t.sums[k];
    const L top = L::of(Stored::kInts ? of_page[k] : now[k]);
    L sums = L::load(of_query.weights) * L::of(t.shrink[k]), both = L::of(0.0f);
    for (int p = 0; p < kPageLanes; ++p) {
      const L weights = power_of<Isa, Stored>(L::load(w + p * kLanes) - top);
      weights.store(w + p * kLanes);
      if constexpr (!Stored::kInts) sums = sums + weights;
      if constexpr (Stored::kInts) both = both + weights;
    }
    if constexpr (Stored::kInts) sums = fma(both, L::of(t.fresh[k]), sums);
    of_query.largest = now[k];
    sums.store(of_query.weights);
  }
}

/// A tile and one page.
template <class Isa, class Stored>
void attend(const AttentionArgs& a, QueryTile<Isa, Stored>& t, std::int64_t page) noexcept {
  const std::int64_t place = a.pages[page], next = page + 1 < a.page_end() ? a.pages[page + 1] : place;
  const auto key_bytes = static_cast<std::ptrdiff_t>(a.key_page_bytes), value_bytes = static_cast<std::ptrdiff_t>(a.value_page_bytes);
  const PageData keys{a.keys + place * key_bytes, (next - place) * key_bytes};
  look(t, page * kKvPageTokens);
  if (t.from == t.to) return;
  for (std::int64_t i = 0; i < a.key_dim; i += kStretch) {
    const std::int64_t end = i + kStretch < a.key_dim ? i + kStretch : a.key_dim;
    if (a.key_dim > kStretch) line_up(t, i, end);
    score_page(keys, t, a.key_dim, i, end);
  }
  weigh(a, t);
  gather_page(PageData{a.values + place * value_bytes, (next - place) * value_bytes}, a.value_dim, t);
}

template <class Isa, class Stored>
void attention(const AttentionArgs& a) noexcept {
  QueryTile<Isa, Stored> t;
  const std::int64_t queries = a.tokens * a.heads;
  for (std::int64_t query = 0; query < queries; query += t.n) {
    t.n = static_cast<int>(queries - query < t.kQueries ? queries - query : t.kQueries);
    t.sums = a.sums + query;
    for (int k = 0; k < t.n; ++k) {
      const std::int64_t token = (query + k) / a.heads, head = (query + k) % a.heads;
      t.q[k] = a.q + token * a.q_stride + head * a.key_dim;
      t.out[k] = a.out + token * a.out_stride + head * a.value_dim;
      t.first[k] = a.first_seen(token);
      t.last[k] = a.position + token;
      if (a.first_page > a.page_begin()) continue;
      t.sums[k].largest = -__builtin_inff();
      for (float& sum : t.sums[k].weights) sum = 0.0f;
      for (std::int64_t i = 0; i < a.value_dim; ++i) t.out[k][i] = 0.0f;
    }
    begin_queries(a, t);
    if (a.key_dim <= kStretch) line_up(t, 0, a.key_dim);
    for (std::int64_t page = a.first_page; page < a.end_page; ++page) attend<Isa, Stored>(a, t, page);
    if (a.end_page < a.page_end()) continue;
    for (int k = 0; k < t.n; ++k) {
      const float sum = total(Lanes<Isa>::load(t.sums[k].weights));
      for (std::int64_t i = 0; i < a.value_dim; ++i) t.out[k][i] /= sum;
    }
  }
}

}  // namespace infer::simd
