// SPDX-License-Identifier: MIT
// From the raw directory of a GGUF file to a ModelDescriptor: which key means what. Types are judged here, ranges are
// not (models/, tokenizers/). Reference: docs/gguf.md, "Keys". Tested by tests/formats/gguf_test.cpp.
#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "libinfer/text.h"
#include "src/base/checked.h"
#include "src/base/range.h"

namespace infer::gguf {
namespace {

// Texts that are kept twice (as metadata and as a field) must be short for memory to stay bounded by the file.
constexpr std::size_t kMaxTextBytes = 65536;
constexpr std::size_t kMaxTemplateBytes = std::size_t{1} << 20;   // of all chat templates together
constexpr std::size_t kMaxTemplates = 64;
constexpr std::string_view kTemplateKey = "tokenizer.chat_template";
constexpr std::string_view kCharsmapKey = "tokenizer.ggml.precompiled_charsmap";
constexpr std::size_t kMaxArchitectureBytes = 64;
constexpr std::uint64_t kMaxTokens = std::numeric_limits<std::int32_t>::max();
constexpr std::uint64_t kMaxPerLayerValues = 4096;

/// Reads keys into fields. An absent key leaves its field alone; the first error is kept and ends all reading.
class Fields {
 public:
  /// `wrong_type`: the code for values of another type.
  Fields(const Directory& directory, std::string prefix, Code wrong_type)
      : directory_(directory), prefix_(std::move(prefix)), wrong_type_(wrong_type) {}

  void get(std::string_view key, std::optional<std::int64_t>& field) { read(key, integer_of, field); }
  void get(std::string_view key, std::optional<double>& field) { read(key, real_of, field); }
  void get(std::string_view key, std::optional<bool>& field) { read(key, boolean_of, field); }
  void get(std::string_view key, std::optional<std::string>& field) { read(key, short_text_of, field); }
  /// One value, or one per layer.
  void get(std::string_view key, std::vector<std::int64_t>& field) {
    const RawEntry* entry = find(key);
    if (entry == nullptr) return;
    Result<std::vector<std::int64_t>> values = integers_of(*entry);
    if (values.ok()) {
      field = std::move(values).value();
    } else {
      fail(std::move(values).status());
    }
  }

  /// One number, or a list of yes or no with one entry per layer.
  void get(std::string_view key, std::optional<std::int64_t>& number, std::vector<bool>& per_layer) {
    const RawEntry* entry = find(key);
    if (entry == nullptr) return;
    if (entry->type != ValueType::array) return get(key, number);
    Result<std::vector<bool>> flags = flags_of(*entry);
    if (flags.ok()) {
      per_layer = std::move(flags).value();
    } else {
      fail(std::move(flags).status());
    }
  }

  Status status() && { return std::move(status_); }

 private:
  const RawEntry* find(std::string_view key) const {
    return status_.ok() ? directory_.find(prefix_ + std::string(key)) : nullptr;
  }

  template <class T, class Field>
  void read(std::string_view key, Result<T> (*value_of)(const RawEntry&), std::optional<Field>& field) {
    const RawEntry* entry = find(key);
    if (entry == nullptr) return;
    Result<T> value = value_of(*entry);
    if (value.ok()) {
      field = std::move(value).value();
    } else {
      fail(std::move(value).status());
    }
  }

  void fail(Status status) {
    if (status.code() == Code::metadata && wrong_type_ != Code::metadata) {
      status_ = Status::error(wrong_type_, std::string(status.message()))
                    .about(status.subject())
                    .at(static_cast<std::uint64_t>(status.offset()));
    } else {
      status_ = std::move(status);
    }
  }

  static Result<std::string> short_text_of(const RawEntry& entry) {
    INFER_ASSIGN(const std::string_view text, text_of(entry));
    if (text.size() > kMaxTextBytes) {
      return key_error(Code::limit, entry, fmt::format("text of {} bytes is longer than {}", text.size(), kMaxTextBytes));
    }
    return std::string(text);
  }

