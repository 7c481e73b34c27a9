// SPDX-License-Identifier: MIT
// Ranges cover the work exactly once, workers do not share an index, nobody waits for a worker without work, and nothing is
// left behind.
#include "libinfer/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace infer {
namespace {

/// All of them awake, however many cores there are.
std::unique_ptr<ThreadPool> pool_of(int n) {
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(n, n);
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

TEST(ThreadPool, GivesRangesOfTheGrainAndARest) {
  for (const int n_threads : {1, 4}) {
    const std::unique_ptr<ThreadPool> pool = pool_of(n_threads);
    for (const std::int64_t grain : {-1, 0, 1, 7, 10, 100}) {
      std::vector<std::atomic<std::int64_t>> length(25);

      pool->parallel_for(25, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
        length[static_cast<std::size_t>(first)] = last - first;
      });

      const std::int64_t step = std::max<std::int64_t>(1, grain);
      for (std::int64_t i = 0; i < 25; ++i) {
        const std::int64_t expected = i % step == 0 ? std::min(step, 25 - i) : 0;
        EXPECT_EQ(length[static_cast<std::size_t>(i)].load(), expected) << grain << ", " << i;
      }
    }
  }
}

TEST(ThreadPool, GivesSmallerRangesTowardsTheEndOfAShare) {
  for (const std::int64_t n_threads : {1, 2, 4}) {
    const std::unique_ptr<ThreadPool> pool = pool_of(static_cast<int>(n_threads));
    for (const std::int64_t n : {1, 2, 15, 16, 17, 100, 1001}) {
      std::vector<std::atomic<std::int64_t>> length(static_cast<std::size_t>(n));

      pool->parallel_for(n, {12, 3}, [&](int, std::int64_t first, std::int64_t last) noexcept {
        length[static_cast<std::size_t>(first)] = last - first;
      });

      std::int64_t largest = 0, small = 0, now = 0;
      for (std::int64_t i = 0; i < n; i += now) {
        now = length[static_cast<std::size_t>(i)].load();
        ASSERT_TRUE(now >= 1 && now <= 12 && (now % 3 == 0 || i + now == n)) << now << " at " << i << " of " << n;
        largest = std::max(largest, now);
        small += now <= 3 ? 1 : 0;
      }
      if (n >= 100) {
        EXPECT_EQ(largest, 12) << n << ", " << n_threads;
      }
      if (n_threads > 1 && n > 12) {
        EXPECT_GE(small, std::min(n_threads, (n + 2) / 3)) << n;   // the last range of a share, whoever takes it
      }
    }
  }
}

/// One that takes long leaves the rest of its share to the others.
TEST(ThreadPool, TakesOverTheSharesOfSlowThreads) {
  const std::unique_ptr<ThreadPool> pool = pool_of(3);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> done{0}, faults{0};
    pool->parallel_for(96, 1, [&](int, std::int64_t first, std::int64_t) noexcept {
      if (first == 0) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (done.load() < 95 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        if (done.load() < 95) ++faults;
      }
      ++done;
    });
    ASSERT_EQ(faults.load(), 0);
    ASSERT_EQ(done.load(), 96);
  }
}

TEST(ThreadPool, CountsRangesBeyondAllBounds) {
  const std::unique_ptr<ThreadPool> pool = pool_of(2);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> sum{0};

  pool->parallel_for(kMost, kMost - 1, [&](int, std::int64_t first, std::int64_t last) noexcept { sum += last - first; });

  EXPECT_EQ(sum.load(), kMost);

  sum = 0;
  pool->parallel_for(kMost, {kMost / 4, 1}, [&](int, std::int64_t first, std::int64_t last) noexcept { sum += last - first; });

  EXPECT_EQ(sum.load(), kMost);
}

TEST(ThreadPool, DoesNotWaitForWorkersThatNeverCome) {
  const std::unique_ptr<ThreadPool> pool = pool_of(4);
  pool->parallel_for(100, [](int, std::int64_t, std::int64_t) noexcept {});

  // Nobody ever runs the workers of this child: it has only the forking thread.
  const pid_t child = fork();
  if (child == 0) {
    std::int64_t done = 0;
    for (int job = 0; job < 100; ++job) {
      pool->parallel_for(100, 1, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
        done += worker == 0 ? last - first : 100000;
      });
    }
    _exit(done == 10000 ? 7 : 1);
  }

  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
}

TEST(ThreadPool, KeepsOldAndNewJobsApart) {
  const std::unique_ptr<ThreadPool> pool = pool_of(5);
  std::vector<std::int64_t> seen(64, -1);
  std::atomic<int> faults{0};

  // Jobs of a few ranges, of which most workers come too late: a late one must neither run nor spoil a later job.
  for (std::int64_t job = 0; job < 20000; ++job) {
    const std::int64_t n = 2 + job % 7;
    pool->parallel_for(n, 1, [&, job](int, std::int64_t first, std::int64_t last) noexcept {
      if (last != first + 1 || seen[static_cast<std::size_t>(first)] == job) ++faults;
      seen[static_cast<std::size_t>(first)] = job;
    });
    for (std::int64_t i = 0; i < n; ++i) {
      if (seen[static_cast<std::size_t>(i)] != job) ++faults;
    }
  }

  EXPECT_EQ(faults.load(), 0);
}

