// SPDX-License-Identifier: MIT
// Frequencies of the rotary positions under each scaling, the angles of a step, and what rotation must preserve.
#include <array>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "models/blocks/blocks.h"
#include "ops/ops.h"
#include "tests/testing/random.h"

namespace infer {
namespace {

using testing::Random;

struct Waves {
  std::vector<double> frequencies;
  double magnitude = 0.0;
};

/// Of a session with so many positions.
Waves waves_of(const Decoder& decoder, std::int64_t context = 4096, bool ntk = false) {
  Waves w{.frequencies = std::vector<double>(static_cast<std::size_t>(decoder.config.rope.n_rot / 2))};
  Activations act;
  act.rope.frequencies = w.frequencies;
  set_rotations(decoder, context, ntk, act);
  w.magnitude = act.rope.magnitude;
  return w;
}

Waves waves_of(const RopeConfig& rope, std::span<const float> factors = {}, std::int64_t context = 4096, bool ntk = false) {
  Decoder decoder;
  decoder.config.rope = rope;
  decoder.rope_factors = factors;
  return waves_of(decoder, context, ntk);
}

RopeConfig rope_of(std::int64_t n_rot, RopeScaling scaling = RopeScaling::none, double factor = 1.0) {
  RopeConfig rope;
  rope.n_rot = n_rot;
  rope.scaling = scaling;
  rope.factor = factor;
  rope.original_context = 2048;
  return rope;
}

TEST(RopeFrequencies, FallGeometricallyFromOne) {
  const Waves w = waves_of(rope_of(8));

  const std::vector<double> expected = {1.0, 0.1, 0.01, 0.001};   // 10000^(-i/4)
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(w.frequencies[i], expected[i], 1e-15);
  EXPECT_EQ(w.magnitude, 1.0);
}

TEST(RopeFrequencies, AreDividedByALinearFactor) {
  const Waves plain = waves_of(rope_of(64)), linear = waves_of(rope_of(64, RopeScaling::linear, 4.0));

  for (std::size_t i = 0; i < 32; ++i) EXPECT_DOUBLE_EQ(linear.frequencies[i], plain.frequencies[i] / 4.0);
  EXPECT_EQ(linear.magnitude, 1.0);
}

TEST(RopeFrequencies, AreDividedByTheFactorsOfTheFile) {
  const std::array<float, 4> factors = {1.0f, 1.0f, 4.0f, 8.0f};
  const Waves plain = waves_of(rope_of(8)), divided = waves_of(rope_of(8), factors);

  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(divided.frequencies[i], plain.frequencies[i] / static_cast<double>(factors[i]));
  }
}

TEST(RopeFrequencies, OfYarnKeepFastWavesAndStretchSlowOnes) {
  // Over 2048 positions wave i turns 2048 / (2 pi) * 10000^(-i/32) times: 32 turns at i = 8.1, 1 turn at i = 20.1.
  const Waves plain = waves_of(rope_of(64)), yarn = waves_of(rope_of(64, RopeScaling::yarn, 4.0));

  for (std::size_t i = 0; i <= 8; ++i) EXPECT_DOUBLE_EQ(yarn.frequencies[i], plain.frequencies[i]) << i;
  for (std::size_t i = 9; i <= 20; ++i) {
    EXPECT_LT(yarn.frequencies[i], plain.frequencies[i]) << i;
    EXPECT_GT(yarn.frequencies[i], plain.frequencies[i] / 4.0) << i;
  }
  for (std::size_t i = 21; i < 32; ++i) EXPECT_DOUBLE_EQ(yarn.frequencies[i], plain.frequencies[i] / 4.0) << i;
}

TEST(RopeFrequencies, OfYarnBlendLinearlyInBetween) {
  const Waves plain = waves_of(rope_of(64)), yarn = waves_of(rope_of(64, RopeScaling::yarn, 4.0));

  for (std::size_t i = 8; i <= 21; ++i) {
    const double stretched = (static_cast<double>(i) - 8.0) / 13.0;
    EXPECT_DOUBLE_EQ(yarn.frequencies[i], plain.frequencies[i] * (1.0 - 0.75 * stretched)) << i;
  }
}

TEST(RopeFrequencies, OfYarnEndTheBlendNoLaterThanTheRotatedPart) {
  // 64 turns at i = 2.2, 1 turn at i = 7.7: the blend goes from 2 to 7, one less than n_rot.
  RopeConfig rope = rope_of(8, RopeScaling::yarn, 4.0);
  rope.base = 20.0;
  rope.beta_fast = 64.0;

  EXPECT_DOUBLE_EQ(waves_of(rope).frequencies[3], std::pow(20.0, -0.75) * (1.0 - 0.75 * 0.2));
}

TEST(RopeFrequencies, OfYarnComeWithAMagnitude) {
  RopeConfig rope = rope_of(64, RopeScaling::yarn, 16.0);
  EXPECT_DOUBLE_EQ(waves_of(rope).magnitude, 1.0 + 0.1 * std::log(16.0));

  rope.attn_factor = 0.5;
  EXPECT_DOUBLE_EQ(waves_of(rope).magnitude, 0.5 * (1.0 + 0.1 * std::log(16.0)));
}

TEST(RopeFrequencies, OfYarnWithFactorOneArePlain) {
  const Waves plain = waves_of(rope_of(64)), yarn = waves_of(rope_of(64, RopeScaling::yarn, 1.0));

  for (std::size_t i = 0; i < 32; ++i) EXPECT_DOUBLE_EQ(yarn.frequencies[i], plain.frequencies[i]);
  EXPECT_EQ(yarn.magnitude, 1.0);
}

TEST(RopeFrequencies, AreFiniteAtTheLimitsOfTheConfiguration) {
  for (const double base : {1.001, 1e15}) {
    for (const double factor : {1e-6, 1e6}) {
      for (const std::int64_t context : {std::int64_t{1}, std::int64_t{1} << 30}) {
        for (const double beta : {1e-6, 1e6}) {
          RopeConfig rope = rope_of(64, RopeScaling::yarn, factor);
          rope.base = base;
          rope.original_context = context;
          rope.beta_fast = rope.beta_slow = beta;
          for (const double f : waves_of(rope).frequencies) EXPECT_TRUE(std::isfinite(f)) << base << ", " << factor;
        }
      }
    }
  }
}

TEST(RopeFrequencies, OfYarnAreLongerByTheLogarithmOfTheFactorUnlessTheFileSaysOtherwise) {
  RopeConfig rope = rope_of(64, RopeScaling::yarn, 16.0);
  const double plain = 0.1 * std::log(16.0) + 1.0;
  EXPECT_DOUBLE_EQ(waves_of(rope).magnitude, plain);
  rope.log_multiplier = 1.0;
  EXPECT_DOUBLE_EQ(waves_of(rope).magnitude, 1.0);
  rope.log_multiplier = 0.5;
  EXPECT_DOUBLE_EQ(waves_of(rope).magnitude, plain / (0.05 * std::log(16.0) + 1.0));
}

TEST(RopeFrequencies, OfLongRopeAreChosenByTheContextOfTheSession) {
  const std::array<float, 4> few = {1.0f, 1.0f, 1.5f, 2.0f}, many = {1.0f, 4.0f, 16.0f, 64.0f};
  Decoder decoder;
  decoder.config.rope = rope_of(8, RopeScaling::longrope);
  decoder.config.rope.attn_factor = 1.25;
  decoder.rope_factors = few;
  decoder.long_rope_factors = many;
  const Waves plain = waves_of(rope_of(8));

  const Waves at_most = waves_of(decoder, 2048), beyond = waves_of(decoder, 2049);

  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(at_most.frequencies[i], plain.frequencies[i] / static_cast<double>(few[i]));
    EXPECT_DOUBLE_EQ(beyond.frequencies[i], plain.frequencies[i] / static_cast<double>(many[i]));
  }
  EXPECT_EQ(at_most.magnitude, 1.25);
  EXPECT_EQ(beyond.magnitude, 1.25);
}

