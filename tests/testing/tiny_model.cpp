// SPDX-License-Identifier: MIT
// The tiny models. Matrices are drawn with a deviation that keeps the variance of a unit input (times a little, so that
// attention is not flat), the head and the router with twice that.
#include "tests/testing/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "ops/quant/quants.h"
#include "tests/testing/random.h"

namespace infer::testing {
namespace {

constexpr std::int64_t kFirstPiece = 3 + 256;
constexpr std::string_view kWords[] = {"\u2581t", "he", "\u2581the", "in", "er",       "\u2581a", "an",
                                       "re",      "on", "at",        "en", "\u2581s",  "\u2581w", "ed",
                                       "\u2581o", "is", "it",        "or", "\u2581in", "ing",     "\u2581and",
                                       "es",      ".",  ",",         "!",  "?",        "'",       "\n"};

class Maker {
 public:
  explicit Maker(const TinyModel& model) : m_(model), random_(model.seed) {
    const auto is = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), m_.architecture) != names.end();
    };
    is_gemma_ = is({"gemma", "gemma2", "gemma3"});
    has_layer_norm_ = is({"phi2", "phimoe", "gpt2"});
    has_q_norm_ = is({"qwen3", "qwen3moe", "gemma3"});
    has_post_norms_ = is({"gemma2", "gemma3"});
    has_qkv_biases_ = m_.biases || has_layer_norm_ || is({"qwen", "qwen2", "qwen2moe"});
    has_output_bias_ = m_.biases || has_layer_norm_;
    has_fused_qkv_ = m_.fused_qkv || is({"qwen", "phi3", "gpt2"});
    has_gate_ = !is({"phi2", "gpt2"});
    is_qwen_moe_ = is({"qwen2moe", "qwen3moe"});
  }

  GgufWriter make() {
    metadata();
    if (m_.n_vocab > kFirstPiece) vocabulary();
    tensors();
    return std::move(writer_);
  }

 private:
  bool is(std::string_view architecture) const { return m_.architecture == architecture; }

  void number(const std::string& key, std::int64_t value) {
    writer_.set(m_.architecture + "." + key, static_cast<std::uint32_t>(value));
  }
  void real(const std::string& key, double value) {
    writer_.set(m_.architecture + "." + key, static_cast<float>(value));
  }
  void number_unless_0(const std::string& key, std::int64_t value) {
    if (value != 0) number(key, value);
  }
  void real_unless_0(const std::string& key, double value) {
    if (value != 0.0) real(key, value);
  }

  void metadata() {
    writer_.set("general.architecture", m_.architecture);
    writer_.set("general.name", m_.name);
    number("block_count", m_.n_layers);
    number("context_length", m_.context);
    number("embedding_length", m_.n_embd);
    number("feed_forward_length", is("qwen") ? 2 * m_.n_ff : m_.n_ff);
    number("attention.head_count", m_.n_heads);
    number("attention.head_count_kv", m_.n_kv_heads);
    real(has_layer_norm_ && !is("phimoe") ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5);
    if (!is("gpt2")) real("rope.freq_base", m_.rope_base);
    number_unless_0("attention.key_length", m_.key_length);
    number_unless_0("attention.value_length", m_.value_length);
    number_unless_0("attention.sliding_window", m_.sliding_window);
    number_unless_0("rope.dimension_count", m_.n_rot);
    if (!m_.rope_scaling.empty()) {
      writer_.set(m_.architecture + ".rope.scaling.type", m_.rope_scaling);
      real("rope.scaling.factor", m_.rope_factor);
    }
    number_unless_0("rope.scaling.original_context_length", m_.original_context);
    number_unless_0("attention.sliding_window_pattern", m_.window_period);
    if (!m_.window_layers.empty()) writer_.set(m_.architecture + ".attention.sliding_window_pattern", m_.window_layers);
    real_unless_0("attention.scale", m_.attention_scale);
    real_unless_0("attn_logit_softcapping", m_.attention_softcap);
    real_unless_0("final_logit_softcapping", m_.final_softcap);
    real_unless_0("attention.temperature_scale", m_.temperature_scale);
    real_unless_0("rope.freq_base_swa", m_.rope_base_local);
    real_unless_0("rope.scaling.attn_factor", m_.rope_attn_factor);
    real_unless_0("rope.scaling.yarn_log_multiplier", m_.yarn_log_multiplier);
    real_unless_0("rope.scaling.yarn_attn_factor", m_.yarn_attn_factor);
    real_unless_0("rope.scaling.yarn_ext_factor", m_.yarn_ext_factor);
    real_unless_0("rope.scaling.yarn_beta_fast", m_.yarn_beta_fast);
    real_unless_0("rope.scaling.yarn_beta_slow", m_.yarn_beta_slow);
    if (m_.n_experts == 0) return;
    number("expert_count", m_.n_experts);
    number("expert_used_count", m_.n_experts_used);
    number_unless_0("expert_feed_forward_length", m_.expert_ff);
    number_unless_0("expert_shared_feed_forward_length", m_.shared_ff);
    if (m_.expert_weights_norm) writer_.set(m_.architecture + ".expert_weights_norm", *m_.expert_weights_norm);
    real_unless_0("expert_weights_scale", m_.expert_weights_scale);
  }

  void vocabulary() {
    std::vector<std::string> texts = {"<unk>", "<s>", "</s>"};
    std::vector<std::int32_t> types = {2, 3, 3};
    for (int byte = 0; byte < 256; ++byte) {
      constexpr char kDigits[] = "0123456789ABCDEF";
      texts.push_back({'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'});
      types.push_back(6);
    }
    const auto add = [&](std::string_view text) {
      if (static_cast<std::int64_t>(texts.size()) == m_.n_vocab) return;
      texts.emplace_back(text);
      types.push_back(1);
    };
    add("\u2581");
    for (char c = 'a'; c <= 'z'; ++c) add({&c, 1});
    for (const std::string_view word : kWords) add(word);
    for (int i = 0; static_cast<std::int64_t>(texts.size()) < m_.n_vocab; ++i) add("piece" + std::to_string(i));

    std::vector<float> scores(texts.size(), 0.0f);
    for (std::size_t i = kFirstPiece; i < texts.size(); ++i) scores[i] = -static_cast<float>(i - kFirstPiece);
    writer_.set("tokenizer.ggml.model", std::string("llama"));
    writer_.set("tokenizer.ggml.tokens", texts);
    writer_.set("tokenizer.ggml.scores", scores);
    writer_.set("tokenizer.ggml.token_type", types);
    writer_.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
    writer_.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
    writer_.set("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
  }

  void tensors() {
    const std::int64_t key_dim = m_.key_length > 0 ? m_.key_length : m_.n_embd / m_.n_heads;
    const std::int64_t value_dim = m_.value_length > 0 ? m_.value_length : m_.n_embd / m_.n_heads;
    matrix("token_embd", m_.n_vocab, m_.n_embd, 2.0);
    if (is("gpt2")) f32_matrix("position_embd", m_.context, m_.n_embd, 2.0);
    for (std::int64_t layer = 0; layer < m_.n_layers; ++layer) {
      const std::string prefix = "blk." + std::to_string(layer) + ".";
      norm(prefix + "attn_norm");
      attention(prefix, key_dim, value_dim);
      if (has_post_norms_) norm(prefix + "post_attention_norm");
      if (!is("phi2")) norm(prefix + "ffn_norm");
      if (m_.n_experts > 0) experts(prefix);
      else ffn(prefix);
      if (has_post_norms_) norm(prefix + "post_ffw_norm");
    }
    norm("output_norm");
    if (!m_.tied && !is_gemma_) {
      matrix("output", m_.n_vocab, m_.n_embd, 2.0);
      if (is("phi2") || is("phimoe")) bias("output", m_.n_vocab);
    }
    const std::int64_t n_pairs = (m_.n_rot > 0 ? m_.n_rot : key_dim) / 2;
    if (m_.rope_factors) divisors("rope_freqs", n_pairs, 8.0);
    if (!m_.long_factors) return;
    divisors("rope_factors_short", n_pairs, 2.0);
    divisors("rope_factors_long", n_pairs, 8.0);
  }

  void attention(const std::string& prefix, std::int64_t key_dim, std::int64_t value_dim) {
    const auto part = [&](const char* name, std::int64_t rows, std::int64_t cols, bool has_bias, DType dtype) {
      matrix(prefix + name, rows, cols, 1.5, 0, dtype);
      if (has_bias) bias(prefix + name, rows);
    };
    const std::int64_t n_q = m_.n_heads * key_dim, n_k = m_.n_kv_heads * key_dim, n_v = m_.n_kv_heads * value_dim;
    if (has_fused_qkv_) {
      part("attn_qkv", n_q + n_k + n_v, m_.n_embd, has_qkv_biases_, m_.dtype);
    } else {
      part("attn_q", n_q, m_.n_embd, has_qkv_biases_, m_.dtype);
      part("attn_k", n_k, m_.n_embd, has_qkv_biases_, m_.dtype);
      part("attn_v", n_v, m_.n_embd, has_qkv_biases_, m_.value_dtype.value_or(m_.dtype));
    }
    if (has_q_norm_) {
      spread(prefix + "attn_q_norm", key_dim, 1.5);
      spread(prefix + "attn_k_norm", key_dim, 1.5);
    }
    part("attn_output", m_.n_embd, m_.n_heads * value_dim, has_output_bias_, m_.dtype);
  }

  void ffn(const std::string& prefix) {
    const bool is_fused = is("phi3");
    if (has_gate_ && !is_fused) matrix(prefix + "ffn_gate", m_.n_ff, m_.n_embd, 1.0);
    matrix(prefix + "ffn_up", is_fused ? 2 * m_.n_ff : m_.n_ff, m_.n_embd, 1.0);
    if (!has_gate_) bias(prefix + "ffn_up", m_.n_ff);
    matrix(prefix + "ffn_down", m_.n_embd, m_.n_ff, 1.0);
    if (!has_gate_) bias(prefix + "ffn_down", m_.n_embd);
  }

  void experts(const std::string& prefix) {
    std::int64_t width = m_.n_ff;
    if (is_qwen_moe_) width = m_.expert_ff > 0 ? m_.expert_ff : m_.n_ff / m_.n_experts_used;
    f32_matrix(prefix + "ffn_gate_inp", m_.n_experts, m_.n_embd, 2.0);
    matrix(prefix + "ffn_gate_exps", width, m_.n_embd, 1.0, m_.n_experts);
    matrix(prefix + "ffn_up_exps", width, m_.n_embd, 1.0, m_.n_experts);
    if (m_.fused_experts) fuse_experts(prefix, width);
    matrix(prefix + "ffn_down_exps", m_.n_embd, width, 1.0, m_.n_experts);
    if (!is("qwen2moe")) return;
    const std::int64_t shared = m_.shared_ff > 0 ? m_.shared_ff : m_.n_ff;
    floats(prefix + "ffn_gate_inp_shexp.weight", random_.normals(m_.n_embd, deviation(2.0, m_.n_embd)));
    matrix(prefix + "ffn_gate_shexp", shared, m_.n_embd, 1.0);
    matrix(prefix + "ffn_up_shexp", shared, m_.n_embd, 1.0);
    matrix(prefix + "ffn_down_shexp", m_.n_embd, shared, 1.0);
  }

  /// Of each expert the rows of the gate, then those of up.
  void fuse_experts(const std::string& prefix, std::int64_t width) {
    const std::vector<std::byte> gate = writer_.find_tensor(prefix + "ffn_gate_exps.weight")->data;
    const std::vector<std::byte> up = writer_.find_tensor(prefix + "ffn_up_exps.weight")->data;
    writer_.remove_tensor(prefix + "ffn_gate_exps.weight").remove_tensor(prefix + "ffn_up_exps.weight");
    const auto part = static_cast<std::ptrdiff_t>(gate.size()) / static_cast<std::ptrdiff_t>(m_.n_experts);
    std::vector<std::byte> both;
    for (std::ptrdiff_t at = 0; at < static_cast<std::ptrdiff_t>(gate.size()); at += part) {
      both.insert(both.end(), gate.begin() + at, gate.begin() + at + part);
      both.insert(both.end(), up.begin() + at, up.begin() + at + part);
    }
    writer_.tensor(prefix + "ffn_gate_up_exps.weight", m_.dtype, {m_.n_embd, 2 * width, m_.n_experts}, both);
  }

  void norm(const std::string& name) {
    spread(name, m_.n_embd, 1.0);
    if (has_layer_norm_) bias(name, m_.n_embd);
  }

  /// Around a middle.
  void spread(const std::string& name, std::int64_t n, double middle) {
    std::vector<float> values = random_.normals(n, 0.1);
    for (float& v : values) v += static_cast<float>(middle);
    floats(name + ".weight", values);
  }

  void bias(const std::string& name, std::int64_t n) { floats(name + ".bias", random_.normals(n, 0.3)); }

  void divisors(const std::string& name, std::int64_t n, double largest) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& v : values) v = static_cast<float>(1.0 + (largest - 1.0) * random_.uniform());
    floats(name + ".weight", values);
  }

  void floats(const std::string& name, const std::vector<float>& values) {
    floats(name, {static_cast<std::int64_t>(values.size())}, values);
  }

  void floats(const std::string& name, const std::vector<std::int64_t>& shape, const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    writer_.tensor(name, DType::f32, shape, bytes);
  }

  static double deviation(double gain, std::int64_t cols) { return gain / std::sqrt(static_cast<double>(cols)); }

  /// One that is F32 whatever the others are.
  void f32_matrix(const std::string& name, std::int64_t rows, std::int64_t cols, double gain) {
    floats(name + ".weight", {cols, rows}, random_.normals(rows * cols, deviation(gain, cols)));
  }

  /// One, or a stack of them.
  void matrix(const std::string& name, std::int64_t rows, std::int64_t cols, double gain, std::int64_t n = 0) {
    matrix(name, rows, cols, gain, n, m_.dtype);
  }
  void matrix(const std::string& name, std::int64_t rows, std::int64_t cols, double gain, std::int64_t n, DType dtype) {
    const std::int64_t n_values = std::max<std::int64_t>(n, 1) * rows * cols;
    const std::vector<float> values = random_.normals(n_values, deviation(gain, cols));
    const DTypeInfo& type = info(dtype);
    std::vector<std::byte> bytes(values.size() / type.block_elems * type.block_bytes);
    for (const QuantFormat* quant : builtin_quants()) {
      if (quant->dtype != dtype || quant->encode == nullptr) continue;   // zeros where it cannot be produced
      quant->encode(values.data(), nullptr, bytes.data(), n_values);
    }
    writer_.tensor(name + ".weight", dtype,
                   n > 0 ? std::vector{cols, rows, n} : std::vector{cols, rows}, bytes);
  }

  const TinyModel& m_;
  bool is_gemma_, has_layer_norm_, has_q_norm_, has_post_norms_, has_qkv_biases_, has_output_bias_, has_fused_qkv_,
      has_gate_, is_qwen_moe_;
  Random random_;
  GgufWriter writer_;
};

}  // namespace

