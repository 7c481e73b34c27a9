// SPDX-License-Identifier: MIT
// The search for scales: every build of it gives the same bits, and what it gives is what the types can store.
#include "ops/quant/search.h"

#include <cmath>
#include <cstring>
#include <memory>

#include <gtest/gtest.h>

#include "ops/quant/codebooks.h"
#include "ops/quant/half.h"
#include "tests/testing/random.h"

namespace infer {
namespace {

using testing::Random;

constexpr SearchRule kRules[] = {
    {.subs = 1, .cols = 32, .least = -8, .most = 7, .reach = {0.9f, 1.5f, 13}},
    {.subs = 1, .cols = 256, .least = -1, .most = 1, .reach = {1.0f, 5.0f, 9}},
    {.subs = 1, .cols = 32, .least = 0, .most = 31, .reach = {-0.02f, 0.06f, 4}, .has_mins = true},
    {.subs = 1, .cols = 32, .least = -127, .most = 113, .reach = {0.9f, 1.4f, 5}, .book = kIq4Codebook},
    {.subs = 8, .cols = 32, .least = -127, .most = 113, .reach = {0.9f, 1.4f, 5}, .book = kIq4Codebook,
     .least_scale = -32, .most_scale = 31, .scale_reach = {0.95f, 1.05f, 3}},
    {.subs = 16, .cols = 16, .least = -4, .most = 3, .reach = {0.8f, 1.6f, 5},
     .least_scale = -32, .most_scale = 31, .scale_reach = {0.9f, 1.1f, 3}},
    {.subs = 8, .cols = 32, .least = 0, .most = 15, .reach = {-0.03f, 0.12f, 4},
     .most_scale = 63, .scale_reach = {0.97f, 1.05f, 3}, .has_mins = true, .most_min = 63},
    {.subs = 16, .cols = 16, .least = 0, .most = 3, .reach = {-0.1f, 0.3f, 4},
     .most_scale = 15, .scale_reach = {0.9f, 1.2f, 3}, .has_mins = true, .most_min = 15},
};

/// Sub-blocks of many kinds: magnitudes from what halves cannot hold to what they hold no more, constants, outliers.
std::unique_ptr<SearchLanes> lanes_of(const SearchRule& rule, std::uint64_t seed) {
  Random random(seed);
  const std::int64_t n = static_cast<std::int64_t>(kSearchLanes) * rule.cols;
  std::vector<float> x = random.normals(n), importance = random.normals(n);
  for (float& i : importance) i *= i;
  const int exponent = static_cast<int>(random.below(60)) - 30;
  for (std::int64_t i = 0; i < n; ++i) {
    float& v = x[static_cast<std::size_t>(i)];
    const std::int64_t lane = i / rule.cols;
    if (seed % 3 == 1 && lane == 3) v = 1.0f;
    if (seed % 3 == 2 && lane == 5) v = 0.0f;
    if (seed % 5 == 1) v = std::fabs(v);
    if (seed % 4 == 3 && i % 50 == 0) v *= 100.0f;
    v = std::ldexp(v, exponent);
  }
  auto lanes = std::make_unique<SearchLanes>();
  std::memset(static_cast<void*>(lanes.get()), 0, sizeof *lanes);
  fill_lanes(rule, x.data(), seed % 2 == 0 ? importance.data() : nullptr, n, *lanes);
  return lanes;
}

TEST(Search, GivesTheSameBitsInEveryBuild) {
#if defined(__x86_64__)
  for (const SearchBuild* build : {&search_avx2, &search_avx512}) {
    if (!build->runs_here()) continue;
    for (const SearchRule& rule : kRules) {
      for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        const auto expected = lanes_of(rule, seed), found = lanes_of(rule, seed);
        search_baseline.run(rule, *expected);

        build->run(rule, *found);

        ASSERT_EQ(std::memcmp(expected.get(), found.get(), sizeof(SearchLanes)), 0)
            << build->name << ", seed " << seed << ", rule " << &rule - kRules;
      }
    }
  }
#endif
}

TEST(Search, FindsWhatATypeCanStore) {
  for (const SearchRule& rule : kRules) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      const auto lanes = lanes_of(rule, seed);

      best_search()(rule, *lanes);

      for (int lane = 0; lane < kSearchLanes; ++lane) {
        const float d = lanes->d[lane], m = lanes->m[lane], scale = lanes->scale[lane], min = lanes->min[lane];
        EXPECT_EQ(half_to_float(float_to_half(d)), d);
        EXPECT_EQ(half_to_float(float_to_half(m)), m);
        EXPECT_LE(std::fabs(d), 65504.0f);
        EXPECT_LE(std::fabs(m), 65504.0f);
        EXPECT_EQ(std::nearbyint(scale), scale);
        EXPECT_EQ(std::nearbyint(min), min);
        EXPECT_TRUE(rule.has_mins && rule.subs > 1 ? scale >= 0.0f && min >= 0.0f && d >= 0.0f && m >= 0.0f && min <= rule.most_min
                                                   : scale >= rule.least_scale);
        EXPECT_LE(scale, rule.most_scale);
        for (int i = 0; i < rule.cols; ++i) {
          ASSERT_EQ(std::nearbyint(lanes->code[i][lane]), lanes->code[i][lane]);
          ASSERT_GE(lanes->code[i][lane], rule.least);
          ASSERT_LE(lanes->code[i][lane], rule.most);
        }
      }
    }
  }
}

TEST(Search, TakesAnyImportance) {
  const SearchRule& rule = kRules[0];
  std::vector<float> x(512, 1.0f), importance(512);
  for (const float value : {0.0f, -1.0f, 1e-45f, 3e38f, HUGE_VALF, -HUGE_VALF, std::nanf("")}) {
    std::fill(importance.begin(), importance.end(), value);
    SearchLanes lanes;

    fill_lanes(rule, x.data(), importance.data(), 512, lanes);

    for (int i = 0; i < rule.cols; ++i) {
      EXPECT_GE(lanes.weight[i][0], 0x1p-20f);
      EXPECT_LE(lanes.weight[i][0], 1.0f);
    }
  }
}

}  // namespace
}  // namespace infer
