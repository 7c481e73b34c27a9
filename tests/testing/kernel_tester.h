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

  void add(double term) { add(term, std::fabs(term)); }
  void add(double term, double of_magnitude) {
    value += term;
    magnitude += of_magnitude;
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

/// Random weights of a type: (rows, cols). Types of codes get random bytes, so that every code, scale and min occurs;
/// blocks whose scales make them infinite, NaN or huge are drawn again.
struct Weights {
  Weights(const QuantFormat& quant, std::int64_t n_rows, std::int64_t n_cols, Random& random)
      : row_bytes(static_cast<std::size_t>(n_cols) / info(quant.dtype).block_elems * info(quant.dtype).block_bytes),
        bytes(row_bytes * static_cast<std::size_t>(n_rows)),
        floats(static_cast<std::size_t>(n_rows * n_cols)),
        magnitudes(floats.size()) {
    if (quant.codes == nullptr) {
      quant.encode(random.normals(n_rows * n_cols).data(), nullptr, bytes.data(), n_rows * n_cols);
      quant.decode(bytes.data(), floats.data(), n_rows * n_cols);
      for (std::size_t i = 0; i < floats.size(); ++i) magnitudes[i] = std::fabs(floats[i]);
      return;
    }
    const std::size_t block_bytes = info(quant.dtype).block_bytes, block_elems = info(quant.dtype).block_elems;
    for (std::size_t b = 0; b < floats.size() / block_elems; ++b) {
      std::byte* const block = bytes.data() + b * block_bytes;
      do {
        for (std::size_t i = 0; i < block_bytes; ++i) block[i] = static_cast<std::byte>(random.next() & 0xff);
      } while (!take_apart(quant, block, b * block_elems, block_elems));
    }
  }

  std::size_t row_bytes;
  OddBytes bytes;
  std::vector<float> floats;       ///< what they stand for
  std::vector<float> magnitudes;   ///< of the parts of each: |d scale code| + |m min|

 private:
  bool take_apart(const QuantFormat& quant, const std::byte* block, std::size_t first, std::size_t n) {
    quant.decode(block, floats.data() + first, static_cast<std::int64_t>(n));
    CodeBlock parts;
    quant.codes(block, parts);
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t sub = i / static_cast<std::size_t>(kSubCols);
      float& magnitude = magnitudes[first + i];
      magnitude = std::fabs(parts.d * static_cast<float>(parts.scales[sub]) * static_cast<float>(parts.codes[i]));
      if (quant.has_mins) magnitude += std::fabs(parts.m * static_cast<float>(parts.mins[sub]));
      if (!(magnitude < 1e4f)) return false;
    }
    return true;
  }
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
      {.x = x.row(first_token), .stride = x.stride, .tokens = tokens,
       .tile_tokens = table.tile(form, tokens), .cols = x.cols, .out = input->data});
  return input;
}

/// y = rows of the file's bytes times x, as models/blocks/linear.cpp does it: whole panels packed where the table wants
/// them, the rest as rows of the file.
inline void multiply(const KernelTable& table, const QuantFormat& q, const std::byte* weights, std::int64_t first_row,
                     std::int64_t rows, const Matrix& x, std::int64_t first_token, std::int64_t tokens, const float* bias,
                     Matrix& y) {
  const std::size_t row_bytes = static_cast<std::size_t>(x.cols) / info(q.dtype).block_elems * info(q.dtype).block_bytes;
  const auto input = make_input(table, q.input, x, first_token, tokens);
  const Matmul& kernel = table.matmul[static_cast<std::size_t>(q.dtype)];
  const std::int64_t packed = kernel.packed ? rows / kPanelRows * kPanelRows : 0;
  AlignedBytes scratch(table.scratch_bytes);
  MatmulArgs args{.weights = nullptr,
                  .stride = q.panel_bytes == nullptr ? 0 : q.panel_bytes(x.cols),
                  .format = &q,
                  .bias = bias == nullptr ? nullptr : bias + first_row,
                  .rows = packed,
                  .cols = x.cols,
                  .tokens = tokens,
                  .input = input->data,
                  .tile_tokens = table.tile(q.input, tokens),
                  .y = y.row(first_token) + first_row,
                  .y_stride = y.stride,
                  .scratch = scratch.data};
  if (packed > 0) {
    AlignedBytes panels(static_cast<std::size_t>(packed / kPanelRows) * args.stride);
    std::memset(panels.data, 0xff, panels.size);   // bytes that no weight fills belong to nobody
    for (std::int64_t p = 0; p < packed / kPanelRows; ++p) {
      q.pack(weights + static_cast<std::size_t>(first_row + p * kPanelRows) * row_bytes, row_bytes, x.cols,
             panels.data + static_cast<std::size_t>(p) * args.stride);
    }
    args.weights = panels.data;
    kernel.run(args);
  }
  args.weights = weights + static_cast<std::size_t>(first_row + packed) * row_bytes;
  args.stride = row_bytes;
  args.bias = bias == nullptr ? nullptr : bias + first_row + packed;
  args.rows = rows - packed;
  args.y += packed;
  (kernel.packed ? table.matmul_rows : kernel.run)(args);
}
inline void multiply(const KernelTable& table, const QuantFormat& q, Weights& w, std::int64_t first_row, std::int64_t rows,
                     const Matrix& x, std::int64_t first_token, std::int64_t tokens, const float* bias, Matrix& y) {
  multiply(table, q, w.bytes.data(), first_row, rows, x, first_token, tokens, bias, y);
}

}  // namespace infer::testing
