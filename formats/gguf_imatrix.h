// SPDX-License-Identifier: MIT
// Importance matrices as GGUF files: for each matrix of a model, how large the activations are that its columns meet. A file
// with general.type = "imatrix" has for a tensor NAME of the model
//   NAME.in_sum2   F32 [cols, n]   sums of squares over all tokens seen, for each of its n matrices (experts; else 1)
//   NAME.counts    F32 [1, n]      the number of those tokens
// and tells where they come from in imatrix.datasets, imatrix.chunk_count and imatrix.chunk_size.
// Tested by tests/formats/gguf_imatrix_test.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/format.h"
#include "libinfer/hooks.h"
#include "libinfer/status.h"

namespace infer::gguf {

struct ImatrixEntry {
  std::string_view name;      ///< of the tensor of the model
  std::int64_t cols = 0;
  std::int64_t n_matrices = 0;
  const std::byte* sums = nullptr;     ///< (n_matrices, cols) floats in the file, finite and not negative
  const std::byte* counts = nullptr;   ///< (n_matrices) floats

  /// The mean square of each column of one matrix. Of an expert that met no token all columns are worth the same: 1.
  void means(std::int64_t matrix, float* out) const noexcept;
};

struct Imatrix {
  std::vector<ImatrixEntry> entries;   ///< sorted by name
  std::vector<std::string> datasets;
  std::int64_t chunk_count = 0;
  std::int64_t chunk_size = 0;

  const ImatrixEntry* find(std::string_view name) const noexcept;
};

/// The file outlives the answer. Errors: as of parsing; format (no importance matrix); tensor (sums without counts, shapes
/// that do not belong together, values that no measurement gives), with the tensor's name; cancelled.
Result<Imatrix> read_imatrix(Bytes file, const CancelFlag* cancel);

}  // namespace infer::gguf
