// SPDX-License-Identifier: MIT
// Memory in one aligned block of a MemoryAccount: all that a session uses while it runs. The code that lays it out runs
// twice: first against a planning Workspace, which only counts, then against a carving one, which hands out spans of the
// block. Plan and use are the same code and cannot disagree. A Workspace never grows. Tested by
// tests/base/workspace_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libinfer/memory.h"
#include "libinfer/status.h"

namespace infer {

class Workspace {
 public:
  static constexpr std::size_t kAlignment = MemoryAccount::kAlignment;

  /// Counts only: every take() answers an empty span.
  Workspace() noexcept = default;

  /// A block of exactly the size that `plan` counted, from the account, zeroed. Errors: budget, nomem; limit when the plan
  /// does not fit in the address space.
  static Result<Workspace> carve(const Workspace& plan, MemoryAccount& account, const MemoryPurpose& purpose);

  /// `count` Ts, 64-byte aligned. T must be trivial: nothing is constructed or destroyed.
  /// A count whose size overflows makes the plan overflow(), which carve() refuses.
  template <class T>
  std::span<T> take(MemoryClass use, std::uint64_t count) noexcept {
    std::byte* p = take_bytes(use, count, sizeof(T));
    return p == nullptr ? std::span<T>() : std::span<T>(reinterpret_cast<T*>(p), static_cast<std::size_t>(count));
  }

  bool planning() const noexcept { return !carved_; }
  bool overflow() const noexcept { return overflow_; }
  const MemoryUse& use() const noexcept { return use_; }

 private:
  std::byte* take_bytes(MemoryClass use, std::uint64_t count, std::size_t size) noexcept;

  Block block_;
  std::uint64_t used_ = 0;
  bool carved_ = false;
  bool overflow_ = false;
  MemoryUse use_;
};

}  // namespace infer
