// SPDX-License-Identifier: MIT
// From the raw directory to the descriptor: which key fills which fact. Types are judged here, ranges where an
// architecture or a tokenizer reads them. Reference: docs/gguf.md. Tested by tests/formats/gguf_test.cpp.
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "src/base/text.h"

namespace infer::gguf {
namespace {

constexpr std::uint64_t kMaxTokenBytes = std::uint64_t{64} << 10;
constexpr std::uint64_t kMaxTemplateBytes = std::uint64_t{4} << 20;

template <class T>
struct KeyTo {
  std::string_view key;   ///< without the architecture's name
  T target;
};

constexpr KeyTo<std::optional<std::int64_t> Hyper::*> kIntegers[] = {
    {"vocab_size", &Hyper::n_vocab},
    {"context_length", &Hyper::context_length},
    {"embedding_length", &Hyper::embedding_length},
    {"block_count", &Hyper::n_layers},
    {"attention.key_length", &Hyper::key_length},
    {"attention.value_length", &Hyper::value_length},
    {"attention.sliding_window", &Hyper::sliding_window},
    {"rope.dimension_count", &Hyper::rope_dimensions},
    {"rope.scaling.original_context_length", &Hyper::rope_original_context},
    {"expert_count", &Hyper::n_experts},
    {"expert_used_count", &Hyper::n_experts_used},
};

constexpr KeyTo<std::optional<double> Hyper::*> kReals[] = {
    {"attention.layer_norm_rms_epsilon", &Hyper::rms_epsilon},
    {"attention.layer_norm_epsilon", &Hyper::norm_epsilon},
    {"rope.freq_base", &Hyper::rope_base},
    {"rope.scale_linear", &Hyper::rope_factor},        // the old name; the new one below wins
    {"rope.scaling.factor", &Hyper::rope_factor},
    {"rope.scaling.attn_factor", &Hyper::rope_attn_factor},
    {"rope.scaling.yarn_beta_fast", &Hyper::yarn_beta_fast},
    {"rope.scaling.yarn_beta_slow", &Hyper::yarn_beta_slow},
};

constexpr KeyTo<std::vector<std::int64_t> Hyper::*> kPerLayer[] = {
    {"feed_forward_length", &Hyper::feed_forward_length},
    {"attention.head_count", &Hyper::n_heads},
    {"attention.head_count_kv", &Hyper::n_kv_heads},
};

constexpr KeyTo<std::optional<std::int64_t> TokenizerSpec::*> kTokenIds[] = {
    {"bos_token_id", &TokenizerSpec::bos},       {"eos_token_id", &TokenizerSpec::eos},
    {"unknown_token_id", &TokenizerSpec::unk},   {"seperator_token_id", &TokenizerSpec::sep},   // as the field spells it
    {"separator_token_id", &TokenizerSpec::sep}, {"padding_token_id", &TokenizerSpec::pad},
    {"cls_token_id", &TokenizerSpec::cls},       {"mask_token_id", &TokenizerSpec::mask},
    {"eot_token_id", &TokenizerSpec::eot},       {"eom_token_id", &TokenizerSpec::eom},
};

constexpr KeyTo<std::optional<bool> TokenizerSpec::*> kTokenizerFlags[] = {
    {"add_bos_token", &TokenizerSpec::add_bos},
    {"add_eos_token", &TokenizerSpec::add_eos},
    {"add_space_prefix", &TokenizerSpec::add_space_prefix},
    {"remove_extra_whitespaces", &TokenizerSpec::remove_extra_whitespaces},
};

/// An integer for all layers, or one for each.
Result<std::vector<std::int64_t>> per_layer(const RawEntry& entry) {
  constexpr std::uint64_t kMaxValues = 65536;
  if (entry.type != ValueType::array) {
    INFER_ASSIGN(const std::int64_t value, integer_of(entry));
    return std::vector<std::int64_t>{value};
  }
  if (!is_integer(entry.element)) {
    return key_error(Code::metadata, entry, fmt::format("expected integers, found {}", type_text(entry)));
  }
  if (entry.count == 0 || entry.count > kMaxValues) {
    return key_error(Code::metadata, entry, fmt::format("{} values; one for each layer is expected", entry.count));
  }
  ByteReader reader(entry.payload);
  std::vector<std::int64_t> values(static_cast<std::size_t>(entry.count));
  for (std::int64_t& value : values) {
    bool too_large = false;
    value = read_integer(reader, entry.element, too_large);
    if (too_large) return key_error(Code::metadata, entry, "a value exceeds 2^63 - 1");
  }
  return values;
}

/// The name in front of the hyper-parameters' keys: the architecture, or where the file does not say, what stands in
/// front of the only `.block_count`.
std::string hyper_prefix(const Directory& directory, const std::string& architecture) {
  if (!architecture.empty()) return architecture;
  constexpr std::string_view kSuffix = ".block_count";
  std::string prefix;
  for (const RawEntry& entry : directory.entries) {
    if (!entry.key.ends_with(kSuffix)) continue;
    if (!prefix.empty()) return {};
    prefix = entry.key.substr(0, entry.key.size() - kSuffix.size());
  }
  return prefix;
}

Status read_hyper(const Directory& directory, const std::string& prefix, Hyper& hyper) {
  const auto find = [&](std::string_view key) { return directory.find(fmt::format("{}.{}", prefix, key)); };
  for (const auto& [key, target] : kIntegers) {
    if (const RawEntry* entry = find(key)) {
      INFER_ASSIGN(hyper.*target, integer_of(*entry));
    }
  }
  for (const auto& [key, target] : kReals) {
    if (const RawEntry* entry = find(key)) {
      INFER_ASSIGN(hyper.*target, real_of(*entry));
    }
  }
  for (const auto& [key, target] : kPerLayer) {
    if (const RawEntry* entry = find(key)) {
      INFER_ASSIGN(hyper.*target, per_layer(*entry));
    }
  }
  if (const RawEntry* entry = find("rope.scaling.type")) {
    INFER_ASSIGN(const std::string_view text, text_of(*entry));
    hyper.rope_scaling = std::string(text);
  }
  return {};
}

Status must_be_array(const RawEntry& entry, bool ok, const char* of) {
  if (entry.type == ValueType::array && ok) return {};
  return key_error(Code::vocab, entry, fmt::format("expected array of {}, found {}", of, type_text(entry)));
}

Status read_tokens(const RawEntry& entry, StringList& tokens) {
  INFER_TRY(must_be_array(entry, entry.element == ValueType::string, "string"));
  INFER_ASSIGN(tokens, strings_of(entry));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].size() <= kMaxTokenBytes) continue;
    return key_error(Code::limit, entry, fmt::format("element {} of {} bytes exceeds the limit of {}", i, tokens[i].size(),
                                                     kMaxTokenBytes));
  }
  return {};
}