  static Result<std::vector<std::int64_t>> integers_of(const RawEntry& entry) {
    if (entry.type != ValueType::array) {
      INFER_ASSIGN(const std::int64_t value, integer_of(entry));
      return std::vector<std::int64_t>{value};
    }
    if (entry.count == 0) return key_error(Code::metadata, entry, "an empty array; expected one value, or one per layer");
    if (!is_integer(entry.element)) {
      return key_error(Code::metadata, entry, fmt::format("expected integers, found {}", type_text(entry)));
    }
    if (entry.count > kMaxPerLayerValues) {
      return key_error(Code::limit, entry, fmt::format("{} values exceed the limit of {}", entry.count,
                                                       kMaxPerLayerValues));
    }
    std::vector<std::int64_t> values(static_cast<std::size_t>(entry.count));
    ByteReader reader(entry.payload);
    for (std::int64_t& value : values) {
      bool too_large = false;
      value = read_integer(reader, entry.element, too_large);
      if (too_large) return key_error(Code::metadata, entry, "a value exceeds 2^63 - 1");
    }
    return values;
  }

  /// A list of bool, or of integers that are 0 or not.
  static Result<std::vector<bool>> flags_of(const RawEntry& entry) {
    std::vector<bool> flags;
    if (entry.element == ValueType::boolean) {
      if (entry.count > kMaxPerLayerValues) {
        return key_error(Code::limit, entry, fmt::format("{} values exceed the limit of {}", entry.count,
                                                         kMaxPerLayerValues));
      }
      ByteReader reader(entry.payload);
      for (std::uint64_t i = 0; i < entry.count; ++i) flags.push_back(reader.u8() != 0);
    } else {
      INFER_ASSIGN(const std::vector<std::int64_t> values, integers_of(entry));
      for (const std::int64_t value : values) flags.push_back(value != 0);
    }
    if (flags.empty()) return key_error(Code::metadata, entry, "an empty array; expected one value, or one per layer");
    return flags;
  }

