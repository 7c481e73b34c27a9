// SPDX-License-Identifier: MIT
// Panels: weights rearranged so that a vector register holds one place of sixteen rows. Sixteen rows stand side by side,
// row r in the r-th 1, 2 or 4 bytes of each line; every line of codes is 64 bytes and aligned: columns 4g..4g+3 of each row.
//
//   F32            per column        16 floats
//   F16            per column        16 halves
//   BF16           per two columns   a line: both of each row
//   blocks of 32   per 64 columns    of two blocks 2 x 16 scales d (half); Q4_1, Q5_1: 2 x 16 times -m (half); their lines
//     Q8_0           8 lines: codes + 128
//     Q4_0 Q4_1 IQ4_NL   4 lines: low nibbles of line g, high nibbles of line g + 4
//     Q5_0 Q5_1      one line of fifth bits, bit g of each byte belongs to line g; then the same
//   blocks of 256  per 256 columns   scales and mins of the sub-blocks, 16 times d, 16 times m (half); lines of codes of the first
//                    half, and between them lines of their further bits, one after each while there are any; the same of the
//                    other half
//     Q4_K Q5_K      16 lines: low nibbles of block 2c, high nibbles of block 2c + 1; Q5_K: a fifth bit; six-bit planes
//     Q6_K           16 lines: low nibbles of blocks 0 1, high nibbles of blocks 2 3; 8 lines, two bits for each block of the half;
//                    (16, 16) scales
//     Q2_K Q3_K      8 lines: two bits for each block; Q2_K: (16, 16) scale | min << 4; Q3_K: a third bit, six-bit planes
//     IQ4_XS         16 lines: of each block, low nibbles of line g, high nibbles of line g + 4; six-bit planes
//
// A block here is 32 columns, a half four of them. One more bit: 4 lines; bit b for block b of line g, bit 4 + b of
// line g + 4. Six-bit planes: n vectors of 16 rows; first nibbles, of vector j low and of
// vector j + n / 2 high, then two bits, of vectors j, j + n / 4 ... from low to high. Where both are, scales come before mins,
// and mins of two neighbouring sub-blocks stand side by side: row by row the min of 2i and that of 2i + 1.
//
// What a product reads first comes first, line by line: a processor that sees a pass walk straight through memory fetches ahead
// of it; one that jumps, even by a line, waits for half of them (docs/performance.md).
//
// Each type's file in ops/quant packs its own (ops/quant/pack.h); tables for instruction sets read them (ops/simd). A panel takes as
// many bytes as its rows in the file and these more, which are zeros: a block of each row where the last 64 columns of a type of 32
// are only half used; of Q3_K and Q6_K 2 and 1 %, which keep lines aligned; what is left of the last line of F16 and BF16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libinfer/kernels.h"

namespace infer {

inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kRowHalves = kPanelRows * 2;   ///< bytes of a half for each row

/// Two blocks of 32 columns, sixteen rows: d of both, then m, then their lines.
template <std::size_t kBlockLines, bool kHasMins = false>
struct PanelChunk {
  static constexpr std::size_t kHead = (kHasMins ? 4 : 2) * kRowHalves;
  static constexpr std::size_t kBytes = kHead + 2 * kBlockLines * kLineBytes;

  static constexpr std::size_t lines(std::size_t block) noexcept {
    return block / 2 * kBytes + kHead + block % 2 * kBlockLines * kLineBytes;
  }
  static constexpr std::size_t scales(std::size_t block) noexcept { return block / 2 * kBytes + block % 2 * kRowHalves; }
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
template <std::size_t kCodes, std::size_t kHighs, std::size_t kScaleBytes, bool kHasMins = false>
struct PanelSuper {
  static constexpr std::size_t kCodeLines = kCodes, kHighLines = kHighs;   ///< of a half
  static constexpr std::size_t kScales = 0;
  static constexpr std::size_t kD = kScaleBytes;
  static constexpr std::size_t kM = kD + kRowHalves;
  static constexpr std::size_t kHeadUsed = kD + (kHasMins ? 2 : 1) * kRowHalves;
  static constexpr std::size_t kHead = (kHeadUsed + kLineBytes - 1) / kLineBytes * kLineBytes;
  static constexpr std::size_t kBytes = kHead + 2 * (kCodeLines + kHighLines) * kLineBytes;

  static constexpr std::size_t lines(std::size_t half) noexcept { return kHead + half * (kCodeLines + kHighLines) * kLineBytes; }
  /// Where, in a half, line `i` of its codes is, and line `i` of further bits.
  static constexpr std::size_t code(std::size_t i) noexcept { return (i + (i < kHighLines ? i : kHighLines)) * kLineBytes; }
  static constexpr std::size_t high(std::size_t i) noexcept { return (2 * i + 1) * kLineBytes; }
  static constexpr std::size_t panel_bytes(std::int64_t cols) noexcept {
    return static_cast<std::size_t>(cols / kSuperCols) * kBytes;
  }
};

/// Bytes of n vectors of sixteen values of six bits.
constexpr std::size_t six_bit_planes(std::size_t n) noexcept { return n * kPanelRows * 6 / 8; }

using PanelQ2_K = PanelSuper<8, 0, 256, true>;
using PanelQ3_K = PanelSuper<8, 4, six_bit_planes(16)>;
using PanelQ4_K = PanelSuper<16, 0, six_bit_planes(16), true>;
using PanelQ5_K = PanelSuper<16, 4, six_bit_planes(16), true>;
using PanelQ6_K = PanelSuper<16, 8, 256>;
using PanelIq4Xs = PanelSuper<16, 0, six_bit_planes(8)>;

}  // namespace infer
