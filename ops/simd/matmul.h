// SPDX-License-Identifier: MIT
// Products of panels with tiles of tokens, and the inputs they take. A register tile is M panels by N tokens; every one of
// its sums runs on its own, in the order of the specification, so that the bits do not depend on M and N.
#pragma once

#include "ops/panels.h"
#include "ops/simd/lanes.h"

namespace infer::simd {

// ---- inputs

/// The sums of the codes of 32 columns: of the first sixteen, and of the others.
struct SubSums {
  std::int32_t first, second;
};

template <class Isa>
void input_f32(const InputArgs& a) noexcept {
  float* out = reinterpret_cast<float*>(a.out);
  for (std::int64_t first = 0; first < a.tokens; first += Isa::kTileTokens) {
    const std::int64_t n = a.tokens - first < Isa::kTileTokens ? a.tokens - first : Isa::kTileTokens;
    for (std::int64_t t = 0; t < n; ++t) {
      const float* x = a.x + (first + t) * a.stride;
      for (std::int64_t c = 0; c < a.cols; ++c) out[c * n + t] = x[c];
    }
    out += n * a.cols;
  }
}

/// A block of `kCols` floats to codes, which stand `n` dwords apart; answers the scale. `sums` gets the sums of the codes of
/// each 32.
template <class Isa, std::int64_t kCols>
INFER_INLINE float round_block(const float* x, std::int32_t* out, std::int64_t n, SubSums (&sums)[kCols / kBlockCols]) noexcept {
  std::uint32_t bits = 0;
  for (std::int64_t c = 0; c < kCols; c += kBlockCols) {
    const std::uint32_t of_32 = Isa::largest_magnitude(x + c);
    bits = bits < of_32 ? of_32 : bits;
  }
  const float magnitude = __builtin_bit_cast(float, bits);
  const bool finite = bits < 0x7f800000u, zero = finite && magnitude < kLeastQ8;
  const float inverse = finite && !zero ? 127.0f / magnitude : 0.0f;
  for (std::int64_t b = 0; b < kCols / kBlockCols; ++b, out += 8 * n) {
    alignas(32) std::int32_t codes[8] = {};
    sums[b] = {};
    if (inverse > 0.0f) sums[b] = Isa::round_block(x + b * kBlockCols, inverse, codes);
    for (std::int64_t g = 0; g < 8; ++g) out[g * n] = codes[g];
  }
  return !finite ? __builtin_nanf("") : zero ? 0.0f : magnitude / 127.0f;
}

template <class Isa, InputForm kForm>
void input_codes(const InputArgs& a) noexcept {
  constexpr std::int64_t kCols = input_block(kForm), kDwords = input_bytes(kForm, kCols) / 4;
  std::byte* tile = a.out;
  for (std::int64_t first = 0; first < a.tokens; first += Isa::kTileTokens) {
    const std::int64_t n = a.tokens - first < Isa::kTileTokens ? a.tokens - first : Isa::kTileTokens;
    for (std::int64_t t = 0; t < n; ++t) {
      const float* x = a.x + (first + t) * a.stride;
      std::int32_t* out = reinterpret_cast<std::int32_t*>(tile) + t;
      for (std::int64_t c = 0; c < a.cols; c += kCols, out += kDwords * n) {
        SubSums sums[kCols / kBlockCols];
        const float scale = round_block<Isa, kCols>(x + c, out, n, sums);
        std::int32_t* const rest = out + kCols / 4 * n;
        rest[0] = __builtin_bit_cast(std::int32_t, scale);
        if constexpr (kForm == InputForm::q8) {
          rest[n] = -(sums[0].first + sums[0].second);
        } else {
          for (std::int64_t b = 0; b < kCols / kBlockCols; ++b) {
            rest[(b + 1) * n] = static_cast<std::int32_t>((static_cast<std::uint32_t>(sums[b].second) << 16) |
                                                          (static_cast<std::uint32_t>(sums[b].first) & 0xffffu));
          }
        }
      }
    }
    tile += n * input_bytes(kForm, a.cols);
  }
}

// ---- products

/// acc (M panels, N tokens) to y, with the bias.
template <class Isa, int M, int N>
INFER_INLINE void store(const MatmulArgs& m, std::int64_t row, float* y, const Lanes<Isa> (&acc)[M][N]) noexcept {
  for (int p = 0; p < M; ++p, row += kPanelRows) {
    for (int t = 0; t < N; ++t) {
      const Lanes<Isa> sum = m.bias == nullptr ? acc[p][t] : acc[p][t] + Lanes<Isa>::load(m.bias + row);
      sum.store(y + t * m.y_stride + row);
    }
  }
}

/// Weights that are floats: within a block one chain of fused multiply-adds, then the sums of the blocks.
/// `Load` makes floats of one column of a panel, Load::kBytes long.
template <class Isa, class Load, int M, int N>
void tile_f32(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y) noexcept {
  const float* x = reinterpret_cast<const float*>(input);
  const std::byte* w = m.weights + static_cast<std::size_t>(row / kPanelRows) * m.stride;
  Lanes<Isa> acc[M][N];
  for (int p = 0; p < M; ++p) {
    for (int t = 0; t < N; ++t) acc[p][t] = Lanes<Isa>::of(0.0f);
  }
  for (std::int64_t c = 0; c < m.cols;) {
    const std::int64_t end = c + kBlockCols < m.cols ? c + kBlockCols : m.cols;
    Lanes<Isa> sum[M][N];
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) sum[p][t] = Lanes<Isa>::of(0.0f);
    }
    for (; c < end; ++c, w += Load::kBytes, x += N) {
      Lanes<Isa> column[M];
      for (int p = 0; p < M; ++p) column[p] = Load::load(w + static_cast<std::size_t>(p) * m.stride);
      for (int t = 0; t < N; ++t) {
        const Lanes<Isa> value = Lanes<Isa>::of(x[t]);
        for (int p = 0; p < M; ++p) sum[p][t] = fma(column[p], value, sum[p][t]);
      }
    }
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) acc[p][t] = acc[p][t] + sum[p][t];
    }
  }
  store<Isa, M, N>(m, row, y, acc);
}

