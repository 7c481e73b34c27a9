// SPDX-License-Identifier: MIT
// What tests of kernels share: weights at odd addresses, matrices with gaps between their rows, and sums in double with
// the tolerance that goes with them.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
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
  /// last place per rounding. Kernels add in at least eight parallel sums, so n / 8 + 16 roundings are generous.
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

}  // namespace infer::testing
