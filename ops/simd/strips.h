// SPDX-License-Identifier: MIT
// Products with many tokens: a strip, the panels of a register tile, is taken apart once, some columns at a time, to codes in
// bytes and scales as products take them, small enough to stay near while all tokens pass. The sums run on from one stretch of
// columns to the next, in the order of the specification: the bits are those of single panels.
// Tested by tests/ops/kernels_test.cpp.
#pragma once

#include "ops/simd/codes.h"

namespace infer::simd {

inline constexpr std::int64_t kStripTokens = 528;   ///< whose sums are kept at a time

template <class Isa>
struct alignas(64) Strip {
  static constexpr int kPanels = Isa::kTilePanels;
  static constexpr std::int64_t kCols = 1024 / kPanels;   ///< at most: 16 KiB of lines stay in the first cache
  static_assert(kCols % kSuperCols == 0 && kStripTokens >= Isa::kTileTokens);
  std::byte lines[kCols / 4][kPanels][kLineBytes];
  RowScales<Isa, kPanels> rows[kCols / kBlockCols];       ///< of 256 columns: the first of their eight
  typename Isa::Ints scales[kCols / kSubCols][kPanels];   ///< of sub-blocks, as Dot::plus takes them
  typename Isa::Ints pairs[kCols / kBlockCols][kPanels];  ///< of two neighbouring sub-blocks: their mins, or scales, as add_pairs takes them
  Lanes<Isa> sums[kStripTokens * kPanels];          ///< (tiles; panels, tokens)
};

/// A type whose lines lie in a strip.
template <class Isa, class Type>
struct InStrip : Type {
  template <class, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return Isa::line(w + (b * 8 + g) * Isa::kTilePanels * static_cast<int>(kLineBytes));
  }
};

/// Asks for the lines where the sums of a tile will go. Rows of results may begin within a line: what is beyond it is not asked for.
template <int kPanels>
INFER_INLINE void ask_for_results(const MatmulArgs& m, std::int64_t row, const float* y, std::int64_t tokens) noexcept {
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (int p = 0; p < kPanels; ++p) __builtin_prefetch(y + t * m.y_stride + row + p * kPanelRows);
  }
}

/// Asks for what the next tile has where this one has `dwords` of activations: a tile takes some columns of each token and
/// leaves the rest to later stretches, and nothing guesses where the next one begins.
INFER_INLINE void ask_ahead(const std::int32_t* x, int dwords, std::ptrdiff_t to_next) noexcept {
  constexpr int kLineDwords = static_cast<int>(kLineBytes) / 4;
  for (int i = 0; i < dwords; i += kLineDwords) __builtin_prefetch(place(x + i, static_cast<std::size_t>(to_next)));
}

/// Types of blocks of 32 in a strip.
template <class Type>
struct BlockStrips {
  template <class Isa>
  [[gnu::noinline]] static void take_apart(const std::byte* const (&panel)[Isa::kTilePanels], std::int64_t first, std::int64_t cols,
                                           Strip<Isa>& out) noexcept {
    using Panel = typename Type::Panel;
    for (int p = 0; p < Isa::kTilePanels; ++p) {
      for (std::int64_t b = 0; b < cols / kBlockCols; ++b) {
        const auto block = static_cast<std::size_t>(first / kBlockCols + b);
        const std::byte* const lines = panel[p] + Panel::lines(block);
        unroll<8>([&](auto g) INFER_INLINE_LAMBDA {
          Isa::store_line(Type::template line<Isa, 0, g.value>(lines), out.lines[b * 8 + g.value][p]);
        });
        out.rows[b].d[p] = Isa::load_halves(panel[p] + Panel::scales(block));
        if constexpr (Type::kHasMins) out.rows[b].m[p] = Isa::load_halves(panel[p] + Panel::mins(block));
      }
    }
  }

  template <class Isa, int N>
  [[gnu::noinline]] static void run(const Strip<Isa>& strip, std::int64_t cols, const std::int32_t* x, std::ptrdiff_t to_next,
                                    Lanes<Isa> (&sums)[Isa::kTilePanels][N]) noexcept {
    constexpr int M = Isa::kTilePanels;
    Lanes<Isa> acc[M][N];
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) acc[p][t] = sums[p][t];
    }
    for (std::int64_t b = 0; b < cols / kBlockCols; ++b, x += kBlockDwords * N) {
      ask_ahead(x, kBlockDwords * N, to_next);
      Places<M> w;
      for (int p = 0; p < M; ++p) w.of[p] = strip.lines[b * 8][p];
      add_block<Isa, InStrip<Isa, Type>>(w, strip.rows[b], x, acc);
    }
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) sums[p][t] = acc[p][t];
    }
  }
};

