// SPDX-License-Identifier: MIT
// Binder: tensor names to blocks. Checks shapes and types, widens small vectors, picks the kernel, and collects all
// complaints so that one error names everything that is missing. Tested by tests/models/binder_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "libinfer/architecture.h"
#include "libinfer/weights.h"

namespace infer {

class Binder {
 public:
  /// All must outlive the binder; `weights` must outlive what is bound.
  Binder(WeightStore& weights, const KernelTable& kernels, std::span<const QuantFormat* const> quants)
      : weights_(weights), kernels_(kernels), quants_(quants) {}

  /// NAME.weight as a (rows, cols) matrix for products, with NAME.bias (rows) where the file has it. `out` must stay where
  /// it is: it is listed in products().
  void linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols);
  /// The same where the file has it. False: absent, and `out` is untouched.
  bool optional_linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols);
  /// NAME.weight as a (rows, cols) table whose rows are looked up.
  void table(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols);
  /// The table's matrix for products, too.
  void tie(Linear& out, const Linear& table);
  /// NAME.weight as a vector (n).
  void norm(Norm& out, std::string_view name, std::int64_t n, float eps);
  /// TENSOR (full name) as a vector (n) where the file has it, else an empty span. Every element must be finite, and
  /// above zero where they are divisors.
  void optional_divisors(std::span<const float>& out, std::string_view tensor, std::int64_t n);

  /// Judges the tensors that were not bound: one that belongs to a layer of the model is a complaint, because running
  /// without it gives wrong answers; any other is a warning.
  void judge_unbound(const ModelDescriptor& model, std::int64_t n_layers, std::vector<std::string>& warnings);

  /// Every matrix that is multiplied, in order of binding.
  std::span<Linear* const> products() const noexcept { return products_; }

  /// Code::tensor or quant_type with every complaint (the first ten in words), or success.
  Status finish() const;

 private:
  const TensorMeta* take(std::string_view tensor);
  const QuantFormat* runnable(const TensorMeta& tensor);
  bool matrix(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols);
  std::span<const float> vector(const TensorMeta& tensor, std::int64_t n);
  void complain(Code code, std::string_view tensor, std::string what);

  WeightStore& weights_;
  const KernelTable& kernels_;
  std::span<const QuantFormat* const> quants_;
  struct Complaint {
    Code code;
    std::string tensor;
    std::string what;
  };
  std::vector<Complaint> complaints_;
  std::vector<Linear*> products_;
  std::unordered_set<const TensorMeta*> bound_;
};

}  // namespace infer