TEST(RopeFrequencies, WithNtkStretchTheSlowestWaveByTheContext) {
  const Waves plain = waves_of(rope_of(64)), ntk = waves_of(rope_of(64), {}, 8192, true);

  EXPECT_EQ(ntk.frequencies[0], 1.0);
  EXPECT_NEAR(ntk.frequencies[31] * 4.0, plain.frequencies[31], 1e-12);
  EXPECT_EQ(waves_of(rope_of(64), {}, 2048, true).frequencies, plain.frequencies);   // nothing to stretch
  EXPECT_EQ(waves_of(rope_of(64), {}, 8192, false).frequencies, plain.frequencies);  // not asked for
  EXPECT_EQ(waves_of(rope_of(2), {}, 8192, true).frequencies, waves_of(rope_of(2)).frequencies);
}

TEST(RopeFrequencies, OfLayersWithAWindowAreTheirOwn) {
  Decoder decoder;
  decoder.config.rope = rope_of(8, RopeScaling::linear, 8.0);
  decoder.config.rope.base = 1e6;
  decoder.config.local_rope = rope_of(8);
  std::array<double, 4> global, local;
  Activations act;
  act.rope.frequencies = global;
  act.local_rope.frequencies = local;

  set_rotations(decoder, 4096, false, act);

  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(local[i], std::pow(10000.0, -static_cast<double>(i) / 4.0));
    EXPECT_DOUBLE_EQ(global[i], std::pow(1e6, -static_cast<double>(i) / 4.0) / 8.0);
  }
}

/// A step of rows at given positions, with the memory that the rope blocks read.
class Rotated : public ::testing::Test {
 protected:
  static constexpr std::int64_t kHeads = 2, kHeadDim = 16;

  Rotated() : pool_(std::move(ThreadPool::create(1)).value()) {}

