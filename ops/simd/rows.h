// SPDX-License-Identifier: MIT
// Products with rows as they lie in the file, of any type: sixteen rows are taken apart at a time, 256 columns or a block of
// 32, and multiplied with all tokens while they are near. For types without panels, and for rows that fill no panel.
// Tested by tests/ops/kernels_test.cpp and bad_bytes_test.cpp.
#pragma once

#include "ops/simd/matmul.h"

namespace infer::simd {

/// Codes of sixteen rows, taken apart: a signed line is 64 bytes of codes + 128.
struct TakenApart {
  alignas(64) std::byte lines[kSuperCols / 4 * kLineBytes];
  SubScales scales[1];
  alignas(64) float d[kPanelRows], m[kPanelRows];
};

/// How products read them.
template <bool kMins>
struct Apart {
  struct Panel {
    static constexpr std::size_t lines(std::size_t half) noexcept { return half * 32 * kLineBytes; }
  };
  static constexpr int kMaxCode = 0, kSubs = 2;
  static constexpr bool kHasMins = kMins;
  template <class Isa>
  static constexpr int kOffset = Isa::kSignedOffset;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return Isa::signed_line(w + (b * 8 + g) * kLineBytes);
  }
};

/// One block of each of `n` rows; the other rows count as zeros.
template <class Isa>
void take_apart(const QuantFormat& format, const std::byte* block, std::size_t row_bytes, std::int64_t n, TakenApart& out) noexcept {
  const std::int64_t cols = input_block(format.input);
  if (n < kPanelRows) __builtin_memset(&out, 0, sizeof out);
  for (std::int64_t r = 0; r < n; ++r) {
    CodeBlock b;
    format.codes(block + static_cast<std::size_t>(r) * row_bytes, b);
    for (std::int64_t g = 0; g < cols / 4; ++g) {
      std::uint32_t four;
      __builtin_memcpy(&four, b.codes + 4 * g, 4);
      four ^= 0x80808080u;
      __builtin_memcpy(out.lines + g * static_cast<std::int64_t>(kLineBytes) + 4 * r, &four, 4);
    }
    for (std::int64_t s = 0; s < cols / kSubCols; ++s) {
      out.scales[0].scales[s][r] = static_cast<std::int8_t>(b.scales[s]);
      if (format.has_mins) out.scales[0].mins[s / 2][2 * r + s % 2] = static_cast<std::uint8_t>(b.mins[s]);
    }
    out.d[r] = b.d;
    out.m[r] = format.has_mins ? b.m : 0.0f;
  }
}

/// A tile of N tokens times one block of the rows; acc: (N, 16) floats.
template <class Isa, bool kMins, int N>
[[gnu::noinline]] void tile_apart(InputForm form, const TakenApart& rows, const std::int32_t* x, float* acc) noexcept {
  const std::byte* const chunk[1] = {rows.lines};
  const RowScales<Isa, 1> scales{{Lanes<Isa>::load(rows.d)}, {Lanes<Isa>::load(rows.m)}};
  Lanes<Isa> sums[1][N];
  for (int t = 0; t < N; ++t) sums[0][t] = Lanes<Isa>::load(acc + t * kPanelRows);
  if (form == InputForm::q8) {
    add_block<Isa, Apart<kMins>>(Places<1>{{rows.lines}}, scales, x, sums);
  } else {
    add_super<Isa, Apart<kMins>>(chunk, rows.scales, scales, x, [](std::size_t) noexcept {}, sums);
  }
  for (int t = 0; t < N; ++t) sums[0][t].store(acc + t * kPanelRows);
}

/// The same for floats: w: (cols, 16).
template <class Isa, int N>
void tile_floats(const float* w, std::int64_t cols, const float* x, float* acc) noexcept {
  for (std::int64_t first = 0; first < cols; first += kBlockCols) {
    const std::int64_t end = first + kBlockCols < cols ? first + kBlockCols : cols;
    Lanes<Isa> sum[N];
    for (int t = 0; t < N; ++t) sum[t] = Lanes<Isa>::of(0.0f);
    for (std::int64_t c = first; c < end; ++c) {
      const Lanes<Isa> column = Lanes<Isa>::load(w + c * kPanelRows);
      for (int t = 0; t < N; ++t) sum[t] = fma(column, Lanes<Isa>::of(x[c * N + t]), sum[t]);
    }
    for (int t = 0; t < N; ++t) (Lanes<Isa>::load(acc + t * kPanelRows) + sum[t]).store(acc + t * kPanelRows);
  }
}

