// SPDX-License-Identifier: MIT
// The eight scales and eight mins of 6 bits that Q4_K and Q5_K keep in twelve bytes:
//
//   bytes 0..3    scales 0..3, and two high bits of scales 4..7     bytes 8..11   low nibbles of scales 4..7, and of mins 4..7
//   bytes 4..7    mins 0..3, and two high bits of mins 4..7                        above them
// Tested by tests/ops/quant_test.cpp and blocks_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace infer {

inline int scale_of(const std::uint8_t* b, int s) noexcept { return s < 4 ? b[s] & 63 : (b[s + 4] & 15) | b[s - 4] >> 6 << 4; }
inline int min_of(const std::uint8_t* b, int s) noexcept { return s < 4 ? b[s + 4] & 63 : b[s + 4] >> 4 | b[s] >> 6 << 4; }

/// Twelve bytes of the planes of a panel (ops/panels.h), the mins after the scales, of the twelve above.
inline void planes_of(const std::byte* scales, std::byte* planes) noexcept {
  std::uint32_t b[3];
  std::memcpy(b, scales, sizeof b);
  const std::uint32_t low = (b[0] & 0x0f0f0f0f) | (b[1] & 0x0f0f0f0f) << 4, high = (b[0] >> 4 & 0x0f0f0f0f) | (b[1] & 0xf0f0f0f0);
  std::memcpy(planes, &low, 4);
  std::memcpy(planes + 4, &b[2], 4);
  std::memcpy(planes + 8, &high, 4);
}

inline void put_scale_min(std::uint8_t* b, int s, int scale, int min) noexcept {
  const auto byte = [](int v) noexcept { return static_cast<std::uint8_t>(v); };
  if (s < 4) {
    b[s] = byte((b[s] & 192) | scale);
    b[s + 4] = byte((b[s + 4] & 192) | min);
  } else {
    b[s + 4] = byte((scale & 15) | (min & 15) << 4);
    b[s - 4] = byte((b[s - 4] & 63) | scale >> 4 << 6);
    b[s] = byte((b[s] & 63) | min >> 4 << 6);
  }
}

}  // namespace infer
