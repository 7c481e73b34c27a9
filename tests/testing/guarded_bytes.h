// SPDX-License-Identifier: MIT
// Bytes at the edge of a page whose neighbour cannot be touched: who reads past them, or in front of them, is killed by the
// machine itself, whatever its code was compiled with.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <span>

namespace infer::testing {

enum class Edge { front, back };   ///< where the forbidden page is

class GuardedBytes {
 public:
  /// Zeros that may be written.
  GuardedBytes(std::size_t size, Edge edge) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t pages = (size + page - 1) / page * page;
    mapped_ = pages + page;
    void* const start = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return;
    start_ = static_cast<std::byte*>(start);
    std::byte* const guard = edge == Edge::front ? start_ : start_ + pages;
    if (::mprotect(guard, page, PROT_NONE) == 0) bytes_ = {edge == Edge::front ? guard + page : guard - size, size};
  }
  /// A copy that cannot be written.
  GuardedBytes(std::span<const std::byte> bytes, Edge edge) : GuardedBytes(bytes.size(), edge) {
    if (bytes_.empty()) return;
    std::memcpy(bytes_.data(), bytes.data(), bytes.size());
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    ::mprotect(edge == Edge::front ? start_ + page : start_, mapped_ - page, PROT_READ);
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() {
    if (start_ != nullptr) ::munmap(start_, mapped_);
  }

  /// Empty: the system gave no memory.
  std::span<const std::byte> bytes() const { return bytes_; }
  std::byte* data() { return bytes_.data(); }

 private:
  std::byte* start_ = nullptr;
  std::size_t mapped_ = 0;
  std::span<std::byte> bytes_;
};

}  // namespace infer::testing