/// The same for pairs of bfloat16: lines of two columns.
template <class Isa, int N>
void tile_pairs(const std::byte* lines, std::int64_t cols, const std::int32_t* x, float* acc) noexcept {
  const SubnormalsAreZeros mode;
  Lanes<Isa> sums[1][N];
  for (int t = 0; t < N; ++t) sums[0][t] = Lanes<Isa>::load(acc + t * kPanelRows);
  for (std::int64_t pair = 0; pair < (cols + 1) / 2; pair += kBlockCols / 2) {
    const std::int64_t left = (cols + 1) / 2 - pair;
    const std::byte* const w[1] = {lines + pair * static_cast<std::int64_t>(kLineBytes)};
    add_pair_lines<Isa>(w, left < kBlockCols / 2 ? left : kBlockCols / 2, x + pair * N, sums);
  }
  for (int t = 0; t < N; ++t) sums[0][t].store(acc + t * kPanelRows);
}

template <class Isa>
void matmul_rows(const MatmulArgs& m) noexcept {
  constexpr std::int64_t kMostTokens = 16 * Isa::kFewTokens;
  const std::int64_t tile = m.tile_tokens, batch = kMostTokens / tile * tile;
  const InputForm form = m.format->input;
  const std::int64_t token_bytes = input_bytes(form, m.cols);
  const std::int64_t step = form == InputForm::q8 ? kBlockCols : kSuperCols;
  union {
    TakenApart apart;
    alignas(64) float floats[kSuperCols * kPanelRows];   // (columns, rows)
    alignas(64) std::byte pairs[kSuperCols / 2][kLineBytes];
  } rows;
  alignas(64) float acc[kMostTokens * kPanelRows];
  for (std::int64_t row = 0; row < m.rows; row += kPanelRows) {
    const std::int64_t n_rows = m.rows - row < kPanelRows ? m.rows - row : kPanelRows;
    for (std::int64_t token = 0; token < m.tokens; token += batch) {
      const std::int64_t n_tokens = m.tokens - token < batch ? m.tokens - token : batch;
      for (std::int64_t i = 0; i < n_tokens * kPanelRows; ++i) acc[i] = 0.0f;
      for (std::int64_t c = 0; c < m.cols; c += step) {
        const std::int64_t cols = m.cols - c < step ? m.cols - c : step;
        const std::byte* const block = m.weights + static_cast<std::size_t>(row) * m.stride +
                                       static_cast<std::size_t>(c / input_block(form)) * m.format->block_bytes;
        if (form == InputForm::f32) {
          float decoded[kSuperCols];
          for (std::int64_t r = 0; r < n_rows; ++r) {
            m.format->decode(block + static_cast<std::size_t>(r) * m.stride, decoded, cols);
            for (std::int64_t i = 0; i < cols; ++i) rows.floats[i * kPanelRows + r] = decoded[i];
          }
          for (std::int64_t r = n_rows; r < kPanelRows; ++r) {
            for (std::int64_t i = 0; i < cols; ++i) rows.floats[i * kPanelRows + r] = 0.0f;
          }
        } else if (form == InputForm::bf16) {
          for (std::int64_t i = 0; i < cols; i += 2) {
            __builtin_memset(rows.pairs[i / 2], 0, kLineBytes);
            for (std::int64_t r = 0; r < n_rows; ++r) {
              const std::byte* const pair = block + static_cast<std::size_t>(r) * m.stride + 2 * i;
              __builtin_memcpy(rows.pairs[i / 2] + 4 * r, pair, i + 1 < cols ? 4 : 2);
            }
          }
        } else {
          take_apart<Isa>(*m.format, block, m.stride, n_rows, rows.apart);
        }
        for (std::int64_t t = 0; t < n_tokens; t += tile) {
          const std::int64_t n = n_tokens - t < tile ? n_tokens - t : tile;
          const std::byte* const x = m.input + (token + t) * token_bytes + n * input_bytes(form, c);
          float* const sums = acc + t * kPanelRows;
          with_tokens<Isa::kFewTokens>(n, [&](auto side_by_side) noexcept {
            if (form == InputForm::f32) {
              tile_floats<Isa, side_by_side.value>(rows.floats, cols, reinterpret_cast<const float*>(x), sums);
            } else if (form == InputForm::bf16) {
              tile_pairs<Isa, side_by_side.value>(rows.pairs[0], cols, reinterpret_cast<const std::int32_t*>(x), sums);
            } else if (m.format->has_mins) {
              tile_apart<Isa, true, side_by_side.value>(form, rows.apart, reinterpret_cast<const std::int32_t*>(x), sums);
            } else {
              tile_apart<Isa, false, side_by_side.value>(form, rows.apart, reinterpret_cast<const std::int32_t*>(x), sums);
            }
          });
        }
      }
      for (std::int64_t t = 0; t < n_tokens; ++t) {
        float* const y = m.y + (token + t) * m.y_stride + row;
        for (std::int64_t r = 0; r < n_rows; ++r) {
          y[r] = m.bias == nullptr ? acc[t * kPanelRows + r] : acc[t * kPanelRows + r] + m.bias[row + r];
        }
      }
    }
  }
}

}  // namespace infer::simd
