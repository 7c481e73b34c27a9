// SPDX-License-Identifier: MIT
// The tables of options, and values that obey them.
#include "capi/options.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "libinfer.h"
#include "src/base/range.h"
#include "src/runtime/kv_kinds.h"

namespace infer::capi {
namespace {

using enum OptionType;
constexpr double kMaxInt = 1e18;   // counts without a limit of their own
constexpr double kAnyInt = 9223372036854775808.0;   // 2^63: all bit patterns

constexpr OptionSpec kModel[] = {
    {"use_mmap", boolean, 0, 1, "true", "map the file; false reads it into memory"},
    {"pack", boolean, 0, 1, "true",
     "rearrange the weights for speed; false: compute with the file as it lies, whose pages processes share"},
    {"vocab_only", boolean, 0, 1, "false", "load what tokenising needs; weights are not made ready to run"},
    {"architecture", str, 0, 0, "", "run the file as this architecture instead of the one it names"},
    {"allow_default_pretokenizer", boolean, 0, 1, "false", "split text by the rule 'default' where tokenizer.ggml.pre is unknown"},
};

/// The names of the table, joined by the compiler: texts of options are static.
constexpr auto kKvTypeDoc = [] {
  std::array<char, 128> text{};   // a longer one does not compile
  std::size_t n = 0;
  const auto append = [&](std::string_view part) {
    for (const char c : part) text[n++] = c;
  };
  append("storage of keys and values: ");
  append(kAutoKvKind);
  for (const KvKind& kind : kKvKinds) {
    append(", ");
    append(kind.name);
  }
  append(std::string_view("", 1));   // the zero at the end
  return text;
}();

constexpr OptionSpec kSession[] = {
    {"n_ctx", i64, 0, static_cast<double>(kMaxContext), "0", "positions per sequence; 0: the model's, at most 4096"},
    {"n_seq", i64, 1, static_cast<double>(kMaxSequences), "1", "sequences that can be open at once"},
    {"n_batch", i64, 1, static_cast<double>(kMaxBatch), "256", "tokens computed in one pass"},
    {"n_logits", i64, 0, static_cast<double>(kMaxBatch), "0", "rows of logits that are kept; 0: n_seq"},
    {"n_threads", i64, 0, static_cast<double>(ThreadPool::kMaxThreads), "0", "threads; 0: all cores that the process may use"},
    {"kv_type", str, 0, 0, "auto", kKvTypeDoc.data()},
    {"rope_ntk", boolean, 0, 1, "false", "NTK-aware RoPE: raise its base where n_ctx is more than the model's original context"},
};

// One list for both kinds that sample.
#define INFER_SAMPLER_OPTIONS                                                                                           \
  {"samplers", str, 0, 0, "penalties top_k top_p min_p temperature", "stages in the order they run"},                  \
      {"temperature", f64, 0, 1000, "0.8", "divides the logits; 0: always the likeliest token"},                      \
      {"top_k", i64, 0, 2147483647, "40", "keep the k likeliest tokens; 0: all"},                                        \
      {"top_p", f64, 0, 1, "0.95", "keep the likeliest tokens that have this share of the probability; 1: all"},      \
      {"min_p", f64, 0, 1, "0.05", "keep tokens with this share of the likeliest's probability; 0: all"},             \
      {"repetition_penalty", f64, 0.001, 1000, "1", "makes recent tokens less likely; 1: off"},                        \
      {"presence_penalty", f64, -1000, 1000, "0", "subtracted from the logit of a recent token"},                     \
      {"frequency_penalty", f64, -1000, 1000, "0", "subtracted for each occurrence of a recent token"},               \
      {"penalty_window", i64, 0, 1 << 24, "64", "how many tokens are recent"},                                        \
      {"seed", i64, -kAnyInt, kAnyInt, "random", "of the random draw, as the bits of a 64-bit number; unset: random"}

constexpr OptionSpec kSampler[] = {INFER_SAMPLER_OPTIONS};

constexpr OptionSpec kGenerate[] = {
    INFER_SAMPLER_OPTIONS,
    {"max_tokens", i64, 0, kMaxInt, "0", "tokens to generate at most; 0: until the context is full"},
    {"stop", str_list, 0, 0, "", "a string that ends the text; may be given several times"},
    {"ignore_eog", boolean, 0, 1, "false", "go on after an end-of-generation token"},
    {"show_special", boolean, 0, 1, "false", "control tokens show as their text instead of as nothing"},
    {"parse_special", boolean, 0, 1, "false", "texts of control tokens in the prompt become those tokens"},
    {"logprobs", i64, 0, kMaxLogprobs, "0", "report this many likeliest tokens with each token"},
};
#undef INFER_SAMPLER_OPTIONS

constexpr OptionSpec kQuant[] = {
    {"type", str, 0, 0, "", "what to make, such as Q4_K_M; an unknown one lists all"},
    {"tensor_type", str_list, 0, 0, "", "PATTERN=TYPE: of tensors whose whole name matches (* and ?); the first that does holds"},
    {"output_type", str, 0, 0, "", "of the head, instead of what the rule says"},
    {"token_embedding_type", str, 0, 0, "", "of the embedding, instead of what the rule says"},
    {"imatrix", str, 0, 0, "", "path of an importance matrix (GGUF)"},
    {"keep_split", boolean, 0, 1, "false", "as many files as the source has, not one"},
    {"pure", boolean, 0, 1, "false", "all matrices in the same type, without the rule for heads, values and the like"},
    {"allow_requantize", boolean, 0, 1, "false", "also from a model that is quantised already"},
    {"n_threads", i64, 0, static_cast<double>(ThreadPool::kMaxThreads), "0", "threads; 0: all cores that the process may use"},
};

const char* type_name(OptionType t) noexcept {
  switch (t) {
    case i64: return "an integer";
    case f64: return "a number";
    case str: return "a string";
    case boolean: return "true or false";
    case str_list: return "a string";
  }
  return "";
}

Status wrong_type(const OptionSpec& spec, std::string_view found) {
  return Status::error(Code::argument, fmt::format("option '{}' is {}, not {}", spec.key, type_name(spec.type), found))
      .about(spec.key);
}

template <class T>
Status in_range(const OptionSpec& spec, T value) {
  const double v = static_cast<double>(value);
  if (v >= spec.min && v <= spec.max) return {};   // false for NaN
  // The limits of the type itself (kAnyInt) are never exceeded, so all others fit in T.
  return Status::error(Code::range, outside(fmt::format("option '{}'", spec.key), value, static_cast<T>(spec.min),
                                            static_cast<T>(spec.max)))
      .about(spec.key);
}

/// A whole text as a number.
template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// Default texts obey the table, so this cannot fail on them; "random" is no value.
OptionValue default_value(const OptionSpec& spec) {
  const std::string_view text = spec.default_text;
  std::int64_t i = 0;
  double d = 0;
  switch (spec.type) {
    case i64: return read_number(text, i) ? OptionValue(i) : OptionValue();
    case f64: return read_number(text, d) ? OptionValue(d) : OptionValue();
    case boolean: return static_cast<std::int64_t>(text == "true");
    case str: return std::string(text);
    case str_list: return std::vector<std::string>();
  }
  return {};
}

}  // namespace

std::span<const OptionSpec> option_specs(std::int32_t kind) noexcept {
  switch (kind) {
    case INFER_OPTIONS_MODEL: return kModel;
    case INFER_OPTIONS_SESSION: return kSession;
    case INFER_OPTIONS_SAMPLER: return kSampler;
    case INFER_OPTIONS_GENERATE: return kGenerate;
    case INFER_OPTIONS_QUANT: return kQuant;
    default: return {};
  }
}

Result<std::size_t> OptionValues::find(std::string_view key) const {
  const std::span<const OptionSpec> specs = option_specs(kind_);
  std::string known;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (key == specs[i].key) return i;
    known += fmt::format("{}{}", i == 0 ? "" : ", ", specs[i].key);
  }
  return Status::error(Code::argument, fmt::format("unknown option '{}'; known: {}", key, known)).about(key);
}

