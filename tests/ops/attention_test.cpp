// SPDX-License-Identifier: MIT
// Keys, values and attention of every kernel table and every way to store them: against sums in double, and to the bits of
// the specification for any tokens, heads and pages that go together. A table that joins builtin_kernels() is tested
// without a line here.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ops/ops.h"
#include "ops/quant/half.h"
#include "tests/testing/kernel_tester.h"

namespace infer {
namespace {

using testing::OddBytes;
using testing::Random;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr KvType kTypes[] = {KvType::f32, KvType::f16};

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
int index(KvType type) { return static_cast<int>(type); }

class Attention : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table_ = *GetParam();

  void SetUp() override {
    if (!table_.runs_here()) GTEST_SKIP() << "this machine does not run " << table_.name;
  }
};

INSTANTIATE_TEST_SUITE_P(Tables, Attention, ::testing::ValuesIn(builtin_kernels().begin(), builtin_kernels().end()),
                         [](const auto& test) { return std::string(test.param->name); });

float stored_float(KvType type, const std::byte* page, std::int64_t place) {
  if (type == KvType::f32) {
    float f;
    std::memcpy(&f, page + 4 * place, 4);
    return f;
  }
  std::uint16_t h;
  std::memcpy(&h, page + 2 * place, 2);
  return half_to_float(h);
}

TEST_P(Attention, StoresKeysAndValues) {
  Random random(13);
  for (const std::int64_t n : {1, 2, 15, 16, 17, 33, 257}) {
    std::vector<float> values = random.normals(n, 100.0);
    values[0] = 1e6f;   // infinity as a half
    for (const KvType type : kTypes) {
      for (const std::int64_t slot : {0, 5, 15, 16, 31}) {
        OddBytes keys(values.size() * 4 * kKvPageTokens), plain(values.size() * 4 * kKvPageTokens);
        table_.kv_store[index(type)]({.key = values.data(),
                                      .value = values.data(),
                                      .keys = keys.data(),
                                      .values = plain.data(),
                                      .slot = slot,
                                      .key_dim = n,
                                      .value_dim = n});
        for (std::int64_t i = 0; i < n; ++i) {
          const float v = values[at(i)];
          const float expected = type == KvType::f32 ? v : half_to_float(float_to_half(v));
          ASSERT_EQ(stored_float(type, keys.data(), (slot / 16 * n + i) * 16 + slot % 16), expected);
          ASSERT_EQ(stored_float(type, plain.data(), slot * n + i), expected);
        }
      }
    }
  }
}

/// Keys and values of one head in pages of a pool, stored by the table's own kernel.
class Cache {
 public:
  Cache(const KernelTable& table, KvType type, std::int64_t key_dim, std::int64_t value_dim, std::int64_t n_positions,
        bool scrambled, Random& random)
      : table_(table),
        type_(type),
        keys(random.normals(n_positions * key_dim)),
        values(random.normals(n_positions * value_dim)),
        pages(at((n_positions + kKvPageTokens - 1) / kKvPageTokens + 1)),
        key_page_bytes(page_bytes(key_dim)),
        value_page_bytes(page_bytes(value_dim)),
        key_bytes(pages.size() * key_page_bytes, std::byte{0xff}),   // 0xff: NaN, wherever nothing was stored
        value_bytes(pages.size() * value_page_bytes, std::byte{0xff}) {
    std::iota(pages.begin(), pages.end(), 0);
    if (scrambled) random.shuffle(pages);
    for (std::int64_t pos = 0; pos < n_positions; ++pos) {
      store(pos, std::span(keys).subspan(at(pos * key_dim), at(key_dim)),
            std::span(values).subspan(at(pos * value_dim), at(value_dim)));
    }
    for (std::vector<float>* floats : {&keys, &values}) {
      for (float& v : *floats) v = type == KvType::f16 ? half_to_float(float_to_half(v)) : v;
    }
  }

  void store(std::int64_t pos, std::span<const float> key, std::span<const float> value) {
    const auto page = static_cast<std::size_t>(pages[at(pos / kKvPageTokens)]);
    table_.kv_store[index(type_)]({.key = key.data(),
                                   .value = value.data(),
                                   .keys = key_bytes.data() + page * key_page_bytes,
                                   .values = value_bytes.data() + page * value_page_bytes,
                                   .slot = pos % kKvPageTokens,
                                   .key_dim = static_cast<std::int64_t>(key.size()),
                                   .value_dim = static_cast<std::int64_t>(value.size())});
  }

  AttentionArgs args() const {
    AttentionArgs a{};
    a.keys = key_bytes.data();
    a.values = value_bytes.data();
    a.key_page_bytes = key_page_bytes;
    a.value_page_bytes = value_page_bytes;
    a.pages = pages.data();
    return a;
  }

