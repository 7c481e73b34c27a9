// SPDX-License-Identifier: MIT
// Half floats (IEEE 754 binary16) and bfloat16 to float and back, in integer arithmetic, exact for every bit pattern.
// Round to nearest, ties to even; NaNs stay NaNs (quiet). Tested by tests/ops/half_test.cpp over all 65536 patterns.
#pragma once

#include <bit>
#include <cstdint>

namespace infer {

constexpr float half_to_float(std::uint16_t h) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t rest = static_cast<std::uint32_t>(h & 0x7fffu) << 13;   // exponent and mantissa in float's places
  if (rest >= 0x0f800000u) return std::bit_cast<float>(sign | rest | 0x70000000u | (rest > 0x0f800000u ? 0x00400000u : 0u));
  // 2^112 rebiases the exponent (127 - 15), and normalises subnormal halves on the way: the product is exact.
  const float magnitude = std::bit_cast<float>(rest) * std::bit_cast<float>(0x77800000u);
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

constexpr std::uint16_t float_to_half(float f) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {   // NaN: keep the high mantissa bits, make it quiet
    return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x03ffu));
  }
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);   // 65520 and up round to infinity
  if (magnitude < 0x38800000u) {
    // Subnormal half or zero: adding 0.5 puts the rounded units of 2^-24 into the low mantissa bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0x0fffu + odd) >> 13));
}

constexpr float bf16_to_float(std::uint16_t b) noexcept { return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16); }

constexpr std::uint16_t float_to_bf16(float f) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace infer
