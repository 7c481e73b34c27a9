// SPDX-License-Identifier: MIT
// Panels: weights rearranged so that a vector register holds one place of sixteen rows. Sixteen rows stand side by side,
// row r in the r-th 1, 2 or 4 bytes of each line; every line of codes is 64 bytes and aligned: columns 4g..4g+3 of each row.
//
//   F32            per column        16 floats
//   F16            per column        16 halves
//   BF16           per two columns   a line: both of each row
//   blocks of 32   per 64 columns    the lines of two blocks; 2 x 16 scales d (half); Q4_1, Q5_1: 2 x 16 times -m (half)
//     Q8_0           8 lines: codes + 128
//     Q4_0 Q4_1 IQ4_NL   4 lines: low nibbles of line g, high nibbles of line g + 4
//     Q5_0 Q5_1      the same, then one line of fifth bits: bit g of each byte belongs to line g
//   blocks of 256  per 256 columns   lines, scales and mins of the sub-blocks, 16 times d, 16 times m (half)
//     Q4_K Q5_K      32 lines: low nibbles of block 2c, high nibbles of block 2c + 1; Q5_K: a fifth bit; six-bit planes
//     Q6_K           32 lines: of each half, low nibbles of blocks 0 1, high nibbles of blocks 2 3; 16 lines, two bits for each
//                    block of the half; (16, 16) scales
//     Q2_K Q3_K      16 lines: of each half, two bits for each block; Q2_K: (16, 16) scale | min << 4; Q3_K: a third bit, six-bit
//                    planes
//     IQ4_XS         32 lines: of each block, low nibbles of line g, high nibbles of line g + 4; six-bit planes
//
// A block here is 32 columns, a half four of them. One more bit: of each half, 4 lines; bit b for block b of line g, bit 4 + b of
// line g + 4. Six-bit planes: n vectors of 16 rows; first nibbles, of vector j low and of
// vector j + n / 2 high, then two bits, of vectors j, j + n / 4 ... from low to high. Where both are, scales come before mins,
// and mins of two neighbouring sub-blocks stand side by side: row by row the min of 2i and that of 2i + 1.
//
// Each type's file in ops/quant packs its own; tables for instruction sets read them (ops/simd). The same bytes as in the file, but
// for the last 64 columns of types of 32 where they are only half used, and what Q3_K and Q6_K need to stay aligned (2 and 1 %).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "libinfer/kernels.h"

namespace infer {

inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kRowHalves = kPanelRows * 2;   ///< bytes of a half for each row

/// Two blocks of 32 columns, sixteen rows: their lines, then d of both, then m.
template <std::size_t kBlockLines, bool kHasMins = false>
struct PanelChunk {
  static constexpr std::size_t kScales = 2 * kBlockLines * kLineBytes;
  static constexpr std::size_t kBytes = kScales + (kHasMins ? 4 : 2) * kRowHalves;

  static constexpr std::size_t lines(std::size_t block) noexcept {
    return block / 2 * kBytes + block % 2 * kBlockLines * kLineBytes;
  }
  static constexpr std::size_t scales(std::size_t block) noexcept {
    return block / 2 * kBytes + kScales + block % 2 * kRowHalves;
  }
  static constexpr std::size_t mins(std::size_t block) noexcept { return scales(block) + 2 * kRowHalves; }
  static constexpr std::size_t panel_bytes(std::int64_t cols) noexcept {
    return static_cast<std::size_t>((cols / kBlockCols + 1) / 2) * kBytes;
  }
};

using PanelQ8_0 = PanelChunk<8>;
using PanelQ4_0 = PanelChunk<4>;
using PanelQ4_1 = PanelChunk<4, true>;
using PanelQ5_0 = PanelChunk<5>;
using PanelQ5_1 = PanelChunk<5, true>;

/// 256 columns of sixteen rows.
template <std::size_t kCodeLines, std::size_t kHighLines, std::size_t kScaleBytes, bool kHasMins = false>
struct PanelSuper {
  static constexpr std::size_t kHigh = kCodeLines * kLineBytes;
  static constexpr std::size_t kScales = kHigh + kHighLines * kLineBytes;
  static constexpr std::size_t kD = kScales + kScaleBytes;
  static constexpr std::size_t kM = kD + kRowHalves;
  static constexpr std::size_t kBytes = (kD + (kHasMins ? 2 : 1) * kRowHalves + kLineBytes - 1) / kLineBytes * kLineBytes;

