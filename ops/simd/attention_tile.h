// SPDX-License-Identifier: MIT
// What the ways to multiply with keys and values share: the tile of queries that goes through the pages, and a page's data.
// Tested by tests/ops/attention_test.cpp.
#pragma once

#include "ops/simd/codes.h"
#include "ops/simd/stored.h"

namespace infer::simd {

inline constexpr int kPageSlots = static_cast<int>(kKvPageTokens);
inline constexpr int kPageLanes = kPageSlots / kLanes;

/// Entries of queries that lie side by side; keys that are longer are taken in stretches.
inline constexpr std::int64_t kStretch = 512;

/// Queries that go through the pages together, in the order of their positions.
template <class Isa, class Stored>
struct QueryTile {
  static constexpr int kQueries = Stored::kInts ? Isa::kIntQueries : Isa::kQueries;
  static_assert(kQueries <= kLanes, "weigh() has what changes for all of them in one vector");
  int n;
  const float* q[kQueries];
  float* out[kQueries];
  AttentionSum* sums;                                  ///< (n)
  std::int64_t first[kQueries], last[kQueries];   ///< positions that each sees
  float scale[kQueries];                          ///< of the sums that are scores
  float inverse[kQueries];                        ///< only of integers: codes are so many times the entries
  // Of the page at hand:
  int from, to;                                        ///< queries that see it
  bool whole;                                          ///< all of them see all of it
  int begin[kQueries], end[kQueries];        ///< or else: slots that each sees
  float shrink[kLanes];                                ///< what was summed before counts so much
  float fresh[kLanes];                                 ///< only of integers: and this page's weights, which are relative to its own maximum
  alignas(64) float weights[kQueries][kPageSlots];
  alignas(64) typename Stored::Entry entries[kStretch * kQueries];   ///< of the queries, as line_up() puts them
};

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

/// Finds which queries of the tile see which slots of the page that starts at `start`.
template <class Tile>
INFER_INLINE void look(Tile& t, std::int64_t start) noexcept {
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

}  // namespace infer::simd
