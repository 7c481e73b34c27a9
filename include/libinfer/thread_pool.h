// SPDX-License-Identifier: MIT
// Persistent workers for loops over index ranges, or the host's executor in their place. The caller of parallel_for is
// worker 0; with one thread no thread is created at all. Nothing is allocated per call. How the work is split never
// changes a result: blocks split by output element, never by reduction. Tested by tests/base/thread_pool_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "libinfer/executor.h"
#include "libinfer/status.h"

namespace infer {

class ThreadPool {
 public:
  static constexpr int kMaxThreads = 1024;

  /// Threads are created now and joined in the destructor; they block all signals but those of their own faults. 1 <=
  /// n_threads <= kMaxThreads. No more than `most_awake` of them, the caller included, run at once (0: available_cores()):
  /// a thread without a core only takes time from the others, so it is not even created. Errors: range, nomem.
  static Result<std::unique_ptr<ThreadPool>> create(int n_threads, int most_awake = 0);
  /// A pool of tasks of the host's; `executor` is set and its user outlives the pool. Errors: range.
  static Result<std::unique_ptr<ThreadPool>> create(int n_threads, const Executor& executor);
  /// In a child of the process that made it the threads do not exist: nothing is waited for.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// n_threads, however many of them are awake.
  int size() const noexcept { return size_; }

  /// Items of a range: of all, or of the largest and, as the end of a thread's share comes nearer, the smallest; `most` is
  /// rounded down to a multiple of `least`. So all threads end together, whatever each was kept by, and read long ranges until
  /// then. (Where the smallest would be more than 2^24 they are larger.)
  struct Grain {
    std::int64_t most, least;
    Grain(std::int64_t all) noexcept : most(all), least(all) {}   // NOLINT: a number is a grain
    Grain(std::int64_t largest, std::int64_t smallest) noexcept : most(largest), least(smallest) {}
  };

  /// Calls fn(worker, first, last) so that the ranges cover [0, n) once; returns when all are done. Ranges as Grain says
  /// (the last may be shorter) are taken by each worker from its share, side by side, and then from those of the others: a worker
  /// that gets no core delays nobody. `worker` is below size() and no two concurrent calls share it: per-thread scratch may be
  /// indexed by it. Not reentrant.
  template <class Fn>
  void parallel_for(std::int64_t n, Grain grain, const Fn& fn) noexcept {
    run(n, grain, [](const void* f, int worker, std::int64_t first, std::int64_t last) noexcept {
      (*static_cast<const Fn*>(f))(worker, first, last);
    }, &fn);
  }

  /// The same with the grain of `even_grain`.
  template <class Fn>
  void parallel_for(std::int64_t n, const Fn& fn) noexcept {
    parallel_for(n, even_grain(n), fn);
  }

  /// Four ranges per thread: enough to even out threads of different speed. One range for one thread.
  std::int64_t even_grain(std::int64_t n) const noexcept {
    const std::int64_t ranges = size_ == 1 ? 1 : 4 * std::int64_t{size_};
    return std::max<std::int64_t>(1, n / ranges + (n % ranges != 0 ? 1 : 0));
  }

 private:
  using RangeFn = void (*)(const void* fn, int worker, std::int64_t first, std::int64_t last) noexcept;
  struct State;

  ThreadPool(int size, std::unique_ptr<State> state) noexcept;
  void run(std::int64_t n, Grain grain, RangeFn call, const void* fn) noexcept;

  int size_;
  std::unique_ptr<State> state_;
};

/// Cores that this process may use, at least 1: its affinity mask, and the CPU quota of its control groups rounded up.
/// Read anew with each call.
int available_cores();

/// Of a session that is not told a number: what the executor says, else available_cores(); at most kMaxThreads.
inline int default_threads(const Executor& executor) {
  return std::clamp(executor ? executor.n_threads : available_cores(), 1, ThreadPool::kMaxThreads);
}

}  // namespace infer