Status OptionValues::set(std::string_view key, std::int64_t value) {
  INFER_ASSIGN(const std::size_t i, find(key));
  const OptionSpec& spec = option_specs(kind_)[i];
  if (spec.type == f64) return set(key, static_cast<double>(value));
  if (spec.type != i64 && spec.type != boolean) return wrong_type(spec, "an integer");
  INFER_TRY(in_range(spec, value));
  values_[i] = value;
  return {};
}

Status OptionValues::set(std::string_view key, double value) {
  INFER_ASSIGN(const std::size_t i, find(key));
  const OptionSpec& spec = option_specs(kind_)[i];
  if (spec.type != f64) return wrong_type(spec, "a number with a fraction");
  INFER_TRY(in_range(spec, value));
  values_[i] = value;
  return {};
}

Status OptionValues::set(std::string_view key, std::string_view value) {
  INFER_ASSIGN(const std::size_t i, find(key));
  const OptionSpec& spec = option_specs(kind_)[i];
  if (spec.type == str) {
    values_[i] = std::string(value);
  } else if (spec.type == str_list) {
    if (value.empty()) return Status::error(Code::argument, fmt::format("option '{}' is an empty string", key)).about(key);
    if (!std::holds_alternative<std::vector<std::string>>(values_[i])) values_[i] = std::vector<std::string>();
    std::get_if<std::vector<std::string>>(&values_[i])->emplace_back(value);
  } else {
    return wrong_type(spec, "a string");
  }
  return {};
}

