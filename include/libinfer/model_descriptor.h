// SPDX-License-Identifier: MIT
// ModelDescriptor: what a model is, free of file format and of architecture. Format parsers make it (formats/), an
// architecture turns it into a runnable decoder (models/), `infer info` prints it. It holds no weights: tensors are
// names, shapes and places in files. Facts are kept as the file states them; what is absent is nullopt, and ranges are
// judged where an architecture reads them (models/config.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libinfer/tensor.h"

namespace infer {

/// Many strings in one block: a vocabulary of 256k pieces costs its bytes plus four per piece.
class StringList {
 public:
  void reserve(std::size_t n_strings, std::size_t n_bytes) {
    ends_.reserve(n_strings);
    bytes_.reserve(n_bytes);
  }
  void push_back(std::string_view s) {
    bytes_.append(s);
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }
  std::size_t size() const noexcept { return ends_.size(); }
  bool empty() const noexcept { return ends_.empty(); }
  std::string_view operator[](std::size_t i) const noexcept {
    const std::uint32_t first = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(first, ends_[i] - first);
  }
  /// Bytes held in memory.
  std::size_t memory() const noexcept { return bytes_.capacity() + ends_.capacity() * sizeof(std::uint32_t); }
  /// Most bytes that fit: the parser refuses longer lists.
  static constexpr std::uint64_t kMaxBytes = INT32_MAX;

  bool operator==(const StringList&) const = default;

 private:
  std::string bytes_;
  std::vector<std::uint32_t> ends_;
};

/// One metadata value. Integers of every width become int64 (uint64 where it does not fit), floats become double.
/// Large tokenizer arrays are moved into TokenizerSpec; their entry keeps element type and count (MovedArray).
struct MovedArray {
  std::string element_type;
  std::uint64_t count = 0;
  bool operator==(const MovedArray&) const = default;
};
using MetaValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<bool>,
                               std::vector<std::int64_t>, std::vector<double>, StringList, MovedArray>;

struct MetaEntry {
  std::string key;
  std::string type;          ///< as the file writes it: "u32", "f32", "bool", "string", "array of i32"
  MetaValue value;
  std::uint64_t offset = 0;  ///< of the key in the (first) file
  std::uint64_t fingerprint = 0;   ///< of the value's bytes in the file, for what is not kept
  bool operator==(const MetaEntry&) const = default;
};

/// Hyper-parameters as stated by the file. Where a GGUF array gives one value per layer, the vector has them all;
/// otherwise it has one element, or none when the file says nothing.
struct Hyper {
  std::optional<std::int64_t> n_vocab;
  std::optional<std::int64_t> context_length;
  std::optional<std::int64_t> embedding_length;
  std::optional<std::int64_t> n_layers;                ///< block_count
  std::vector<std::int64_t> feed_forward_length;
  std::vector<std::int64_t> n_heads;                   ///< attention.head_count
  std::vector<std::int64_t> n_kv_heads;                ///< attention.head_count_kv
  std::optional<std::int64_t> key_length;              ///< attention.key_length
  std::optional<std::int64_t> value_length;            ///< attention.value_length
  std::optional<double> attention_scale;               ///< attention.scale
  std::optional<std::int64_t> sliding_window;          ///< attention.sliding_window
  std::optional<std::int64_t> window_period;           ///< attention.sliding_window_pattern, as one number
  std::vector<bool> window_layers;                     ///< attention.sliding_window_pattern, as a list
  std::optional<double> attention_softcap;             ///< attn_logit_softcapping
  std::optional<double> final_softcap;                 ///< final_logit_softcapping
  std::optional<double> temperature_scale;             ///< attention.temperature_scale
  std::optional<std::int64_t> temperature_length;      ///< attention.temperature_length
  std::optional<double> rms_epsilon;                   ///< attention.layer_norm_rms_epsilon
  std::optional<double> norm_epsilon;                  ///< attention.layer_norm_epsilon
  std::optional<std::int64_t> rope_dimensions;         ///< rope.dimension_count
  std::optional<double> rope_base;                     ///< rope.freq_base
  std::optional<double> rope_base_local;               ///< rope.freq_base_swa: of layers with a window
  std::optional<std::string> rope_scaling;             ///< rope.scaling.type: none, linear, yarn, longrope
  std::optional<double> rope_factor;                   ///< rope.scaling.factor, or the old rope.scale_linear
  std::optional<std::int64_t> rope_original_context;   ///< rope.scaling.original_context_length
  std::optional<double> rope_attn_factor;              ///< rope.scaling.attn_factor
  std::optional<double> yarn_attn_factor;              ///< rope.scaling.yarn_attn_factor
  std::optional<double> yarn_ext_factor;               ///< rope.scaling.yarn_ext_factor
  std::optional<double> yarn_beta_fast;                ///< rope.scaling.yarn_beta_fast
  std::optional<double> yarn_beta_slow;                ///< rope.scaling.yarn_beta_slow
  std::optional<double> yarn_log_multiplier;           ///< rope.scaling.yarn_log_multiplier
  std::optional<std::int64_t> n_experts;               ///< expert_count
  std::optional<std::int64_t> n_experts_used;          ///< expert_used_count
  std::optional<std::int64_t> expert_feed_forward_length;          ///< expert_feed_forward_length
  std::optional<std::int64_t> shared_expert_feed_forward_length;   ///< expert_shared_feed_forward_length
  std::optional<bool> expert_weights_norm;             ///< expert_weights_norm
  std::optional<double> expert_weights_scale;          ///< expert_weights_scale

