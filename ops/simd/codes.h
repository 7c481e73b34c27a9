// SPDX-License-Identifier: MIT
// Products of weights that are codes with tiles of tokens. `Type` says where a type keeps its lines and scales
// (ops/simd/types.h); `Isa` multiplies lines with activations. The sums of a block are integers, exact in any order. Codes c are
// unsigned, too large by o:  sum (c - o) x = sum c x + o * (-sum x),  and inputs bring -sum x, which mins are multiplied with as
// well. docs/architecture.md draws a product from end to end.
// Specification: matmul_codes in ops/scalar.cpp.
// Tested by tests/ops/kernels_test.cpp and bad_bytes_test.cpp.
#pragma once

#include "ops/panels.h"
#include "ops/simd/lanes.h"

namespace infer::simd {

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

/// Scales of sixteen rows for each sub-block, and mins, those of two neighbouring sub-blocks side by side.
struct alignas(64) SubScales {
  std::int8_t scales[kSuperCols / kSubCols][kPanelRows];
  std::uint8_t mins[kSuperCols / kSubCols / 2][2 * kPanelRows];
};

/// What a block of M panels is multiplied with after its integers: d and m of the sixteen rows.
template <class Isa, int M>
struct RowScales {
  Lanes<Isa> d[M], m[M];
};

/// Where the lines of a block, or of half a block of 256 columns, begin in M panels.
template <int M>
struct Places {
  const std::byte* of[M];
};

/// Dwords of an input's block of 256 columns, N tokens side by side: 64 of codes, then these.
inline constexpr int kScalesAt = 64, kSumsOf16At = 66, kSumsOf32At = 74, kSuperDwords = 78;
inline constexpr int kBlockDwords = 10;   // of 32 columns: 8 of codes, the scale, minus the sum

/// Pairs of minus the sums of a type's sub-blocks, of half a block.
template <class Type, int N>
INFER_INLINE const std::int32_t* sub_sums(const std::int32_t* x, std::size_t half) noexcept {
  return x + (Type::kSubs == 2 ? kSumsOf16At * N + half * 4 * N : kSumsOf32At * N + half * 2 * N);
}

/// add_lines where matrices of bytes are multiplied: two lines and two tokens at a time.
template <class Isa, int kLines, class Lines, class Dot, int M, int N>
INFER_INLINE void add_two_lines(const Lines& lines, const std::int32_t* x, Dot (&dot)[M][N]) noexcept {
  constexpr auto beside = [](int t) noexcept { return t + 1 < N ? t + 1 : t; };   // an odd token goes beside itself
  typename Isa::TwoTokens sums[M][(N + 1) / 2];
  for (int p = 0; p < M; ++p) {
    for (int t = 0; t < N; t += 2) sums[p][t / 2].begin(dot[p][t].t, dot[p][beside(t)].t);
  }
  unroll<kLines / 2>([&](auto i) INFER_INLINE_LAMBDA {
    const auto first = lines(Constant<2 * i.value>{}), second = lines(Constant<2 * i.value + 1>{});
    const std::int32_t *const a = x + 2 * i.value * N, *const b = a + N;
    for (int p = 0; p < M; ++p) {
      const auto both = Isa::two_lines(first.of[p], second.of[p]);
      for (int t = 0; t < N; t += 2) sums[p][t / 2].add(both, a[t], b[t], a[beside(t)], b[beside(t)]);
    }
  });
  for (int p = 0; p < M; ++p) {
    for (int t = 0; t < N; ++t) dot[p][t].begin(sums[p][t / 2].of(t % 2));
  }
}

/// A dot of line i = first ... of a sub-block with N tokens: lines of M panels times codes.
template <class Isa, int kLines, class Lines, class Dot, int M, int N>
INFER_INLINE void add_lines(const Lines& lines, const std::int32_t* x, Dot (&dot)[M][N]) noexcept {
  if constexpr (N > 1 && requires { typename Isa::TwoTokens; }) return add_two_lines<Isa, kLines>(lines, x, dot);
  unroll<kLines>([&](auto i) INFER_INLINE_LAMBDA {
    const auto line = lines(i);
    for (int t = 0; t < N; ++t) {
      for (int p = 0; p < M; ++p) dot[p][t].add(line.of[p], x[i.value * N + t]);
    }
  });
}

template <class Isa, int M>
struct LinesOf {
  typename Isa::Line of[M];
};

/// acc += (sums * d + offsets * m) * scale of the activations.
template <class Isa, bool kMins, int M, int N>
INFER_INLINE void add_part(const typename Isa::Ints (&sums)[M][N], const typename Isa::Ints (&offsets)[M][N],
                           const RowScales<Isa, M>& rows, const float* x_scales, Lanes<Isa> (&acc)[M][N]) noexcept {
  for (int t = 0; t < N; ++t) {
    const Lanes<Isa> x_scale = Lanes<Isa>::of(x_scales[t]);
    for (int p = 0; p < M; ++p) {
      Lanes<Isa> part = Isa::floats(sums[p][t]) * rows.d[p];
      if constexpr (kMins) part = fma(Isa::floats(offsets[p][t]), rows.m[p], part);
      acc[p][t] = fma(part, x_scale, acc[p][t]);
    }
  }
}

/// One block of 32 columns: acc (M panels, N tokens) += its products.
template <class Isa, class Type, int M, int N>
INFER_INLINE void add_block(const Places<M>& w, const RowScales<Isa, M>& rows, const std::int32_t* x,
                            Lanes<Isa> (&acc)[M][N]) noexcept {
  using Dot = typename Isa::template Dot<Type::kMaxCode>;
  constexpr int kOffset = Type::template kOffset<Isa>;
  typename Isa::Ints sums[M][N], offsets[M][N];
  for (int t = 0; t < N; ++t) {
    const typename Isa::Ints minus_sum = Isa::ints(x[9 * N + t]);
    for (int p = 0; p < M; ++p) {
      sums[p][t] = kOffset == 0 ? Isa::ints(0) : Isa::template shift_left<log2_of(kOffset)>(minus_sum);
      if constexpr (Type::kHasMins) offsets[p][t] = minus_sum;
    }
  }
  unroll<8 / Dot::kLines>([&](auto part) INFER_INLINE_LAMBDA {
    constexpr int kFirst = part.value * Dot::kLines;
    Dot dot[M][N];
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) dot[p][t].begin(sums[p][t]);
    }
    add_lines<Isa, Dot::kLines>([&](auto i) INFER_INLINE_LAMBDA {
      LinesOf<Isa, M> line;
      for (int p = 0; p < M; ++p) line.of[p] = Type::template line<Isa, 0, kFirst + i.value>(w.of[p]);
      return line;
    }, x + kFirst * N, dot);
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) sums[p][t] = dot[p][t].sum(sums[p][t]);
    }
  });
  add_part<Isa, Type::kHasMins>(sums, offsets, rows, reinterpret_cast<const float*>(x + 8 * N), acc);
}