Status OptionValues::parse(std::string_view key, std::string_view text) {
  INFER_ASSIGN(const std::size_t i, find(key));
  const OptionSpec& spec = option_specs(kind_)[i];
  std::int64_t integer = 0;
  double number = 0;
  switch (spec.type) {
    case str:
    case str_list: return set(key, text);
    case boolean:
      if (text == "true" || text == "1") return set(key, std::int64_t{1});
      if (text == "false" || text == "0") return set(key, std::int64_t{0});
      break;
    case i64:
      if (read_number(text, integer)) return set(key, integer);
      if (text == spec.default_text) {   // "random"
        values_[i] = {};
        return {};
      }
      break;
    case f64:
      if (read_number(text, number)) return set(key, number);
      break;
  }
  return wrong_type(spec, fmt::format("'{}'", text));
}

template <class T>
const T* OptionValues::get(std::string_view key) const noexcept {
  const std::span<const OptionSpec> specs = option_specs(kind_);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (key == specs[i].key) return std::get_if<T>(&values_[i]);
  }
  return nullptr;
}

namespace {

/// The value in force: set, or the default.
OptionValue effective(const OptionSpec& spec, const OptionValue& value) {
  return std::holds_alternative<std::monostate>(value) ? default_value(spec) : value;
}

}  // namespace

Result<std::int64_t> OptionValues::integer(std::string_view key) const {
  INFER_ASSIGN(const std::size_t i, find(key));
  const OptionSpec& spec = option_specs(kind_)[i];
  if (spec.type != i64 && spec.type != boolean) return wrong_type(spec, "an integer");
  const OptionValue v = effective(spec, values_[i]);
  if (const std::int64_t* n = std::get_if<std::int64_t>(&v)) return *n;
  return Status::error(Code::notfound, fmt::format("option '{}' is not set ({})", key, spec.default_text)).about(key);
}

Result<double> OptionValues::number(std::string_view key) const {
  INFER_ASSIGN(const std::size_t i, find(key));
  const OptionSpec& spec = option_specs(kind_)[i];
  if (spec.type != f64) return wrong_type(spec, "a number with a fraction");
  const OptionValue v = effective(spec, values_[i]);
  return *std::get_if<double>(&v);
}

Result<std::string> OptionValues::text(std::string_view key) const {
  INFER_ASSIGN(const std::size_t i, find(key));
  const OptionSpec& spec = option_specs(kind_)[i];
  const OptionValue v = effective(spec, values_[i]);
  if (const std::string* s = std::get_if<std::string>(&v)) return *s;
  if (const auto* list = std::get_if<std::vector<std::string>>(&v)) {
    std::string joined;
    for (const std::string& s : *list) joined.append(joined.empty() ? "" : "\n").append(s);
    return joined;
  }
  return wrong_type(spec, "a string");
}