/// Whether codes times their sub-scale, plus Type::kFoldedOffset, are unsigned bytes whatever a file says, and the Isa's dots add
/// up any number of them: then a strip has these in place of codes, and the same sums take no product with a sub-scale.
template <class Isa, class Type>
inline constexpr bool kFolds = Isa::kFolds && requires { Type::kFoldedOffset; };

/// Codes, too large by kOffset, of a sub-block's lines, `stride` bytes apart, to (code - kOffset) * scale + kFoldedOffset. Two
/// codes are one number of 16 bits, and as the results fit bytes, so are they: 256 times the second, plus the first.
template <class Isa, class Type>
void fold(std::byte* lines, std::size_t stride, const std::int8_t* scales) noexcept {
  typedef std::int32_t Rows __attribute__((vector_size(kLineBytes)));
  typedef std::uint32_t Words __attribute__((vector_size(kLineBytes)));
  typedef std::uint16_t Pairs __attribute__((vector_size(kLineBytes)));
  constexpr auto fits = [](int code, int scale) {
    const int folded = (code - Type::template kOffset<Isa>) * scale + Type::kFoldedOffset;
    return folded >= 0 && folded <= 255;
  };
  static_assert(fits(0, Type::kLeastScale) && fits(Type::kMaxCode, Type::kLeastScale));
  static_assert(fits(0, Type::kMostScale) && fits(Type::kMaxCode, Type::kMostScale));
  const Rows scale = __builtin_bit_cast(Rows, Isa::scale(scales));   // GCC 12 widens bytes one by one
  const Rows rest = (Type::kFoldedOffset - Type::template kOffset<Isa> * scale) * 0x101;
  const auto both_halves = [](const Rows& numbers, Pairs& out) INFER_INLINE_LAMBDA {   // modulo 2^16
    const Words word = __builtin_bit_cast(Words, numbers);
    out = __builtin_bit_cast(Pairs, (word & 0xffffu) | word << 16);
  };
  Pairs factor, addend;
  both_halves(scale, factor);
  both_halves(rest, addend);
  for (int i = 0; i < 8 / Type::kSubs; ++i, lines += stride) {
    Pairs codes;
    __builtin_memcpy(&codes, lines, sizeof codes);
    const Pairs folded = codes * factor + addend;
    __builtin_memcpy(lines, &folded, sizeof folded);
  }
}

/// Types of blocks of 256 in a strip.
template <class Type>
struct SuperStrips {
  template <class Isa>
  [[gnu::noinline]] static void take_apart(const std::byte* const (&panel)[Isa::kTilePanels], std::int64_t first, std::int64_t cols,
                                           Strip<Isa>& out) noexcept {
    using Panel = typename Type::Panel;
    constexpr int kSubs = 8 * Type::kSubs;
    for (int p = 0; p < Isa::kTilePanels; ++p) {
      for (std::int64_t c = 0; c < cols; c += kSuperCols) {
        const std::byte* const chunk = panel[p] + static_cast<std::size_t>((first + c) / kSuperCols) * Panel::kBytes;
        const std::int64_t block = c / kBlockCols;
        unroll<2>([&](auto half) INFER_INLINE_LAMBDA {
          const std::byte* const lines = chunk + Panel::lines(half.value);
          unroll<32>([&](auto i) INFER_INLINE_LAMBDA {
            Isa::store_line(Type::template line<Isa, i.value / 8, i.value % 8>(lines),
                            out.lines[c / 4 + half.value * 32 + i.value][p]);
          });
        });
        SubScales scales;
        Type::template scales<Isa>(chunk, scales);
        for (int i = 0; i < kSubs; ++i) {
          if constexpr (kFolds<Isa, Type>) {
            fold<Isa, Type>(out.lines[c / 4 + i * 8 / Type::kSubs][p], sizeof out.lines[0], scales.scales[i]);
          } else {
            out.scales[block * Type::kSubs + i][p] = Isa::scale(scales.scales[i]);
          }
        }
        for (int i = 0; i < kSubs / 2; ++i) {
          auto& pairs = out.pairs[block * Type::kSubs / 2 + i][p];
          if constexpr (Type::kHasMins) {
            pairs = Isa::min_pairs(scales.mins[i]);
          } else if constexpr (!Isa::kSeeds && Type::template kOffset<Isa> != 0) {
            pairs = Isa::scale_pairs(scales.scales[2 * i], scales.scales[2 * i + 1]);
          }
        }
        out.rows[block].d[p] = Isa::load_halves(chunk + Panel::kD);
        if constexpr (Type::kHasMins) out.rows[block].m[p] = Isa::load_halves(chunk + Panel::kM);
      }
    }
  }

