// SPDX-License-Identifier: MIT
// Panels: weights rearranged so that a vector register holds one place of sixteen rows. Sixteen rows stand side by side,
// row r in the r-th 1, 2 or 4 bytes of each line; every line of codes is 64 bytes and aligned.
//
//   F32         per column        16 floats
//   F16, BF16   per column        16 halves
//   Q8_0        per 64 columns    2 x 8 lines: columns 4g..4g+3 of each row, as code + 128; then 2 x 16 scales (half)
//   Q4_0        per 64 columns    2 x 4 lines: low nibbles columns 4g..4g+3, high nibbles 4g+16..4g+19; then the scales
//
// Each type's file in ops/quant packs its own; tables for instruction sets read them (ops/simd). Same bytes as the file,
// but for the last 64 columns where they are only half used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "libinfer/kernels.h"

namespace infer {

/// Two blocks of 32 columns, sixteen rows: their lines, then their scales.
template <std::size_t kBlockLines>
struct PanelChunk {
  static constexpr std::size_t kLineBytes = 64;
  static constexpr std::size_t kScalesOffset = 2 * kBlockLines * kLineBytes;
  static constexpr std::size_t kBytes = kScalesOffset + 2 * kPanelRows * 2;

  static constexpr std::size_t lines(std::int64_t block) noexcept {
    return static_cast<std::size_t>(block / 2) * kBytes + static_cast<std::size_t>(block % 2) * kBlockLines * kLineBytes;
  }
  static constexpr std::size_t scales(std::int64_t block) noexcept {
    return static_cast<std::size_t>(block / 2) * kBytes + kScalesOffset + static_cast<std::size_t>(block % 2) * kPanelRows * 2;
  }
  static constexpr std::size_t panel_bytes(std::int64_t cols) noexcept {
    return static_cast<std::size_t>((cols / kBlockCols + 1) / 2) * kBytes;
  }
};

using PanelQ8_0 = PanelChunk<8>;
using PanelQ4_0 = PanelChunk<4>;

/// Panels of types without blocks: one element of each row per column.
template <std::size_t kElementBytes>
constexpr std::size_t plain_panel_bytes(std::int64_t cols) noexcept {
  return (static_cast<std::size_t>(cols) * kPanelRows * kElementBytes + 63) / 64 * 64;
}

template <std::size_t kElementBytes>
void pack_plain(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept {
  for (std::int64_t c = 0; c < cols; ++c) {
    for (std::size_t r = 0; r < kPanelRows; ++r, panel += kElementBytes) {
      std::memcpy(panel, rows + r * row_bytes + static_cast<std::size_t>(c) * kElementBytes, kElementBytes);
    }
  }
}

}  // namespace infer
