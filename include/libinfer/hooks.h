// SPDX-License-Identifier: MIT
// What the library may call on the host's side: a log sink, a progress report, a cancel flag. All are values that are
// handed down; null means silent. The library itself writes to no stream. Nothing is logged inside a step.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace infer {

enum class LogLevel : std::int32_t { debug = 0, info = 1, warning = 2, error = 3, off = 4 };

/// One call is one complete record (no trailing newline). `write` may be called from any thread that uses the library.
struct Logger {
  void (*write)(void* user, LogLevel level, std::string_view component, std::string_view message) = nullptr;
  void* user = nullptr;
  LogLevel level = LogLevel::off;

  void log(LogLevel at, std::string_view component, std::string_view message) const {
    if (write != nullptr && at >= level) write(user, at, component, message);
  }
};

/// Progress of a load in bytes; a false answer cancels the load.
struct Progress {
  bool (*report)(void* user, std::uint64_t done, std::uint64_t total) = nullptr;
  void* user = nullptr;

  bool operator()(std::uint64_t done, std::uint64_t total) const { return report == nullptr || report(user, done, total); }
};

/// Set from any thread or a signal handler; read between ranges of a step's loops and between blocks of a read.
struct CancelFlag {
  std::atomic<bool> set{false};
};

inline bool is_cancelled(const CancelFlag* flag) noexcept {
  return flag != nullptr && flag->set.load(std::memory_order_relaxed);
}

}  // namespace infer