Status read_scores(const RawEntry& entry, std::vector<float>& scores) {
  INFER_TRY(must_be_array(entry, is_float(entry.element), "f32"));
  ByteReader reader(entry.payload);
  scores.resize(static_cast<std::size_t>(entry.count));
  for (float& score : scores) score = static_cast<float>(read_real(reader, entry.element));
  return {};
}

Status read_types(const RawEntry& entry, std::vector<std::int32_t>& types) {
  // At least as wide as what they become: a file cannot make us take more memory than it has bytes.
  INFER_TRY(must_be_array(entry, is_integer(entry.element) && type_bytes(entry.element) >= sizeof(std::int32_t), "i32"));
  ByteReader reader(entry.payload);
  types.resize(static_cast<std::size_t>(entry.count));
  for (std::int32_t& type : types) {
    bool too_large = false;
    const std::int64_t value = read_integer(reader, entry.element, too_large);
    // What does not fit is no token type either; -1 says so to the tokenizer.
    type = std::in_range<std::int32_t>(value) && !too_large ? static_cast<std::int32_t>(value) : -1;
  }
  return {};
}

/// Token ids. The unsigned forms of -1 mean "none" to some converters; they are judged with the other ids.
Result<std::int64_t> token_id(const RawEntry& entry) {
  if (!is_integer(entry.type)) {
    return key_error(Code::vocab, entry, fmt::format("expected integer, found {}", type_text(entry)));
  }
  ByteReader reader(entry.payload);
  bool too_large = false;
  const std::int64_t value = read_integer(reader, entry.type, too_large);
  return too_large ? std::numeric_limits<std::int64_t>::max() : value;
}

