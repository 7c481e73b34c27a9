// SPDX-License-Identifier: MIT
// The grids of the IQ1, IQ2 and IQ3 types: the points of eight (IQ3: four) values that a group of weights may take, one byte
// to a value, the first one lowest; and signs, put on eight values at once. Constants made by the compiler: nothing is
// computed at run time. Tested by tests/ops/quant_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace infer {

extern constinit const std::array<std::uint64_t, 256> kGridIq2Xxs;    ///< magnitudes 8, 25, 43
extern constinit const std::array<std::uint64_t, 512> kGridIq2Xs;     ///< likewise
extern constinit const std::array<std::uint64_t, 1024> kGridIq2S;     ///< likewise
extern constinit const std::array<std::uint32_t, 256> kGridIq3Xxs;    ///< magnitudes 4, 12, 20, 28, 36, 44, 52, 62
extern constinit const std::array<std::uint32_t, 512> kGridIq3S;      ///< magnitudes 1, 3, 5 ... 15
extern constinit const std::array<std::uint64_t, 2048> kGridIq1;      ///< 1 + value, which is -1, 0 or 1

/// The same points as numbers of levels, two bits (IQ1, IQ2) or three (IQ3) to a value, the first one lowest: what encoders
/// search.
extern const std::array<std::uint16_t, 256> kPointsIq2Xxs;
extern const std::array<std::uint16_t, 512> kPointsIq2Xs;
extern const std::array<std::uint16_t, 1024> kPointsIq2S;
extern const std::array<std::uint16_t, 256> kPointsIq3Xxs;
extern const std::array<std::uint16_t, 512> kPointsIq3S;
extern const std::array<std::uint16_t, 2048> kPointsIq1;

extern constinit const std::array<std::uint64_t, 256> kSignMasks;      ///< byte i: 0xff where bit i of the index is set
extern constinit const std::array<std::uint64_t, 128> kEvenSignMasks;  ///< of seven bits, the eighth makes their number even

/// Eight magnitudes, none of them 0, negative where the mask has 0xff: ~v + 1 carries nothing into the next byte.
constexpr std::uint64_t with_signs(std::uint64_t magnitudes, std::uint64_t mask) noexcept {
  return (magnitudes ^ mask) + (mask & 0x0101010101010101u);
}

/// Two points of four values.
constexpr std::uint64_t pair_of(std::uint32_t first, std::uint32_t second) noexcept {
  return first | std::uint64_t{second} << 32;
}

/// Eight values 8 g + 1, or 8 g - 1 where `minus` is 1, of a point of kGridIq1. The high bits keep borrows from the next
/// byte.
constexpr std::uint64_t shifted(std::uint64_t point, unsigned minus) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  return ((point << 3 | kHigh) - (7 + 2 * minus) * kOnes) ^ kHigh;
}

inline void put_codes(std::int8_t* codes, std::uint64_t eight) noexcept { std::memcpy(codes, &eight, sizeof eight); }

}  // namespace infer