inline constexpr int kHalfBlocks = static_cast<int>(scale_cols(InputForm::q8_k) / kBlockCols);   // of a block of 256

/// sums += scales or mins times minus the sums of the activations' codes, over half a block of 256 columns. pairs(i, p): of
/// sub-blocks 2i and 2i + 1.
template <class Isa, class Type, class Pairs, int M, int N>
INFER_INLINE void add_pairs(const Pairs& pairs, const std::int32_t* x_sums, typename Isa::Ints (&sums)[M][N]) noexcept {
  for (int i = 0; i < kHalfBlocks * Type::kSubs / 2; ++i) {
    for (int p = 0; p < M; ++p) {
      const typename Isa::Ints& both = pairs(i, p);   // a reference: GCC copies two registers in halves, and loads of the whole wait
      for (int t = 0; t < N; ++t) sums[p][t] = Isa::add_pairs(sums[p][t], both, x_sums[i * N + t]);
    }
  }
}

/// What the sums of a half begin with: where a dot does not begin with what its codes are too large by, all of it.
template <class Isa, class Type, class Pairs, int M, int N>
INFER_INLINE void begin_half(const Pairs& scale_pairs, const std::int32_t* x_sums, typename Isa::Ints (&sums)[M][N]) noexcept {
  constexpr int kOffset = Type::template kOffset<Isa>;
  for (int p = 0; p < M; ++p) {
    for (int t = 0; t < N; ++t) sums[p][t] = Isa::ints(0);
  }
  if constexpr (kOffset != 0 && !Isa::kSeeds) {
    add_pairs<Isa, Type>(scale_pairs, x_sums, sums);
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) sums[p][t] = Isa::template shift_left<log2_of(kOffset)>(sums[p][t]);
    }
  }
}

/// Where minus the sum of the codes of a sub-block of a half is, of the first of N tokens; two int16 further, of the next.
template <int N>
INFER_INLINE const std::int16_t* sum_of_sub(const std::int32_t* x_sums, int sub) noexcept {
  return reinterpret_cast<const std::int16_t*>(x_sums + sub / 2 * N) + sub % 2;
}

