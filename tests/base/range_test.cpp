// SPDX-License-Identifier: MIT
// Tests of src/base/range.h.
#include "src/base/range.h"

#include <limits>

#include <gtest/gtest.h>

namespace infer {
namespace {

TEST(Range, TakesBothLimits) {
  EXPECT_TRUE(check_range("n", std::int64_t{1}, 1, 4).ok());
  EXPECT_TRUE(check_range("n", std::int64_t{4}, 1, 4).ok());
  EXPECT_TRUE(check_range("x", 0.0, 0.0, 1.0).ok());
  EXPECT_TRUE(check_range("x", 1.0, 0.0, 1.0).ok());
}

TEST(Range, RefusesWithNameValueAndLimits) {
  const Status whole = check_range("n_ctx", std::int64_t{-1}, 0, 16777216);
  EXPECT_EQ(whole.code(), Code::range);
  EXPECT_EQ(whole.subject(), "n_ctx");
  EXPECT_EQ(whole.message(), "n_ctx = -1 is outside 0..16777216");
  EXPECT_EQ(check_range("top_p", 1.5, 0.0, 1.0).message(), "top_p = 1.5 is outside 0..1");
  EXPECT_EQ(outside("n", std::int64_t{5}, 1, 4), "n = 5 is outside 1..4");
}

TEST(Range, RefusesWhatIsNoNumber) {
  EXPECT_EQ(check_range("x", std::numeric_limits<double>::quiet_NaN(), 0.0, 1.0).message(), "x = nan is outside 0..1");
}

}  // namespace
}  // namespace infer