  const Directory& directory_;
  std::string prefix_;
  Code wrong_type_;
  Status status_;
};

/// Refuses files that are GGUF but no language model, by what they say of themselves.
Status check_kind(const Directory& directory) {
  const RawEntry* type = directory.find("general.type");
  const std::string_view kind = type != nullptr && type->type == ValueType::string ? as_text(type->payload) : "";
  if (kind == "adapter") return key_error(Code::format, *type, "this is a LoRA adapter, not a model");
  if (kind == "imatrix") return key_error(Code::format, *type, "this is an importance matrix, not a model");
  if (kind == "mmproj") {
    return key_error(Code::arch, *type, "this is a vision projector; give the language model that belongs to it");
  }
  return {};
}

/// general.architecture; empty when the file has no such key.
Result<std::string> architecture_of(const Directory& directory) {
  const RawEntry* entry = directory.find("general.architecture");
  if (entry == nullptr) return std::string();
  INFER_ASSIGN(const std::string_view text, text_of(*entry));
  if (text.empty()) return key_error(Code::metadata, *entry, "is empty");
  if (text.size() > kMaxArchitectureBytes || !is_printable_utf8(text)) {
    return key_error(Code::metadata, *entry, fmt::format("{} is not the name of an architecture", quoted(text)));
  }
  if (text == "clip") {
    return key_error(Code::arch, *entry, "this is a vision projector; give the language model that belongs to it");
  }
  return std::string(text);
}

/// What the hyper-parameter keys begin with: the architecture, or else what stands in front of the only
/// `.block_count`. A vocabulary needs none.
Result<std::string> prefix_of(const Directory& directory, const std::string& architecture) {
  if (!architecture.empty()) return architecture + ".";
  constexpr std::string_view kBlockCount = ".block_count";
  std::string_view found;
  int n_found = 0;
  for (const RawEntry& entry : directory.entries) {
    if (!entry.key.ends_with(kBlockCount)) continue;
    found = entry.key.substr(0, entry.key.size() - kBlockCount.size() + 1);
    ++n_found;
  }
  if (n_found == 1) return std::string(found);

  const bool vocabulary_only = directory.tensors.empty() && (directory.find("tokenizer.ggml.model") != nullptr ||
                                                             directory.find("tokenizer.ggml.tokens") != nullptr);
  if (vocabulary_only && n_found == 0) return std::string();
  return Status::error(Code::metadata, "general.architecture is missing").about("general.architecture");
}

Status read_hyper(const Directory& directory, std::string prefix, Hyper& hyper) {
  if (prefix.empty()) return {};
  Fields fields(directory, std::move(prefix), Code::metadata);
  fields.get("vocab_size", hyper.n_vocab);
  fields.get("context_length", hyper.context_length);
  fields.get("embedding_length", hyper.embedding_length);
  fields.get("block_count", hyper.n_layers);
  fields.get("feed_forward_length", hyper.feed_forward_length);
  fields.get("attention.head_count", hyper.n_heads);
  fields.get("attention.head_count_kv", hyper.n_kv_heads);
  fields.get("attention.key_length", hyper.key_length);
  fields.get("attention.value_length", hyper.value_length);
  fields.get("attention.scale", hyper.attention_scale);
  fields.get("attention.sliding_window", hyper.sliding_window);
  fields.get("attention.sliding_window_pattern", hyper.window_period, hyper.window_layers);
  fields.get("attn_logit_softcapping", hyper.attention_softcap);
  fields.get("final_logit_softcapping", hyper.final_softcap);
  fields.get("attention.temperature_scale", hyper.temperature_scale);
  fields.get("attention.temperature_length", hyper.temperature_length);
  fields.get("attention.layer_norm_rms_epsilon", hyper.rms_epsilon);
  fields.get("attention.layer_norm_epsilon", hyper.norm_epsilon);
  fields.get("rope.dimension_count", hyper.rope_dimensions);
  fields.get("rope.freq_base", hyper.rope_base);
  fields.get("rope.freq_base_swa", hyper.rope_base_local);
  fields.get("rope.scaling.type", hyper.rope_scaling);
  fields.get("rope.scale_linear", hyper.rope_factor);      // old name; the new one overrides it
  fields.get("rope.scaling.factor", hyper.rope_factor);
  fields.get("rope.scaling.original_context_length", hyper.rope_original_context);
  fields.get("rope.scaling.attn_factor", hyper.rope_attn_factor);
  fields.get("rope.scaling.yarn_attn_factor", hyper.yarn_attn_factor);
  fields.get("rope.scaling.yarn_ext_factor", hyper.yarn_ext_factor);
  fields.get("rope.scaling.yarn_beta_fast", hyper.yarn_beta_fast);
  fields.get("rope.scaling.yarn_beta_slow", hyper.yarn_beta_slow);
  fields.get("rope.scaling.yarn_log_multiplier", hyper.yarn_log_multiplier);
  fields.get("expert_count", hyper.n_experts);
  fields.get("expert_used_count", hyper.n_experts_used);
  fields.get("expert_feed_forward_length", hyper.expert_feed_forward_length);
  fields.get("expert_shared_feed_forward_length", hyper.shared_expert_feed_forward_length);
  fields.get("expert_weights_norm", hyper.expert_weights_norm);
  fields.get("expert_weights_scale", hyper.expert_weights_scale);
  return std::move(fields).status();
}

// The long arrays of the vocabulary. An entry that is not there leaves its list empty.

Result<StringList> vocabulary_strings(const Directory& directory, std::string_view key, const CancelFlag* cancel) {
  const RawEntry* entry = directory.find(key);
  if (entry == nullptr) return StringList();
  if (!entry->is_array_of(ValueType::string)) {
    return key_error(Code::vocab, *entry, fmt::format("expected array of string, found {}", type_text(*entry)));
  }
  return strings_of(*entry, cancel);
}

Result<StringList> read_tokens(const Directory& directory, const CancelFlag* cancel) {
  constexpr std::string_view kKey = "tokenizer.ggml.tokens";
  INFER_ASSIGN(StringList tokens, vocabulary_strings(directory, kKey, cancel));
  if (tokens.size() > kMaxTokens) {
    return key_error(Code::limit, *directory.find(kKey), fmt::format("{} tokens exceed the limit of {}", tokens.size(),
                                                                     kMaxTokens));
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].size() > kMaxTokenBytes) {
      return key_error(Code::limit, *directory.find(kKey), fmt::format("token {} of {} bytes is longer than {}", i,
                                                                       tokens[i].size(), kMaxTokenBytes));
    }
  }
  return tokens;
}

