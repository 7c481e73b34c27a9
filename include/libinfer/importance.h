// SPDX-License-Identifier: MIT
// ImportanceMatrix: for each matrix that a model multiplies and each of its columns, the sum of the squares of the activations
// that met the column. A quantiser weighs its errors with it: a column that meets large activations costs more. Sessions of
// the model fill it (Session::set_importance). Sums are doubles, added token by token: the same bits for any number of
// threads and any split into batches. One thread at a time. Tested by tests/runtime/importance_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/architecture.h"
#include "libinfer/memory.h"
#include "libinfer/model.h"
#include "libinfer/source.h"
#include "libinfer/status.h"

namespace infer {

class ImportanceMatrix {
 public:
  /// One tensor of the model's file. A tensor of three dimensions (experts) is n_matrices of them.
  struct Entry {
    const TensorMeta* tensor = nullptr;
    const std::byte* begin = nullptr;   ///< of its bytes
    std::int64_t cols = 0;
    std::int64_t n_matrices = 1;
    std::span<double> sums{};           ///< (n_matrices, cols) of squares
    std::span<double> counts{};         ///< (n_matrices) tokens that met it
  };

  /// All memory is taken here, from the model's account. Errors: state (a vocabulary-only model), budget, nomem.
  static Result<std::shared_ptr<ImportanceMatrix>> create(std::shared_ptr<const Model> model);

  const Model& model() const noexcept { return *model_; }
  /// In the order of the file; entries that met nothing have counts of zero.
  std::span<const Entry> entries() const noexcept { return entries_; }

  /// For Step::observer; lives as long as this.
  const ProductObserver& observer() const noexcept { return observer_; }
  /// What is added after mark() can be taken back: a feed that fails leaves no trace.
  void mark() noexcept;
  void roll_back() noexcept;

  /// Adds what an earlier run saved. All or nothing. Errors: those of opening and parsing, tensor (of other matrices).
  Status add_file(const Source& source, const CancelFlag* cancel = nullptr);
  /// Writes what was met, in the field's GGUF form (docs/quantization.md). `dataset` names the text, `chunk_size` is how many
  /// tokens were fed at a time. Errors: state (nothing was met), tensor (a sum is not finite), range, io and its kin.
  Status save(const std::string& path, std::string_view dataset, std::int64_t chunk_size) const;

  ImportanceMatrix(const ImportanceMatrix&) = delete;
  ImportanceMatrix& operator=(const ImportanceMatrix&) = delete;

 private:
  explicit ImportanceMatrix(std::shared_ptr<const Model> model) : model_(std::move(model)) {}
  void see(Step& step, const Linear& weights, const MatF32& x) noexcept;

  std::shared_ptr<const Model> model_;
  Block block_;
  std::span<double> values_;            ///< all sums and counts
  std::span<double> marked_;            ///< of the same size: what they were
  std::vector<Entry> entries_;
  std::vector<std::size_t> by_place_;   ///< entries by their bytes' place in memory
  std::vector<std::string> datasets_;   ///< of files that were added
  ProductObserver observer_;
};

}  // namespace infer
