// SPDX-License-Identifier: MIT
// A small persistent pool: one job at a time, one contiguous range per worker, a condition variable to start and one to
// finish. Tested by tests/base/thread_pool_test.cpp.
#include "libinfer/thread_pool.h"

#include <sched.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace infer {

struct ThreadPool::State {
  std::vector<std::thread> threads;   ///< workers 1 .. size - 1
  std::mutex mutex;
  std::condition_variable start, finished;
  std::uint64_t job = 0;              ///< number of the current job; guarded by mutex, like all below
  int running = 0;
  bool stop = false;
  std::int64_t n = 0;
  RangeFn call = nullptr;
  const void* fn = nullptr;

  int size() const noexcept { return static_cast<int>(threads.size()) + 1; }

  /// Worker w of s gets [n * w / s, n * (w + 1) / s).
  void work(int worker) const noexcept {
    const std::int64_t s = size();
    const std::int64_t share = n / s, rest = n % s;
    const std::int64_t first = share * worker + std::min<std::int64_t>(worker, rest);
    const std::int64_t last = first + share + (worker < rest ? 1 : 0);
    if (first < last) call(fn, worker, first, last);
  }

  void loop(int worker) noexcept {
    std::uint64_t done = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      start.wait(lock, [&] { return stop || job != done; });
      if (stop) return;
      done = job;
      lock.unlock();
      work(worker);
      lock.lock();
      if (--running == 0) finished.notify_one();
    }
  }

  void join() noexcept {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    start.notify_all();
    for (std::thread& t : threads) t.join();
  }
};

ThreadPool::ThreadPool(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

ThreadPool::~ThreadPool() { state_->join(); }

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int n_threads) {
  if (n_threads < 1 || n_threads > kMaxThreads) {
    return Status::error(Code::range, "n_threads = " + std::to_string(n_threads) + " is outside 1.." +
                                          std::to_string(kMaxThreads));
  }
  auto state = std::make_unique<State>();
  state->threads.reserve(static_cast<std::size_t>(n_threads) - 1);
  // Workers wait for the first job, so `threads` is complete before anyone asks for its size.
  for (int worker = 1; worker < n_threads; ++worker) {
    try {
      state->threads.emplace_back([s = state.get(), worker] { s->loop(worker); });
    } catch (const std::system_error&) {   // the one way std::thread has of saying it
      state->join();
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
  {
    const std::lock_guard lock(s.mutex);
    s.n = n;
    s.call = call;
    s.fn = fn;
    s.running = static_cast<int>(s.threads.size());
    ++s.job;
  }
  s.start.notify_all();
  s.work(0);
  std::unique_lock lock(s.mutex);
  s.finished.wait(lock, [&] { return s.running == 0; });
}

int available_cores() noexcept {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace infer