Result<std::vector<float>> read_scores(const Directory& directory, const CancelFlag* cancel) {
  const RawEntry* entry = directory.find("tokenizer.ggml.scores");
  if (entry == nullptr) return std::vector<float>();
  if (entry->type != ValueType::array || !is_float(entry->element)) {
    return key_error(Code::vocab, *entry, fmt::format("expected array of f32, found {}", type_text(*entry)));
  }
  std::vector<float> scores(static_cast<std::size_t>(entry->count));
  ElementReader reader(*entry, cancel);
  for (float& score : scores) score = static_cast<float>(read_real(reader, entry->element));
  INFER_TRY(reader.done());
  return scores;
}

Result<std::vector<std::int32_t>> read_token_types(const Directory& directory, GrowthBudget& budget,
                                                   const CancelFlag* cancel) {
  const RawEntry* entry = directory.find("tokenizer.ggml.token_type");
  if (entry == nullptr) return std::vector<std::int32_t>();
  if (entry->type != ValueType::array || !is_integer(entry->element)) {
    return key_error(Code::vocab, *entry, fmt::format("expected array of i32, found {}", type_text(*entry)));
  }
  const std::optional<std::uint64_t> memory = checked_mul(entry->count, sizeof(std::int32_t));
  if (!memory || !budget.take(*memory, entry->payload.size())) {
    return key_error(Code::limit, *entry, fmt::format("{} values of type {} are too many", entry->count,
                                                      type_name(entry->element)));
  }
  std::vector<std::int32_t> types(static_cast<std::size_t>(entry->count));
  ElementReader reader(*entry, cancel);
  for (std::int32_t& type : types) {
    bool too_large = false;
    const std::int64_t value = read_integer(reader, entry->element, too_large);
    if (too_large || !std::in_range<std::int32_t>(value)) {
      return key_error(Code::vocab, *entry, fmt::format("{} is not a token type", value));
    }
    type = static_cast<std::int32_t>(value);
  }
  INFER_TRY(reader.done());
  return types;
}

Result<std::string> read_charsmap(const Directory& directory) {
  const RawEntry* entry = directory.find(kCharsmapKey);
  if (entry == nullptr) return std::string();
  if (!entry->is_array_of(ValueType::u8) && !entry->is_array_of(ValueType::i8)) {
    return key_error(Code::vocab, *entry, fmt::format("expected array of u8, found {}", type_text(*entry)));
  }
  return std::string(as_text(entry->payload));
}

/// "tool_use" of the key "tokenizer.chat_template.tool_use", nothing of the default one's key; no value for other keys.
std::optional<std::string_view> template_name(std::string_view key) {
  if (!key.starts_with(kTemplateKey)) return std::nullopt;
  key.remove_prefix(kTemplateKey.size());
  if (key.empty()) return key;
  if (key.size() < 2 || key[0] != '.') return std::nullopt;
  return key.substr(1);
}

