// SPDX-License-Identifier: MIT
// Attention where keys and values are floats, or become floats when they are read: scores of sixteen positions at a time, values
// of sixteen entries at a time. Tested by tests/ops/attention_test.cpp.
#pragma once

#include "ops/simd/attention_tile.h"

namespace infer::simd {

/// Before the first page.
template <class Isa, class Stored>
void begin_queries(const AttentionArgs& a, QueryTile<Isa, Stored>& t) noexcept {
  for (int k = 0; k < t.n; ++k) t.scale[k] = a.scale;
}

/// Puts entries first .. end - 1 of the queries side by side.
template <class Isa, class Stored>
void line_up(QueryTile<Isa, Stored>& t, std::int64_t first, std::int64_t end) noexcept {
  for (int k = 0; k < t.n; ++k) {
    for (std::int64_t i = first; i < end; ++i) t.entries[(i - first) * t.n + k] = t.q[k][i];
  }
}

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

/// Scores of all keys of a page, entries first .. end - 1.
template <class Isa, class Stored>
INFER_INLINE void score_page(const PageData& keys, QueryTile<Isa, Stored>& t, std::int64_t key_dim, std::int64_t first, std::int64_t end) noexcept {
  with_tokens<Isa::kQueries>(t.n, [&](auto n) INFER_INLINE_LAMBDA {
    score<Isa, Stored, n.value>(t.entries, keys, key_dim, first, end, t.weights);
  });
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
INFER_INLINE void gather(PageValues values, const QueryTile<Isa, Stored>& t, int from, int to) noexcept {
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

/// What was summed before to the new maximum, and the weighted values of a page.
template <class Isa, class Stored>
INFER_INLINE void gather_page(const PageData& page, std::int64_t value_dim, const QueryTile<Isa, Stored>& t) noexcept {
  for (int k = t.from; k < t.to; ++k) {
    if (t.shrink[k] == 1.0f) continue;
    for (std::int64_t i = 0; i < value_dim; ++i) t.out[k][i] *= t.shrink[k];
  }
  PageValues values{page, value_dim, 0, kPageSlots};
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

}  // namespace infer::simd
