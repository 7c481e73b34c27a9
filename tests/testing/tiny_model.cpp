// SPDX-License-Identifier: MIT
// The tiny models. Matrices are drawn with a deviation that keeps the variance of a unit input (times a little, so that
// attention is not flat), the head with twice that.
#include "tests/testing/tiny_model.h"

#include <cmath>
#include <cstring>
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
  explicit Maker(const TinyModel& model) : m_(model), random_(model.seed) {}

  GgufWriter make() {
    metadata();
    if (m_.n_vocab > kFirstPiece) vocabulary();
    tensors();
    return std::move(writer_);
  }

 private:
  void number(const std::string& key, std::int64_t value) {
    writer_.set("llama." + key, static_cast<std::uint32_t>(value));
  }
  void real(const std::string& key, double value) { writer_.set("llama." + key, static_cast<float>(value)); }

  void metadata() {
    writer_.set("general.architecture", std::string("llama"));
    writer_.set("general.name", std::string("tiny"));
    number("block_count", m_.n_layers);
    number("context_length", m_.context);
    number("embedding_length", m_.n_embd);
    number("feed_forward_length", m_.n_ff);
    number("attention.head_count", m_.n_heads);
    number("attention.head_count_kv", m_.n_kv_heads);
    real("attention.layer_norm_rms_epsilon", 1e-5);
    real("rope.freq_base", m_.rope_base);
    if (m_.key_length > 0) number("attention.key_length", m_.key_length);
    if (m_.value_length > 0) number("attention.value_length", m_.value_length);
    if (m_.sliding_window > 0) number("attention.sliding_window", m_.sliding_window);
    if (m_.n_rot > 0) number("rope.dimension_count", m_.n_rot);
    if (m_.rope_scaling.empty()) return;
    writer_.set("llama.rope.scaling.type", m_.rope_scaling);
    real("rope.scaling.factor", m_.rope_factor);
    if (m_.original_context > 0) number("rope.scaling.original_context_length", m_.original_context);
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
    for (std::int64_t layer = 0; layer < m_.n_layers; ++layer) {
      const std::string prefix = "blk." + std::to_string(layer) + ".";
      norm(prefix + "attn_norm");
      attention_matrix(prefix + "attn_q", m_.n_heads * key_dim, m_.n_embd);
      attention_matrix(prefix + "attn_k", m_.n_kv_heads * key_dim, m_.n_embd);
      attention_matrix(prefix + "attn_v", m_.n_kv_heads * value_dim, m_.n_embd);
      attention_matrix(prefix + "attn_output", m_.n_embd, m_.n_heads * value_dim);
      norm(prefix + "ffn_norm");
      matrix(prefix + "ffn_gate", m_.n_ff, m_.n_embd, 1.0);
      matrix(prefix + "ffn_up", m_.n_ff, m_.n_embd, 1.0);
      matrix(prefix + "ffn_down", m_.n_embd, m_.n_ff, 1.0);
    }
    norm("output_norm");
    if (!m_.tied) matrix("output", m_.n_vocab, m_.n_embd, 2.0);
    if (m_.rope_factors) {
      std::vector<float> factors(static_cast<std::size_t>((m_.n_rot > 0 ? m_.n_rot : key_dim) / 2));
      for (float& f : factors) f = static_cast<float>(1.0 + 7.0 * random_.uniform());
      floats("rope_freqs.weight", factors);
    }
  }

  void floats(const std::string& name, const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    writer_.tensor(name, DType::f32, {static_cast<std::int64_t>(values.size())}, bytes);
  }

  void norm(const std::string& name) {
    std::vector<float> values = random_.normals(m_.n_embd, 0.1);
    for (float& v : values) v += 1.0f;
    floats(name + ".weight", values);
  }

  void attention_matrix(const std::string& name, std::int64_t rows, std::int64_t cols) {
    matrix(name, rows, cols, 1.5);
    if (m_.biases) floats(name + ".bias", random_.normals(rows, 0.3));
  }

  void matrix(const std::string& name, std::int64_t rows, std::int64_t cols, double gain) {
    const std::vector<float> values = random_.normals(rows * cols, gain / std::sqrt(static_cast<double>(cols)));
    const DTypeInfo& type = info(m_.dtype);
    std::vector<std::byte> bytes(values.size() / type.block_elems * type.block_bytes);
    for (const QuantFormat* quant : builtin_quants()) {
      if (quant->dtype != m_.dtype || quant->encode == nullptr) continue;   // zeros where it cannot be produced
      quant->encode(values.data(), nullptr, bytes.data(), rows * cols);
    }
    writer_.tensor(name + ".weight", m_.dtype, {cols, rows}, bytes);
  }

  const TinyModel& m_;
  Random random_;
  GgufWriter writer_;
};

}  // namespace

GgufWriter tiny_model_writer(const TinyModel& model) { return Maker(model).make(); }

std::vector<std::byte> make_tiny_model(const TinyModel& model) { return tiny_model_writer(model).build(); }

}  // namespace infer::testing