/// Weights that are codes: the sum of a block is an integer, exact in any order; one fused multiply-add per block.
/// `Dot` multiplies the lines of a block (Dot::Panel says where they lie) with the codes of N tokens.
template <class Isa, class Dot, int M, int N>
void tile_q8(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y) noexcept {
  using Panel = typename Dot::Panel;
  const std::int32_t* x = reinterpret_cast<const std::int32_t*>(input);
  const std::byte* w = m.weights + static_cast<std::size_t>(row / kPanelRows) * m.stride;
  Lanes<Isa> acc[M][N];
  for (int p = 0; p < M; ++p) {
    for (int t = 0; t < N; ++t) acc[p][t] = Lanes<Isa>::of(0.0f);
  }
  const std::int64_t blocks = m.cols / kBlockCols;
  for (std::int64_t b = 0; b < blocks; ++b, x += 10 * N) {
    Lanes<Isa> sums[M][N];
    Dot::template block<M, N>(w + Panel::lines(b), m.stride, x, sums);
    const float* x_scales = reinterpret_cast<const float*>(x + 8 * N);
    for (int p = 0; p < M; ++p) {
      const Lanes<Isa> w_scales = Isa::load_halves(w + static_cast<std::size_t>(p) * m.stride + Panel::scales(b));
      for (int t = 0; t < N; ++t) {
        acc[p][t] = fma(sums[p][t], w_scales * Lanes<Isa>::of(x_scales[t]), acc[p][t]);
      }
    }
  }
  store<Isa, M, N>(m, row, y, acc);
}

/// The tile of n <= N tokens, each size compiled by itself.
#define INFER_TILES(name, tile, Part)                                                                              \
  template <class Isa, class Part, int M, int N>                                                                   \
  INFER_INLINE void name(std::int64_t n, const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y) { \
    if (n == N) {                                                                                                  \
      tile<Isa, Part, M, N>(m, row, input, y);                                                                     \
    } else if constexpr (N > 1) {                                                                                  \
      name<Isa, Part, M, N - 1>(n, m, row, input, y);                                                              \
    }                                                                                                              \
  }
INFER_TILES(tiles_f32, tile_f32, Load)
INFER_TILES(tiles_q8, tile_q8, Dot)
#undef INFER_TILES

/// All rows and tokens: panels outside, so that weights are read once and stay near while the tokens pass; a single tile
/// takes its panels one by one, for then each thread reads one stream of memory.
template <class Isa, class TileOf>
INFER_INLINE void matmul(const MatmulArgs& m, TileOf tile_of) noexcept {
  const std::int64_t token_bytes = input_bytes(m.format->input, m.cols);
  constexpr std::int64_t kTile = Isa::kTileTokens;
  const bool wide = m.tokens > 1;
  for (std::int64_t row = 0; row < m.rows;) {
    const std::int64_t panels = wide && m.rows - row >= Isa::kTilePanels * kPanelRows ? Isa::kTilePanels : 1;
    for (std::int64_t t = 0; t < m.tokens; t += kTile) {
      const std::int64_t n = m.tokens - t < kTile ? m.tokens - t : kTile;
      tile_of(panels, n, row, m.input + t * token_bytes, m.y + t * m.y_stride);
    }
    row += panels * kPanelRows;
  }
}

template <class Isa, class Load>
void matmul_f32(const MatmulArgs& m) noexcept {
  matmul<Isa>(m, [&](std::int64_t panels, std::int64_t n, std::int64_t row, const std::byte* input, float* y) noexcept {
    if (panels == 1) return tiles_f32<Isa, Load, 1, Isa::kTileTokens>(n, m, row, input, y);
    tiles_f32<Isa, Load, Isa::kTilePanels, Isa::kTileTokens>(n, m, row, input, y);
  });
}

template <class Isa, class Dot>
void matmul_q8(const MatmulArgs& m) noexcept {
  matmul<Isa>(m, [&](std::int64_t panels, std::int64_t n, std::int64_t row, const std::byte* input, float* y) noexcept {
    if (panels == 1) return tiles_q8<Isa, Dot, 1, Isa::kTileTokens>(n, m, row, input, y);
    tiles_q8<Isa, Dot, Isa::kTilePanels, Isa::kTileTokens>(n, m, row, input, y);
  });
}

}  // namespace infer::simd
