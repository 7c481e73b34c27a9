// SPDX-License-Identifier: MIT
// Whether all numbers of a list are numbers. Tested by tests/base/finite_test.cpp.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace infer {

/// The index of the first NaN or infinity, or x.size(). One pass without branches over lists that have none.
inline std::size_t find_non_finite(std::span<const float> x) noexcept {
  constexpr std::uint32_t kExponent = 0x7f800000u;   // all ones: NaN or infinity
  const auto is_bad = [](float f) { return (std::bit_cast<std::uint32_t>(f) & kExponent) == kExponent; };
  std::uint32_t bad = 0;
  for (const float f : x) bad |= static_cast<std::uint32_t>(is_bad(f));
  if (bad == 0) return x.size();
  std::size_t i = 0;
  while (!is_bad(x[i])) ++i;
  return i;
}

}  // namespace infer