std::vector<TinyModel> tiny_families() {
  std::vector<TinyModel> all;
  const auto add = [&](const char* name, const char* architecture) -> TinyModel& {
    TinyModel& m = all.emplace_back();
    m.name = name;
    m.architecture = architecture;
    m.n_embd = 32;
    m.n_ff = 64;
    return m;
  };
  const auto with_experts = [](TinyModel& m, std::int64_t n, std::int64_t n_used) {
    m.n_experts = n;
    m.n_experts_used = n_used;
  };

  add("llama", "llama");
  add("mistral", "llama").sliding_window = 20;
  with_experts(add("mixtral", "llama"), 4, 2);
  {
    TinyModel& m = add("mistral3", "mistral3");
    m.rope_scaling = "yarn", m.rope_factor = 4.0, m.original_context = 16, m.yarn_log_multiplier = 1.0;
    m.temperature_scale = 0.3, m.key_length = m.value_length = 16;
  }
  add("qwen", "qwen").n_kv_heads = 4;
  add("qwen2", "qwen2").tied = true;
  {
    TinyModel& m = add("qwen2moe", "qwen2moe");
    with_experts(m, 6, 3);
    m.expert_ff = 32, m.shared_ff = 96;
  }
  {
    TinyModel& m = add("qwen3", "qwen3");
    m.key_length = m.value_length = 16;
  }
  {
    TinyModel& m = add("qwen3moe", "qwen3moe");
    with_experts(m, 6, 3);
    m.expert_ff = 32, m.key_length = m.value_length = 16;
  }
  {
    TinyModel& m = add("phi2", "phi2");
    m.n_heads = m.n_kv_heads = 2, m.n_rot = 6;
  }
  add("phi3", "phi3").sliding_window = 20;
  {
    TinyModel& m = add("phi3-long", "phi3");
    m.n_rot = 6, m.tied = m.long_factors = true, m.original_context = 64, m.rope_attn_factor = 1.2;
  }
  {
    TinyModel& m = add("phimoe", "phimoe");
    with_experts(m, 8, 2);
    m.long_factors = true, m.original_context = 64, m.rope_attn_factor = 1.2;
  }
  {
    TinyModel& m = add("gemma", "gemma");
    m.n_kv_heads = 1, m.key_length = m.value_length = 16;
  }
  {
    TinyModel& m = add("gemma2", "gemma2");
    m.n_layers = 4, m.key_length = m.value_length = 16, m.sliding_window = 20;
    m.attention_softcap = 5.0, m.final_softcap = 6.0;
  }
  {
    TinyModel& m = add("gemma3", "gemma3");
    m.n_layers = 7, m.key_length = m.value_length = 16, m.sliding_window = 20;
    m.rope_base = 1e6, m.rope_scaling = "linear", m.rope_factor = 8.0;
  }
  add("gpt2", "gpt2").n_kv_heads = 4;
  return all;
}

GgufWriter tiny_model_writer(const TinyModel& model) { return Maker(model).make(); }

std::vector<std::byte> make_tiny_model(const TinyModel& model) { return tiny_model_writer(model).build(); }

}  // namespace infer::testing