  bool operator==(const Hyper&) const = default;
};

/// Most bytes of one token's text.
inline constexpr std::size_t kMaxTokenBytes = 65536;

enum class TokenType : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// A chat template of the file, as it is there.
struct ChatTemplateText {
  std::string name;            ///< empty for the default one
  std::string text;            ///< empty where it was too long to be kept
  std::uint64_t bytes = 0;     ///< of the text in the file

  bool operator==(const ChatTemplateText&) const = default;
};

/// What the file says about its vocabulary. Judged by the tokenizer that is built from it (tokenizers/).
struct TokenizerSpec {
  std::string model;                      ///< tokenizer.ggml.model: llama, gpt2, bert, t5; empty when absent
  std::string pre;                        ///< tokenizer.ggml.pre
  std::string architecture;               ///< general.architecture: it stands in for what the format has no key for
  StringList tokens;
  std::vector<float> scores;              ///< empty or one per token
  std::vector<std::int32_t> types;        ///< empty or one TokenType per token, unchecked
  StringList merges;
  std::optional<std::int64_t> bos, eos, unk, sep, pad, cls, mask, eot, eom;   ///< token ids, unchecked
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::optional<bool> lowercase, strip_accents;   ///< tokenizer.ggml.normalizer.*
  std::string charsmap;                   ///< tokenizer.ggml.precompiled_charsmap, unchecked
  std::vector<ChatTemplateText> chat_templates;

  bool operator==(const TokenizerSpec&) const = default;
};

struct ModelDescriptor {
  std::string format;                 ///< "GGUF v3"
  std::string architecture;           ///< general.architecture; empty when the file does not say
  std::string key_prefix;             ///< what the keys of hyper-parameters begin with, without the dot: the architecture, mostly
  std::string name;                   ///< general.name
  Hyper hyper;
  TokenizerSpec tokenizer;
  std::vector<TensorMeta> tensors;    ///< names are unique
  std::vector<MetaEntry> metadata;    ///< all of it, in file order; keys are unique
  std::vector<std::string> warnings;  ///< oddities that did not stop the load

  const TensorMeta* find_tensor(std::string_view tensor_name) const noexcept;
  bool has_tensor(std::string_view tensor_name) const noexcept { return find_tensor(tensor_name) != nullptr; }
  const MetaEntry* find_meta(std::string_view key) const noexcept;

  bool operator==(const ModelDescriptor&) const = default;
};

}  // namespace infer