/// A sub-block: sums += scale * its products. x: its codes.
template <class Isa, class Type, int M, int N, class Lines>
INFER_INLINE void add_sub(const Lines& lines, const typename Isa::Ints (&scale)[M], const std::int32_t* x, const std::int16_t* x_sum,
                          typename Isa::Ints (&sums)[M][N]) noexcept {
  using Dot = typename Isa::template Dot<Type::kMaxCode>;
  constexpr int kOffset = Type::template kOffset<Isa>, kSubLines = 8 / Type::kSubs;
  constexpr int kLines = Dot::kLines < kSubLines ? Dot::kLines : kSubLines;   // until a dot has to be added to its sum
  constexpr bool kSeeds = kOffset != 0 && Isa::kSeeds;
  typename Isa::Ints seeds[N];
  if constexpr (kSeeds) {
    for (int t = 0; t < N; ++t) seeds[t] = Isa::template seed<log2_of(kOffset)>(x_sum + 2 * t);
  }
  unroll<kSubLines / kLines>([&](auto part) INFER_INLINE_LAMBDA {
    constexpr int kFirst = part.value * kLines;
    Dot dot[M][N];
    if constexpr (kSeeds && kFirst == 0) {
      for (int t = 0; t < N; ++t) {
        for (int p = 0; p < M; ++p) dot[p][t].begin(seeds[t]);
      }
    }
    add_lines<Isa, kLines>([&](auto i) INFER_INLINE_LAMBDA { return lines(Constant<kFirst + i.value>{}); }, x + kFirst * N, dot);
    for (int p = 0; p < M; ++p) {
      for (int t = 0; t < N; ++t) sums[p][t] = dot[p][t].plus(sums[p][t], scale[p]);
    }
  });
}

