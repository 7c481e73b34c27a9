// SPDX-License-Identifier: MIT
// The generator against published vectors, by way of a second implementation that is written straight from the papers
// and shares no code with src/runtime/samplers/rng.cpp.
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>

#include <gtest/gtest.h>

#include "libinfer/sampler.h"

namespace infer {
namespace {

struct SplitMix {
  std::uint64_t x;
  std::uint64_t next() {
    x += 0x9e3779b97f4a7c15u;
    std::uint64_t z = x;
    z ^= z >> 30;
    z *= 0xbf58476d1ce4e5b9u;
    z ^= z >> 27;
    z *= 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
};

std::uint64_t rotate_left(std::uint64_t x, int n) { return (x << n) + (x >> (64 - n)); }

// One step is the linear map of the paper's figure, on the old state as a whole.
struct Xoshiro {
  std::uint64_t a, b, c, d;
  std::uint64_t next() {
    const std::uint64_t result = rotate_left(5 * b, 7) * 9;
    const Xoshiro old = *this;
    a = old.a ^ old.b ^ old.d;
    b = old.a ^ old.b ^ old.c;
    c = old.a ^ old.c ^ (old.b << 17);
    d = rotate_left(old.b ^ old.d, 45);
    return result;
  }
};

TEST(Rng, SeedingSpecificationGivesPublishedSplitmixValues) {
  SplitMix specification{1234567};

  for (const std::uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                       4593380528125082431u, 16408922859458223821u}) {
    EXPECT_EQ(specification.next(), expected);
  }
}

TEST(Rng, StepSpecificationGivesPublishedXoshiroValues) {
  Xoshiro specification{1, 2, 3, 4};

  constexpr std::uint64_t kPublished[] = {
      11520, 0, 1509978240, 1215971899390074240, 1216172134540287360, 607988272756665600, 16172922978634559625u,
      8476171486693032832, 10595114339597558777u, 2904607092377533576};
  for (const std::uint64_t expected : kPublished) {
    EXPECT_EQ(specification.next(), expected);
  }
}

TEST(Rng, EqualsSpecificationForManySeeds) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{42}, ~std::uint64_t{0},
                                   std::uint64_t{0x8000000000000000u}, std::uint64_t{1234567}}) {
    SplitMix mix{seed};
    const std::uint64_t a = mix.next(), b = mix.next(), c = mix.next(), d = mix.next();
    Xoshiro specification{a, b, c, d};
    Rng rng(seed);

    for (int i = 0; i < 1000; ++i) ASSERT_EQ(rng.next(), specification.next()) << "seed " << seed << ", step " << i;
  }
}

TEST(Rng, KeepsItsNumbersForSeedZero) {
  Rng rng(0);

  EXPECT_EQ(rng.next(), 11091344671253066420u);
  EXPECT_EQ(rng.next(), 13793997310169335082u);
  EXPECT_EQ(rng.next(), 1900383378846508768u);
}

TEST(Rng, UniformIsTheUpper53Bits) {
  Rng numbers(7), uniforms(7);

  for (int i = 0; i < 10000; ++i) {
    const double expected = static_cast<double>(numbers.next() / 2048) / 9007199254740992.0;
    const double uniform = uniforms.uniform();
    ASSERT_EQ(uniform, expected);
    ASSERT_GE(uniform, 0.0);
    ASSERT_LT(uniform, 1.0);
  }
}

TEST(Rng, UniformFillsItsRangeEvenly) {
  constexpr int kDraws = 160000;
  std::array<int, 16> hits{};
  Rng rng(2024);

  for (int i = 0; i < kDraws; ++i) ++hits[static_cast<std::size_t>(rng.uniform() * 16)];

  double chi_square = 0;
  for (const int n : hits) chi_square += (n - kDraws / 16.0) * (n - kDraws / 16.0) / (kDraws / 16.0);
  EXPECT_LT(chi_square, 37.7);  // 15 degrees of freedom, 0.1 %
}

TEST(Rng, SystemSeedsDifferAndFitInAJsonNumber) {
  std::set<std::uint64_t> seeds;

  for (int i = 0; i < 8; ++i) {
    const Result<std::uint64_t> seed = Rng::system_seed();
    ASSERT_TRUE(seed.ok());
    EXPECT_LT(seed.value(), std::uint64_t{1} << 53);
    seeds.insert(seed.value());
  }

  EXPECT_EQ(seeds.size(), 8u);
}

}  // namespace
}  // namespace infer
