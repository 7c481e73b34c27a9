// SPDX-License-Identifier: MIT
// Products of weights that are codes with tiles of tokens. `Type` says where a type keeps its lines and scales
// (ops/simd/types.h); `Isa` multiplies lines with activations. The sums of a block are integers, exact in any order: what
// unsigned codes are too large by, and the mins, are summed with the sums of the activations' codes.
// Specification: matmul_codes in ops/scalar.cpp.
// Tested by tests/ops/kernels_test.cpp and bad_bytes_test.cpp.
#pragma once

#include "ops/panels.h"
#include "ops/simd/lanes.h"

namespace infer::simd {

#define INFER_INLINE_LAMBDA __attribute__((always_inline))

/// fn(0), fn(1) ... fn(n - 1), each with its argument as a constant.
template <int I>
struct Constant {
  static constexpr int value = I;
};
template <int n, int i = 0, class Fn>
INFER_INLINE void unroll(const Fn& fn) noexcept {
  if constexpr (i < n) {
    fn(Constant<i>{});
    unroll<n, i + 1>(fn);
  }
}

/// fn(Constant) for the number of tokens n <= N.
template <int N, class Fn>
INFER_INLINE void with_tokens(std::int64_t n, const Fn& fn) noexcept {
  if (n == N) {
    fn(Constant<N>{});
  } else if constexpr (N > 1) {
    with_tokens<N - 1>(n, fn);
  }
}

constexpr int log2_of(int power) noexcept { return power <= 1 ? 0 : 1 + log2_of(power / 2); }

/// Scales, or mins, of sixteen rows for each 32 columns, as pairs of int16: of the first sixteen columns, of the others.
struct alignas(64) ScalePairs {
  std::int16_t of[kSuperCols / kBlockCols][2 * kPanelRows];
};

/// What a block of M panels is multiplied with after its integers: d and m of the sixteen rows.
template <class Isa, int M>
struct RowScales {
  Lanes<Isa> d[M], m[M];
};

/// Where the lines of a block, or of half a block of 256 columns, begin in M panels.
template <int M>
struct Places {
  const std::byte* low[M];
  const std::byte* high[M];   ///< where Type keeps further bits
};

/// What add_products does, two lines and two tokens at a time, for an Isa that multiplies matrices: Isa::TwoTokens.
template <class Isa, class Type, int b, int kSubs, int M, int N>
INFER_INLINE void add_matrix_products(const Places<M>& w, const std::int16_t* const* scales, const std::int32_t* x,
                                      typename Isa::Ints (&sums)[M][N]) noexcept {
  constexpr int kSubLines = kSubs == 2 ? 4 : 8;
  unroll<8 / kSubLines>([&](auto part) INFER_INLINE_LAMBDA {
    for (int p = 0; p < M; ++p) {
      typename Isa::TwoTokens dots[(N + 1) / 2];
      unroll<kSubLines / 2>([&](auto i) INFER_INLINE_LAMBDA {
        constexpr int g = part.value * kSubLines + 2 * i.value;
        const auto lines = Isa::two_lines(Type::template line<Isa, b, g>(w.low[p], w.high[p]),
                                          Type::template line<Isa, b, g + 1>(w.low[p], w.high[p]));
        for (int t = 0; t < N; t += 2) {
          const int other = t + 1 < N ? t + 1 : t;   // an odd token goes beside itself
          dots[t / 2].add(lines, x[g * N + t], x[(g + 1) * N + t], x[g * N + other], x[(g + 1) * N + other]);
        }
      });
      for (int t = 0; t < N; ++t) {
        const auto dot = dots[t / 2].of(t % 2);
        if constexpr (kSubs == 0) {
          sums[p][t] = dot.plus(sums[p][t]);
        } else {
          sums[p][t] = dot.plus(sums[p][t], Isa::template sub_scale<part.value, kSubs>(scales[p]));
        }
      }
    }
  });
}

/// sums += the products of the 32 columns of block b; with a scale for each sixteen columns (kSubs 2), for all (1), or none (0).
template <class Isa, class Type, int b, int kSubs, int M, int N>
INFER_INLINE void add_products(const Places<M>& w, const std::int16_t* const* scales, const std::int32_t* x,
                               typename Isa::Ints (&sums)[M][N]) noexcept {
  if constexpr (N > 1 && requires { typename Isa::TwoTokens; }) return add_matrix_products<Isa, Type, b, kSubs>(w, scales, x, sums);
  using Dot = typename Isa::template Dot<Type::kMaxCode>;
  constexpr int kSubLines = kSubs == 2 ? 4 : 8;
  constexpr int kLines = Dot::kLines < kSubLines ? Dot::kLines : kSubLines;   // until a dot has to be added to its sum
  unroll<8 / kLines>([&](auto part) INFER_INLINE_LAMBDA {
    Dot dot[M][N];
    unroll<kLines>([&](auto i) INFER_INLINE_LAMBDA {
      constexpr int g = part.value * kLines + i.value;
      typename Isa::Line line[M];
      for (int p = 0; p < M; ++p) line[p] = Type::template line<Isa, b, g>(w.low[p], w.high[p]);
      for (int t = 0; t < N; ++t) {
        for (int p = 0; p < M; ++p) dot[p][t].add(line[p], x[g * N + t]);
      }
    });
    for (int p = 0; p < M; ++p) {
      if constexpr (kSubs == 0) {
        for (int t = 0; t < N; ++t) sums[p][t] = dot[p][t].plus(sums[p][t]);
      } else {
        const auto scale = Isa::template sub_scale<part.value * kLines / kSubLines, kSubs>(scales[p]);
        for (int t = 0; t < N; ++t) sums[p][t] = dot[p][t].plus(sums[p][t], scale);
      }
    }
  });
}

/// One block of 32 columns: acc (M panels, N tokens) += its products.
template <class Isa, class Type, int M, int N>
INFER_INLINE void add_block(const Places<M>& w, const RowScales<Isa, M>& scales, const std::int32_t* x,
                            Lanes<Isa> (&acc)[M][N]) noexcept {
  constexpr int kOffset = Type::template kOffset<Isa>;
  typename Isa::Ints sums[M][N];
  for (int t = 0; t < N; ++t) {
    for (int p = 0; p < M; ++p) {
      sums[p][t] = kOffset == 0 ? Isa::ints(0) : Isa::template shift_left<log2_of(kOffset)>(Isa::ints(x[9 * N + t]));
    }
  }
  const std::int16_t* const no_scales[M] = {};
  add_products<Isa, Type, 0, 0>(w, no_scales, x, sums);
  const float* const x_scales = reinterpret_cast<const float*>(x + 8 * N);
  for (int t = 0; t < N; ++t) {
    const Lanes<Isa> x_scale = Lanes<Isa>::of(x_scales[t]);
    for (int p = 0; p < M; ++p) acc[p][t] = fma(Isa::floats(sums[p][t]), scales.d[p] * x_scale, acc[p][t]);
    if constexpr (Type::kHasMins) {
      const Lanes<Isa> minus_sum = Isa::floats(Isa::ints(x[9 * N + t]));
      for (int p = 0; p < M; ++p) acc[p][t] = fma(minus_sum, scales.m[p] * x_scale, acc[p][t]);
    }
  }
}

inline constexpr int kHalfBlocks = static_cast<int>(scale_cols(InputForm::q8_k) / kBlockCols);   // of a block of 256

/// sums += scales or mins times the sums of the activations' codes, over half a block of 256 columns.
template <class Isa, int M, int N>
INFER_INLINE void add_pairs(const ScalePairs* pairs, std::size_t half, const std::int32_t* x_sums,
                            typename Isa::Ints (&sums)[M][N]) noexcept {
  for (std::size_t b = half * kHalfBlocks; b < (half + 1) * kHalfBlocks; ++b) {
    for (int p = 0; p < M; ++p) {
      const typename Isa::Ints line = Isa::load_ints(pairs[p].of[b]);
      for (int t = 0; t < N; ++t) sums[p][t] = Isa::add_pairs(sums[p][t], line, x_sums[b * N + static_cast<std::size_t>(t)]);
    }
  }
}

/// 256 columns: acc += their products.
template <class Isa, class Type, int M, int N>
INFER_INLINE void add_super(const std::byte* const (&chunk)[M], const ScalePairs* scales, const ScalePairs* mins,
                            const RowScales<Isa, M>& rows, const std::int32_t* x, Lanes<Isa> (&acc)[M][N]) noexcept {
  constexpr int kOffset = Type::template kOffset<Isa>;
  const std::int32_t* const x_sums = x + 66 * N;
#pragma GCC unroll 1
  for (std::size_t half = 0; half < 2; ++half) {
    typename Isa::Ints sums[M][N], offsets[M][N];
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) sums[p][t] = offsets[p][t] = Isa::ints(0);
    }
    if constexpr (kOffset != 0) {
      add_pairs<Isa>(scales, half, x_sums, offsets);
      for (int p = 0; p < M; ++p) {
        for (int t = 0; t < N; ++t) {
          sums[p][t] = Isa::minus(Isa::template shift_left<log2_of(kOffset)>(offsets[p][t]));
          offsets[p][t] = Isa::ints(0);
        }
      }
    }
    Places<M> w;
    for (int p = 0; p < M; ++p) {
      w.low[p] = chunk[p] + half * Type::kHalfLines * kLineBytes;
      w.high[p] = chunk[p] + 2 * Type::kHalfLines * kLineBytes + half * Type::kHalfHighLines * kLineBytes;
    }
    unroll<kHalfBlocks>([&](auto b) INFER_INLINE_LAMBDA {
      const std::size_t block = half * kHalfBlocks + b.value;
      const std::int16_t* of_block[M];
      for (int p = 0; p < M; ++p) of_block[p] = scales[p].of[block];
      add_products<Isa, Type, b.value, Type::kSubs>(w, of_block, x + block * 8 * N, sums);
    });
    if constexpr (Type::kHasMins) add_pairs<Isa>(mins, half, x_sums, offsets);
    const float* const x_scales = reinterpret_cast<const float*>(x + 64 * N) + half * N;
    for (int t = 0; t < N; ++t) {
      const Lanes<Isa> x_scale = Lanes<Isa>::of(x_scales[t]);
      for (int p = 0; p < M; ++p) {
        acc[p][t] = fma(Isa::floats(sums[p][t]), rows.d[p] * x_scale, acc[p][t]);
        if constexpr (Type::kHasMins) acc[p][t] = fma(Isa::floats(Isa::minus(offsets[p][t])), rows.m[p] * x_scale, acc[p][t]);
      }
    }
  }
}

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

