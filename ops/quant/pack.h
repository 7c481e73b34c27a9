// SPDX-License-Identifier: MIT
// Rows of the file to panels (ops/panels.h). Nearly all of it is one thing: sixteen rows of values of 1, 2 or 4 bytes are
// transposed, so that the same value of all rows stands side by side. Bits that a type keeps elsewhere are moved within a row, or
// within a line, before or after. In vectors of 16 bytes, which every machine has: as fast as memory already.
// Tested by tests/ops/pack_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ops/panels.h"

namespace infer {

/// Sixteen rows, or a part of each, `stride` bytes apart.
struct Rows {
  const std::byte* first;
  std::size_t stride;

  const std::byte* operator[](std::size_t row) const noexcept { return first + row * stride; }
  /// The same rows from a byte of theirs on.
  Rows from(std::size_t byte) const noexcept { return {first + byte, stride}; }
};

template <class T>
inline constexpr std::size_t kSquare = 16 / sizeof(T);   // values in a vector
template <class T>
using Vector [[gnu::vector_size(16)]] = T;

/// a0 b0 a1 b1 ... of the first halves, or of the second.
template <bool kSecond, class T>
[[gnu::always_inline]] inline Vector<T> interleave(const Vector<T>& a, const Vector<T>& b) noexcept {
  constexpr int s = kSecond ? kSquare<T> / 2 : 0, n = kSquare<T>;
  if constexpr (n == 4) {
    return __builtin_shufflevector(a, b, s, s + n, s + 1, s + 1 + n);
  } else if constexpr (n == 8) {
    return __builtin_shufflevector(a, b, s, s + n, s + 1, s + 1 + n, s + 2, s + 2 + n, s + 3, s + 3 + n);
  } else {
    return __builtin_shufflevector(a, b, s, s + n, s + 1, s + 1 + n, s + 2, s + 2 + n, s + 3, s + 3 + n, s + 4, s + 4 + n, s + 5,
                                   s + 5 + n, s + 6, s + 6 + n, s + 7, s + 7 + n);
  }
}

/// A vector of each of as many rows to the first `n` of as many lines, that begin `apart` bytes apart. Interleaving row i with
/// row i + half of them moves one bit of the row's number down among those of the column; when all have moved, rows are columns.
template <class T>
[[gnu::always_inline]] inline void transpose_square(Rows rows, std::size_t first_row, std::size_t n, std::byte* lines,
                                                   std::size_t apart = kPanelRows * sizeof(T)) noexcept {
  constexpr std::size_t k = kSquare<T>;
  Vector<T> v[k], next[k];
  for (std::size_t i = 0; i < k; ++i) std::memcpy(&v[i], rows[first_row + i], sizeof v[i]);
  for (std::size_t stage = 1; stage < k; stage *= 2) {
    for (std::size_t i = 0; i < k / 2; ++i) {
      next[2 * i] = interleave<false, T>(v[i], v[i + k / 2]);
      next[2 * i + 1] = interleave<true, T>(v[i], v[i + k / 2]);
    }
    for (std::size_t i = 0; i < k; ++i) v[i] = next[i];
  }
  for (std::size_t i = 0; i < n; ++i) std::memcpy(lines + i * apart + first_row * sizeof(T), &v[i], sizeof v[i]);
}

/// `n` values of each row to as many lines of sixteen values. Rows are read a line of memory at a time: rows that are a multiple
/// of 4096 bytes long would push each other out of the cache.
template <class T>
[[gnu::always_inline]] inline void transpose(Rows rows, std::size_t n, std::byte* lines,
                                             std::size_t apart = kPanelRows * sizeof(T)) noexcept {
  constexpr std::size_t k = kSquare<T>, kNear = kLineBytes / sizeof(T);
  const std::size_t whole = n / k * k;
  for (std::size_t near = 0; near < whole; near += kNear) {
    const std::size_t end = near + kNear < whole ? near + kNear : whole;
    for (std::size_t row = 0; row < kPanelRows; row += k) {
      for (std::size_t i = near; i < end; i += k) transpose_square<T>(rows.from(i * sizeof(T)), row, k, lines + i * apart, apart);
    }
  }
  for (std::size_t i = whole; i < n; ++i) {
    for (std::size_t row = 0; row < kPanelRows; ++row) {
      std::memcpy(lines + i * apart + row * sizeof(T), rows[row] + i * sizeof(T), sizeof(T));
    }
  }
}

/// `n` lines of codes, four bytes of each row; they begin kApart bytes apart.
template <std::size_t n, std::size_t kApart = kLineBytes>
void pack_lines(Rows rows, std::byte* lines) noexcept {
  transpose<std::uint32_t>(rows, n, lines, kApart);
}

/// A half of each row, with the bits of `flips` the other way round.
template <std::uint16_t flips = 0>
void pack_halves(Rows rows, std::byte* halves) noexcept {
  for (std::size_t row = 0; row < kPanelRows; ++row) {
    std::uint16_t half;
    std::memcpy(&half, rows[row], 2);
    half ^= flips;
    std::memcpy(halves + 2 * row, &half, 2);
  }
}
inline constexpr std::uint16_t kMinus = 0x8000;

/// Sixteen bytes of each row to vectors of sixteen rows.
inline void pack_bytes(Rows rows, std::byte* vectors) noexcept { transpose_square<std::uint8_t>(rows, 0, 16, vectors); }

/// Bytes of a row's six-bit planes, in their order, are `planes(row, out)`; `n` are used.
template <std::size_t n, class Planes>
void pack_planes(Rows rows, const Planes& planes, std::byte* vectors) noexcept {
  std::byte bytes[kPanelRows][16] = {};
  for (std::size_t row = 0; row < kPanelRows; ++row) planes(rows[row], bytes[row]);
  transpose_square<std::uint8_t>({bytes[0], sizeof bytes[0]}, 0, n, vectors);
}

/// All bytes xor `mask`.
inline void flip(std::byte mask, std::size_t n, std::byte* bytes) noexcept {
  for (std::size_t i = 0; i < n; ++i) bytes[i] ^= mask;
}

/// Exchanges the bits of `mask` with those `shift` above them.
constexpr std::uint32_t swap_bits(std::uint32_t x, std::uint32_t mask, int shift) noexcept {
  const std::uint32_t differ = (x >> shift ^ x) & mask;
  return x ^ differ ^ differ << shift;
}

/// 32 fifth bits of each row to a line of them: bit 4g + k to bit g of the k-th byte. The number of a bit, bits of a number
/// themselves, goes round by two places: four exchanges of two of them.
inline void pack_fifth_bits(Rows rows, std::byte* line) noexcept {
  std::uint32_t bits[kPanelRows];
  for (std::size_t row = 0; row < kPanelRows; ++row) std::memcpy(&bits[row], rows[row], 4);
  for (std::uint32_t& b : bits) {
    b = swap_bits(b, 0x00aa00aa, 7);    // 0 and 3
    b = swap_bits(b, 0x0000cccc, 14);   // 1 and 4
    b = swap_bits(b, 0x22222222, 1);    // 0 and 1
    b = swap_bits(b, 0x0a0a0a0a, 3);    // 0 and 2
  }
  std::memcpy(line, bits, sizeof bits);
}

/// Upper nibbles of vectors 2i and 2i + 1 side by side, row by row one of each: as mins of neighbours stand (ops/panels.h).
inline void pair_upper_nibbles(std::size_t n, std::byte* vectors) noexcept {
  using V = Vector<std::uint8_t>;
  for (std::size_t i = 0; i < n; i += 2) {
    V a, b;
    std::memcpy(&a, vectors + i * kPanelRows, sizeof a);
    std::memcpy(&b, vectors + (i + 1) * kPanelRows, sizeof b);
    const V first = (a & 15) | (interleave<false, std::uint8_t>(a, b) & 0xf0);
    const V second = (b & 15) | (interleave<true, std::uint8_t>(a, b) & 0xf0);
    std::memcpy(vectors + i * kPanelRows, &first, sizeof first);
    std::memcpy(vectors + (i + 1) * kPanelRows, &second, sizeof second);
  }
}

/// The lines of codes of both halves of 256 columns, from bytes of a row that lie one half after the other.
template <class Panel>
void pack_codes(Rows rows, std::byte* chunk) noexcept {
  constexpr std::size_t kMixed = Panel::kHighLines;
  for (std::size_t half = 0; half < 2; ++half, rows = rows.from(Panel::kCodeLines * 4)) {
    std::byte* const lines = chunk + Panel::lines(half);
    if constexpr (kMixed > 0) pack_lines<kMixed, Panel::code(1) - Panel::code(0)>(rows, lines);
    pack_lines<Panel::kCodeLines - kMixed>(rows.from(kMixed * 4), lines + Panel::code(kMixed));
  }
}

/// 32 bytes with a bit for each block of 256 columns to the lines of one more bit.
template <class Panel>
void pack_one_bits(Rows rows, std::byte* chunk) noexcept {
  alignas(kLineBytes) std::byte all[8 * kLineBytes];
  transpose<std::uint32_t>(rows, 8, all);
  for (std::size_t line = 0; line < 4; ++line) {
    std::byte *const first = chunk + Panel::lines(0) + Panel::high(line), *const second = chunk + Panel::lines(1) + Panel::high(line);
    const std::byte *const lows = all + line * kLineBytes, *const highs = lows + 4 * kLineBytes;
    for (std::size_t i = 0; i < kLineBytes; ++i) {
      const std::byte nibble{15};
      first[i] = (lows[i] & nibble) | (highs[i] & nibble) << 4;
      second[i] = lows[i] >> 4 | (highs[i] & ~nibble);
    }
  }
}

/// Blocks of sixteen rows to their place in a panel's chunk, where `kBlocks` of them lie: the one of that number.
using PackChunkFn = void (*)(Rows blocks, std::byte* chunk, std::size_t block) noexcept;

template <class Panel, class Block, std::size_t kBlocks, PackChunkFn pack>
void pack_blocks(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept {
  const std::size_t blocks = static_cast<std::size_t>(cols / (kBlocks == 1 ? kSuperCols : kBlockCols));
  for (std::size_t b = 0; b < blocks; ++b) {
    std::byte* const chunk = panel + b / kBlocks * Panel::kBytes;
    if constexpr (kBlocks == 1) {
      if constexpr (Panel::kHeadUsed < Panel::kHead) std::memset(chunk + Panel::kHeadUsed, 0, Panel::kHead - Panel::kHeadUsed);
    } else if (b % kBlocks == 0 && b + kBlocks > blocks) {
      std::memset(chunk, 0, Panel::kBytes);   // the last one is not full
    }
    // As many bytes of the next panel, nearly always the bytes that follow: of sixteen rows at once no machine guesses them.
    const std::byte* const ahead = rows + kPanelRows * (row_bytes + b * sizeof(Block));
    for (std::size_t i = 0; i < kPanelRows * sizeof(Block); i += kLineBytes) __builtin_prefetch(ahead + i);
    pack({rows + b * sizeof(Block), row_bytes}, chunk, b % kBlocks);
  }
}

/// Panels of types without blocks: one element of each row per column.
template <std::size_t kElementBytes>
constexpr std::size_t plain_panel_bytes(std::int64_t cols) noexcept {
  return (static_cast<std::size_t>(cols) * kPanelRows * kElementBytes + 63) / 64 * 64;
}

template <class T>
void pack_plain(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept {
  const auto n = static_cast<std::size_t>(cols);
  transpose<T>({rows, row_bytes}, n, panel);
  const std::size_t used = n * kPanelRows * sizeof(T), bytes = plain_panel_bytes<sizeof(T)>(cols);
  if (used < bytes) std::memset(panel + used, 0, bytes - used);
}

}  // namespace infer