Status read_tokenizer(const Directory& directory, TokenizerSpec& spec) {
  const auto find = [&](std::string_view key) { return directory.find(fmt::format("tokenizer.ggml.{}", key)); };
  for (const auto& [key, target] : {std::pair{"model", &TokenizerSpec::model}, std::pair{"pre", &TokenizerSpec::pre}}) {
    if (const RawEntry* entry = find(key)) {
      INFER_ASSIGN(const std::string_view text, text_of(*entry));
      spec.*target = text;
    }
  }
  if (const RawEntry* entry = find("tokens")) INFER_TRY(read_tokens(*entry, spec.tokens));
  if (const RawEntry* entry = find("scores")) INFER_TRY(read_scores(*entry, spec.scores));
  if (const RawEntry* entry = find("token_type")) INFER_TRY(read_types(*entry, spec.types));
  if (const RawEntry* entry = find("merges")) {
    INFER_TRY(must_be_array(*entry, entry->element == ValueType::string, "string"));
    INFER_ASSIGN(spec.merges, strings_of(*entry));
  }
  for (const auto& [key, target] : kTokenIds) {
    if (const RawEntry* entry = find(key)) {
      INFER_ASSIGN(spec.*target, token_id(*entry));
    }
  }
  for (const auto& [key, target] : kTokenizerFlags) {
    if (const RawEntry* entry = find(key)) {
      INFER_ASSIGN(spec.*target, boolean_of(*entry));
    }
  }
  return {};
}

bool moves_to_tokenizer(std::string_view key) noexcept {
  return key == "tokenizer.ggml.tokens" || key == "tokenizer.ggml.scores" || key == "tokenizer.ggml.token_type" ||
         key == "tokenizer.ggml.merges";
}

}  // namespace

Result<ModelDescriptor> describe(const Directory& directory) {
  ModelDescriptor model;
  model.format = fmt::format("GGUF v{}", directory.version);
  if (directory.entries.empty()) {
    return Status::error(Code::metadata, "the file has no metadata: general.architecture is missing")
        .about("general.architecture");
  }
  if (const RawEntry* entry = directory.find("general.architecture")) {
    INFER_ASSIGN(const std::string_view text, text_of(*entry));
    if (text.empty() || text.size() > 256 || !is_printable_utf8(text)) {
      return key_error(Code::metadata, *entry, fmt::format("{} is not a name", quoted(text)));
    }
    model.architecture = text;
  }
  if (const RawEntry* entry = directory.find("general.name")) {
    if (entry->type == ValueType::string) model.name = as_text(entry->payload);
  }
  if (const std::string prefix = hyper_prefix(directory, model.architecture); !prefix.empty()) {
    INFER_TRY(read_hyper(directory, prefix, model.hyper));
  }
  INFER_TRY(read_tokenizer(directory, model.tokenizer));
  if (const RawEntry* entry = directory.find("tokenizer.chat_template"); entry != nullptr && entry->type == ValueType::string) {
    if (entry->payload.size() <= kMaxTemplateBytes) {
      model.tokenizer.chat_template = std::string(as_text(entry->payload));
    } else {
      model.warnings.push_back(fmt::format("tokenizer.chat_template of {} bytes exceeds the limit of {} and is left out",
                                           entry->payload.size(), kMaxTemplateBytes));
    }
  }

  GrowthBudget budget;
  model.metadata.reserve(directory.entries.size());
  for (const RawEntry& entry : directory.entries) {
    MetaEntry meta{.key = std::string(entry.key), .type = type_text(entry), .value = false, .offset = entry.offset};
    if (entry.type == ValueType::array && moves_to_tokenizer(entry.key)) {
      meta.value = MovedArray{type_name(entry.element), entry.count};
    } else {
      INFER_ASSIGN(meta.value, meta_value(entry, budget, model.warnings));
    }
    model.metadata.push_back(std::move(meta));
  }
  return model;
}

}  // namespace infer::gguf
