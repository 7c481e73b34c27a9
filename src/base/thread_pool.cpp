// SPDX-License-Identifier: MIT
// A small persistent pool: one job at a time, one contiguous range per worker. Whoever waits spins for a bounded time,
// because the next job of a forward pass is microseconds away, and then sleeps. Tested by tests/base/thread_pool_test.cpp.
#include "libinfer/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace infer {
namespace {

constexpr std::chrono::microseconds kSpin{50};

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Spins until `ready` or until the time is up; answers ready().
template <class Ready>
bool spin(const Ready& ready) noexcept {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> threads;      ///< workers 1 .. size - 1
  bool spins = false;                    ///< not with more threads than cores: a spinner would hold up a worker

  // The job. Written before `job` counts up, read after.
  std::int64_t n = 0;
  RangeFn call = nullptr;
  const void* fn = nullptr;

  std::atomic<std::uint64_t> job{0};     ///< number of the current job
  std::atomic<int> running{0};           ///< workers that have not finished it
  std::atomic<bool> stop{false};

  // For those who gave up spinning. A sleeper counts itself before it looks again, a waker changes the state before it
  // looks at the count: both sequentially consistent, so one of them sees the other.
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<int> sleepers{0};

  int size() const noexcept { return static_cast<int>(threads.size()) + 1; }

  template <class Ready>
  void wait(const Ready& ready) noexcept {
    if (spins && spin(ready)) return;
    std::unique_lock lock(mutex);
    sleepers.fetch_add(1);
    changed.wait(lock, ready);
    sleepers.fetch_sub(1);
  }

  void wake() noexcept {
    if (sleepers.load() == 0) return;
    { const std::lock_guard lock(mutex); }   // a sleeper is either not yet looking, or already waiting
    changed.notify_all();
  }

  /// A contiguous share of [0, n), as even as can be.
  void work(int worker) const noexcept {
    const std::int64_t share = n / size(), rest = n % size();
    const std::int64_t first = share * worker + std::min<std::int64_t>(worker, rest);
    const std::int64_t last = first + share + (worker < rest ? 1 : 0);
    if (first < last) call(fn, worker, first, last);
  }

  void loop(int worker) noexcept {
    for (std::uint64_t done = 0;;) {
      wait([&] { return job.load() != done || stop.load(); });
      if (stop.load()) return;
      done = job.load();
      work(worker);
      if (running.fetch_sub(1) == 1) wake();
    }
  }

  /// Also ends a pool that was never completed.
  ~State() {
    stop.store(true);
    wake();
    for (std::thread& t : threads) t.join();
  }
};

ThreadPool::ThreadPool(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

ThreadPool::~ThreadPool() = default;

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int n_threads) {
  if (n_threads < 1 || n_threads > kMaxThreads) {
    return Status::error(Code::range, "n_threads = " + std::to_string(n_threads) + " is outside 1.." +
                                          std::to_string(kMaxThreads));
  }
  auto state = std::make_unique<State>();
  state->spins = n_threads <= available_cores();
  state->threads.reserve(static_cast<std::size_t>(n_threads) - 1);
  // Workers wait for the first job, so `threads` is complete before anyone asks for its size.
  for (int worker = 1; worker < n_threads; ++worker) {
    try {
      state->threads.emplace_back([s = state.get(), worker] { s->loop(worker); });
    } catch (const std::system_error&) {   // the one way std::thread has of saying it
      return Status::error(Code::nomem, "the system gave " + std::to_string(worker) + " of " + std::to_string(n_threads) +
                                            " threads; use a smaller n_threads");
    }
  }
  return std::unique_ptr<ThreadPool>(new ThreadPool(std::move(state)));
}

int ThreadPool::size() const noexcept { return state_->size(); }

void ThreadPool::run(std::int64_t n, RangeFn call, const void* fn) noexcept {
  State& s = *state_;
  if (s.threads.empty() || n <= 1) {
    if (n > 0) call(fn, 0, 0, n);
    return;
  }
  s.n = n;
  s.call = call;
  s.fn = fn;
  s.running.store(static_cast<int>(s.threads.size()));
  s.job.fetch_add(1);
  s.wake();
  s.work(0);
  s.wait([&] { return s.running.load() == 0; });
}

int available_cores() noexcept {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace infer