  static constexpr std::size_t panel_bytes(std::int64_t cols) noexcept {
    return static_cast<std::size_t>(cols / kSuperCols) * kBytes;
  }
};

/// Bytes of n vectors of sixteen values of six bits.
constexpr std::size_t six_bit_planes(std::size_t n) noexcept { return n * kPanelRows * 6 / 8; }

using PanelQ2_K = PanelSuper<16, 0, 256, true>;
using PanelQ3_K = PanelSuper<16, 8, six_bit_planes(16)>;
using PanelQ4_K = PanelSuper<32, 0, six_bit_planes(16), true>;
using PanelQ5_K = PanelSuper<32, 8, six_bit_planes(16), true>;
using PanelQ6_K = PanelSuper<32, 16, 256>;
using PanelIq4Xs = PanelSuper<32, 0, six_bit_planes(8)>;

/// Four bytes of a row to their place in each of `n` lines.
inline void pack_lines(const std::byte* row_bytes, std::size_t n, std::size_t row, std::byte* lines) noexcept {
  for (std::size_t g = 0; g < n; ++g) std::memcpy(lines + kLineBytes * g + 4 * row, row_bytes + 4 * g, 4);
}

template <class T, std::size_t n>
const std::byte* bytes_of(const T (&array)[n]) noexcept {
  return reinterpret_cast<const std::byte*>(array);
}

/// Bit 4g + k of `bits` to bit g of the k-th byte.
inline void pack_fifth_bits(const std::uint8_t (&bits)[4], std::size_t row, std::byte* line) noexcept {
  for (std::size_t i = 0; i < 32; ++i) line[4 * row + i % 4] |= static_cast<std::byte>((bits[i / 8] >> i % 8 & 1) << i / 4);
}

/// Bit b of byte 4g + k, of block b, to the lines of one more bit.
inline void pack_one_bits(const std::uint8_t (&bits)[32], std::size_t row, std::byte* lines) noexcept {
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t i = 0; i < 16; ++i) {   // 4 lines, 4 bytes
      const int both = (bits[i] >> 4 * half & 15) | (bits[i + 16] >> 4 * half & 15) << 4;
      lines[(half * 4 + i / 4) * kLineBytes + 4 * row + i % 4] = static_cast<std::byte>(both);
    }
  }
}

/// Where the min of a sub-block stands among mins: beside that of its neighbour.
constexpr std::size_t pair_place(std::size_t sub, std::size_t row) noexcept { return (sub / 2 * kPanelRows + row) * 2 + sub % 2; }

/// A value of vector j of n to its place in the planes, which are zero before.
inline void pack_six_bits(unsigned value, std::size_t j, std::size_t n, std::size_t row, std::byte* planes) noexcept {
  std::byte& low = planes[j % (n / 2) * kPanelRows + row];
  std::byte& high = planes[n / 2 * kPanelRows + j % (n / 4) * kPanelRows + row];
  low |= static_cast<std::byte>((value & 15u) << (j / (n / 2) * 4));
  high |= static_cast<std::byte>((value >> 4 & 3u) << (j / (n / 4) * 2));
}

/// Rows of blocks to a panel: `pack_row(block, row, panel chunk)` brings one block of a row to its place in a chunk that is
/// zero before; a chunk holds `kBlocks` of them.
template <class Panel, class Block, std::size_t kBlocks, void (*pack_row)(const Block&, std::size_t, std::byte*, std::size_t) noexcept>
void pack_blocks(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept {
  std::memset(panel, 0, Panel::panel_bytes(cols));
  const std::size_t blocks = static_cast<std::size_t>(cols / (kBlocks == 1 ? kSuperCols : kBlockCols));
  for (std::size_t b = 0; b < blocks; ++b) {
    for (std::size_t r = 0; r < static_cast<std::size_t>(kPanelRows); ++r) {
      Block block;
      std::memcpy(&block, rows + r * row_bytes + b * sizeof(Block), sizeof block);
      pack_row(block, r, panel + b / kBlocks * Panel::kBytes, b % kBlocks);
    }
  }
}

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
