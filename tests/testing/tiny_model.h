// SPDX-License-Identifier: MIT
// Tiny random llama models, made in memory as the bytes of a GGUF file: any shape, any weight type that can be
// produced, the same for the same seed on every machine. Logits have a standard deviation of about 2. The vocabulary is
// a usable one for the tokenizer `llama`: <unk> <s> </s>, the 256 byte tokens, letters and a few pieces of words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "libinfer/dtype.h"
#include "tests/testing/gguf_writer.h"

namespace infer::testing {

struct TinyModel {
  std::uint64_t seed = 1;
  std::int64_t n_layers = 2;
  std::int64_t n_embd = 64;
  std::int64_t n_heads = 4;
  std::int64_t n_kv_heads = 2;
  std::int64_t key_length = 0;         ///< 0: n_embd / n_heads, and the file does not say; likewise value_length
  std::int64_t value_length = 0;
  std::int64_t n_ff = 96;
  std::int64_t n_vocab = 320;          ///< below 260 the file has no tokenizer
  std::int64_t context = 256;
  DType dtype = DType::f32;            ///< of the matrices; rows must be whole blocks
  bool tied = false;                   ///< no output matrix
  bool biases = false;                 ///< of the attention's four matrices
  std::int64_t sliding_window = 0;
  std::int64_t n_rot = 0;              ///< 0: the file does not say
  double rope_base = 10000.0;
  std::string rope_scaling{};          ///< "linear" or "yarn"; empty: none
  double rope_factor = 1.0;
  std::int64_t original_context = 0;   ///< 0: the file does not say
  bool rope_factors = false;           ///< a rope_freqs.weight tensor with divisors between 1 and 8
};

/// The file before it is built: for tests that change a key or leave out a tensor.
GgufWriter tiny_model_writer(const TinyModel& model);

/// The bytes of the file.
std::vector<std::byte> make_tiny_model(const TinyModel& model);

}  // namespace infer::testing
