// SPDX-License-Identifier: MIT
// Hyper-parameters with their limits. Messages name the key as GGUF writes it, the value and the limit; the bounds are
// far above any model that exists, low enough that no product of them overflows.
#include "models/config.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "models/blocks/blocks.h"
#include "src/base/range.h"

namespace infer {
namespace {

constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxHeads = 8192;
constexpr std::int64_t kMaxHeadDim = 8192;
constexpr std::int64_t kMaxVocab = std::int64_t{1} << 24;
constexpr std::int64_t kMaxTrainContext = std::int64_t{1} << 30;
constexpr std::int64_t kMaxExperts = 1024;              // of a layer
constexpr std::int64_t kMaxAllExperts = 24576;   // a few megabytes to keep them by
constexpr double kLeast = 1e-6, kMost = 1e6;   // of factors
constexpr double kLeastBase = 1.001, kMostBase = 1e15;

/// Reads checked numbers, remembers the first complaint, and passes warnings on.
class Reader {
 public:
  Reader(const ModelDescriptor& model, std::vector<std::string>& warnings)
      : prefix_(model.key_prefix), warnings_(warnings) {}

  std::int64_t integer(const char* key, std::optional<std::int64_t> value, std::int64_t min, std::int64_t max) {
    if (!value) complain(key, Code::metadata, "is missing");
    return integer_or(key, value, min, min, max);
  }

  std::int64_t integer_or(const char* key, std::optional<std::int64_t> value, std::int64_t fallback, std::int64_t min,
                          std::int64_t max) {
    if (!value) return fallback;
    if (*value >= min && *value <= max) return *value;
    complain_outside(key, "", Code::metadata, *value, min, max);
    return min;
  }

  /// A number of things that are about to be allocated: too many are a limit of ours, not a defect of the file. So are
  /// less than none: -1 is what 2^32 - 1 looks like in a signed type.
  std::int64_t count_or(const char* key, std::optional<std::int64_t> value, std::int64_t fallback, std::int64_t min,
                        std::int64_t max) {
    if (!value || (*value >= 0 && *value <= max)) return integer_or(key, value, fallback, min, max);
    complain_outside(key, "", Code::limit, *value, min, max);
    return min;
  }

  std::int64_t count(const char* key, std::optional<std::int64_t> value, std::int64_t min, std::int64_t max) {
    if (!value) complain(key, Code::metadata, "is missing");
    return count_or(key, value, min, min, max);
  }

  /// One value for all layers; a list with one value per layer is taken when all are the same.
  std::optional<std::int64_t> same_for_all(const char* key, const std::vector<std::int64_t>& values, std::int64_t n_layers,
                                           std::int64_t min, std::int64_t max) {
    if (values.empty()) return std::nullopt;
    if (values.size() != 1 && values.size() != static_cast<std::size_t>(n_layers)) {
      complain(key, Code::metadata, fmt::format("has {} values for {} layers", values.size(), n_layers));
    }
    for (std::size_t i = 0; values.size() > 1 && i < values.size(); ++i) {
      if (values[i] >= min && values[i] <= max) continue;
      complain_outside(key, fmt::format(" of layer {}", i), Code::metadata, values[i], min, max);
    }
    for (std::int64_t v : values) {
      if (v != values[0]) complain(key, Code::unsupported, fmt::format("differs between layers ({} and {})", values[0], v));
    }
    return values[0];
  }

  double number_or(const char* key, std::optional<double> value, double fallback, double min, double max) {
    if (!value) return fallback;
    if (*value >= min && *value <= max) return *value;   // false for NaN
    complain_outside(key, "", Code::metadata, *value, min, max);
    return fallback;
  }

  void complain(const char* key, Code code, std::string_view what) {
    if (!first_.ok()) return;
    first_ = Status::error(code, fmt::format("{} {}", title(key), what)).about(full_name(key));
  }
  void warn(const char* key, std::string_view what) { warnings_.push_back(fmt::format("{} {}", title(key), what)); }

  Status take() { return std::move(first_); }

 private:
  std::string full_name(const char* key) const { return prefix_ + "." + key; }
  std::string title(const char* key) const { return fmt::format("metadata {}", quoted(full_name(key))); }

  template <class T>
  void complain_outside(const char* key, std::string_view where, Code code, T value, T min, T max) {
    if (!first_.ok()) return;
    first_ = Status::error(code, outside(title(key) + std::string(where), value, min, max)).about(full_name(key));
  }

