// SPDX-License-Identifier: MIT
// All memory of a session in one aligned block. The code that lays it out runs twice: first against a planning
// Workspace, which only counts, then against a carving one, which hands out spans of the block. Plan and use are the
// same code and cannot disagree. A Workspace never grows. Tested by tests/base/workspace_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "libinfer/status.h"

namespace infer {

/// What memory is used for; also the classes that the C ABI reports.
enum class MemoryClass : std::int32_t { weights = 0, mapped = 1, kv = 2, scratch = 3, vocab = 4, other = 5 };
inline constexpr int kMemoryClassCount = 6;

/// Bytes by class.
struct MemoryUse {
  std::array<std::uint64_t, kMemoryClassCount> bytes{};

  std::uint64_t& operator[](MemoryClass c) noexcept { return bytes[static_cast<std::size_t>(c)]; }
  std::uint64_t operator[](MemoryClass c) const noexcept { return bytes[static_cast<std::size_t>(c)]; }
  /// All but the mapped bytes, which belong to the page cache.
  std::uint64_t owned() const noexcept {
    std::uint64_t sum = 0;
    for (std::uint64_t b : bytes) sum += b;
    return sum - (*this)[MemoryClass::mapped];
  }
};

class Workspace {
 public:
  static constexpr std::size_t kAlignment = 64;

  /// Counts only: every take() answers an empty span.
  Workspace() noexcept = default;

  /// A block of exactly the size that `plan` counted, zeroed. Code::nomem when there is no such block,
  /// Code::limit when the plan does not fit in the address space.
  static Result<Workspace> carve(const Workspace& plan);

  /// `count` Ts, 64-byte aligned. T must be trivial: nothing is constructed or destroyed.
  /// A count whose size overflows makes the plan overflow(), which carve() refuses.
  template <class T>
  std::span<T> take(MemoryClass use, std::uint64_t count) noexcept {
    std::byte* p = take_bytes(use, count, sizeof(T));
    return p == nullptr ? std::span<T>() : std::span<T>(reinterpret_cast<T*>(p), static_cast<std::size_t>(count));
  }

  bool planning() const noexcept { return block_ == nullptr; }
  bool overflow() const noexcept { return overflow_; }
  const MemoryUse& use() const noexcept { return use_; }

 private:
  std::byte* take_bytes(MemoryClass use, std::uint64_t count, std::size_t size) noexcept;

  struct Free {
    void operator()(std::byte* p) const noexcept;
  };
  std::unique_ptr<std::byte, Free> block_;
  std::uint64_t capacity_ = 0;
  std::uint64_t used_ = 0;
  bool overflow_ = false;
  MemoryUse use_;
};

}  // namespace infer
