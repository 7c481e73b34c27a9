// SPDX-License-Identifier: MIT
// The pool works in IEEE's default float modes, whatever the thread of the host has, and leaves the host's as they were.
#include <cfenv>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "libinfer/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace infer {
namespace {

/// Subnormal numbers count as zeros, as in programs of -ffast-math.
void flush_subnormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  std::uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  asm volatile("msr fpcr, %0" : : "r"(mode | 1u << 24));
#endif
}

struct Results {
  volatile float third = 0.0f, subnormal = 0.0f;
  void compute() {
    volatile float one = 1.0f, three = 3.0f, least = std::numeric_limits<float>::min(), half = 0.5f;
    third = one / three;
    subnormal = least * half;
  }
};

TEST(FloatMode, OfThePoolIsTheDefault) {
  constexpr float kThirdAbove = 0x1.555556p-2f, kThirdBelow = 0x1.555554p-2f;
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(1, 1);
  ASSERT_TRUE(pool.ok());
  std::fenv_t before;
  ASSERT_EQ(std::fegetenv(&before), 0);
  std::fesetround(FE_DOWNWARD);
  flush_subnormals();

  Results inside, after;
  pool.value()->parallel_for(1, 1, [&](int, std::int64_t, std::int64_t) noexcept { inside.compute(); });
  after.compute();

  std::fesetenv(&before);
  EXPECT_EQ(inside.third, kThirdAbove);
  EXPECT_EQ(inside.subnormal, 0x1p-127f);
  EXPECT_EQ(after.third, kThirdBelow);
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_EQ(after.subnormal, 0.0f);
#endif
}

}  // namespace
}  // namespace infer