 private:
  std::size_t size() const { return type_ == KvType::f32 ? 4 : 2; }
  /// Three heads' worth: the head that is read is one of several in a page.
  std::size_t page_bytes(std::int64_t dim) const { return 3 * at(kKvPageTokens * dim) * size(); }

  const KernelTable& table_;
  KvType type_;

 public:
  std::vector<float> keys, values;   ///< as they come back: (n_positions, dim)
  std::vector<std::int32_t> pages;
  std::size_t key_page_bytes, value_page_bytes;
  std::vector<std::byte> key_bytes, value_bytes;
};

/// What is asked of a cache.
struct Question {
  std::vector<float> q;            ///< (tokens, heads, key_dim)
  std::int64_t tokens = 1;
  std::int64_t heads = 1;
  std::int64_t position = 0;       ///< of the first token
  std::int64_t window = 0;
  std::int64_t value_dim = 0;
  float scale = 0.0f;
  float softcap = 0.0f;
  std::int64_t pages_at_once = 1000;
};

/// The answer: (tokens, heads, value_dim).
std::vector<float> attend(const KernelTable& table, KvType type, const Cache& cache, const Question& question) {
  const std::int64_t queries = question.tokens * question.heads;
  std::vector<float> out(at(queries * question.value_dim), kNaN);
  std::vector<AttentionSum> sums(at(queries));
  AttentionArgs a = cache.args();
  a.q = question.q.data();
  a.tokens = question.tokens;
  a.heads = question.heads;
  a.position = question.position;
  a.window = question.window;
  a.key_dim = static_cast<std::int64_t>(question.q.size()) / queries;
  a.value_dim = question.value_dim;
  a.q_stride = a.heads * a.key_dim;
  a.out_stride = a.heads * a.value_dim;
  a.scale = question.scale;
  a.softcap = question.softcap;
  a.sums = sums.data();
  a.out = out.data();
  for (std::int64_t page = a.page_begin(); page < a.page_end(); page += question.pages_at_once) {
    a.first_page = page;
    a.end_page = std::min(page + question.pages_at_once, a.page_end());
    table.attention[index(type)](a);
  }
  return out;
}

/// Of one query over positions first .. last.
Question over(std::int64_t first, std::int64_t last, std::vector<float> q, std::int64_t value_dim, float scale, float softcap = 0.0f) {
  return {.q = std::move(q), .position = last, .window = last - first + 1, .value_dim = value_dim, .scale = scale, .softcap = softcap};
}

/// Query by query from the specification.
std::vector<float> one_by_one(KvType type, const Cache& cache, const Question& all) {
  const auto key_dim = static_cast<std::ptrdiff_t>(all.q.size()) / (all.tokens * all.heads);
  std::vector<float> out;
  for (std::int64_t query = 0; query < all.tokens * all.heads; ++query) {
    Question one = all;
    one.q.assign(all.q.begin() + query * key_dim, all.q.begin() + (query + 1) * key_dim);
    one.tokens = one.heads = 1;
    one.position = all.position + query / all.heads;
    const std::vector<float> answer = attend(kernels_scalar, type, cache, one);
    out.insert(out.end(), answer.begin(), answer.end());
  }
  return out;
}

TEST_P(Attention, GivesTheBitsOfTheSpecificationWhateverGoesTogether) {
  Random random(23);
  struct Shape {
    std::int64_t tokens, heads;
  };
  constexpr Shape kShapes[] = {{1, 1}, {1, 2},  {1, 3},  {1, 5}, {1, 6},  {1, 7},  {1, 8},  {1, 9},  {1, 11}, {1, 12}, {1, 13},
                               {1, 48}, {2, 1}, {48, 1}, {6, 8}, {5, 7}, {13, 2}, {3, 16}, {37, 1}, {4, 12}, {16, 3}};
  for (const KvType type : kTypes) {
    for (const std::int64_t dim : {8, 16, 33, 64, 80, 128}) {
      Cache cache(table_, type, dim, dim, 130, true, random);
      cache.store(129, std::vector<float>(at(dim), 2.0f), std::vector<float>(at(dim), kInfinity));   // for the last token only
      for (const Shape shape : kShapes) {
        Question question{.q = random.normals(shape.tokens * shape.heads * dim, 2.0), .tokens = shape.tokens, .heads = shape.heads,
                          .position = 130 - shape.tokens, .value_dim = dim, .scale = 0.3f};
        for (const std::int64_t window : {0, 1, 7, 50, 90}) {
          question.window = window;
          question.softcap = window == 7 || window == 90 ? 1.5f : 0.0f;
          const std::vector<float> expected = one_by_one(type, cache, question);
          for (const std::int64_t pages : {1000, 1, 3}) {
            question.pages_at_once = pages;
            const std::vector<float> found = attend(table_, type, cache, question);
            ASSERT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end(), testing::same_bits))
                << "type " << index(type) << ", entries " << dim << ", tokens " << shape.tokens << ", heads " << shape.heads
                << ", window " << window << ", pages at once " << pages;
          }
        }
      }
    }
  }
}

