// SPDX-License-Identifier: MIT
// The search of the grid types' encoders: the same block from every build of it, little error, less of it where columns
// matter, and points that no other point of the grid is much better than.
#include "ops/quant/grid_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "ops/quant/quants.h"
#include "tests/testing/random.h"

namespace infer {
namespace {

using testing::Random;
using Bytes = std::vector<std::byte>;

struct Type {
  const QuantFormat* quant;
  const GridRule* rule;
  double gaussian_error;   ///< relative rms of Gaussian weights: a tenth above what was measured at least
};

constexpr Type kTypes[] = {
    {&quant_iq1_s, &grid_iq1_s, 0.47},   {&quant_iq1_m, &grid_iq1_m, 0.44},       {&quant_iq2_xxs, &grid_iq2_xxs, 0.345},
    {&quant_iq2_xs, &grid_iq2_xs, 0.30}, {&quant_iq2_s, &grid_iq2_s, 0.25},       {&quant_iq3_xxs, &grid_iq3_xxs, 0.185},
    {&quant_iq3_s, &grid_iq3_s, 0.135},
};

class GridSearch : public ::testing::TestWithParam<Type> {
 protected:
  const QuantFormat& q_ = *GetParam().quant;
  const GridRule& rule_ = *GetParam().rule;

  std::vector<float> rounded(const std::vector<float>& x, const float* importance) const {
    Bytes bytes(x.size() / 256 * info(q_.dtype).block_bytes);
    std::vector<float> back(x.size());
    q_.encode(x.data(), importance, bytes.data(), static_cast<std::int64_t>(x.size()));
    q_.decode(bytes.data(), back.data(), static_cast<std::int64_t>(x.size()));
    return back;
  }
};

double error_of(const std::vector<float>& x, const std::vector<float>& back, const std::vector<float>& weight = {}) {
  double off = 0.0, all = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double w = weight.empty() ? 1.0 : static_cast<double>(weight[i]);
    const double d = static_cast<double>(x[i]) - static_cast<double>(back[i]);
    off += w * d * d;
    all += w * static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return std::sqrt(off / all);
}

/// Gaussian weights with an outlier in some blocks, and importance that differs by orders of magnitude.
struct Sample {
  explicit Sample(std::int64_t blocks, std::uint64_t seed) {
    Random random(seed);
    x = random.normals(blocks * 256, 0.02);
    importance = random.normals(blocks * 256);
    for (float& i : importance) i *= i;
    for (std::size_t i = 77; i < x.size(); i += 1009) x[i] *= 10.0f;
  }
  std::vector<float> x, importance;
};

TEST_P(GridSearch, FindsTheSameBlockInEveryBuild) {
  Sample sample(6, 1);
  std::fill_n(sample.x.begin() + 256, 40, 0.0f);
  std::fill_n(sample.x.begin() + 512, 256, 1e-6f);
  std::fill_n(sample.x.begin() + 768, 256, 6e-8f);   // too small for any scale
  const GridSearchBuild* builds[] = {
      &grid_search_baseline,
#if defined(__x86_64__)
      &grid_search_avx2, &grid_search_avx512,
#endif
  };
  for (std::size_t at = 0; at < sample.x.size(); at += 256) {
    for (const float* importance : {static_cast<const float*>(nullptr), static_cast<const float*>(&sample.importance[at])}) {
      float clean[256], weight[256];
      prepare_grid_input(&sample.x[at], importance, clean, weight);
      GridBlock expected;
      std::memset(&expected, 0xff, sizeof expected);   // all of it is written
      grid_search_baseline.run(rule_, clean, weight, expected);
      for (const GridSearchBuild* build : builds) {
        if (!build->runs_here()) continue;
        GridBlock found;
        std::memset(&found, 0x55, sizeof found);
        build->run(rule_, clean, weight, found);
        EXPECT_EQ(std::memcmp(&found, &expected, sizeof found), 0) << build->name << ", block at " << at;
      }
    }
  }
}

TEST_P(GridSearch, LosesLittleOfGaussianWeights) {
  const std::vector<float> x = Random(2).normals(40 * 256, 0.02);

  EXPECT_LT(error_of(x, rounded(x, nullptr)), GetParam().gaussian_error);
}

TEST_P(GridSearch, LosesLessWhereColumnsMatter) {
  const Sample sample(20, 3);

  const double with = error_of(sample.x, rounded(sample.x, sample.importance.data()), sample.importance);
  const double without = error_of(sample.x, rounded(sample.x, nullptr), sample.importance);

  EXPECT_LT(with, 0.95 * without);
}

TEST_P(GridSearch, RoundsABlockAloneAsAmongOthers) {
  const Sample sample(5, 4);
  const std::vector<float> together = rounded(sample.x, sample.importance.data());
  for (std::size_t at = 0; at < sample.x.size(); at += 256) {
    const auto first = static_cast<std::ptrdiff_t>(at);
    const std::vector<float> alone = rounded({sample.x.begin() + first, sample.x.begin() + first + 256}, &sample.importance[at]);

    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + first)) << at;
  }
}

