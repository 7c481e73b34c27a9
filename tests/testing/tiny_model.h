// SPDX-License-Identifier: MIT
// Tiny random models of all families, made in memory as the bytes of a GGUF file: any shape, any weight type that can
// be produced, the same for the same seed on every machine. Logits have a standard deviation of about 2. The vocabulary
// is a usable one for the tokenizer `llama`: <unk> <s> </s>, the 256 byte tokens, letters and a few pieces of words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libinfer/dtype.h"
#include "tests/testing/gguf_writer.h"

namespace infer::testing {

/// What is 0, false or empty the file does not say, and has no tensors for.
struct TinyModel {
  std::string name{"tiny"};
  std::string architecture{"llama"};   ///< tensors that belong to the family are there without being asked for
  std::uint64_t seed = 1;
  std::int64_t n_layers = 2;
  std::int64_t n_embd = 64;
  std::int64_t n_heads = 4;
  std::int64_t n_kv_heads = 2;
  std::int64_t key_length = 0;         ///< 0: n_embd / n_heads; likewise value_length
  std::int64_t value_length = 0;
  std::int64_t n_ff = 96;              ///< of qwen files, half of what the file says
  std::int64_t n_vocab = 320;          ///< below 260 the file has no tokenizer
  std::int64_t context = 256;
  DType dtype = DType::f32;            ///< of the matrices; rows must be whole blocks
  std::optional<DType> value_dtype{};  ///< of attn_v, where it is another
  bool tied = false;                   ///< no output matrix
  bool biases = false;                 ///< of the attention's four matrices, where the family leaves the choice
  bool fused_qkv = false;              ///< likewise
  std::int64_t sliding_window = 0;
  std::int64_t window_period = 0;
  std::vector<bool> window_layers{};   ///< instead of the period
  double attention_scale = 0.0;
  double attention_softcap = 0.0;
  double final_softcap = 0.0;
  double temperature_scale = 0.0;
  std::int64_t n_rot = 0;
  double rope_base = 10000.0;
  double rope_base_local = 0.0;
  std::string rope_scaling{};          ///< "linear" or "yarn"
  double rope_factor = 1.0;            ///< of these two
  std::int64_t original_context = 0;
  bool rope_factors = false;           ///< a rope_freqs.weight tensor with divisors between 1 and 8
  bool long_factors = false;           ///< two tensors of them, for short contexts and for long ones
  double rope_attn_factor = 0.0;
  double yarn_log_multiplier = 0.0;
  double yarn_attn_factor = 0.0;
  double yarn_ext_factor = 0.0;
  double yarn_beta_fast = 0.0, yarn_beta_slow = 0.0;
  std::int64_t n_experts = 0;
  std::int64_t n_experts_used = 2;
  std::int64_t expert_ff = 0;          ///< of qwen's experts; 0: n_ff / n_experts_used
  std::int64_t shared_ff = 0;          ///< of qwen2moe's shared one; 0: n_ff
  bool fused_experts = false;          ///< gate above up in one tensor: the same numbers
  std::optional<bool> expert_weights_norm{};
  double expert_weights_scale = 0.0;
};

/// One or more of each architecture, with all that makes it different; `name` tells them apart. Windows are shorter
/// than a page of the KV cache, and rows are whole blocks of 32.
std::vector<TinyModel> tiny_families();

/// The file before it is built: for tests that change a key or leave out a tensor.
GgufWriter tiny_model_writer(const TinyModel& model);

/// The bytes of the file.
std::vector<std::byte> make_tiny_model(const TinyModel& model);

}  // namespace infer::testing