/// The list of names that goes with named templates says nothing new: where it says something else, that is told.
void judge_template_names(const Directory& directory, const TokenizerSpec& spec, std::vector<std::string>& warnings) {
  const RawEntry* entry = directory.find("tokenizer.chat_templates");
  if (entry == nullptr) return;
  if (!entry->is_array_of(ValueType::string) || entry->count > kMaxTemplates) {
    warnings.push_back(fmt::format("ignored: key '{}': expected array of string of at most {}, found {} of {}", entry->key,
                                   kMaxTemplates, type_text(*entry), entry->count));
    return;
  }
  const Result<StringList> names = strings_of(*entry, nullptr);
  for (std::size_t i = 0; names.ok() && i < names.value().size(); ++i) {
    const std::string_view name = names.value()[i];
    const auto has_name = [&](const ChatTemplateText& text) { return text.name == (name == "default" ? "" : name); };
    if (std::any_of(spec.chat_templates.begin(), spec.chat_templates.end(), has_name)) continue;
    warnings.push_back(fmt::format("key '{}' names {}, but there is no usable key '{}.{}'", entry->key, quoted(name), kTemplateKey,
                                   escaped(name)));
  }
}

/// Of one that is too long, or no text at all, only the length is kept: a model can do without.
void read_chat_template(const RawEntry& entry, std::string_view name, std::size_t& left, TokenizerSpec& spec,
                        std::vector<std::string>& warnings) {
  ChatTemplateText& kept = spec.chat_templates.emplace_back();
  kept.name = std::string(name);
  kept.bytes = entry.payload.size();
  if (entry.type != ValueType::string) {
    warnings.push_back(fmt::format("ignored: key '{}': expected string, found {}", escaped(entry.key), type_text(entry)));
  } else if (kept.bytes > left) {
    warnings.push_back(fmt::format("key '{}' is ignored: {} bytes exceed the limit of {} for all chat templates together",
                                   escaped(entry.key), kept.bytes, kMaxTemplateBytes));
  } else {
    left -= entry.payload.size();
    kept.text = std::string(as_text(entry.payload));
  }
}

/// The default one first; those too many are left out with a warning.
void read_chat_templates(const Directory& directory, TokenizerSpec& spec, std::vector<std::string>& warnings) {
  std::size_t left = kMaxTemplateBytes;
  if (const RawEntry* entry = directory.find(kTemplateKey)) read_chat_template(*entry, "", left, spec, warnings);
  for (const RawEntry& entry : directory.entries) {
    const std::optional<std::string_view> name = template_name(entry.key);
    if (!name || name->empty()) continue;
    if (spec.chat_templates.size() == kMaxTemplates) {
      warnings.push_back(fmt::format("the chat template {} is ignored: there are more than {}", quoted(*name), kMaxTemplates));
      break;
    }
    read_chat_template(entry, *name, left, spec, warnings);
  }
  judge_template_names(directory, spec, warnings);
}

Status read_tokenizer(const Directory& directory, GrowthBudget& budget, TokenizerSpec& spec, const CancelFlag* cancel) {
  constexpr const char* kPrefix = "tokenizer.ggml.";
  std::optional<std::string> model;
  std::optional<std::string> pre;
  Fields names(directory, kPrefix, Code::vocab);
  names.get("model", model);
  names.get("pre", pre);
  names.get("bos_token_id", spec.bos);
  names.get("eos_token_id", spec.eos);
  names.get("unknown_token_id", spec.unk);
  names.get("seperator_token_id", spec.sep);   // as the specification spells it
  names.get("separator_token_id", spec.sep);
  names.get("padding_token_id", spec.pad);
  names.get("cls_token_id", spec.cls);
  names.get("mask_token_id", spec.mask);
  names.get("eot_token_id", spec.eot);
  names.get("eom_token_id", spec.eom);
  INFER_TRY(std::move(names).status());
  spec.model = std::move(model).value_or(std::string());
  spec.pre = std::move(pre).value_or(std::string());

  Fields flags(directory, kPrefix, Code::metadata);
  flags.get("add_bos_token", spec.add_bos);
  flags.get("add_eos_token", spec.add_eos);
  flags.get("add_space_prefix", spec.add_space_prefix);
  flags.get("remove_extra_whitespaces", spec.remove_extra_whitespaces);
  flags.get("normalizer.lowercase", spec.lowercase);
  flags.get("normalizer.strip_accents", spec.strip_accents);
  INFER_TRY(std::move(flags).status());

  INFER_ASSIGN(spec.tokens, read_tokens(directory, cancel));
  INFER_ASSIGN(spec.scores, read_scores(directory, cancel));
  INFER_ASSIGN(spec.types, read_token_types(directory, budget, cancel));
  INFER_ASSIGN(spec.merges, vocabulary_strings(directory, "tokenizer.ggml.merges", cancel));
  INFER_ASSIGN(spec.charsmap, read_charsmap(directory));
  return {};
}

