// SPDX-License-Identifier: MIT
// The only arithmetic that numbers from a file or a caller go through: overflow is an answer, not an accident.
// Tested by tests/base/checked_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

namespace infer {

constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

constexpr std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// The number as a To, where it fits: a size of a file in the size_t of a 32-bit machine, for one.
template <class To>
constexpr std::optional<To> checked_cast(std::uint64_t n) noexcept {
  if (!std::in_range<To>(n)) return std::nullopt;
  return static_cast<To>(n);
}

/// Whether `count` bytes from `offset` on lie inside `size` bytes.
constexpr bool inside(std::uint64_t offset, std::uint64_t count, std::uint64_t size) noexcept {
  return offset <= size && count <= size - offset;
}

/// The next multiple of a power of two.
constexpr std::optional<std::uint64_t> checked_align(std::uint64_t n, std::uint64_t alignment) noexcept {
  const std::optional<std::uint64_t> sum = checked_add(n, alignment - 1);
  if (!sum) return std::nullopt;
  return *sum & ~(alignment - 1);
}

}  // namespace infer
