// SPDX-License-Identifier: MIT
// WeightStore: the bytes of a model and an index of its tensors. Big matrices stay quantised for ever, in the mapped file or
// rearranged to panels (src/runtime/packing.h), and are decoded inside the kernels; only small vectors (norms, biases,
// RoPE factors) are widened to float, once, while binding. After loading the store never changes: a Model needs no lock.
// Tested by tests/base/weights_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libinfer/kernels.h"
#include "libinfer/memory.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/source.h"
#include "libinfer/status.h"
#include "libinfer/tensor.h"

namespace infer {

class WeightStore {
 public:
  /// `tensors` must outlive the store (it is the descriptor's list) and lie inside `files`. What is widened is taken from
  /// `account`; null: one without limit.
  WeightStore(std::vector<MappedFile> files, const std::vector<TensorMeta>& tensors,
              std::shared_ptr<MemoryAccount> account = nullptr);

  /// The tensor as a matrix of rows; null when there is none of that name.
  const TensorMeta* find(std::string_view name) const noexcept;
  TensorView view(const TensorMeta& tensor) const noexcept;

  /// All elements as floats, expanded now and kept. For small tensors. Empty while planning and when there is no memory,
  /// which status() then tells.
  std::span<const float> widen(const TensorMeta& tensor, DecodeFn decode);

  /// Keeps memory that others fill: the panels of packed weights.
  void keep(Block block) { kept_ = std::move(block); }
  /// The rows of a tensor are not needed soon: the system may take back its pages of a mapped file, to be read again when
  /// touched. Memory of the host's is left alone.
  void let_go(const TensorView& tensor) const noexcept;

  /// While planning, widen() only counts and touches no weights.
  void plan(bool planning) noexcept { planning_ = planning; }
  std::uint64_t planned_bytes() const noexcept { return planned_bytes_; }
  /// Code::nomem or budget when something could not be widened.
  Status status() const { return status_.clone(); }

  std::uint64_t mapped_bytes() const noexcept;
  std::uint64_t owned_bytes() const noexcept;

 private:
  std::vector<MappedFile> files_;
  std::unordered_map<std::string_view, const TensorMeta*> index_;
  std::shared_ptr<MemoryAccount> account_;
  std::vector<Block> widened_;
  Block kept_;
  bool planning_ = false;
  std::uint64_t planned_bytes_ = 0;
  Status status_;
};

}  // namespace infer