/// Keys that nothing depends on: nonsense in them is told and ignored.
void judge_idle_keys(const Directory& directory, std::vector<std::string>& warnings) {
  struct Idle {
    std::string_view key;
    std::int64_t max;
  };
  constexpr Idle kIdle[] = {
      {"general.file_type", 2047},            // numbers below 1024, and 1024 more for "guessed"
      {"general.quantization_version", 2},    // 2 since before GGUF
  };
  for (const Idle& idle : kIdle) {
    const RawEntry* entry = directory.find(idle.key);
    if (entry == nullptr) continue;
    const Result<std::int64_t> value = integer_of(*entry);
    if (!value.ok()) {
      warnings.push_back(fmt::format("ignored: {}", value.status().message()));
    } else if (value.value() < 0 || value.value() > idle.max) {
      warnings.push_back(fmt::format("ignored: {}", outside(fmt::format("key '{}'", idle.key), value.value(), 0, idle.max)));
    }
  }
}

bool is_moved(std::string_view key) {
  return key == "tokenizer.ggml.tokens" || key == "tokenizer.ggml.scores" || key == "tokenizer.ggml.token_type" ||
         key == "tokenizer.ggml.merges" || key == kCharsmapKey;
}

}  // namespace

Result<ModelDescriptor> describe(const Directory& directory, const CancelFlag* cancel) {
  ModelDescriptor model;
  model.format = fmt::format("GGUF v{}", directory.version);
  if (directory.entries.empty()) {
    return Status::error(Code::metadata, "the file has no metadata: general.architecture is missing")
        .about("general.architecture");
  }
  INFER_TRY(check_kind(directory));
  INFER_ASSIGN(model.architecture, architecture_of(directory));
  INFER_ASSIGN(std::string prefix, prefix_of(directory, model.architecture));
  model.key_prefix = prefix.substr(0, prefix.size() - (prefix.empty() ? 0 : 1));
  INFER_TRY(read_hyper(directory, std::move(prefix), model.hyper));

  GrowthBudget budget;
  INFER_TRY(read_tokenizer(directory, budget, model.tokenizer, cancel));
  if (!model.tokenizer.model.empty()) model.tokenizer.architecture = model.architecture;
  read_chat_templates(directory, model.tokenizer, model.warnings);
  judge_idle_keys(directory, model.warnings);

  Fields general(directory, "general.", Code::metadata);
  std::optional<std::string> name;
  general.get("name", name);
  INFER_TRY(std::move(general).status());
  model.name = std::move(name).value_or(std::string());

  model.metadata.reserve(directory.entries.size());
  for (const RawEntry& entry : directory.entries) {
    if (is_cancelled(cancel)) return key_error(Code::cancelled, entry, "loading was cancelled");
    MetaEntry meta{std::string(entry.key), type_text(entry), {}, entry.offset, fingerprint_of(entry.payload)};
    if (is_moved(entry.key)) {
      meta.value = MovedArray{type_name(entry.element), entry.count};
    } else {
      INFER_ASSIGN(meta.value, meta_value(entry, budget, model.warnings, cancel));
    }
    model.metadata.push_back(std::move(meta));
  }
  return model;
}

}  // namespace infer::gguf
