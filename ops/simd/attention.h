// SPDX-License-Identifier: MIT
// Attention over pages: scores of sixteen positions at a time, values of sixteen entries at a time; a tile of queries, heads
// and tokens alike, shares every load of keys and values. The operations on a query are those of the specification, in its
// order. Tested by tests/ops/attention_test.cpp.
#pragma once

#include "ops/simd/codes.h"
#include "ops/simd/stored.h"

namespace infer::simd {

inline constexpr int kPageSlots = static_cast<int>(kKvPageTokens);
inline constexpr int kPageLanes = kPageSlots / kLanes;

/// Entries of queries that lie side by side; keys that are longer are taken in stretches.
inline constexpr std::int64_t kStretch = 512;

/// Queries that go through the pages together, in the order of their positions.
template <class Isa>
struct QueryTile {
  static_assert(Isa::kQueries <= kLanes, "weigh() has what changes for all of them in one vector");
  int n;
  const float* q[Isa::kQueries];
  float* out[Isa::kQueries];
  AttentionSum* sums;                                  ///< (n)
  std::int64_t first[Isa::kQueries], last[Isa::kQueries];   ///< positions that each sees
  // Of the page at hand:
  int from, to;                                        ///< queries that see it
  bool whole;                                          ///< all of them see all of it
  int begin[Isa::kQueries], end[Isa::kQueries];        ///< or else: slots that each sees
  float shrink[kLanes];
  alignas(64) float weights[Isa::kQueries][kPageSlots];
  alignas(64) float entries[kStretch * Isa::kQueries];   ///< of the queries: (entries, n)
};

/// Puts entries first .. end - 1 of the queries side by side.
template <class Isa>
void line_up(QueryTile<Isa>& t, std::int64_t first, std::int64_t end) noexcept {
  for (int k = 0; k < t.n; ++k) {
    for (std::int64_t i = first; i < end; ++i) t.entries[(i - first) * t.n + k] = t.q[k][i];
  }
}

/// Keys or values of a page, and how far those of the next page are: pages are all over memory, and nothing guesses the next.
struct PageData {
  const std::byte* data;
  std::ptrdiff_t to_next;   ///< 0: there is none