  /// The vectors (positions, heads * head_dim) rotated to their positions.
  std::vector<float> rotated(std::vector<float> x, const std::vector<std::int64_t>& positions,
                             std::int64_t n_rot = kHeadDim, RopeStyle style = RopeStyle::interleaved,
                             double magnitude = 1.0) {
    const auto n = static_cast<std::int64_t>(positions.size());
    config_.rope = rope_of(n_rot);
    config_.rope.style = style;
    Waves w = waves_of(config_.rope);
    std::vector<float> cosines(positions.size() * w.frequencies.size()), sines(cosines.size());
    act_.rope.cos = {cosines.data(), n, n_rot / 2, n_rot / 2};
    act_.rope.sin = {sines.data(), n, n_rot / 2, n_rot / 2};
    act_.rope.frequencies = w.frequencies;
    act_.rope.magnitude = magnitude;
    std::vector<StepRow> rows;
    for (const std::int64_t p : positions) rows.push_back({.token = 0, .seq = 0, .position = p, .logits_row = -1});
    Step step{.rows = rows,
              .config = config_,
              .act = act_,
              .kv = kv_,
              .kernels = kernels_scalar,
              .pool = *pool_,
              .cancel = nullptr};

    rope_angles(step);
    for (std::int64_t i = 0; i < n; ++i) rope(step, 0, {x.data(), n, kHeads * kHeadDim, kHeads * kHeadDim}, kHeads, i);
    return x;
  }

  static double dot(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  }

  std::vector<float> random_row(std::uint64_t seed) { return Random(seed).normals(kHeads * kHeadDim); }

  std::unique_ptr<ThreadPool> pool_;
  DecoderConfig config_;
  Activations act_;
  KvCache kv_;
};

TEST_F(Rotated, ToPositionZeroChangesNothing) { EXPECT_EQ(rotated(random_row(1), {0}), random_row(1)); }

TEST_F(Rotated, TurnsTheFirstPairOfEachHeadByItsPosition) {
  std::vector<float> x(kHeads * kHeadDim, 0.0f);
  x[0] = x[kHeadDim] = 1.0f;

  const std::vector<float> y = rotated(x, {3});

  for (const std::size_t head : {std::size_t{0}, static_cast<std::size_t>(kHeadDim)}) {
    EXPECT_NEAR(y[head], std::cos(3.0f), 1e-6f);
    EXPECT_NEAR(y[head + 1], std::sin(3.0f), 1e-6f);
  }
}

TEST_F(Rotated, InHalvesPairsAnEntryWithTheOneHalfAHeadOn) {
  std::vector<float> x(kHeads * kHeadDim, 0.0f);
  x[0] = 1.0f;

  const std::vector<float> y = rotated(x, {3}, kHeadDim, RopeStyle::halves);

  EXPECT_NEAR(y[0], std::cos(3.0f), 1e-6f);
  EXPECT_NEAR(y[kHeadDim / 2], std::sin(3.0f), 1e-6f);
  EXPECT_EQ(y[1], 0.0f);
}

TEST_F(Rotated, KeepsLengths) {
  for (const RopeStyle style : {RopeStyle::interleaved, RopeStyle::halves}) {
    const std::vector<float> x = random_row(2), y = rotated(x, {1234}, kHeadDim, style);

    EXPECT_NEAR(dot(y, y), dot(x, x), 1e-5);
  }
}

TEST_F(Rotated, MakesProductsDependOnDistanceAlone) {
  const std::vector<float> q = random_row(3), k = random_row(4);
  const double near_start = dot(rotated(q, {7}), rotated(k, {2}));

  EXPECT_NEAR(dot(rotated(q, {1007}), rotated(k, {1002})), near_start, 1e-4);
  EXPECT_GT(std::fabs(dot(rotated(q, {8}), rotated(k, {2})) - near_start), 1e-2);
}

TEST_F(Rotated, OfAPartLeavesTheRestOfAHead) {
  const std::vector<float> x = random_row(5), y = rotated(x, {9}, 6);

  for (std::size_t head = 0; head < kHeads; ++head) {
    for (std::size_t i = 0; i < kHeadDim; ++i) {
      const std::size_t at = head * kHeadDim + i;
      EXPECT_EQ(y[at] == x[at], i >= 6) << at;
    }
  }
}

TEST_F(Rotated, TurnsEachRowToItsOwnPosition) {
  std::vector<float> both = random_row(6);
  const std::vector<float> other = random_row(7);
  both.insert(both.end(), other.begin(), other.end());

  const std::vector<float> y = rotated(both, {5, 500});

  std::vector<float> expected = rotated(random_row(6), {5});
  const std::vector<float> second = rotated(other, {500});
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(y, expected);
}

TEST_F(Rotated, AppliesTheMagnitudeOfTheScaling) {
  const std::vector<float> x = random_row(8), y = rotated(x, {11}, kHeadDim, RopeStyle::interleaved, 1.5);

  EXPECT_NEAR(dot(y, y), 2.25 * dot(x, x), 1e-4);
}

}  // namespace
}  // namespace infer
