// SPDX-License-Identifier: MIT
// Tests of src/runtime/kv_cache.cpp.
#include "libinfer/kv_cache.h"

#include <gtest/gtest.h>

#include <set>

#include "src/runtime/kv_kinds.h"

namespace infer {
namespace {

constexpr KvShape kShape{.n_layers = 2, .n_kv_heads = 3, .key_dim = 4, .value_dim = 6, .n_sequences = 2, .context = 70};

struct Fixture {
  Workspace workspace;
  KvCache cache;

  explicit Fixture(const KvShape& shape = kShape) {
    Workspace plan;
    static_cast<void>(KvCache::layout(plan, shape, *builtin_kv_kinds()[0]));
    workspace = std::move(Workspace::carve(plan, *MemoryAccount::create(), {})).value();
    cache = KvCache::layout(workspace, shape, *builtin_kv_kinds()[0]);
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

TEST(KvCache, TruncateGivesPagesBack) {
  Fixture f;
  const SequenceId a = f.cache.open().value();
  ASSERT_TRUE(f.cache.append(a, 70));
  const std::byte* kept = f.place(a, 0, 0, 10).keys;
  f.cache.truncate(a, 33);
  EXPECT_EQ(f.cache.length(a), 33);
  EXPECT_EQ(f.place(a, 0, 0, 10).keys, kept);
  ASSERT_TRUE(f.cache.append(a, 37));
  f.cache.truncate(a, 0);
  EXPECT_EQ(f.cache.length(a), 0);
  EXPECT_TRUE(f.cache.append(a, 70));
}

TEST(KvCache, APlanThatOverflowsIsRefused) {
  Workspace plan;
  const KvShape huge{.n_layers = 1024, .n_kv_heads = 8192, .key_dim = 8192, .value_dim = 8192, .n_sequences = 4096,
                     .context = std::int64_t{1} << 24};
  static_cast<void>(KvCache::layout(plan, huge, *builtin_kv_kinds()[0]));
  EXPECT_TRUE(plan.overflow());
  EXPECT_EQ(Workspace::carve(plan, *MemoryAccount::create(), {}).status().code(), Code::limit);
}

}  // namespace
}  // namespace infer
