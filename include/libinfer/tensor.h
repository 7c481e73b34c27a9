// SPDX-License-Identifier: MIT
// What a tensor is in a file (TensorMeta), in memory (TensorView), and a matrix of activations (MatF32).
// Rows are contiguous runs of `cols` elements. GGUF writes shapes innermost first: shape[0] is the row length.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "libinfer/dtype.h"

namespace infer {

inline constexpr int kMaxDims = 4;

/// Innermost first; entries past n_dims are 1.
struct Shape {
  std::array<std::int64_t, kMaxDims> dims{1, 1, 1, 1};
  int n_dims = 0;

  std::int64_t cols() const noexcept { return dims[0]; }
  std::int64_t rows() const noexcept { return dims[1] * dims[2] * dims[3]; }
  bool operator==(const Shape&) const = default;
};

/// "[4096, 32000]", as in the file.
std::string to_string(const Shape& shape);

/// Validated by the format parser: no dimension is zero, rows are whole blocks, the element count and the byte size fit
/// in 63 bits, and the bytes lie inside the file. Later code trusts it.
struct TensorMeta {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  int file = 0;                 ///< index of the shard that holds it
  std::uint64_t offset = 0;     ///< of its first byte in that file
  std::uint64_t bytes = 0;

  bool operator==(const TensorMeta&) const = default;
};

/// A weight matrix as it lies in the file: not owned (the WeightStore keeps the bytes).
struct TensorView {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::size_t row_bytes = 0;

  explicit operator bool() const noexcept { return data != nullptr; }
  /// n rows from `first` on: a fused QKV splits without copying.
  TensorView slice(std::int64_t first, std::int64_t n) const noexcept {
    return {data + static_cast<std::size_t>(first) * row_bytes, dtype, n, cols, row_bytes};
  }
};

/// Activations: (rows, cols) floats, `stride` floats from row to row. Not owned.
struct MatF32 {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  float* row(std::int64_t i) const noexcept { return data + i * stride; }
  MatF32 first_rows(std::int64_t n) const noexcept { return {data, n, cols, stride}; }
};

}  // namespace infer