TEST_P(Attention, IsNearTheSumsOverScrambledPagesAndWindows) {
  Random random(14);
  struct Range {
    std::int64_t first, last;
  };
  constexpr Range kRanges[] = {{0, 0},   {0, 1},   {0, 30},  {0, 31},  {0, 32},
                               {0, 100}, {31, 31}, {31, 32}, {33, 95}, {64, 130}};
  struct Dims {
    std::int64_t key, value;
  };
  for (const KvType type : kTypes) {
    for (const Dims d : {Dims{2, 1}, Dims{6, 5}, Dims{8, 8}, Dims{64, 64}, Dims{80, 33}, Dims{300, 257}, Dims{1100, 8}}) {
      for (const Range range : kRanges) {
        const Cache cache(table_, type, d.key, d.value, range.last + 1, true, random);
        const std::vector<float> q = random.normals(d.key, 2.0);
        const double scale = 1.0 / std::sqrt(static_cast<double>(d.key));

        const double cap = range.last % 2 == 0 ? 0.0 : 1.25;
        const std::vector<float> out = attend(
            table_, type, cache, over(range.first, range.last, q, d.value, static_cast<float>(scale), static_cast<float>(cap)));

        std::vector<double> weights;
        double sum = 0.0;
        for (std::int64_t pos = range.first; pos <= range.last; ++pos) {
          double score = 0.0;
          for (std::int64_t i = 0; i < d.key; ++i) {
            score += static_cast<double>(q[at(i)]) * static_cast<double>(cache.keys[at(pos * d.key + i)]);
          }
          weights.push_back(std::exp(cap > 0.0 ? cap * std::tanh(score * scale / cap) : score * scale));
          sum += weights.back();
        }
        for (std::int64_t i = 0; i < d.value; ++i) {
          double expected = 0.0;
          for (std::int64_t pos = range.first; pos <= range.last; ++pos) {
            expected += weights[at(pos - range.first)] / sum * static_cast<double>(cache.values[at(pos * d.value + i)]);
          }
          ASSERT_NEAR(static_cast<double>(out[at(i)]), expected, 1e-5)
              << "head sizes " << d.key << " and " << d.value << ", positions " << range.first << ".." << range.last;
        }
      }
    }
  }
}

TEST_P(Attention, GivesTheSameBitsWhereverThePagesLie) {
  for (const KvType type : kTypes) {
    Random one(15), other(15), queries(16);
    const Cache straight(table_, type, 32, 32, 200, false, one), scrambled(table_, type, 32, 32, 200, true, other);
    const Question question = over(5, 199, queries.normals(32), 32, 0.2f);

    EXPECT_NE(straight.pages, scrambled.pages);
    EXPECT_EQ(attend(table_, type, straight, question), attend(table_, type, scrambled, question));
  }
}

TEST_P(Attention, TakesScoresFarBeyondTheRangeOfExp) {
  Random random(17);
  for (const KvType type : kTypes) {
    const Cache cache(table_, type, 32, 32, 50, true, random);
    for (const float scale : {1000.0f, -1000.0f}) {
      for (const float cap : {0.0f, 50.0f}) {
        for (const float v : attend(table_, type, cache, over(0, 49, random.normals(32, 10.0), 32, scale, cap)))
          EXPECT_TRUE(std::isfinite(v));
      }
    }
  }
}

TEST_P(Attention, TakesAnyFloats) {
  constexpr float kHuge = std::numeric_limits<float>::max();
  constexpr float kSpecials[] = {kNaN, kInfinity, -kInfinity, kHuge, -kHuge, std::numeric_limits<float>::denorm_min(), -0.0f};
  Random random(18);
  for (const KvType type : kTypes) {
    Cache cache(table_, type, 32, 32, 50, true, random);
    for (const float special : kSpecials) attend(table_, type, cache, over(0, 49, std::vector<float>(32, special), 32, 0.25f));
    std::fill(cache.key_bytes.begin(), cache.key_bytes.end(), std::byte{0xff});
    EXPECT_TRUE(std::isnan(attend(table_, type, cache, over(0, 49, random.normals(32), 32, 0.25f))[0]));
  }
}

}  // namespace
}  // namespace infer
