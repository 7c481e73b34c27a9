// SPDX-License-Identifier: MIT
// Ranges cover the work exactly once, workers do not share an index, and nothing is left behind.
#include "libinfer/thread_pool.h"

#include <atomic>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace infer {
namespace {

std::unique_ptr<ThreadPool> pool_of(int n) {
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(n);
  EXPECT_TRUE(pool.ok());
  return std::move(pool).value();
}

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (const int n_threads : {1, 2, 3, 8}) {
    const std::unique_ptr<ThreadPool> pool = pool_of(n_threads);
    for (const std::int64_t n : {1, 2, 3, 7, 8, 9, 64, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));

      pool->parallel_for(n, [&](int, std::int64_t first, std::int64_t last) noexcept {
        for (std::int64_t i = first; i < last; ++i) visits[static_cast<std::size_t>(i)].fetch_add(1);
      });

      for (const std::atomic<int>& v : visits) ASSERT_EQ(v.load(), 1) << n_threads << " threads, " << n << " items";
    }
  }
}

TEST(ThreadPool, CallsNothingForAnEmptyRange) {
  const std::unique_ptr<ThreadPool> pool = pool_of(3);
  std::atomic<int> calls{0};

  pool->parallel_for(0, [&](int, std::int64_t, std::int64_t) noexcept { ++calls; });

  EXPECT_EQ(calls.load(), 0);
}

TEST(ThreadPool, GivesNonEmptyRangesThatDifferByAtMostOne) {
  const std::unique_ptr<ThreadPool> pool = pool_of(4);
  std::vector<std::int64_t> share(4, 0);

  pool->parallel_for(10, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
    share[static_cast<std::size_t>(worker)] += last - first;
  });

  EXPECT_EQ(std::accumulate(share.begin(), share.end(), std::int64_t{0}), 10);
  for (const std::int64_t s : share) EXPECT_TRUE(s == 2 || s == 3) << s;
}

TEST(ThreadPool, NeverSharesAWorkerIndex) {
  const std::unique_ptr<ThreadPool> pool = pool_of(4);
  std::vector<std::atomic<int>> inside(4);
  std::atomic<int> faults{0};

  for (int round = 0; round < 200; ++round) {
    pool->parallel_for(16, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
      if (worker < 0 || worker >= 4) {
        ++faults;
        return;
      }
      if (inside[static_cast<std::size_t>(worker)].fetch_add(1) != 0) ++faults;
      for (std::int64_t i = first; i < last; ++i) std::this_thread::yield();
      inside[static_cast<std::size_t>(worker)].fetch_sub(1);
    });
  }

  EXPECT_EQ(faults.load(), 0);
}

TEST(ThreadPool, HasFinishedWhenItReturns) {
  const std::unique_ptr<ThreadPool> pool = pool_of(4);
  std::vector<std::int64_t> values(100, 0);   // not atomic: each round must see the one before

  for (int round = 0; round < 500; ++round) {
    pool->parallel_for(100, [&](int, std::int64_t first, std::int64_t last) noexcept {
      for (std::int64_t i = first; i < last; ++i) values[static_cast<std::size_t>(99 - i)] += 1;
    });
  }

  EXPECT_EQ(values, std::vector<std::int64_t>(100, 500));
}

TEST(ThreadPool, OfOneRunsOnTheCallersThread) {
  const std::unique_ptr<ThreadPool> pool = pool_of(1);
  std::thread::id ran_on;

  pool->parallel_for(5, [&](int, std::int64_t, std::int64_t) noexcept { ran_on = std::this_thread::get_id(); });

  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(ThreadPool, CountsTheCallerAsAWorker) {
  EXPECT_EQ(pool_of(1)->size(), 1);
  EXPECT_EQ(pool_of(3)->size(), 3);
}

TEST(ThreadPool, EndsWithoutEverHavingWorked) { pool_of(8).reset(); }

TEST(ThreadPool, RefusesImpossibleCountsWithTheLimit) {
  for (const int n : {-1, 0, ThreadPool::kMaxThreads + 1}) {
    const Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(n);

    ASSERT_FALSE(pool.ok());
    EXPECT_EQ(pool.status().code(), Code::range);
    EXPECT_EQ(pool.status().message(), "n_threads = " + std::to_string(n) + " is outside 1..1024");
  }
}

TEST(ThreadPool, KnowsOfAtLeastOneCore) { EXPECT_GE(available_cores(), 1); }

}  // namespace
}  // namespace infer