  std::string prefix_;
  std::vector<std::string>& warnings_;
  Status first_;
};

/// YaRN's magnitude as the file has it in place of 0.1 ln(factor) + 1. One is what some write for "none".
std::optional<double> read_yarn_magnitude(Reader& r, const Hyper& h, double factor) {
  constexpr const char* kKey = "rope.scaling.yarn_attn_factor";
  const double value = r.number_or(kKey, h.yarn_attn_factor, 1.0, kLeast, kMost);
  if (value == 1.0) return std::nullopt;
  const double usual = 0.1 * std::log(std::max(factor, 1.0)) + 1.0;
  if (std::fabs(value - usual) > 1e-3 * usual) {
    r.warn(kKey, fmt::format("= {:.6g} is taken in place of YaRN's magnitude {:.6g}, not on top of it", value, usual));
  }
  return value;
}

/// How much of the plain frequency stays where YaRN keeps it; less than 0 is what some write for "all".
double read_extrapolation(Reader& r, const Hyper& h) {
  constexpr const char* kKey = "rope.scaling.yarn_ext_factor";
  if (!h.yarn_ext_factor || *h.yarn_ext_factor < 0.0) return 1.0;
  if (*h.yarn_ext_factor == 0.0) {   // with a magnitude or without: readers of the key differ
    r.complain(kKey, Code::unsupported, "= 0: YaRN that stretches all waves alike is not known; known: up to 1, and -1 for none");
  }
  return r.number_or(kKey, h.yarn_ext_factor, 1.0, kLeast, 1.0);
}

RopeConfig read_rope(Reader& r, const ModelDescriptor& model, const DecoderConfig& c) {
  const Hyper& h = model.hyper;
  RopeConfig rope;
  rope.n_rot = r.integer_or("rope.dimension_count", h.rope_dimensions, c.key_dim, 2, kMaxHeadDim);
  if (rope.n_rot > c.key_dim) {
    r.complain("rope.dimension_count", Code::metadata,
               fmt::format("= {} is more than the key length {}", rope.n_rot, c.key_dim));
  } else if (rope.n_rot % 2 != 0) {
    r.complain("rope.dimension_count", Code::metadata, fmt::format("= {} is odd; rotation works on pairs", rope.n_rot));
  }
  rope.base = r.number_or("rope.freq_base", h.rope_base, 10000.0, kLeastBase, kMostBase);
  const double factor = h.rope_factor.value_or(0.0);   // 0 is what some write for none
  rope.factor = factor == 0.0 ? 1.0 : r.number_or("rope.scaling.factor", factor, 1.0, kLeast, kMost);
  rope.attn_factor = r.number_or("rope.scaling.attn_factor", h.rope_attn_factor, 1.0, kLeast, kMost);
  rope.beta_fast = r.number_or("rope.scaling.yarn_beta_fast", h.yarn_beta_fast, 32.0, kLeast, kMost);
  rope.beta_slow = r.number_or("rope.scaling.yarn_beta_slow", h.yarn_beta_slow, 1.0, kLeast, kMost);
  rope.log_multiplier = r.number_or("rope.scaling.yarn_log_multiplier", h.yarn_log_multiplier, 0.0, 0.0, kMost);
  rope.original_context =
      r.integer_or("rope.scaling.original_context_length", h.rope_original_context, c.context_length, 1, kMaxTrainContext);
  if (rope.original_context > c.context_length) {
    r.warn("rope.scaling.original_context_length",
           fmt::format("= {} is more than the context length {}", rope.original_context, c.context_length));
  }

  const bool has_factors = model.has_tensor("rope_factors_short.weight") || model.has_tensor("rope_factors_long.weight");
  const std::string kind = h.rope_scaling.value_or(has_factors ? "longrope" : factor != 0.0 ? "linear" : "none");
  if (kind == "linear") {
    rope.scaling = RopeScaling::linear;
  } else if (kind == "yarn") {
    rope.scaling = RopeScaling::yarn;
  } else if (kind == "longrope") {
    rope.scaling = RopeScaling::longrope;
  } else if (kind != "none") {
    r.complain("rope.scaling.type", Code::unsupported,
               fmt::format("= {} is not known; known: none, linear, yarn, longrope", quoted(kind)));
  }
  const bool is_yarn = rope.scaling == RopeScaling::yarn;
  const auto judge = [&](const char* key, std::optional<double> value) {
    if (!is_yarn && value && *value != 1.0 && *value > 0.0) r.warn(key, fmt::format("= {:.6g} is not used without YaRN", *value));
  };
  judge("rope.scaling.yarn_attn_factor", h.yarn_attn_factor);
  judge("rope.scaling.yarn_ext_factor", h.yarn_ext_factor);
  if (is_yarn) {
    rope.yarn_magnitude = read_yarn_magnitude(r, h, rope.factor);
    rope.extrapolation = read_extrapolation(r, h);
  }
  if (has_factors && rope.scaling == RopeScaling::none) rope.scaling = RopeScaling::longrope;
  if (has_factors && rope.scaling != RopeScaling::longrope) {
    r.complain("rope.scaling.type", Code::unsupported,
               fmt::format("= {} does not go with the factors of 'longrope' that the file has", quoted(kind)));
  }
  return rope;
}

/// That of layers with a window.
RopeConfig read_local_rope(Reader& r, const Hyper& h, const RopeConfig& rope) {
  return {.style = rope.style,
          .n_rot = rope.n_rot,
          .base = r.number_or("rope.freq_base_swa", h.rope_base_local, 10000.0, kLeastBase, kMostBase),
          .original_context = rope.original_context};
}

/// Which layers the window holds for.
std::vector<bool> read_local(Reader& r, const Hyper& h, const Family& family, const DecoderConfig& c) {
  const auto n = static_cast<std::size_t>(c.n_layers);
  if (!h.window_layers.empty()) {
    if (h.window_layers.size() != n) {
      r.complain("attention.sliding_window_pattern", Code::metadata,
                 fmt::format("has {} values for {} layers", h.window_layers.size(), n));
    }
    return h.window_layers;
  }
  const std::int64_t period =
      r.integer_or("attention.sliding_window_pattern", h.window_period, family.window_period, 0, kMaxLayers);
  std::vector<bool> local(n, true);
  for (std::int64_t i = period - 1; period > 0 && i < c.n_layers; i += period) local[static_cast<std::size_t>(i)] = false;
  return local;
}

/// Whether a layer has a dense block, or experts whose width is that.
bool needs_dense_width(const Hyper& h, const Family& family) noexcept {
  const bool has_experts = family.experts != Experts::none && h.n_experts.value_or(0) > 0;
  return !has_experts || !h.expert_feed_forward_length || (family.shared_expert && !h.shared_expert_feed_forward_length);
}

ExpertConfig read_experts(Reader& r, const Hyper& h, const Family& family, const DecoderConfig& c) {
  ExpertConfig e;
  e.n = r.count_or("expert_count", h.n_experts, 0, 0, kMaxExperts);
  if (e.n == 0) {
    if (family.experts == Experts::required) {
      r.complain("expert_count", Code::metadata, "is missing or 0; this architecture needs experts");
    }
    return e;
  }
  if (e.n * c.n_layers > kMaxAllExperts) {
    r.complain("expert_count", Code::limit, fmt::format("= {} in {} layers: more than {} experts in all", e.n, c.n_layers,
                                                        kMaxAllExperts));
  }
  if (family.experts == Experts::none) {
    r.complain("expert_count", Code::unsupported, fmt::format("= {}: this architecture has no experts", e.n));
  }
  e.n_used = r.integer("expert_used_count", h.n_experts_used, 1, e.n);
  e.n_ff = r.integer_or("expert_feed_forward_length", h.expert_feed_forward_length, c.n_ff, 1, kMaxWidth);
  if (family.shared_expert) {
    e.n_ff_shared = r.integer_or("expert_shared_feed_forward_length", h.shared_expert_feed_forward_length, c.n_ff, 1, kMaxWidth);
  }
  e.route = family.route != nullptr ? family.route : route_softmax;
  e.renormalise = h.expert_weights_norm.value_or(family.renormalise);
  e.scale = static_cast<float>(r.number_or("expert_weights_scale", h.expert_weights_scale, 1.0, kLeast, kMost));
  return e;
}

}  // namespace

Result<DecoderConfig> read_decoder_config(const ModelDescriptor& model, const Family& family,
                                          std::vector<std::string>& warnings) {
  const Hyper& h = model.hyper;
  Reader r(model, warnings);
  DecoderConfig c;
  c.n_layers = r.count("block_count", h.n_layers, 1, kMaxLayers);
  c.n_embd = r.integer("embedding_length", h.embedding_length, 1, kMaxWidth);
  const auto per_layer = [&](const char* key, const std::vector<std::int64_t>& values, std::int64_t max) {
    return r.same_for_all(key, values, c.n_layers, 1, max);
  };
  const std::optional<std::int64_t> n_ff = per_layer("feed_forward_length", h.feed_forward_length, kMaxWidth);
  const bool has_dense_width = n_ff || needs_dense_width(h, family);
  c.n_ff = has_dense_width ? r.integer("feed_forward_length", n_ff, 1, kMaxWidth) : 0;
  c.activation = family.activation;
  c.n_heads = r.integer("attention.head_count", per_layer("attention.head_count", h.n_heads, kMaxHeads), 1, kMaxHeads);
  c.n_kv_heads = r.integer_or("attention.head_count_kv", per_layer("attention.head_count_kv", h.n_kv_heads, kMaxHeads),
                              c.n_heads, 1, kMaxHeads);
  if (c.n_heads % c.n_kv_heads != 0) {
    r.complain("attention.head_count_kv", Code::metadata,
               fmt::format("= {} does not divide the head count {}", c.n_kv_heads, c.n_heads));
  }
  if ((!h.key_length || !h.value_length) && c.n_embd % c.n_heads != 0) {
    r.complain("embedding_length", Code::metadata,
               fmt::format("= {} is not a multiple of the head count {}, and no attention.key_length and value_length are given",
                           c.n_embd, c.n_heads));
  }
  const std::int64_t head_dim = std::max<std::int64_t>(1, c.n_embd / c.n_heads);
  c.key_dim = r.integer_or("attention.key_length", h.key_length, head_dim, 2, kMaxHeadDim);
  c.value_dim = r.integer_or("attention.value_length", h.value_length, head_dim, 1, kMaxHeadDim);
  if (family.rotary && c.key_dim % 2 != 0) {
    r.complain("attention.key_length", Code::metadata, fmt::format("= {} is odd; rotation works on pairs", c.key_dim));
  }
  c.context_length = r.integer_or("context_length", h.context_length, 2048, 1, std::numeric_limits<std::int64_t>::max());
  if (c.context_length > kMaxTrainContext) {
    r.warn("context_length", fmt::format("= {} is taken as {}", c.context_length, kMaxTrainContext));
    c.context_length = kMaxTrainContext;
  }
  c.sliding_window = r.integer_or("attention.sliding_window", h.sliding_window, family.sliding_window, 0, kMaxTrainContext);
  if (c.sliding_window > 0) {
    c.local = read_local(r, h, family, c);
  } else {
    c.local.assign(static_cast<std::size_t>(c.n_layers), false);
  }
  const bool of_layer_norm = h.norm_epsilon && !h.rms_epsilon;
  const char* const epsilon = of_layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
  if (!h.rms_epsilon && !h.norm_epsilon) r.warn(epsilon, "is missing; taken as 1e-05");
  c.norm_eps = static_cast<float>(r.number_or(epsilon, h.rms_epsilon ? h.rms_epsilon : h.norm_epsilon, 1e-5, 0.0, 1.0));
  if (c.norm_eps == 0.0f) r.warn(epsilon, "= 0: the norm of a vector of zeros is not a number");
  const double scale = 1.0 / std::sqrt(static_cast<double>(c.key_dim));
  c.attention_scale = static_cast<float>(r.number_or("attention.scale", h.attention_scale, scale, kLeast, kMost));
  const auto cap = [&](const char* key, std::optional<double> value, double fallback) {
    return static_cast<float>(r.number_or(key, value, fallback, kLeast, kMost));
  };
  c.attention_softcap = cap("attn_logit_softcapping", h.attention_softcap, family.attention_softcap);
  c.final_softcap = cap("final_logit_softcapping", h.final_softcap, family.final_softcap);
  if (family.rotary) {
    c.rope = read_rope(r, model, c);
    c.rope.style = family.rope_style;
    if (family.local_rope && c.sliding_window > 0) c.local_rope = read_local_rope(r, h, c.rope);
  }
  c.temperature_scale =
      static_cast<float>(r.number_or("attention.temperature_scale", h.temperature_scale, 0.0, 0.0, kMost));
  c.temperature_length = r.integer_or("attention.temperature_length", h.temperature_length,
                                      std::max<std::int64_t>(1, c.rope.original_context), 1, kMaxTrainContext);
  c.experts = read_experts(r, h, family, c);
  const TensorMeta* embedding = model.find_tensor("token_embd.weight");
  std::optional<std::int64_t> n_vocab = embedding != nullptr ? embedding->shape.rows() : h.n_vocab;
  // Without an embedding the binder has the better complaint: it names the tensor and the shape that was expected.
  if (!n_vocab && !model.tokenizer.tokens.empty()) n_vocab = static_cast<std::int64_t>(model.tokenizer.tokens.size());
  c.n_vocab = r.count("vocab_size", n_vocab, 1, kMaxVocab);
  INFER_TRY(r.take());
  return c;
}

}  // namespace infer
