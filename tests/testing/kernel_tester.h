// SPDX-License-Identifier: MIT
// What tests of kernels share: weights at odd addresses, matrices with gaps between their rows, and sums in double with
// the tolerance that goes with them.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "libinfer/kernels.h"
#include "tests/testing/random.h"

namespace infer::testing {

/// A sum in double that knows how large its terms were.
struct Sum {
  double value = 0.0;
  double magnitude = 0.0;

  void add(double term) {
    value += term;
    magnitude += std::fabs(term);
  }
  /// How far a float sum of n terms, in any order that a kernel may choose, can be from the value: half a unit in the
    /// last place per rounding. Kernels add in stretches of 32 or in parallel sums, so n / 8 + 16 roundings are generous.
  double tolerance(std::int64_t n) const {
    return magnitude * 0x1p-24 * (static_cast<double>(n) / 8.0 + 16.0) +
           static_cast<double>(std::numeric_limits<float>::min());
  }
};

/// Bytes that begin at an odd address and end exactly where their memory ends, so that the address sanitizer sees every
/// byte read past them.
class OddBytes {
 public:
  explicit OddBytes(std::size_t n) : storage_(n + 1) {}
  std::byte* data() { return storage_.data() + 1; }
  std::size_t size() const { return storage_.size() - 1; }

 private:
  std::vector<std::byte> storage_;
};

/// (rows, cols) floats with `gap` floats between the rows. There is no gap after the last row.
class Matrix {
 public:
  Matrix(std::int64_t n_rows, std::int64_t n_cols, std::int64_t gap, float fill = 0.0f)
      : rows(n_rows),
        cols(n_cols),
        stride(n_cols + gap),
        values(static_cast<std::size_t>((n_rows - 1) * stride + n_cols), fill) {}

  float* row(std::int64_t i) { return values.data() + i * stride; }
  const float* row(std::int64_t i) const { return values.data() + i * stride; }
  void randomise(Random& random) {
    for (float& v : values) v = random.normal();
  }

  std::int64_t rows, cols, stride;
  std::vector<float> values;
};

/// Whether these are the same floats bit by bit; all NaNs are alike.
inline bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

/// Random weights of a type: (rows, cols), encoded where the type can be produced.
struct Weights {
  Weights(const QuantFormat& quant, std::int64_t n_rows, std::int64_t n_cols, Random& random)
      : row_bytes(static_cast<std::size_t>(n_cols) / info(quant.dtype).block_elems * info(quant.dtype).block_bytes),
        bytes(row_bytes * static_cast<std::size_t>(n_rows)),
        floats(static_cast<std::size_t>(n_rows * n_cols)) {
    if (quant.encode != nullptr) {
      quant.encode(random.normals(n_rows * n_cols).data(), bytes.data(), n_rows * n_cols);
    } else {
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes.data()[i] = static_cast<std::byte>(random.below(0x38));
    }
    quant.decode(bytes.data(), floats.data(), n_rows * n_cols);
  }

  std::size_t row_bytes;
  OddBytes bytes;
  std::vector<float> floats;   ///< what they stand for
};

/// Memory as the library gives it to kernels: aligned to 64 bytes, and ending where it ends.
struct AlignedBytes {
  explicit AlignedBytes(std::size_t n) : size(n), data(static_cast<std::byte*>(::operator new(n, std::align_val_t{64}))) {}
  ~AlignedBytes() { ::operator delete(data, std::align_val_t{64}); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;

  std::size_t size;
  std::byte* data;
};

/// What the table's products take of rows of x, in tiles from first_token on.
inline std::unique_ptr<AlignedBytes> make_input(const KernelTable& table, InputForm form, const Matrix& x,
                                                std::int64_t first_token, std::int64_t tokens) {
  auto input = std::make_unique<AlignedBytes>(static_cast<std::size_t>(tokens * input_bytes(form, x.cols)));
  table.input[static_cast<std::size_t>(form)](
      {.x = x.row(first_token), .stride = x.stride, .tokens = tokens, .cols = x.cols, .out = input->data});
  return input;
}

/// y = rows of w times x, as models/blocks/linear.cpp does it: whole panels packed where the table wants them, the rest
/// as rows of the file.
inline void multiply(const KernelTable& table, const QuantFormat& q, Weights& w, std::int64_t first_row, std::int64_t rows,
                     const Matrix& x, std::int64_t first_token, std::int64_t tokens, const float* bias, Matrix& y) {
  const auto input = make_input(table, q.input, x, first_token, tokens);
  const Matmul& kernel = table.matmul[static_cast<std::size_t>(q.dtype)];
  const std::int64_t packed = kernel.packed ? rows / kPanelRows * kPanelRows : 0;
  MatmulArgs args{.weights = nullptr,
                  .stride = q.panel_bytes == nullptr ? 0 : q.panel_bytes(x.cols),
                  .format = &q,
                  .bias = bias == nullptr ? nullptr : bias + first_row,
                  .rows = packed,
                  .cols = x.cols,
                  .tokens = tokens,
                  .input = input->data,
                  .tile_tokens = table.tile_tokens,
                  .y = y.row(first_token) + first_row,
                  .y_stride = y.stride};
  if (packed > 0) {
    AlignedBytes panels(static_cast<std::size_t>(packed / kPanelRows) * args.stride);
    std::memset(panels.data, 0xff, panels.size);   // bytes that no weight fills belong to nobody
    for (std::int64_t p = 0; p < packed / kPanelRows; ++p) {
      q.pack(w.bytes.data() + static_cast<std::size_t>(first_row + p * kPanelRows) * w.row_bytes, w.row_bytes, x.cols,
             panels.data + static_cast<std::size_t>(p) * args.stride);
    }
    args.weights = panels.data;
    kernel.run(args);
  }
  args.weights = w.bytes.data() + static_cast<std::size_t>(first_row + packed) * w.row_bytes;
  args.stride = w.row_bytes;
  args.bias = bias == nullptr ? nullptr : bias + first_row + packed;
  args.rows = rows - packed;
  args.y += packed;
  (kernel.packed ? table.matmul_rows : kernel.run)(args);
}

}  // namespace infer::testing
