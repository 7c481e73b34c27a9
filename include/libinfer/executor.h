// SPDX-License-Identifier: MIT
// Executor: the host's own threads in the place of the library's. A value that is handed down; a null function means that
// the library makes its threads itself (thread_pool.h). Tested by tests/base/thread_pool_test.cpp.
#pragma once

#include <cstddef>

namespace infer {

struct Executor {
  int n_threads = 1;   ///< tasks that a session gives out at once when it is not told another number

  /// Calls task(arg, i) once for each i in [0, n_tasks), on any threads, one after another or at once, and returns when all
  /// have returned. Must not throw. Called from the thread that is inside the session, the load or the encoding of a text,
  /// never by two threads for one of them, but for several at once. A task never waits for another one.
  void (*parallel_for)(void* user, std::size_t n_tasks, void (*task)(void* arg, std::size_t i), void* arg) = nullptr;
  void* user = nullptr;

  explicit operator bool() const noexcept { return parallel_for != nullptr; }
};

}  // namespace infer
