// SPDX-License-Identifier: MIT
// Persistent workers for loops over index ranges. The caller of parallel_for is worker 0; with one thread no thread is
// created at all. Nothing is allocated per call. How the work is split never changes a result: blocks split by output
// element, never by reduction. Tested by tests/base/thread_pool_test.cpp.
#pragma once

#include <cstdint>
#include <memory>

#include "libinfer/status.h"

namespace infer {

class ThreadPool {
 public:
  static constexpr int kMaxThreads = 1024;

  /// Threads are created now and joined in the destructor. 1 <= n_threads <= kMaxThreads.
  static Result<std::unique_ptr<ThreadPool>> create(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const noexcept;

  /// Calls fn(worker, first, last) so that the ranges cover [0, n) once; returns when all are done. `worker` is below
  /// size() and no two concurrent calls share it: per-thread scratch may be indexed by it. Not reentrant.
  template <class Fn>
  void parallel_for(std::int64_t n, const Fn& fn) noexcept {
    run(n, [](const void* f, int worker, std::int64_t first, std::int64_t last) noexcept {
      (*static_cast<const Fn*>(f))(worker, first, last);
    }, &fn);
  }

 private:
  using RangeFn = void (*)(const void* fn, int worker, std::int64_t first, std::int64_t last) noexcept;
  struct State;

  explicit ThreadPool(std::unique_ptr<State> state) noexcept;
  void run(std::int64_t n, RangeFn call, const void* fn) noexcept;

  std::unique_ptr<State> state_;
};

/// Cores that this process may use (its affinity mask), at least 1.
int available_cores() noexcept;

}  // namespace infer