  template <class Isa>
  INFER_INLINE static auto line_of(const std::byte (&line)[Isa::kTilePanels][kLineBytes]) noexcept {
    LinesOf<Isa, Isa::kTilePanels> of_panels;
    for (int p = 0; p < Isa::kTilePanels; ++p) of_panels.of[p] = Isa::line(line[p]);
    return of_panels;
  }

  /// sums = the products of half a block with folded codes. x_sums: of each 32 columns.
  template <class Isa, int N>
  INFER_INLINE static void add_folded(const std::byte (*lines)[Isa::kTilePanels][kLineBytes], const std::int32_t* codes,
                                      const std::int32_t* x_sums, std::ptrdiff_t to_next,
                                      typename Isa::Ints (&sums)[Isa::kTilePanels][N]) noexcept {
    constexpr int M = Isa::kTilePanels;
    typename Isa::template Dot<255> dot[M][N];
    if constexpr (Type::kFoldedOffset != 0) {
      const typename Isa::Ints offset = Isa::ints(Type::kFoldedOffset << 16 | Type::kFoldedOffset);
      for (int t = 0; t < N; ++t) {
        const typename Isa::Ints begin = Isa::add_pairs(Isa::add_pairs(Isa::ints(0), offset, x_sums[t]), offset, x_sums[N + t]);
        for (int p = 0; p < M; ++p) dot[p][t].begin(begin);
      }
    }
    int blocks = kHalfBlocks;
    asm("" : "+r"(blocks));   // a loop, as below
    for (; blocks > 0; --blocks, lines += 8, codes += 8 * N) {
      ask_ahead(codes, 8 * N, to_next);
      add_lines<Isa, 8>([&](auto i) INFER_INLINE_LAMBDA { return line_of<Isa>(lines[i.value]); }, codes, dot);
    }
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) sums[p][t] = dot[p][t].sum(Isa::ints(0));
    }
  }

  template <class Isa, int N>
  [[gnu::noinline]] static void run(const Strip<Isa>& strip, std::int64_t cols, const std::int32_t* x, std::ptrdiff_t to_next,
                                    Lanes<Isa> (&acc)[Isa::kTilePanels][N]) noexcept {
    constexpr int M = Isa::kTilePanels, kSubLines = 8 / Type::kSubs, kPairs = kHalfBlocks * Type::kSubs / 2;
    const std::byte(*lines)[M][kLineBytes] = strip.lines;
    for (std::int64_t half = 0; half < cols / scale_cols(InputForm::q8_k); ++half) {
      const std::size_t of_block = static_cast<std::size_t>(half % 2);
      const std::int32_t* codes = x + of_block * 32 * N;
      const std::int32_t* const x_sums = sub_sums<Type, N>(x, of_block);
      typename Isa::Ints sums[M][N], offsets[M][N];
      const auto pairs = [&](int i, int p) INFER_INLINE_LAMBDA -> const typename Isa::Ints& { return strip.pairs[half * kPairs + i][p]; };
      if constexpr (kFolds<Isa, Type>) {
        add_folded<Isa, N>(lines, codes, x + kSumsOf32At * N + of_block * 2 * N, to_next, sums);
        lines += 32;
      } else {
        begin_half<Isa, Type>(pairs, x_sums, sums);
        int subs = 2 * kPairs;
        asm("" : "+r"(subs));   // no constant: unrolled, the products of all would wait for their scales on the stack
        for (int sub = 0; sub < subs; ++sub, lines += kSubLines, codes += kSubLines * N) {
          ask_ahead(codes, kSubLines * N, to_next);
          add_sub<Isa, Type>([&](auto i) INFER_INLINE_LAMBDA { return line_of<Isa>(lines[i.value]); },
                             strip.scales[half * 2 * kPairs + sub], codes, sum_of_sub<N>(x_sums, sub), sums);
        }
      }
      if constexpr (Type::kHasMins) {
        for (int p = 0; p < M; ++p) {
          for (int t = 0; t < N; ++t) offsets[p][t] = Isa::ints(0);
        }
        add_pairs<Isa, Type>(pairs, x_sums, offsets);
      }
      add_part<Isa, Type::kHasMins>(sums, offsets, strip.rows[half / 2 * 8], reinterpret_cast<const float*>(x + kScalesAt * N) + of_block * N, acc);
      if (of_block == 1) x += kSuperDwords * N;
    }
  }
};