/// 256 columns: acc += their products. between(i): is called before sub-block i.
template <class Isa, class Type, class Between, int M, int N>
INFER_INLINE void add_super(const std::byte* const (&chunk)[M], const SubScales (&scales)[M], const RowScales<Isa, M>& rows,
                            const std::int32_t* x, const Between& between, Lanes<Isa> (&acc)[M][N]) noexcept {
  constexpr int kHalfSubs = kHalfBlocks * Type::kSubs, kSubLines = 8 / Type::kSubs;
#pragma GCC unroll 1
  for (std::size_t half = 0; half < 2; ++half) {
    const std::int32_t* const codes = x + half * 32 * N;
    const std::int32_t* const x_sums = sub_sums<Type, N>(x, half);
    const std::size_t first_sub = half * kHalfSubs, first_pair = first_sub / 2;
    Places<M> w;
    for (int p = 0; p < M; ++p) w.of[p] = chunk[p] + Type::Panel::lines(half);
    typename Isa::Ints sums[M][N], offsets[M][N];
    begin_half<Isa, Type>([&](int i, int p) INFER_INLINE_LAMBDA {
      const auto* const of_half = scales[p].scales + first_sub;
      return Isa::scale_pairs(of_half[2 * i], of_half[2 * i + 1]);
    }, x_sums, sums);
    unroll<kHalfSubs>([&](auto sub) INFER_INLINE_LAMBDA {
      between(first_sub + sub.value);
      typename Isa::Ints scale[M];
      for (int p = 0; p < M; ++p) scale[p] = Isa::scale(scales[p].scales[first_sub + sub.value]);
      add_sub<Isa, Type>([&](auto i) INFER_INLINE_LAMBDA {
        constexpr int kLine = sub.value * kSubLines + i.value;
        LinesOf<Isa, M> line;
        for (int p = 0; p < M; ++p) line.of[p] = Type::template line<Isa, kLine / 8, kLine % 8>(w.of[p]);
        return line;
      }, scale, codes + sub.value * kSubLines * N, sum_of_sub<N>(x_sums, sub.value), sums);
    });
    if constexpr (Type::kHasMins) {
      for (int p = 0; p < M; ++p) {
        for (int t = 0; t < N; ++t) offsets[p][t] = Isa::ints(0);
      }
      add_pairs<Isa, Type>([&](int i, int p) INFER_INLINE_LAMBDA { return Isa::min_pairs((scales[p].mins + first_pair)[i]); }, x_sums, offsets);
    }
    add_part<Isa, Type::kHasMins>(sums, offsets, rows, reinterpret_cast<const float*>(x + kScalesAt * N) + half * N, acc);
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

/// What is so many bytes behind, to be asked for: it may be in no object.
INFER_INLINE const std::byte* place(const void* from, std::size_t bytes) noexcept {
  return reinterpret_cast<const std::byte*>(reinterpret_cast<std::uintptr_t>(from) + bytes);
}

/// What a tile asks for while it is computed. Several tokens: its share of the panel behind the one that it multiplies, for while
/// they are multiplied nothing else is on its way from memory, and no processor guesses that the panel behind comes next. Fewer:
/// what comes a few thousand bytes on, where the processor does not do so by itself (reads_want_asking).
class Ahead {
 public:
  INFER_INLINE Ahead() noexcept = default;   ///< asks for nothing
  /// Of tokens `first` ... `end` of `tokens`. to_next: bytes from panel to panel.
  INFER_INLINE Ahead(std::size_t to_next, std::int64_t first, std::int64_t end, std::int64_t tokens) noexcept
      : distance_(to_next), first_(static_cast<std::size_t>(64 * first / tokens)), end_(static_cast<std::size_t>(64 * end / tokens)) {}
  INFER_INLINE static Ahead straight_on() noexcept {
    Ahead all(kStraightOn, 0, 1, 1);
    all.near_ = true;
    return all;
  }

  /// Part `part` of `parts` of what is `distance` behind a block, wherever that is: asking cannot fail. What is asked for all at
  /// once waits in line.
  INFER_INLINE void ask(const std::byte* block, std::size_t block_bytes, std::size_t part = 0, std::size_t parts = 1) const noexcept {
    const std::size_t first = block_bytes * first_ / 64, lines = (block_bytes * end_ / 64 - first + kLineBytes - 1) / kLineBytes;
    for (std::size_t i = lines * part / parts; i < lines * (part + 1) / parts; ++i) {
      const std::byte* const line = place(block, distance_ + first + i * kLineBytes);
      near_ ? __builtin_prefetch(line, 0, 3) : __builtin_prefetch(line, 0, 2);   // the cache has to be a constant
    }
  }

 private:
  static constexpr std::size_t kStraightOn = 8192;   ///< Zen 5: 4 KiB are too few, and 16 too many
  std::size_t distance_ = 0;
  std::size_t first_ = 0, end_ = 0;   // of the bytes of a block, in 64ths
  bool near_ = false;                 // wanted soon: in the first cache
};

/// Register tiles of a type of blocks of 32.
template <class Type>
struct BlockTiles {
  static constexpr InputForm kInput = InputForm::q8;
  static constexpr bool kAsksForNext = true;
  template <class Isa, int M, int N>
  [[gnu::noinline]] static void run(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y,
                                    [[maybe_unused]] const Ahead& ahead) noexcept {
    using Panel = typename Type::Panel;
    const std::int32_t* x = reinterpret_cast<const std::int32_t*>(input);
    const std::byte* const first = m.weights + static_cast<std::size_t>(row / kPanelRows) * m.stride;
    Lanes<Isa> acc[M][N];
    clear(acc);
    const auto blocks = static_cast<std::size_t>(m.cols / kBlockCols);
    for (std::size_t b = 0; b < blocks; ++b, x += kBlockDwords * N) {
      Places<M> w;
      RowScales<Isa, M> scales;
      for (int p = 0; p < M; ++p) {
        const std::byte* const panel = first + static_cast<std::size_t>(p) * m.stride;
        w.of[p] = panel + Panel::lines(b);
        if constexpr (M == 1) ahead.ask(panel + b * (Panel::kBytes / 2), Panel::kBytes / 2);   // more panels: many tokens, which ask for nothing
        scales.d[p] = Isa::load_halves(panel + Panel::scales(b));
        if constexpr (Type::kHasMins) scales.m[p] = Isa::load_halves(panel + Panel::mins(b));
      }
      add_block<Isa, Type>(w, scales, x, acc);
    }
    store(m, row, y, acc);
  }
};

/// The same of a type of blocks of 256.
template <class Type>
struct SuperTiles {
  static constexpr InputForm kInput = InputForm::q8_k;
  static constexpr bool kAsksForNext = true;
  template <class Isa, int M, int N>
  [[gnu::noinline]] static void run(const MatmulArgs& m, std::int64_t row, const std::byte* input, float* y,
                                    [[maybe_unused]] const Ahead& ahead) noexcept {
    using Panel = typename Type::Panel;
    const std::int32_t* x = reinterpret_cast<const std::int32_t*>(input);
    const std::byte* const first = m.weights + static_cast<std::size_t>(row / kPanelRows) * m.stride;
    Lanes<Isa> acc[M][N];
    clear(acc);
    for (std::int64_t c = 0; c < m.cols / kSuperCols; ++c, x += kSuperDwords * N) {
      const std::byte* chunk[M];
      SubScales scales[M];
      RowScales<Isa, M> rows;
      for (int p = 0; p < M; ++p) {
        chunk[p] = first + static_cast<std::size_t>(p) * m.stride + static_cast<std::size_t>(c) * Panel::kBytes;
        Type::template scales<Isa>(chunk[p], scales[p]);
        rows.d[p] = Isa::load_halves(chunk[p] + Panel::kD);
        if constexpr (Type::kHasMins) rows.m[p] = Isa::load_halves(chunk[p] + Panel::kM);
      }
      add_super<Isa, Type>(chunk, scales, rows, x, [&](std::size_t sub) INFER_INLINE_LAMBDA {
        if constexpr (M == 1) ahead.ask(chunk[0], Panel::kBytes, sub, kSuperCols / kBlockCols * Type::kSubs);   // more panels: many tokens
      }, acc);
    }
    store(m, row, y, acc);
  }
};

}  // namespace infer::simd