TEST_P(GridSearch, RoundsATinyBlockAlikeAfterAnyOther) {
  for (const float tiny : {6e-8f, 1e-7f, 1e-6f, 4e-6f, 1e-5f}) {
    std::vector<float> after_one = Random(7).normals(512, 0.02), after_other = Random(8).normals(512, 3.0);
    for (std::vector<float>* x : {&after_one, &after_other}) {
      for (std::size_t i = 256; i < 512; ++i) (*x)[i] = i % 3 == 0 ? tiny : -0.5f * tiny;
    }
    const std::vector<float> one = rounded(after_one, nullptr), other = rounded(after_other, nullptr);

    EXPECT_TRUE(std::equal(one.begin() + 256, one.end(), other.begin() + 256)) << tiny;
    for (std::size_t i = 256; i < 512; ++i) ASSERT_TRUE(std::isfinite(one[i])) << tiny;
  }
}

/// What is on the grid already comes back, but for the rounding of the scale.
TEST_P(GridSearch, KeepsMostOfWhatItMade) {
  const std::vector<float> x = Random(5).normals(20 * 256, 0.02);
  const std::vector<float> once = rounded(x, nullptr);

  EXPECT_LT(error_of(once, rounded(once, nullptr)), 0.35 * GetParam().gaussian_error);
}

/// For its scale, the point of each group of free signs is the nearest of all, or hardly worse.
TEST_P(GridSearch, FindsPointsThatNoOtherBeatsByMuch) {
  if (rule_.kind != GridKind::free_signs) GTEST_SKIP() << "groups are tied to one another";
  const std::vector<float> x = Random(6).normals(4 * 256, 0.02);
  double found_error = 0.0, best_error = 0.0;
  for (std::size_t at = 0; at < x.size(); at += 256) {
    float clean[256], weight[256];
    prepare_grid_input(&x[at], nullptr, clean, weight);
    GridBlock block{};
    grid_search_baseline.run(rule_, clean, weight, block);
    const auto n = static_cast<std::size_t>(rule_.group);
    for (std::size_t g = 0; g < 256 / n; ++g) {
      const std::size_t sub = g * n / static_cast<std::size_t>(rule_.sub_cols);
      const double scale = static_cast<double>(block.d * rule_.unit) * (2 * block.scales[sub] + 1);
      const auto error = [&](int point) {
        double sum = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
          const unsigned number = static_cast<unsigned>(rule_.points[point]) >> i * static_cast<unsigned>(rule_.bits);
          const double value = scale * static_cast<double>(rule_.levels[0][number & ((1u << rule_.bits) - 1)]);
          const double off = std::fabs(static_cast<double>(x[at + g * n + i])) - value;
          sum += off * off;
        }
        return sum;
      };
      double least = error(0);
      for (int point = 1; point < rule_.n_points; ++point) least = std::min(least, error(point));
      found_error += error(block.points[g]);
      best_error += least;
    }
  }
  EXPECT_LT(found_error, 1.01 * best_error);
}

TEST_P(GridSearch, SurvivesWhatIsNoNumber) {
  const float specials[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -0.0f, 1e-39f, 6e-8f, 65504.0f};
  for (const float special : specials) {
    std::vector<float> x = Random(7).normals(512, 0.02), importance(512, 1.0f);
    x[5] = special;
    importance[9] = special;
    const std::vector<float> all(512, special);
    const float* const importances[] = {nullptr, importance.data(), all.data()};
    for (const std::vector<float>& values : {x, all}) {
      for (const float* i : importances) {
        for (const float v : rounded(values, i)) EXPECT_TRUE(std::isfinite(v)) << special;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GridSearch, ::testing::ValuesIn(kTypes),
                         [](const auto& test) { return std::string(::infer::info(test.param.quant->dtype).name); });

}  // namespace
}  // namespace infer
