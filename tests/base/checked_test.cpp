// SPDX-License-Identifier: MIT
// Tests of src/base/checked.h at the borders where plain arithmetic wraps.
#include "src/base/checked.h"

#include <gtest/gtest.h>

#include <limits>

namespace infer {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

TEST(CheckedAdd, GivesTheSumOrNothing) {
  EXPECT_EQ(checked_add(0, 0), 0U);
  EXPECT_EQ(checked_add(kMost - 1, 1), kMost);
  EXPECT_EQ(checked_add(kMost, 0), kMost);
  EXPECT_EQ(checked_add(kMost, 1), std::nullopt);
  EXPECT_EQ(checked_add(1, kMost), std::nullopt);
  EXPECT_EQ(checked_add(kMost, kMost), std::nullopt);
}

TEST(CheckedMul, GivesTheProductOrNothing) {
  EXPECT_EQ(checked_mul(0, kMost), 0U);
  EXPECT_EQ(checked_mul(kMost, 0), 0U);
  EXPECT_EQ(checked_mul(kMost, 1), kMost);
  EXPECT_EQ(checked_mul(0xffffffff, 0x100000001), kMost);
  EXPECT_EQ(checked_mul(std::uint64_t{1} << 32, std::uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_mul(kMost, 2), std::nullopt);
}

TEST(Inside, HoldsForRangesThatEndAtTheEnd) {
  EXPECT_TRUE(inside(0, 0, 0));
  EXPECT_TRUE(inside(0, 10, 10));
  EXPECT_TRUE(inside(10, 0, 10));
  EXPECT_TRUE(inside(3, 7, 10));
  EXPECT_TRUE(inside(0, kMost, kMost));
}

TEST(Inside, FailsPastTheEndAndWhereTheSumWouldWrap) {
  EXPECT_FALSE(inside(0, 11, 10));
  EXPECT_FALSE(inside(11, 0, 10));
  EXPECT_FALSE(inside(3, 8, 10));
  EXPECT_FALSE(inside(kMost, 1, 10));
  EXPECT_FALSE(inside(5, kMost, 10));
  EXPECT_FALSE(inside(kMost, kMost, kMost));
}

TEST(CheckedAlign, RoundsUpOrGivesNothing) {
  EXPECT_EQ(checked_align(0, 32), 0U);
  EXPECT_EQ(checked_align(1, 32), 32U);
  EXPECT_EQ(checked_align(32, 32), 32U);
  EXPECT_EQ(checked_align(33, 32), 64U);
  EXPECT_EQ(checked_align(33, 1), 33U);
  EXPECT_EQ(checked_align(kMost - 31, 32), kMost - 31);
  EXPECT_EQ(checked_align(kMost - 30, 32), std::nullopt);
  EXPECT_EQ(checked_align(kMost, 8), std::nullopt);
}

static_assert(checked_mul(6, 7) == 42U, "usable at compile time");

}  // namespace
}  // namespace infer
