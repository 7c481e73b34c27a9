// SPDX-License-Identifier: MIT
// Binder: tensor names to blocks. Checks shapes and types, widens small vectors, picks the kernel, and collects all
// complaints so that one error names everything that is missing. Tested by tests/models/binder_test.cpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "libinfer/architecture.h"
#include "libinfer/weights.h"

namespace infer {

enum class Bias : std::uint8_t { none, optional, required };

class Binder {
 public:
  /// A part of a matrix: that many of its rows.
  struct Part {
    Linear& out;
    std::int64_t rows;
  };

  /// All must outlive the binder; `weights` must outlive what is bound.
  Binder(WeightStore& weights, const KernelTable& kernels, std::span<const QuantFormat* const> quants)
      : weights_(weights), kernels_(kernels), quants_(quants) {}

  /// Whether the file has a tensor of this full name.
  bool has(std::string_view tensor) const { return weights_.find(tensor) != nullptr; }

  /// NAME.weight as a (rows, cols) matrix for products, with NAME.bias (rows) where the file has it. `out` must stay where
  /// it is: it is listed in products().
  void linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols, Bias bias = Bias::optional);
  /// NAME.weight as several matrices, one below the other, and NAME.bias likewise.
  void split(std::initializer_list<Part> parts, std::string_view name, std::int64_t cols, Bias bias = Bias::optional);
  /// One part of n experts: NAME_exps.weight (n, rows, cols), or NAME.E.weight (rows, cols) for each, as old converters wrote
  /// it. `out` gets its size when the file has them.
  void experts(std::vector<FfnWeights>& out, Linear FfnWeights::*part, std::int64_t n, std::string_view name,
               std::int64_t rows, std::int64_t cols);
  /// Two parts of n experts: NAME_exps.weight (n, 2 rows, cols), of each expert `first` above `second`.
  void expert_pairs(std::vector<FfnWeights>& out, Linear FfnWeights::*first, Linear FfnWeights::*second, std::int64_t n,
                    std::string_view name, std::int64_t rows, std::int64_t cols);
  /// NAME.weight as a (rows, cols) table whose rows are looked up.
  void table(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols);
  /// The table's matrix for products, too.
  void tie(Linear& out, const Linear& table);
  /// NAME.weight as a vector (n); for layer norms NAME.bias (n), too.
  void norm(Norm& out, std::string_view name, std::int64_t n, float eps, NormKind kind = NormKind::rms);
  /// TENSOR (full name) as a vector (n). Every element must be finite and above zero.
  void divisors(std::span<const float>& out, std::string_view tensor, std::int64_t n);

  /// Judges the tensors that were not bound: one that belongs to a layer of the model, to its embedding or its head is a
  /// complaint, because running without it gives wrong answers; any other is a warning.
  void judge_unbound(const ModelDescriptor& model, std::int64_t n_layers, std::vector<std::string>& warnings);

  /// Every matrix that is multiplied, in order of binding.
  std::span<Linear* const> products() const noexcept { return products_; }

  /// Code::tensor or quant_type with every complaint (the first ten in words), or success.
  Status finish() const;

 private:
  const TensorMeta* take(std::string_view tensor);
  const QuantFormat* runnable(const TensorMeta& tensor);
  bool matrix(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols, Bias bias);
  bool fits(const TensorMeta& tensor, std::initializer_list<std::int64_t> shape);
  void fill(Linear& out, const TensorMeta& tensor, const QuantFormat& format) const;
  void stacked(std::vector<FfnWeights>& out, std::initializer_list<Linear FfnWeights::*> parts, std::int64_t n,
               std::string_view name, std::int64_t rows, std::int64_t cols);
  void missing(std::string_view tensor, std::initializer_list<std::int64_t> shape);
  std::span<const float> vector(const TensorMeta& tensor, std::int64_t n);
  std::span<const float> required_vector(std::string_view tensor, std::int64_t n);
  void complain(Code code, std::string_view tensor, std::string what);

  WeightStore& weights_;
  const KernelTable& kernels_;
  std::span<const QuantFormat* const> quants_;
  struct Complaint {
    Code code;
    std::string tensor;
    std::string what;
  };
  std::vector<Complaint> complaints_;   ///< the first of them: a file can give cause for a million
  std::size_t n_complaints_ = 0;
  std::vector<Linear*> products_;
  std::unordered_set<const TensorMeta*> bound_;
};

}  // namespace infer