template <class Isa, int M, int N>
INFER_INLINE void clear(Lanes<Isa> (&acc)[M][N]) noexcept {
  for (int p = 0; p < M; ++p) {
    for (int t = 0; t < N; ++t) acc[p][t] = Lanes<Isa>::of(0.0f);
  }
}

/// Register tiles of a type of blocks of 32.
template <class Type>
struct BlockTiles {
  template <class Isa, int M, int N>
  [[gnu::noinline]] static void run(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y) noexcept {
    using Panel = typename Type::Panel;
    const std::int32_t* x = reinterpret_cast<const std::int32_t*>(input);
    const std::byte* const first = m.weights + static_cast<std::size_t>(row / kPanelRows) * m.stride;
    Lanes<Isa> acc[M][N];
    clear(acc);
    const auto blocks = static_cast<std::size_t>(m.cols / kBlockCols);
    for (std::size_t b = 0; b < blocks; ++b, x += 10 * N) {
      Places<M> w;
      RowScales<Isa, M> scales;
      for (int p = 0; p < M; ++p) {
        const std::byte* const panel = first + static_cast<std::size_t>(p) * m.stride;
        w.low[p] = w.high[p] = panel + Panel::lines(b);
        scales.d[p] = Isa::load_halves(panel + Panel::scales(b));
        if constexpr (Type::kHasMins) scales.m[p] = Isa::load_halves(panel + Panel::mins(b));
      }
      add_block<Isa, Type>(w, scales, x, acc);
    }
    store<Isa, M, N>(m, row, y, acc);
  }
};