namespace {

Status of_kind(const OptionValues* values, std::int32_t a, std::int32_t b, const char* what) {
  if (values == nullptr || values->kind() == a || values->kind() == b) return {};
  return Status::error(Code::argument, fmt::format("these options are of another kind; a {} takes its own", what));
}

template <class T>
void copy(const OptionValues* values, const char* key, T& to) {
  if (values == nullptr) return;
  if constexpr (std::is_same_v<T, bool>) {
    if (const std::int64_t* v = values->get<std::int64_t>(key)) to = *v != 0;
  } else {
    if (const T* v = values->get<T>(key)) to = *v;
  }
}

}  // namespace

Result<ModelOptions> to_model_options(const OptionValues* values) {
  INFER_TRY(of_kind(values, INFER_OPTIONS_MODEL, INFER_OPTIONS_MODEL, "model"));
  ModelOptions o;
  copy(values, "use_mmap", o.use_mmap);
  copy(values, "pack", o.pack);
  copy(values, "vocab_only", o.vocab_only);
  copy(values, "architecture", o.architecture);
  copy(values, "allow_default_pretokenizer", o.allow_default_pretokenizer);
  return o;
}

Result<SessionOptions> to_session_options(const OptionValues* values) {
  INFER_TRY(of_kind(values, INFER_OPTIONS_SESSION, INFER_OPTIONS_SESSION, "session"));
  SessionOptions o;
  copy(values, "n_ctx", o.n_ctx);
  copy(values, "n_seq", o.n_seq);
  copy(values, "n_batch", o.n_batch);
  copy(values, "n_logits", o.n_logits);
  copy(values, "n_threads", o.n_threads);
  copy(values, "kv_type", o.kv_type);
  copy(values, "rope_ntk", o.rope_ntk);
  return o;
}

Result<SamplerParams> to_sampler_params(const OptionValues* values) {
  INFER_TRY(of_kind(values, INFER_OPTIONS_SAMPLER, INFER_OPTIONS_GENERATE, "sampler"));
  SamplerParams p;
  copy(values, "samplers", p.order);
  copy(values, "temperature", p.temperature);
  copy(values, "top_k", p.top_k);
  copy(values, "top_p", p.top_p);
  copy(values, "min_p", p.min_p);
  copy(values, "repetition_penalty", p.repetition_penalty);
  copy(values, "presence_penalty", p.presence_penalty);
  copy(values, "frequency_penalty", p.frequency_penalty);
  copy(values, "penalty_window", p.penalty_window);
  if (values != nullptr) {
    if (const std::int64_t* seed = values->get<std::int64_t>("seed")) p.seed = static_cast<std::uint64_t>(*seed);
  }
  return p;
}

Result<GenerationOptions> to_generation_options(const OptionValues* values) {
  INFER_TRY(of_kind(values, INFER_OPTIONS_GENERATE, INFER_OPTIONS_GENERATE, "generation"));
  GenerationOptions o;
  INFER_ASSIGN(o.sampler, to_sampler_params(values));
  copy(values, "max_tokens", o.max_tokens);
  copy(values, "stop", o.stop);
  copy(values, "ignore_eog", o.ignore_eog);
  copy(values, "show_special", o.show_special);
  copy(values, "logprobs", o.logprobs);
  return o;
}

Result<QuantizeOptions> to_quantize_options(const OptionValues* values) {
  INFER_TRY(of_kind(values, INFER_OPTIONS_QUANT, INFER_OPTIONS_QUANT, "quantisation"));
  QuantizeOptions o;
  copy(values, "type", o.type);
  copy(values, "tensor_type", o.tensor_types);
  copy(values, "output_type", o.output_type);
  copy(values, "token_embedding_type", o.token_embedding_type);
  copy(values, "imatrix", o.imatrix);
  copy(values, "keep_split", o.keep_split);
  copy(values, "pure", o.pure);
  copy(values, "allow_requantize", o.allow_requantize);
  copy(values, "n_threads", o.n_threads);
  return o;
}

bool wants_parse_special(const OptionValues* values) noexcept {
  bool on = false;
  copy(values, "parse_special", on);
  return on;
}

}  // namespace infer::capi