  /// Asks for the bytes of the next page that lie where these do.
  INFER_INLINE void ask_ahead(const std::byte* these, std::size_t bytes) const noexcept {
    if (to_next == 0) return;
    for (std::size_t i = 0; i < bytes; i += kLineBytes) __builtin_prefetch(these + to_next + i);
  }
};

/// Products of N queries with all keys of a page, entries first .. end - 1, added to those of the entries before.
template <class Isa, class Stored, int N>
[[gnu::noinline]] void score(const float* entries, const PageData& keys, std::int64_t key_dim, std::int64_t first,
                             std::int64_t end, float (*scores)[kPageSlots]) noexcept {
  constexpr int kParts = Isa::kKeyLanes;
  const std::size_t part_bytes = kLanes * Stored::bytes(key_dim);
  for (int part = 0; part < kPageLanes; part += kParts) {
    Lanes<Isa> sum[N][kParts];
    unroll<N>([&](auto k) INFER_INLINE_LAMBDA {
      for (int p = 0; p < kParts; ++p) {
        sum[k.value][p] = first == 0 ? Lanes<Isa>::of(0.0f) : Lanes<Isa>::load(scores[k.value] + (part + p) * kLanes);
      }
    });
    const std::byte* const sixteens = keys.data + static_cast<std::size_t>(part) * part_bytes;
    const float* q = entries;
    for (std::int64_t i = first; i < end; i += kLanes) {
      typename Stored::Keys run[kParts];
      for (int p = 0; p < kParts; ++p) {
        const std::byte* const sixteen = sixteens + static_cast<std::size_t>(p) * part_bytes;
        run[p] = Stored::keys(sixteen, i);
        keys.ask_ahead(sixteen + kLanes * Stored::bytes(i), kLanes * (Stored::bytes(i + kLanes) - Stored::bytes(i)));
      }
      const int n = end - i < kLanes ? static_cast<int>(end - i) : kLanes;
      for (int j = 0; j < n; ++j, q += N) {
        Lanes<Isa> key[kParts];
        for (int p = 0; p < kParts; ++p) key[p] = run[p].entry(j);
        unroll<N>([&](auto k) INFER_INLINE_LAMBDA {
          const Lanes<Isa> entry = Lanes<Isa>::of(q[k.value]);
          for (int p = 0; p < kParts; ++p) sum[k.value][p] = fma(entry, key[p], sum[k.value][p]);
        });
      }
    }
    unroll<N>([&](auto k) INFER_INLINE_LAMBDA {
      for (int p = 0; p < kParts; ++p) sum[k.value][p].store(scores[k.value] + (part + p) * kLanes);
    });
  }
}

/// Scores to weights relative to the new maximum, for the queries that see the page; updates their sums.
template <class Isa>
[[gnu::noinline]] void weigh(const AttentionArgs& a, QueryTile<Isa>& t) noexcept {
  using L = Lanes<Isa>;
  const L scale = L::of(a.scale);
  float before[kLanes] = {}, now[kLanes] = {};
  for (int k = t.from; k < t.to; ++k) {
    float* const w = t.weights[k];
    L scores[kPageLanes];
    for (int p = 0; p < kPageLanes; ++p) scores[p] = L::load(w + p * kLanes) * scale;
    for (int p = 0; p < kPageLanes; ++p) scores[p].store(w + p * kLanes);
    if (a.softcap > 0.0f || !t.whole) {
      if (a.softcap > 0.0f) softcap<Isa>(w, kPageSlots, a.softcap);
      // Slots that take no part: they change no maximum, and their weights are 0.
      for (int slot = 0; !t.whole && slot < t.begin[k]; ++slot) w[slot] = -__builtin_inff();
      for (int slot = t.end[k]; !t.whole && slot < kPageSlots; ++slot) w[slot] = -__builtin_inff();
      for (int p = 0; p < kPageLanes; ++p) scores[p] = L::load(w + p * kLanes);
    }
    L most = scores[0];
    for (int p = 1; p < kPageLanes; ++p) most = max(most, scores[p]);
    before[k] = t.sums[k].largest;
    now[k] = largest(most);
  }
  const L earlier = L::load(before), later = max(L::load(now), earlier);
  later.store(now);
  exp_of_falling(earlier - later).store(t.shrink);
  for (int k = t.from; k < t.to; ++k) {
    float* const w = t.weights[k];
    AttentionSum& of_query = t.sums[k];
    const L top = L::of(now[k]);
    L sums = L::load(of_query.weights) * L::of(t.shrink[k]);
    for (int p = 0; p < kPageLanes; ++p) {
      const L weights = exp_of_falling(L::load(w + p * kLanes) - top);
      weights.store(w + p * kLanes);
      sums = sums + weights;
    }
    of_query.largest = now[k];
    sums.store(of_query.weights);
  }
}

/// Values of slots begin .. end - 1 of a page.
struct PageValues : PageData {
  std::int64_t dim;
  int begin, end;
};

/// out += weighted values for N queries and V times sixteen entries from i on, slots ascending.
template <class Isa, class Stored, int N, int V>
INFER_INLINE void gather_lanes(const PageValues& values, std::int64_t i, const float (*weights)[kPageSlots], float* const* out) noexcept {
  const std::size_t row = Stored::bytes(values.dim);
  Lanes<Isa> sum[N][V];
  unroll<N>([&](auto k) INFER_INLINE_LAMBDA {
    for (int v = 0; v < V; ++v) sum[k.value][v] = Lanes<Isa>::load(out[k.value] + i + v * kLanes);
  });
  const std::byte* value = values.data + static_cast<std::size_t>(values.begin) * row;
  for (int slot = values.begin; slot < values.end; ++slot, value += row) {
    Lanes<Isa> entries[V];
    for (int v = 0; v < V; ++v) entries[v] = Stored::value(value, i + v * kLanes);
    values.ask_ahead(value + Stored::bytes(i), Stored::bytes(i + V * kLanes) - Stored::bytes(i));
    unroll<N>([&](auto k) INFER_INLINE_LAMBDA {
      const Lanes<Isa> weight = Lanes<Isa>::of(weights[k.value][slot]);
      for (int v = 0; v < V; ++v) sum[k.value][v] = fma(weight, entries[v], sum[k.value][v]);
    });
  }
  unroll<N>([&](auto k) INFER_INLINE_LAMBDA {
    for (int v = 0; v < V; ++v) sum[k.value][v].store(out[k.value] + i + v * kLanes);
  });
}

/// The same for all entries.
template <class Isa, class Stored, int N>
[[gnu::noinline]] void gather(const PageValues& values, const float (*weights)[kPageSlots], float* const* out) noexcept {
  constexpr int kMost = Isa::kValueLanes;
  std::int64_t i = 0;
  for (; i + kMost * kLanes <= values.dim; i += kMost * kLanes) gather_lanes<Isa, Stored, N, kMost>(values, i, weights, out);
  if constexpr (kMost > 2) {
    for (; i + 2 * kLanes <= values.dim; i += 2 * kLanes) gather_lanes<Isa, Stored, N, 2>(values, i, weights, out);
  }
  if constexpr (kMost > 1) {
    for (; i + kLanes <= values.dim; i += kLanes) gather_lanes<Isa, Stored, N, 1>(values, i, weights, out);
  }
  if constexpr (!Stored::kBlocks) {
    const std::size_t row = Stored::bytes(values.dim);
    for (; i < values.dim; ++i) {
      for (int k = 0; k < N; ++k) {
        float sum = out[k][i];
        for (int slot = values.begin; slot < values.end; ++slot) {
          sum = __builtin_fmaf(weights[k][slot], Stored::one(values.data + static_cast<std::size_t>(slot) * row + Stored::bytes(i)), sum);
        }
        out[k][i] = sum;
      }
    }
  }
}

/// For queries from .. to - 1, in parts of like size that fit the registers.
template <class Isa, class Stored>
INFER_INLINE void gather(PageValues values, const QueryTile<Isa>& t, int from, int to) noexcept {
  constexpr int kMost = Isa::kGathered;
  for (int parts = (to - from + kMost - 1) / kMost; parts > 0; --parts) {
    const int n = (to - from) / parts;
    with_tokens<kMost>(n, [&](auto count) INFER_INLINE_LAMBDA {
      gather<Isa, Stored, count.value>(values, t.weights + from, t.out + from);
    });
    from += n;
    values.to_next = 0;   // asked for
  }
}

/// Finds which queries of the tile see which slots of the page that starts at `start`.
template <class Isa>
INFER_INLINE void look(QueryTile<Isa>& t, std::int64_t start) noexcept {
  t.from = 0;
  t.to = t.n;
  t.whole = t.first[t.n - 1] <= start && t.last[0] >= start + kPageSlots - 1;
  if (t.whole) return;
  const auto slot_of = [&](std::int64_t position) noexcept {
    return static_cast<int>(position < start ? 0 : position > start + kPageSlots ? kPageSlots : position - start);
  };
  for (int k = 0; k < t.n; ++k) {
    t.begin[k] = slot_of(t.first[k]);
    t.end[k] = slot_of(t.last[k] + 1);
  }
  while (t.from < t.to && t.end[t.from] == 0) ++t.from;
  while (t.from < t.to && t.begin[t.to - 1] == kPageSlots) --t.to;
}

/// A tile and one page.
template <class Isa, class Stored>
void attend(const AttentionArgs& a, QueryTile<Isa>& t, std::int64_t page) noexcept {
  const std::int64_t place = a.pages[page], next = page + 1 < a.page_end() ? a.pages[page + 1] : place;
  const auto key_bytes = static_cast<std::ptrdiff_t>(a.key_page_bytes), value_bytes = static_cast<std::ptrdiff_t>(a.value_page_bytes);
  const PageData keys{a.keys + place * key_bytes, (next - place) * key_bytes};
  look(t, page * kKvPageTokens);
  if (t.from == t.to) return;
  for (std::int64_t i = 0; i < a.key_dim; i += kStretch) {
    const std::int64_t end = i + kStretch < a.key_dim ? i + kStretch : a.key_dim;
    if (a.key_dim > kStretch) line_up(t, i, end);
    with_tokens<Isa::kQueries>(t.n, [&](auto n) INFER_INLINE_LAMBDA {
      score<Isa, Stored, n.value>(t.entries, keys, a.key_dim, i, end, t.weights);
    });
  }
  weigh(a, t);
  for (int k = t.from; k < t.to; ++k) {
    if (t.shrink[k] == 1.0f) continue;
    for (std::int64_t i = 0; i < a.value_dim; ++i) t.out[k][i] *= t.shrink[k];
  }
  PageValues values{{a.values + place * value_bytes, (next - place) * value_bytes}, a.value_dim, 0, kPageSlots};
  if (t.whole) return gather<Isa, Stored>(values, t, 0, t.n);
  // Slots that the same queries see go together. What queries see begins and ends later from one to the next.
  int from = t.from, to = t.from;
  for (values.begin = t.begin[t.from]; values.begin < t.end[t.to - 1]; values.begin = values.end) {
    while (t.end[from] <= values.begin) ++from;
    while (to < t.to && t.begin[to] <= values.begin) ++to;
    values.end = to < t.to && t.begin[to] < t.end[from] ? t.begin[to] : t.end[from];
    gather<Isa, Stored>(values, t, from, to);
  }
}

template <class Isa, class Stored>
void attention(const AttentionArgs& a) noexcept {
  QueryTile<Isa> t;
  const std::int64_t queries = a.tokens * a.heads;
  for (std::int64_t query = 0; query < queries; query += t.n) {
    t.n = static_cast<int>(queries - query < Isa::kQueries ? queries - query : Isa::kQueries);
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
