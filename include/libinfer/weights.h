// SPDX-License-Identifier: MIT
// WeightStore: the bytes of a model and an index of its tensors. Big matrices stay quantised for ever, in the mapped file or
// rearranged to panels (src/runtime/packing.h), and are decoded inside the kernels; only small vectors (norms, biases,
// RoPE factors) are widened to float, once, while binding. After loading the store never changes: a Model needs no lock. Tested by tests/base/weights_test.cpp.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libinfer/kernels.h"
#include "libinfer/memory.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/source.h"
#include "libinfer/tensor.h"

namespace infer {

class WeightStore {
 public:
  /// `tensors` must outlive the store (it is the descriptor's list) and lie inside `files`.
  WeightStore(std::vector<MappedFile> files, const std::vector<TensorMeta>& tensors);

  /// The tensor as a matrix of rows; null when there is none of that name.
  const TensorMeta* find(std::string_view name) const noexcept;
  TensorView view(const TensorMeta& tensor) const noexcept;

  /// All elements as floats, expanded now and kept. For small tensors.
  std::span<const float> widen(const TensorMeta& tensor, DecodeFn decode);

  /// Keeps memory that others fill: the panels of packed weights.
  void keep(Block block) { kept_ = std::move(block); }
  /// The rows of a tensor are not needed soon: the system may take back its pages of a mapped file, to be read again when
  /// touched. Memory of the host's is left alone.
  void let_go(const TensorView& tensor) const noexcept;

  std::uint64_t mapped_bytes() const noexcept;
  std::uint64_t owned_bytes() const noexcept;

 private:
  std::vector<MappedFile> files_;
  std::unordered_map<std::string_view, const TensorMeta*> index_;
  std::deque<std::vector<float>> widened_;   ///< a deque: earlier spans stay valid
  Block kept_;
};

}  // namespace infer
