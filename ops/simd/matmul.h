// SPDX-License-Identifier: MIT
// Products of panels with tiles of tokens: the loops over rows and tokens, and weights that are floats. A register tile is
// M panels by N tokens; every one of its sums runs on its own, in the order of the specification, so that the bits do not
// depend on M and N. Tested by tests/ops/kernels_test.cpp.
#pragma once

#include "ops/cpu_features.h"
#include "ops/flush.h"
#include "ops/simd/codes.h"
#include "ops/simd/lanes.h"
#include "ops/simd/strips.h"

namespace infer::simd {

/// Tokens that ask for the next panel, where weights are codes. Fewer read as fast as memory allows when nothing is asked for, or
/// what is straight on; many are so much slower than memory that it does not matter. (AVX-512 on Zen 4: with two to four it was
/// between 5 % faster and 7 % slower.)
inline constexpr std::int64_t kAskTokens = 5;

/// Weights that are floats: within a block one chain of fused multiply-adds, then the sums of the blocks.
/// `Load` makes floats of one column of a panel, Load::kBytes long.
template <class Load>
struct FloatTiles {
  static constexpr InputForm kInput = InputForm::f32;
  static constexpr bool kAsksForNext = false;
  template <class Isa, int M, int N>
  [[gnu::noinline]] static void run(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y,
                                    [[maybe_unused]] const Ahead& ahead) noexcept {
    const float* x = reinterpret_cast<const float*>(input);
    const std::byte* w = m.weights + static_cast<std::size_t>(row / kPanelRows) * m.stride;
    Lanes<Isa> acc[M][N];
    clear(acc);
    for (std::int64_t c = 0; c < m.cols;) {
      const std::int64_t end = c + kBlockCols < m.cols ? c + kBlockCols : m.cols;
      Lanes<Isa> sum[M][N];
      clear(sum);
      constexpr bool kAsks = M == 1 && N < kAskTokens && Load::kBytes < kLineBytes;   // F32 gains nothing
      if constexpr (kAsks) ahead.ask(w, Load::kBytes * kBlockCols);
      for (; c < end; ++c, w += Load::kBytes, x += N) {
        Lanes<Isa> column[M];
        for (int p = 0; p < M; ++p) column[p] = Load::load(w + static_cast<std::size_t>(p) * m.stride);
        unroll<N>([&](auto t) INFER_INLINE_LAMBDA {   // a loop would keep the sums in memory
          const Lanes<Isa> value = Lanes<Isa>::of(x[t.value]);
          for (int p = 0; p < M; ++p) sum[p][t.value] = fma(column[p], value, sum[p][t.value]);
        });
      }
      for (int p = 0; p < M; ++p) {
        for (int t = 0; t < N; ++t) acc[p][t] = acc[p][t] + sum[p][t];
      }
    }
    store(m, row, y, acc);
  }
};

/// acc += a block of 32 columns, or what is left of them: `pairs` lines of two columns of bfloat16.
template <class Isa, int M, int N>
INFER_INLINE void add_pair_lines(const std::byte* const (&w)[M], std::int64_t pairs, const std::int32_t* x,
                                 Lanes<Isa> (&acc)[M][N]) noexcept {
  Lanes<Isa> sum[M][N];
  clear(sum);
#pragma GCC unroll 16
  for (std::int64_t i = 0; i < pairs; ++i, x += N) {
    typename Isa::Line line[M];
    for (int p = 0; p < M; ++p) line[p] = Isa::line(w[p] + i * static_cast<std::int64_t>(kLineBytes));
    unroll<N>([&](auto t) INFER_INLINE_LAMBDA {
      for (int p = 0; p < M; ++p) sum[p][t.value] = Isa::dot_bf16(line[p], x[t.value], sum[p][t.value]);
    });
  }
  for (int p = 0; p < M; ++p) {
    for (int t = 0; t < N; ++t) acc[p][t] = acc[p][t] + sum[p][t];
  }
}

/// Weights that are bfloat16, with activations that are.
struct PairTiles {
  static constexpr InputForm kInput = InputForm::bf16;
  static constexpr bool kAsksForNext = false;
  template <class Isa, int M, int N>
  [[gnu::noinline]] static void run(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y,
                                    [[maybe_unused]] const Ahead& ahead) noexcept {
    const SubnormalsAreZeros mode;
    const std::int32_t* x = reinterpret_cast<const std::int32_t*>(input);
    const std::byte* w[M];
    for (int p = 0; p < M; ++p) w[p] = m.weights + static_cast<std::size_t>(row / kPanelRows + p) * m.stride;
    Lanes<Isa> acc[M][N];
    clear(acc);
    constexpr std::int64_t kPairs = kBlockCols / 2;
    std::int64_t c = 0;
    for (; c + kBlockCols <= m.cols; c += kBlockCols, x += kPairs * N) {
      if constexpr (M == 1 && N < kAskTokens) ahead.ask(w[0], kPairs * kLineBytes);
      add_pair_lines<Isa>(w, kPairs, x, acc);
      for (const std::byte*& panel : w) panel += kPairs * kLineBytes;
    }
    if (c < m.cols) add_pair_lines<Isa>(w, (m.cols - c + 1) / 2, x, acc);
    store(m, row, y, acc);
  }
};

/// Tokens of a tile of many.
template <class Isa>
constexpr int tile_of_many(InputForm form) noexcept {
  return form == InputForm::bf16 ? Isa::kPairTokens : Isa::kTileTokens;
}

/// Tokens of a tile of so many. A few stand side by side evenly: 9, of at most 8, in tiles of 5 and 4, not of 8 and 1.
template <class Isa>
constexpr std::int64_t tile_of(InputForm form, std::int64_t tokens) noexcept {
  static_assert(Isa::kFewTokens >= Isa::kTileTokens && Isa::kFewTokens >= Isa::kPairTokens);
  if (tokens >= Isa::kManyTokens) return tile_of_many<Isa>(form);
  const std::int64_t tiles = (tokens + Isa::kFewTokens - 1) / Isa::kFewTokens;
  return tiles == 0 ? 1 : (tokens + tiles - 1) / tiles;
}

/// All rows and tokens: panels outside, so that weights are read once and stay near while the tokens pass. Many tokens take
/// several panels together, in strips where types have them; few take panels one by one, for then each thread reads one stream
/// of memory. Pieces of many tokens may be few, and take the tile of the whole; the reverse does not happen.
template <class Isa, class Tiles, class Strips = void>
void matmul(const MatmulArgs& m) noexcept {
  constexpr int kTile = tile_of_many<Isa>(Tiles::kInput), kPanels = Isa::kTilePanels;
  const std::int64_t token_bytes = input_bytes(Tiles::kInput, m.cols);
  const bool many = m.tokens >= Isa::kManyTokens, asks_straight_on = m.tokens < kAskTokens && reads_want_asking();
  for (std::int64_t row = 0; row < m.rows;) {
    const std::int64_t panels = many && m.rows - row >= kPanels * kPanelRows ? kPanels : 1;
    if constexpr (!__is_same(Strips, void)) {
      if (many && panels == kPanels) {
        matmul_strip<Isa, Strips>(m, row);
        row += panels * kPanelRows;
        continue;
      }
    }
    const bool asks = Tiles::kAsksForNext && m.tokens >= kAskTokens && !many && row + 2 * kPanelRows <= m.rows;
    for (std::int64_t t = 0, n = 0; t < m.tokens; t += n) {
      n = m.tokens - t < m.tile_tokens ? m.tokens - t : m.tile_tokens;
      const std::byte* const input = m.input + t * token_bytes;
      float* const y = m.y + t * m.y_stride;
      const Ahead ahead = asks_straight_on ? Ahead::straight_on() : asks ? Ahead(m.stride, t, t + n, m.tokens) : Ahead();
      if constexpr (__is_same(Strips, void) && kPanels > 1) {
        if (panels == kPanels && n == kTile) {
          Tiles::template run<Isa, kPanels, kTile>(m, row, input, y, ahead);
          continue;
        }
      }
      for (std::int64_t p = 0; p < panels; ++p) {
        with_tokens<Isa::kFewTokens>(n, [&](auto tokens) INFER_INLINE_LAMBDA {
          Tiles::template run<Isa, 1, tokens.value>(m, row + p * kPanelRows, input, y, ahead);
        });
      }
    }
    row += panels * kPanelRows;
  }
}

}  // namespace infer::simd
