// SPDX-License-Identifier: MIT
// Tests of src/runtime/kv_cache.cpp.
#include "libinfer/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "src/runtime/kv_kinds.h"

namespace infer {
namespace {

constexpr KvShape kShape{.n_layers = 2, .n_kv_heads = 3, .key_dim = 4, .value_dim = 6, .n_sequences = 2, .context = 70};

struct Fixture {
  Workspace workspace;
  KvCache cache;

  explicit Fixture(const KvShape& shape = kShape, const std::vector<bool>& local = {}) {
    Workspace plan;
    static_cast<void>(KvCache::layout(plan, shape, local, *builtin_kv_kinds()[0]));
    workspace = std::move(Workspace::carve(plan, *MemoryAccount::create(), {})).value();
    cache = KvCache::layout(workspace, shape, local, *builtin_kv_kinds()[0]);
  }

  KvStoreArgs place(SequenceId seq, std::int64_t layer, std::int64_t head, std::int64_t pos) const {
    KvStoreArgs args{};
    cache.describe(seq, layer, head, pos, args);
    return args;
  }
};

TEST(KvCache, OpensAsManySequencesAsItHas) {
  Fixture f;
  EXPECT_EQ(f.cache.open().value(), 0);
  EXPECT_EQ(f.cache.open().value(), 1);
  EXPECT_EQ(f.cache.open().status().code(), Code::sequence);
  f.cache.close(0);
  EXPECT_EQ(f.cache.open().value(), 0);
}

TEST(KvCache, KnowsWhichIdsAreOpen) {
  Fixture f;
  const SequenceId s = f.cache.open().value();
  EXPECT_TRUE(f.cache.is_open(s));
  EXPECT_FALSE(f.cache.is_open(s + 1));
  EXPECT_FALSE(f.cache.is_open(-1));
  EXPECT_FALSE(f.cache.is_open(2));
}

TEST(KvCache, RefusesMoreThanItsContext) {
  Fixture f;
  const SequenceId s = f.cache.open().value();
  EXPECT_FALSE(f.cache.append(s, 71));
  EXPECT_TRUE(f.cache.append(s, 70));
  EXPECT_FALSE(f.cache.append(s, 1));
  EXPECT_EQ(f.cache.length(s), 70);
}

TEST(KvCache, GivesEveryPositionItsOwnPlace) {
  Fixture f;
  const SequenceId a = f.cache.open().value(), b = f.cache.open().value();
  for (int i = 0; i < 70; ++i) {   // interleaved, so that pages of both alternate
    ASSERT_TRUE(f.cache.append(a, 1));
    ASSERT_TRUE(f.cache.append(b, 1));
  }
  std::set<const std::byte*> keys, values;
  for (SequenceId s : {a, b}) {
    for (int layer = 0; layer < 2; ++layer) {
      for (int head = 0; head < 3; ++head) {
        for (int pos = 0; pos < 70; ++pos) {
          const KvStoreArgs place = f.place(s, layer, head, pos);
          EXPECT_EQ(place.slot, pos % kKvPageTokens);
          keys.insert(place.keys);
          values.insert(place.values);
        }
      }
    }
  }
  // Two sequences of three pages, two layers, three heads: each its own part, a page of 4 or 6 halves from the next.
  EXPECT_EQ(keys.size(), 36u);
  EXPECT_EQ(values.size(), 36u);
  for (auto it = std::next(keys.begin()); it != keys.end(); ++it) EXPECT_GE(*it - *std::prev(it), 8 * kKvPageTokens);
  for (auto it = std::next(values.begin()); it != values.end(); ++it) EXPECT_GE(*it - *std::prev(it), 12 * kKvPageTokens);
}

TEST(KvCache, DescribesTheSamePlacesToKernels) {
  Fixture f;
  const SequenceId s = f.cache.open().value();
  ASSERT_TRUE(f.cache.append(s, 70));
  AttentionArgs args{};
  f.cache.describe(s, 1, 2, args);
  for (std::size_t pos : {0u, 31u, 32u, 69u}) {
    const std::size_t page = static_cast<std::size_t>(args.pages[pos / kKvPageTokens]);
    const KvStoreArgs place = f.place(s, 1, 2, static_cast<std::int64_t>(pos));
    EXPECT_EQ(args.keys + page * args.key_page_bytes, place.keys);
    EXPECT_EQ(args.values + page * args.value_page_bytes, place.values);
  }
}

TEST(KvCache, ForgetsWhatWasNotCommitted) {
  Fixture f;
  const SequenceId a = f.cache.open().value();
  ASSERT_TRUE(f.cache.append(a, 33));
  f.cache.commit(a);
  const std::byte* kept = f.place(a, 0, 0, 10).keys;
  ASSERT_TRUE(f.cache.append(a, 30));
  ASSERT_TRUE(f.cache.append(a, 7));
  f.cache.roll_back(a);
  EXPECT_EQ(f.cache.length(a), 33);
  EXPECT_EQ(f.place(a, 0, 0, 10).keys, kept);
  ASSERT_TRUE(f.cache.append(a, 37));
  f.cache.commit(a);
  f.cache.clear(a);
  EXPECT_EQ(f.cache.length(a), 0);
  EXPECT_TRUE(f.cache.append(a, 70));
}

// ---- layers with a window

/// Three layers, the middle one sees everything.
constexpr KvShape kWindowed{.n_layers = 3, .n_kv_heads = 1, .key_dim = 4, .value_dim = 4, .n_sequences = 2, .context = 2000,
                            .window = 40, .batch = 50};
const std::vector<bool> kLocal = {true, false, true};

/// Bytes that a workspace is planned to have.
std::uint64_t planned(const KvShape& shape, const std::vector<bool>& local) {
  Workspace plan;
  static_cast<void>(KvCache::layout(plan, shape, local, *builtin_kv_kinds()[0]));
  return plan.use()[MemoryClass::kv];
}

TEST(KvCache, PlansTheWindowForLayersThatHaveOne) {
  KvShape shape = kWindowed;
  const std::uint64_t page = 2 * 4 * kKvPageTokens * kv_bytes(builtin_kv_kinds()[0]->type, 1);   // keys and values of a layer
  const std::uint64_t all = planned(shape, {}), local = planned(shape, kLocal);
  // 63 pages a sequence; with a window of 40: two or three pages, and four for what is being fed.
  EXPECT_NEAR(static_cast<double>(all), static_cast<double>(page * 3 * 2 * 63), 2000.0);
  EXPECT_NEAR(static_cast<double>(local), static_cast<double>(page * (2 * 63 + 2 * (2 * 3 + 4))), 2000.0);
  shape.context = 100000;
  EXPECT_NEAR(static_cast<double>(planned(shape, {true, true, true})), static_cast<double>(page * 3 * (2 * 3 + 4)), 60000.0);
  shape.context = 30;   // less than the window
  EXPECT_EQ(planned(shape, {true, true, true}), planned(shape, {}));
}

/// Writes the position into the first byte of each key of a layer.
void write(const Fixture& f, SequenceId seq, std::int64_t layer, std::int64_t first, std::int64_t end) {
  for (std::int64_t pos = first; pos < end; ++pos) {
    const KvStoreArgs args = f.place(seq, layer, 0, pos);
    args.keys[args.slot] = static_cast<std::byte>(pos * 7 + layer * 31 + seq * 101);
  }
}

/// Whether each layer still has what was written at the positions that a query at `at` sees.
void expect_seen(const Fixture& f, SequenceId seq, std::int64_t at) {
  for (std::int64_t layer = 0; layer < 3; ++layer) {
    const std::int64_t first = layer == 1 ? 0 : std::max<std::int64_t>(0, at - 40 + 1);
    AttentionArgs seen{};
    f.cache.describe(seq, layer, 0, seen);
    for (std::int64_t pos = first; pos < at; ++pos) {
      ASSERT_GE(seen.pages[pos / kKvPageTokens], 0) << "position " << pos << " of layer " << layer << " at " << at;
      const KvStoreArgs args = f.place(seq, layer, 0, pos);
      ASSERT_EQ(args.keys[args.slot], static_cast<std::byte>(pos * 7 + layer * 31 + seq * 101)) << pos << ", " << layer;
    }
  }
}

void append(Fixture& f, SequenceId seq, std::int64_t n) {
  const std::int64_t before = f.cache.length(seq);
  expect_seen(f, seq, before);
  ASSERT_TRUE(f.cache.append(seq, n)) << n << " at " << before;
  expect_seen(f, seq, before);
  for (std::int64_t layer = 0; layer < 3; ++layer) write(f, seq, layer, before, before + n);
}

TEST(KvCache, KeepsWhatAWindowSees) {
  Fixture f(kWindowed, kLocal);
  const SequenceId a = f.cache.open().value(), b = f.cache.open().value();
  std::int64_t n = 1;
  while (f.cache.length(a) + 60 < 2000) {   // pieces of 1 to 50, one sequence beside the other
    append(f, a, n);
    f.cache.commit(a);
    append(f, b, n);
    f.cache.commit(b);
    n = n % 50 + 7;
    n = std::min<std::int64_t>(n, 50);
  }
}

TEST(KvCache, GoesBackPastAWindowThatWasFed) {
  Fixture f(kWindowed, kLocal);
  const SequenceId a = f.cache.open().value();
  for (const std::int64_t held : {std::int64_t{0}, std::int64_t{5}, std::int64_t{32}, std::int64_t{39}, std::int64_t{40},
                                  std::int64_t{64}, std::int64_t{129}, std::int64_t{700}}) {
    f.cache.clear(a);
    while (f.cache.length(a) < held) append(f, a, std::min<std::int64_t>(50, held - f.cache.length(a)));
    f.cache.commit(a);
    for (int round = 0; round < 3; ++round) {
      for (int batch = 0; batch < 20; ++batch) append(f, a, 50);   // many windows on
      f.cache.roll_back(a);
      ASSERT_EQ(f.cache.length(a), held);
      expect_seen(f, a, held);
    }
    append(f, a, 3);
    f.cache.commit(a);
    expect_seen(f, a, held + 3);
  }
}

TEST(KvCache, CutsWhereTheWindowIsStillHeld) {
  Fixture f(kWindowed, kLocal);
  const SequenceId a = f.cache.open().value();
  for (const std::int64_t held : {std::int64_t{5}, std::int64_t{64}, std::int64_t{130}, std::int64_t{700}}) {
    for (std::int64_t cut = held; cut >= 0; cut = cut == 0 ? -1 : cut - std::min<std::int64_t>(cut, 7)) {
      f.cache.clear(a);
      while (f.cache.length(a) < held) append(f, a, std::min<std::int64_t>(50, held - f.cache.length(a)));
      f.cache.commit(a);
      const auto first_page = [](std::int64_t n) { return std::max<std::int64_t>(0, n - kWindowed.window + 1) / kKvPageTokens; };
      const bool done = f.cache.cut(a, cut);
      EXPECT_EQ(done, cut == 0 || first_page(cut) == first_page(held)) << cut << " of " << held;
      ASSERT_EQ(f.cache.length(a), done ? cut : held);
      expect_seen(f, a, f.cache.length(a));
      append(f, a, 3);
      f.cache.roll_back(a);
      ASSERT_EQ(f.cache.length(a), done ? cut : held);
      expect_seen(f, a, f.cache.length(a));
    }
  }
}

TEST(KvCache, HasRoomForAFullStepOfAllSequencesAndAFeed) {
  KvShape shape = kWindowed;
  shape.n_sequences = 5;
  Fixture f(shape, kLocal);
  for (SequenceId s = 0; s < 5; ++s) ASSERT_EQ(f.cache.open().value(), s);
  for (int round = 0; round < 4; ++round) {
    for (SequenceId s = 0; s < 5; ++s) {
      for (int batch = 0; batch < 3; ++batch) append(f, s, 50 - batch - s);
      f.cache.commit(s);
    }
    for (int step = 0; step < 70; ++step) {
      for (SequenceId s = 0; s < 5; ++s) append(f, s, 1);
      for (SequenceId s = 0; s < 5; ++s) step % 3 == 0 ? f.cache.roll_back(s) : f.cache.commit(s);
    }
  }
}

TEST(KvCache, APlanThatOverflowsIsRefused) {
  Workspace plan;
  const KvShape huge{.n_layers = 1024, .n_kv_heads = 8192, .key_dim = 8192, .value_dim = 8192, .n_sequences = 4096,
                     .context = std::int64_t{1} << 24};
  static_cast<void>(KvCache::layout(plan, huge, {}, *builtin_kv_kinds()[0]));
  EXPECT_TRUE(plan.overflow());
  EXPECT_EQ(Workspace::carve(plan, *MemoryAccount::create(), {}).status().code(), Code::limit);
}

}  // namespace
}  // namespace infer
