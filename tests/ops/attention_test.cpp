// SPDX-License-Identifier: MIT
// Keys, values and attention of every kernel table and every way to store them: against sums in double, and to the bits of
// the specification for any tokens, heads and pages that go together. A table that joins builtin_kernels() is tested
// without a line here.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ops/ops.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "tests/testing/kernel_tables.h"
#include "tests/testing/kernel_tester.h"

namespace infer {
namespace {

using testing::OddBytes;
using testing::Random;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kHuge = std::numeric_limits<float>::max();
constexpr KvType kTypes[] = {KvType::f32, KvType::f16, KvType::bf16, KvType::i16, KvType::q8_0, KvType::q4_0};
constexpr DType kDTypes[] = {DType::f32, DType::f16, DType::bf16, DType::i16, DType::q8_0, DType::q4_0};   ///< not i16's
static_assert(std::size(kTypes) == kKvTypeCount);

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
std::size_t index(KvType type) { return static_cast<std::size_t>(type); }

class Attention : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table_ = *GetParam();

  void SetUp() override {
    if (!table_.runs_here()) GTEST_SKIP() << "this machine does not run " << table_.name;
  }
};

INSTANTIATE_TEST_SUITE_P(Tables, Attention, ::testing::ValuesIn(testing::tested_kernels()),
                         [](const auto& test) { return std::string(test.param->name); });

bool has_blocks(KvType type) { return kKvBlocks[index(type)].elems > 1; }

float half_at(const std::byte* p) {
  std::uint16_t h;
  std::memcpy(&h, p, sizeof h);
  return half_to_float(h);
}

/// Entry i of a row of a file of the type.
float row_entry(KvType type, const std::byte* row, std::int64_t i) {
  std::vector<float> floats(at(i / 32 * 32 + 32));
  const std::int64_t n = has_blocks(type) ? i / 32 * 32 + 32 : i + 1;
  const auto format = std::find_if(builtin_quants().begin(), builtin_quants().end(),
                                   [&](const QuantFormat* q) { return q->dtype == kDTypes[index(type)]; });
  (*format)->decode(row, floats.data(), n);
  return floats[at(i)];
}

/// Of i16: scale and codes lie by blocks of 32, the codes of positions or of entries side by side.
float i16_entry(const std::byte* page, std::int64_t slot, std::int64_t i, bool key) {
  const std::byte* const block = page + kv_bytes(KvType::i16, i / 32 * 32 * 32);
  const std::int64_t line = key ? i % 32 / 2 : slot / 2, of_32 = key ? slot : i % 32, of_2 = key ? i % 2 : slot % 2;
  std::int16_t code;
  std::memcpy(&code, block + 64 + line * 128 + of_32 * 4 + of_2 * 2, sizeof code);
  return half_at(block + 2 * slot) / 1024.0f * static_cast<float>(code);
}

/// Entry i of a slot in a page of keys, as KvStoreArgs says.
float key_entry(KvType type, const std::byte* page, std::int64_t slot, std::int64_t i, std::int64_t key_dim) {
  if (type == KvType::i16) return i16_entry(page, slot, i, true);
  const std::int64_t group = slot / 16, place = slot % 16;
  if (!has_blocks(type)) return row_entry(type, page + kv_bytes(type, (group * key_dim + i) * 16 + place), 0);
  const std::byte* const block = page + 16 * (kv_bytes(type, group * key_dim) + kv_bytes(type, i / 32 * 32));
  const std::byte* const lines = block + 32 + place;
  const auto byte = std::to_integer<int>(lines[type == KvType::q8_0 ? i % 32 * 16 : i % 16 * 16]);
  const int code = type == KvType::q8_0 ? static_cast<std::int8_t>(byte) : (i % 32 < 16 ? byte & 15 : byte >> 4) - 8;
  return half_at(block + 2 * place) * static_cast<float>(code);
}
float value_entry(KvType type, const std::byte* page, std::int64_t slot, std::int64_t i, std::int64_t value_dim) {
  if (type == KvType::i16) return i16_entry(page, slot, i, false);
  return row_entry(type, page + kv_bytes(type, slot * value_dim), i);
}

/// Whether `found` is a fair rounding of entry i of x.
bool is_rounding(KvType type, const std::vector<float>& x, std::int64_t i, float found, bool value) {
  const float v = x[at(i)];
  if (type == KvType::f32) return found == v;
  if (type == KvType::f16) return found == half_to_float(float_to_half(v));
  if (type == KvType::bf16) return found == bf16_to_float(float_to_bf16(v));
  float largest = 0.0f;
  const bool all = type == KvType::i16 && value;   // share a scale
  for (std::int64_t c = all ? 0 : i / 32 * 32; c < (all ? static_cast<std::int64_t>(x.size()) : i / 32 * 32 + 32); ++c) largest = std::max(largest, std::fabs(x[at(c)]));
  if (type == KvType::i16) return std::fabs(found - v) <= largest / 8191.0f * 0.5005f + 0x1p-35f;   // scales end at 2^-24
  // q8_0: half a step. q4_0: so, but the end without the code 8 is half a step further away.
  const float step = largest / (type == KvType::q8_0 ? 127.0f : 8.0f);
  return std::fabs(found - v) <= step * (type == KvType::q8_0 ? 0.51f : v == 0.0f ? 0.51f : 1.01f);
}

TEST_P(Attention, StoresKeysAndValues) {
  Random random(13);
  for (const std::int64_t n : {1, 2, 15, 16, 17, 32, 33, 64, 96, 257}) {
    std::vector<float> values = random.normals(n, 100.0);
    values[0] = values[at(n - 1)] * 8.0f;
    for (const KvType type : kTypes) {
      if (has_blocks(type) && n % 32 != 0) continue;
      OddBytes keys(kv_bytes(type, n * kKvPageTokens)), plain(kv_bytes(type, n * kKvPageTokens));
      for (const std::int64_t slot : {0, 8, 5, 15, 16, 31}) {
        table_.kv_store[index(type)]({.key = values.data(),
                                      .value = values.data(),
                                      .keys = keys.data(),
                                      .values = plain.data(),
                                      .slot = slot,
                                      .key_dim = n,
                                      .value_dim = n});
      }
      for (const std::int64_t slot : {0, 8, 5, 15, 16, 31}) {   // nobody wrote over another
        for (std::int64_t i = 0; i < n; ++i) {
          const float key = key_entry(type, keys.data(), slot, i, n);
          const float value = value_entry(type, plain.data(), slot, i, n);
          ASSERT_TRUE(is_rounding(type, values, i, key, false)) << key << " for " << values[at(i)] << ", type " << index(type);
          ASSERT_TRUE(is_rounding(type, values, i, value, true)) << value << " for " << values[at(i)] << ", type " << index(type);
          if (type != KvType::i16) {
            ASSERT_EQ(value, key);
          }
        }
      }
    }
  }
}

TEST_P(Attention, StoresTheBytesOfTheSpecification) {
  Random random(19);
  constexpr float kOdd[] = {kNaN, -kNaN, kInfinity, -kInfinity, kHuge, -kHuge, 0.0f, -0.0f, 1e-9f, -1e-9f, 7e-5f, 3e-7f, 8.4e6f};
  for (const KvType type : kTypes) {
    for (int turn = 0; turn < 400; ++turn) {
      std::vector<float> x = random.normals(64, std::pow(10.0, turn % 12 - 8));
      if (turn % 3 == 1) x[at(turn % 64)] = kOdd[at(turn) % std::size(kOdd)];
      if (turn % 3 == 2) std::fill(x.begin() + turn % 30, x.end(), kOdd[at(turn) % std::size(kOdd)]);
      if (turn % 5 == 0) x[1] = -x[0];   // two largest, perhaps
      OddBytes keys(kv_bytes(type, 64 * kKvPageTokens)), values(keys.size()), same_keys(keys.size()), same_values(keys.size());
      KvStoreArgs args{.key = x.data(), .value = x.data(), .keys = keys.data(), .values = values.data(), .slot = turn % 32,
                       .key_dim = 64, .value_dim = 64};
      table_.kv_store[index(type)](args);
      args.keys = same_keys.data();
      args.values = same_values.data();
      kernels_scalar.kv_store[index(type)](args);
      ASSERT_EQ(std::memcmp(keys.data(), same_keys.data(), keys.size()), 0) << index(type) << ", turn " << turn;
      ASSERT_EQ(std::memcmp(values.data(), same_values.data(), keys.size()), 0) << index(type) << ", turn " << turn;
      for (std::int64_t i = 0; i < 64; ++i) {
        const float found = value_entry(type, values.data(), turn % 32, i, 64);
        ASSERT_TRUE(std::isfinite(x[at(i)]) || !std::isfinite(found)) << "told no more: " << index(type) << ", turn " << turn;
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
    for (std::int64_t pos = 0; pos < n_positions; ++pos) {
      const auto page = static_cast<std::size_t>(pages[at(pos / kKvPageTokens)]);
      const std::int64_t slot = pos % kKvPageTokens;
      for (std::int64_t i = 0; i < key_dim; ++i) {
        keys[at(pos * key_dim + i)] = key_entry(type, key_bytes.data() + page * key_page_bytes, slot, i, key_dim);
      }
      for (std::int64_t i = 0; i < value_dim; ++i) {
        values[at(pos * value_dim + i)] = value_entry(type, value_bytes.data() + page * value_page_bytes, slot, i, value_dim);
      }
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
  /// Three heads' worth: the head that is read is one of several in a page.
  std::size_t page_bytes(std::int64_t dim) const { return 3 * kv_bytes(type_, kKvPageTokens * dim); }

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
  struct Dims {
    std::int64_t key, value;
  };
  constexpr Dims kEveryShape[] = {{33, 33}, {64, 64}, {80, 80}, {96, 96}};
  // Values longer than keys; keys that scores take in two stretches, and in three.
  constexpr Dims kSomeShapes[] = {{96, 160}, {544, 32}, {1056, 64}, {1100, 48}};
  constexpr Shape kSome[] = {{13, 2}, {1, 12}};
  constexpr Shape kShapes[] = {{1, 1}, {1, 2},  {1, 3},  {1, 5}, {1, 6},  {1, 7},  {1, 8},  {1, 9},  {1, 11}, {1, 12}, {1, 13},
                               {1, 48}, {2, 1}, {48, 1}, {6, 8}, {5, 7}, {13, 2}, {3, 16}, {37, 1}, {4, 12}, {16, 3}};
  const auto compare = [&](KvType type, const Dims d, std::span<const Shape> shapes) {
    if (has_blocks(type) && (d.key % 32 != 0 || d.value % 32 != 0)) return;
    Cache cache(table_, type, d.key, d.value, 130, true, random);
    // The last token alone sees an infinity.
    cache.store(129, std::vector<float>(at(d.key), 2.0f), std::vector<float>(at(d.value), kInfinity));
    for (const Shape shape : shapes) {
      Question question{.q = random.normals(shape.tokens * shape.heads * d.key, 2.0), .tokens = shape.tokens,
                        .heads = shape.heads, .position = 130 - shape.tokens, .value_dim = d.value, .scale = 0.3f};
      for (const std::int64_t window : {0, 1, 7, 50}) {
        question.window = window;
        question.softcap = window == 7 ? 1.5f : 0.0f;
        const std::vector<float> expected = one_by_one(type, cache, question);
        for (const std::int64_t pages : {1000, 2}) {
          question.pages_at_once = pages;
          const std::vector<float> found = attend(table_, type, cache, question);
          ASSERT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end(), testing::same_bits))
              << "type " << index(type) << ", entries " << d.key << " and " << d.value << ", tokens " << shape.tokens
              << ", heads " << shape.heads << ", window " << window << ", pages at once " << pages;
        }
      }
    }
  };
  for (const KvType type : kTypes) {
    for (const Dims d : kEveryShape) ASSERT_NO_FATAL_FAILURE(compare(type, d, kShapes));
    for (const Dims d : kSomeShapes) ASSERT_NO_FATAL_FAILURE(compare(type, d, kSome));
  }
}

TEST_P(Attention, TakesTheLargestIntegers) {
  Random random(29);
  constexpr std::int64_t kDim = 64, kPositions = 40;
  std::vector<float> equal(kDim, 2.0f), spike(kDim, 0.0f), signs(kDim, 0.5f);
  spike[37] = 3.0f;
  for (std::size_t i = 0; i < signs.size(); i += 2) signs[i] = -0.5f;
  for (const std::uint16_t garbage : {std::uint16_t{0x7fff}, std::uint16_t{0x8000}}) {   // where nothing was stored
    Cache cache(table_, KvType::i16, kDim, kDim, kPositions, true, random);
    for (std::vector<std::byte>* bytes : {&cache.key_bytes, &cache.value_bytes}) {
      for (std::size_t i = 0; i < bytes->size(); i += 2) std::memcpy(bytes->data() + i, &garbage, 2);
    }
    for (std::int64_t pos = 0; pos < kPositions; ++pos) cache.store(pos, pos % 3 == 0 ? signs : equal, equal);
    for (const std::vector<float>* q : {&equal, &spike, &signs}) {
      for (const float scale : {0.0f, 0.01f, 1.0f}) {
        Question question{.q = {}, .tokens = 3, .heads = 2, .position = kPositions - 3, .value_dim = kDim, .scale = scale};
        for (std::int64_t query = 0; query < 6; ++query) question.q.insert(question.q.end(), q->begin(), q->end());
        const std::vector<float> found = attend(table_, KvType::i16, cache, question);
        ASSERT_EQ(found, one_by_one(KvType::i16, cache, question)) << "scale " << scale;
        for (const float f : found) ASSERT_NEAR(f, 2.0f, 2e-4f) << "scale " << scale;
      }
    }
  }
}

TEST_P(Attention, IsFineBesideLargeValuesThatHaveNoWeight) {
  Random random(31);
  constexpr std::int64_t kDim = 32, kPositions = 32;
  for (const float times : {1.0f, 30.0f, 1000.0f}) {
    Cache cache(table_, KvType::i16, kDim, kDim, kPositions, false, random);
    std::vector<double> expected(kDim), weights;
    const std::vector<float> q = random.normals(kDim, 1.0);
    std::vector<float> opposite = q, large(kDim, times);
    for (float& f : opposite) f *= -1.0f;
    cache.store(5, opposite, large);   // a score that is as low as may be
    const std::vector<float> found = attend(table_, KvType::i16, cache, over(0, kPositions - 1, q, kDim, 0.5f));
    double sum = 0.0;
    for (std::int64_t pos = 0; pos < kPositions; ++pos) {
      double score = 0.0;
      for (std::int64_t i = 0; i < kDim; ++i) {
        score += static_cast<double>(q[at(i)]) * static_cast<double>(pos == 5 ? opposite[at(i)] : cache.keys[at(pos * kDim + i)]);
      }
      weights.push_back(std::exp(0.5 * score));
      sum += weights.back();
      for (std::int64_t i = 0; i < kDim; ++i) {
        expected[at(i)] += weights.back() * static_cast<double>(pos == 5 ? large[at(i)] : cache.values[at(pos * kDim + i)]);
      }
    }
    for (std::int64_t i = 0; i < kDim; ++i) ASSERT_NEAR(static_cast<double>(found[at(i)]), expected[at(i)] / sum, 3e-4) << times;
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
    for (const Dims d : {Dims{2, 1}, Dims{6, 5}, Dims{8, 8}, Dims{64, 64}, Dims{96, 160}, Dims{80, 33}, Dims{300, 257}, Dims{1100, 8},
                         Dims{544, 32}}) {
      if (has_blocks(type) && (d.key % 32 != 0 || d.value % 32 != 0)) continue;
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
          // i16 rounds queries and weights as well.
          ASSERT_NEAR(static_cast<double>(out[at(i)]), expected, type == KvType::i16 ? 2e-4 : 1e-5)
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