/// Rows of a strip, all tokens.
template <class Isa, class Strips>
[[gnu::noinline]] void matmul_strip(const MatmulArgs& m, std::int64_t row) noexcept {
  constexpr int kTile = Isa::kTileTokens, kPanels = Isa::kTilePanels;
  constexpr std::int64_t kCols = Strip<Isa>::kCols;
  const std::int64_t tile = m.tile_tokens, batch = kStripTokens / tile * tile;
  Strip<Isa>& strip = *reinterpret_cast<Strip<Isa>*>(m.scratch);
  const std::int64_t token_bytes = input_bytes(m.format->input, m.cols);
  const std::byte* panel[kPanels];
  for (int p = 0; p < kPanels; ++p) panel[p] = m.weights + static_cast<std::size_t>(row / kPanelRows + p) * m.stride;
  for (std::int64_t token = 0; token < m.tokens; token += batch) {
    const std::int64_t n_tokens = m.tokens - token < batch ? m.tokens - token : batch;
    for (std::int64_t c = 0; c < m.cols; c += kCols) {
      const std::int64_t cols = m.cols - c < kCols ? m.cols - c : kCols;
      Strips::template take_apart<Isa>(panel, c, cols, strip);
      // What is taken apart next is asked for while tiles are multiplied, a few lines with each: nothing guesses it in time.
      // At the end of a strip that is the beginning of the next one, if there is one.
      const bool at_end = c + kCols >= m.cols;
      const std::int64_t left = at_end ? (row + 2 * kPanels * kPanelRows <= m.rows ? m.cols : 0) : m.cols - c - kCols;
      const auto bytes_of_cols = [&](std::int64_t n) noexcept {
        return m.stride * static_cast<std::size_t>(n) / static_cast<std::size_t>(m.cols);
      };
      const std::size_t stretch = bytes_of_cols(left < kCols ? left : kCols);
      const std::size_t ahead = at_end ? kPanels * m.stride : bytes_of_cols(c + kCols);
      const std::size_t a_share = stretch * static_cast<std::size_t>(tile) / static_cast<std::size_t>(n_tokens);
      const std::size_t per_tile = (a_share + kLineBytes - 1) / kLineBytes * kLineBytes;
      for (std::int64_t t = 0; t < n_tokens; t += tile) {
        const std::size_t from = ahead + per_tile * static_cast<std::size_t>(t / tile);
        for (int p = 0; p < kPanels; ++p) {
          for (std::size_t i = 0; i < per_tile; i += kLineBytes) __builtin_prefetch(place(panel[p], from + i), 0, 2);
        }
        const std::int64_t n = n_tokens - t < tile ? n_tokens - t : tile;
        const auto at = [&](std::int64_t of_tile, std::int64_t col) noexcept {   // of its columns from `col` on
          const std::int64_t in_tile = n_tokens - of_tile < tile ? n_tokens - of_tile : tile;
          return (token + of_tile) * token_bytes + in_tile * input_bytes(m.format->input, col);
        };
        const std::int64_t here = at(t, c);
        const std::int64_t next = t + n < n_tokens ? at(t + n, c) : at_end ? here : at(0, c + kCols);
        const std::ptrdiff_t to_next = next - here;
        const auto* x = reinterpret_cast<const std::int32_t*>(m.input + here);
        // Sums are stored tile by tile, to lines that were asked for: those of all tiles at once would wait for memory.
        float* const y = m.y + (token + t) * m.y_stride;
        if (at_end) ask_for_results<kPanels>(m, row, y, n);
        with_tokens<kTile>(n, [&](auto tokens) INFER_INLINE_LAMBDA {
          auto& sums = *reinterpret_cast<Lanes<Isa>(*)[kPanels][tokens.value]>(strip.sums + t * kPanels);
          if (c == 0) clear(sums);
          Strips::template run<Isa, tokens.value>(strip, cols, x, to_next, sums);
          if (at_end) store(m, row, y, sums);
        });
      }
    }
  }
}

}  // namespace infer::simd
