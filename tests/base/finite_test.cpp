// SPDX-License-Identifier: MIT
// Tests of src/base/finite.h.
#include "src/base/finite.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace infer {
namespace {

TEST(Finite, FindsTheFirstThatIsNot) {
  using Limits = std::numeric_limits<float>;
  for (const float bad : {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::signaling_NaN(), Limits::infinity(),
                          -Limits::infinity()}) {
    for (std::size_t at = 0; at < 40; ++at) {
      std::vector<float> x(40, 1.0f);
      x[at] = bad;
      x[39] = bad;
      EXPECT_EQ(find_non_finite(x), at);
    }
  }
}

TEST(Finite, TakesAllThatAre) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> x = {0.0f, -0.0f, Limits::max(), -Limits::max(), Limits::denorm_min(), Limits::min()};
  EXPECT_EQ(find_non_finite(x), x.size());
  EXPECT_EQ(find_non_finite({}), 0u);
}

}  // namespace
}  // namespace infer