/// The same of a type of blocks of 256.
template <class Type>
struct SuperTiles {
  template <class Isa, int M, int N>
  [[gnu::noinline]] static void run(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y) noexcept {
    using Panel = typename Type::Panel;
    const std::int32_t* x = reinterpret_cast<const std::int32_t*>(input);
    const std::byte* const first = m.weights + static_cast<std::size_t>(row / kPanelRows) * m.stride;
    Lanes<Isa> acc[M][N];
    clear(acc);
    for (std::int64_t c = 0; c < m.cols / kSuperCols; ++c, x += 74 * N) {
      const std::byte* chunk[M];
      ScalePairs scales[M], mins[Type::kHasMins ? M : 1];
      RowScales<Isa, M> rows;
      for (int p = 0; p < M; ++p) {
        chunk[p] = first + static_cast<std::size_t>(p) * m.stride + static_cast<std::size_t>(c) * Panel::kBytes;
        Type::scales(chunk[p], scales[p], mins[Type::kHasMins ? p : 0]);
        rows.d[p] = Isa::load_halves(chunk[p] + Panel::kD);
        if constexpr (Type::kHasMins) rows.m[p] = Isa::load_halves(chunk[p] + Panel::kM);
      }
      add_super<Isa, Type>(chunk, scales, mins, rows, x, acc);
    }
    store<Isa, M, N>(m, row, y, acc);
  }
};

}  // namespace infer::simd
