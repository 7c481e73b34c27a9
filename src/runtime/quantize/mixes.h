// SPDX-License-Identifier: MIT
// Mixes: what people call a quantisation, such as Q4_K_M, is a type for most matrices and a rule that gives others more or
// fewer bits. The rules are the field's, so that a file of a name is what everybody expects under it (llama.cpp,
// src/llama-quant.cpp, states them; mixes.cpp has them as a table). Tested by tests/runtime/quantize_plan_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "libinfer/dtype.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/status.h"

namespace infer {

struct Mix {
  const char* name;         ///< "Q4_K_M"
  DType base;               ///< of matrices that no rule speaks of
  std::uint32_t file_type;  ///< general.file_type, as the field numbers it
};

std::span<const Mix> mixes() noexcept;
/// By name, upper or lower case. Errors: quant_type, with all names.
Result<const Mix*> find_mix(std::string_view name);
/// A type for weights by name, upper or lower case. Errors: quant_type, with all names.
Result<DType> find_dtype(std::string_view name);

/// Facts of a model that rules ask for.
struct ModelFacts {
  bool is_falcon = false;
  bool has_output = false;        ///< a head of its own; otherwise the embedding is the head
  bool has_importance = false;
  std::int64_t n_layers = 0;
  std::int64_t n_attention = 0;   ///< layers with values of their own
  std::int64_t n_gqa = 1;         ///< query heads that share a KV head
  std::int64_t n_experts = 1;
};
ModelFacts facts_of(const ModelDescriptor& model, bool has_importance);

/// Whether the tensor is a matrix that is multiplied or looked up, and thus worth quantising: not a norm, a bias, a router,
/// a table of positions or another small thing that needs its precision.
bool is_quantizable(const TensorMeta& tensor);

/// The rule's type, whether or not rows are whole blocks of it. `attention_rank`: how many tensors of attention values come
/// before this one.
DType rule_type(const Mix& mix, const ModelFacts& model, const TensorMeta& tensor, std::int64_t attention_rank);
/// Whether it is one of the tensors that attention_rank counts.
bool is_attention_value(std::string_view tensor_name) noexcept;
/// N of "blk.N.", or -1.
std::int64_t layer_of(std::string_view tensor_name) noexcept;

/// What takes the place of a type whose blocks do not fill the rows: a type of blocks of 32 with no fewer bits, or F16.
DType fallback_type(DType type, std::int64_t cols) noexcept;

}  // namespace infer