TEST(ThreadPool, RunsNoMoreThreadsThanItMay) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::create(6, 2).value();
  EXPECT_EQ(pool->size(), 6);
  std::mutex mutex;
  std::set<std::thread::id> ran;
  std::set<int> indices;

  for (int job = 0; job < 200; ++job) {
    pool->parallel_for(12, 1, [&](int worker, std::int64_t, std::int64_t) noexcept {
      const std::lock_guard lock(mutex);
      ran.insert(std::this_thread::get_id());
      indices.insert(worker);
    });
  }

  EXPECT_LE(ran.size(), 2u);
  EXPECT_LE(*indices.rbegin(), 1);
}

TEST(ThreadPool, IsIdleBetweenJobs) {
  const auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  };
  const std::unique_ptr<ThreadPool> pool = pool_of(4);
  pool->parallel_for(100, [](int, std::int64_t, std::int64_t) noexcept {});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));   // they go to sleep

  const double before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));

  EXPECT_LT(used() - before, 0.005) << "seconds of CPU time in half a second";
}

TEST(ThreadPool, ItsThreadsHaveANameAndLeaveSignalsToTheHost) {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const std::unique_ptr<ThreadPool> pool = pool_of(2);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int s = 1; s < SIGRTMAX; ++s) ASSERT_EQ(sigismember(&before, s), sigismember(&after, s)) << s;
  std::atomic<bool> seen{false};
  std::string name;
  sigset_t mask;

  // The caller holds its range until the worker has had one.
  pool->parallel_for(2, 1, [&](int worker, std::int64_t, std::int64_t) noexcept {
    if (worker == 0) {
      while (!seen.load()) std::this_thread::yield();
    } else if (!seen.load()) {
      char text[32] = "";
      pthread_getname_np(pthread_self(), text, sizeof text);
      name = text;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      seen = true;
    }
  });

  EXPECT_EQ(name, "infer-1");
  for (const int s : {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGPIPE}) EXPECT_EQ(sigismember(&mask, s), 1) << s;
  for (const int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) EXPECT_EQ(sigismember(&mask, s), 0) << s;
}

TEST(ThreadPool, IsReleasedInAChildProcess) {
  std::unique_ptr<ThreadPool> pool = pool_of(4);
  pool->parallel_for(100, [](int, std::int64_t, std::int64_t) noexcept {});

  const pid_t child = fork();
  if (child == 0) {
    pool.reset();
    _exit(7);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;

  std::atomic<int> calls{0};
  pool->parallel_for(100, 1, [&](int, std::int64_t, std::int64_t) noexcept { ++calls; });
  EXPECT_EQ(calls.load(), 100);
}

// ---- with the host's threads

using Task = void(void* arg, std::size_t i);

/// One after another, in the order of a stack.
constexpr Executor kSequential{.n_threads = 3, .parallel_for = [](void*, std::size_t n, Task* task, void* arg) {
  while (n > 0) task(arg, --n);
}};

/// Each task on a thread of its own.
constexpr Executor kThreads{.n_threads = 3, .parallel_for = [](void*, std::size_t n, Task* task, void* arg) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < n; ++i) threads.emplace_back(task, arg, i);
  for (std::thread& t : threads) t.join();
}};

/// Breaks its word: forgets all tasks but one, and makes some up.
constexpr Executor kCareless{.n_threads = 3, .parallel_for = [](void*, std::size_t, Task* task, void* arg) {
  task(arg, 1);
  task(arg, 1000);
}};

constexpr Executor kLazy{.n_threads = 3, .parallel_for = [](void*, std::size_t, Task*, void*) {}};

TEST(ThreadPoolOfTheHost, CoversEveryIndexOnceWithValidWorkers) {
  for (const Executor& executor : {kSequential, kThreads, kCareless, kLazy}) {
    const std::unique_ptr<ThreadPool> pool = ThreadPool::create(3, executor).value();
    EXPECT_EQ(pool->size(), 3);
    for (int job = 0; job < 20; ++job) {
      std::vector<std::atomic<int>> visits(100);
      std::vector<std::atomic<int>> inside(3);
      std::atomic<int> faults{0};

      const ThreadPool::Grain grain = job % 2 == 0 ? ThreadPool::Grain(7) : ThreadPool::Grain(21, 3);
      pool->parallel_for(100, grain, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
        if (worker < 0 || worker > 2 || inside[static_cast<std::size_t>(worker)]++ != 0) ++faults;
        for (std::int64_t i = first; i < last; ++i) ++visits[static_cast<std::size_t>(i)];
        --inside[static_cast<std::size_t>(worker)];
      });

      for (const std::atomic<int>& v : visits) ASSERT_EQ(v.load(), 1);
      EXPECT_EQ(faults.load(), 0);
    }
  }
}

TEST(ThreadPoolOfTheHost, IsNotAskedForOneRange) {
  int asked = 0;
  const Executor executor{.n_threads = 4,
                          .parallel_for = [](void* user, std::size_t, Task*, void*) { ++*static_cast<int*>(user); },
                          .user = &asked};
  const std::unique_ptr<ThreadPool> pool = ThreadPool::create(4, executor).value();
  int calls = 0;

  pool->parallel_for(5, 5, [&](int, std::int64_t, std::int64_t) noexcept { ++calls; });

  EXPECT_EQ(asked, 0);
  EXPECT_EQ(calls, 1);
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

TEST(ThreadPool, TakesItsNumberOfThreadsFromTheHost) {
  EXPECT_EQ(default_threads({}), std::min(available_cores(), ThreadPool::kMaxThreads));
  EXPECT_EQ(default_threads(kSequential), 3);
}

}  // namespace
}  // namespace infer
