// SPDX-License-Identifier: MIT
// The double-precision decoder. Weights are expanded by the QuantFormat of their type (tested by
// tests/ops/quant_test.cpp). Whether there is a bias, a norm or a gate the tensors say; what they cannot, a Family says.
#include "tests/testing/oracle.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <map>
#include <numbers>
#include <optional>
#include <string>

#include "ops/quant/half.h"
#include "ops/quant/quants.h"

namespace infer::testing {
namespace {

using Vector = std::vector<double>;

Vector operator+(Vector a, const Vector& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

Vector operator*(double factor, Vector a) {
  for (double& v : a) v *= factor;
  return a;
}

Vector slice(const Vector& a, std::size_t first, std::size_t n) {
  const auto begin = a.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(n)};
}

Vector product(std::span<const double> matrix, const Vector& x) {
  Vector y(matrix.size() / x.size());
  for (std::size_t r = 0; r < y.size(); ++r) {
    for (std::size_t c = 0; c < x.size(); ++c) y[r] += matrix[r * x.size() + c] * x[c];
  }
  return y;
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double silu(double x) { return x * sigmoid(x); }
double gelu(double x) {
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}
double capped(double x, double cap) { return cap != 0.0 ? cap * std::tanh(x / cap) : x; }

std::size_t number(std::optional<std::int64_t> value, std::size_t fallback) {
  return value ? static_cast<std::size_t>(*value) : fallback;
}

/// The tensors by name, as doubles.
class Tensors {
 public:
  Tensors(const ModelDescriptor& model, std::span<const std::byte> file, Activations activations)
      : model_(model), file_(file), activations_(activations) {}

  bool has(const std::string& name) const { return model_.find_tensor(name) != nullptr; }

  const Vector& operator[](const std::string& name) {
    if (const auto it = expanded_.find(name); it != expanded_.end()) return it->second;
    const TensorMeta& tensor = *model_.find_tensor(name);
    std::vector<float> floats(static_cast<std::size_t>(tensor.shape.rows() * tensor.shape.cols()));
    for (const QuantFormat* quant : builtin_quants()) {
      if (quant->dtype != tensor.dtype) continue;
      quant->decode(file_.data() + tensor.offset, floats.data(), static_cast<std::int64_t>(floats.size()));
    }
    return expanded_[name] = Vector(floats.begin(), floats.end());
  }

  /// NAME.weight times x, plus NAME.bias where there is one.
  Vector multiply(const std::string& name, const Vector& x) {
    const Vector y = product((*this)[name + ".weight"], as_taken(name, x));
    return has(name + ".bias") ? y + (*this)[name + ".bias"] : y;
  }

  /// The matrix of one of n experts times x.
  Vector multiply(const std::string& name, std::size_t expert, std::size_t n, const Vector& x) {
    const std::span<const double> all = (*this)[name + ".weight"];
    return product(all.subspan(expert * (all.size() / n), all.size() / n), as_taken(name, x));
  }

 private:
  Vector as_taken(const std::string& name, Vector x) const {
    if (activations_ == Activations::exact || model_.find_tensor(name + ".weight")->dtype != DType::bf16) return x;
    for (double& v : x) v = static_cast<double>(bf16_to_float(float_to_bf16(static_cast<float>(v))));
    return x;
  }

  const ModelDescriptor& model_;
  std::span<const std::byte> file_;
  Activations activations_;
  std::map<std::string, Vector> expanded_;
};

/// What neither the tensors nor the numbers of a file say.
struct Family {
  bool neighbours = false;         ///< rotary pairs are neighbours, not half a rotated part apart
  bool positions = false;          ///< learned, instead of rotary
  bool layer_norm = false;         ///< instead of RMS
  bool gelu = false;               ///< instead of SiLU
  bool parallel = false;           ///< attention and FFN side by side
  bool large_embedding = false;    ///< times sqrt(n_embd)
  bool renormalise = true;         ///< weights of the chosen experts add up to one
  bool sparse_mixer = false;
  std::size_t window_period = 0;   ///< the last of so many layers sees everything; 0: none does
  bool local_rope = false;         ///< layers with a window have a base of their own, and no scaling
  std::size_t window = 0;          ///< where the file has none
  double attention_cap = 0.0, final_cap = 0.0;   ///< likewise
  std::size_t layers_of_27b = 0;   ///< with so many, scores are divided by sqrt(n_embd / n_heads)
};

const std::map<std::string, Family> kFamilies = {
    {"llama", {.neighbours = true}},
    {"mistral3", {.neighbours = true}},
    {"qwen", {}},
    {"qwen2", {}},
    {"qwen2moe", {.renormalise = false}},
    {"qwen3", {}},
    {"qwen3moe", {}},
    {"phi2", {.layer_norm = true, .gelu = true, .parallel = true}},
    {"phi3", {}},
    {"phimoe", {.layer_norm = true, .sparse_mixer = true}},
    {"gemma", {.gelu = true, .large_embedding = true}},
    {"gemma2",
     {.gelu = true,
      .large_embedding = true,
      .window_period = 2,
      .window = 4096,
      .attention_cap = 50.0,
      .final_cap = 30.0,
      .layers_of_27b = 46}},
    {"gemma3", {.gelu = true, .large_embedding = true, .window_period = 6, .local_rope = true, .layers_of_27b = 62}},
    {"gpt2", {.positions = true, .layer_norm = true, .gelu = true}},
};

/// Radians per position of each pair, and the factor on a rotated vector's length.
struct Waves {
  Vector radians;
  double magnitude = 1.0;
};

/// An expert and what its output is multiplied by.
struct Choice {
  std::size_t expert;
  double weight;
};

/// The n largest of softmax(scores).
std::vector<Choice> best_of(const Vector& scores, std::size_t n, bool renormalise) {
  std::vector<Choice> choices;
  double all = 0.0, chosen = 0.0;
  for (std::size_t e = 0; e < scores.size(); ++e) {
    choices.push_back({e, std::exp(scores[e])});
    all += choices[e].weight;
  }
  std::stable_sort(choices.begin(), choices.end(), [](auto& a, auto& b) { return a.weight > b.weight; });
  choices.resize(n);
  for (const Choice& c : choices) chosen += c.weight;
  for (Choice& c : choices) c.weight /= renormalise ? chosen : all;
  return choices;
}

/// SparseMixer when it does not learn: twice the best of those that are left, weighed against those within two
/// hundredths of it.
std::vector<Choice> sparse_mixer(Vector scores) {
  std::vector<Choice> choices;
  for (int i = 0; i < 2; ++i) {
    const auto best = std::max_element(scores.begin(), scores.end());
    double near = 0.0;
    for (const double s : scores) {
      if (std::isinf(s) || (*best - s) / std::max(std::fabs(s), *best) > 0.02) continue;
      near += std::exp(s);
    }
    choices.push_back({static_cast<std::size_t>(best - scores.begin()), std::exp(*best) / near});
    *best = -HUGE_VAL;
  }
  return choices;
}

class Oracle {
 public:
  Oracle(const ModelDescriptor& model, std::span<const std::byte> file, std::int64_t n_ctx, Activations activations)
      : h_(model.hyper), f_(kFamilies.at(model.architecture)), t_(model, file, activations) {
    n_embd_ = number(h_.embedding_length, 0);
    n_heads_ = static_cast<std::size_t>(h_.n_heads[0]);
    n_kv_heads_ = h_.n_kv_heads.empty() ? n_heads_ : static_cast<std::size_t>(h_.n_kv_heads[0]);
    key_dim_ = number(h_.key_length, n_embd_ / n_heads_);
    value_dim_ = number(h_.value_length, n_embd_ / n_heads_);
    window_ = number(h_.sliding_window, f_.window);
    epsilon_ = h_.rms_epsilon.value_or(1e-5);
    if (f_.layer_norm) epsilon_ = h_.norm_epsilon.value_or(epsilon_);

    const bool is_27b = f_.layers_of_27b > 0 && f_.layers_of_27b == number(h_.n_layers, 0);
    const std::size_t score_dim = is_27b ? n_embd_ / n_heads_ : key_dim_;
    score_scale_ = h_.attention_scale.value_or(1.0 / std::sqrt(static_cast<double>(score_dim)));

    const double stretch = h_.rope_factor.value_or(1.0);
    const std::string scaling = h_.rope_scaling.value_or(h_.rope_factor ? "linear" : "none");
    original_context_ = number(h_.rope_original_context, number(h_.context_length, 2048));
    global_ = find_waves(h_.rope_base.value_or(10000.0), scaling, stretch, static_cast<std::size_t>(n_ctx));
    local_ = f_.local_rope ? plain_waves(h_.rope_base_local.value_or(10000.0)) : global_;
  }

  Vector run(std::span<const Token> ids) {
    std::vector<Vector> x;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      x.push_back(slice(t_["token_embd.weight"], static_cast<std::size_t>(ids[t]) * n_embd_, n_embd_));
      if (f_.large_embedding) x[t] = std::sqrt(static_cast<double>(n_embd_)) * x[t];
      if (f_.positions) x[t] = x[t] + slice(t_["position_embd.weight"], t * n_embd_, n_embd_);
    }
    for (std::size_t layer = 0; layer < number(h_.n_layers, 0); ++layer) run_layer(layer, x);

    Vector logits;
    for (const Vector& row : x) {
      for (const double y : t_.multiply(t_.has("output.weight") ? "output" : "token_embd", norm(row, "output_norm")))
        logits.push_back(capped(y, h_.final_softcap.value_or(f_.final_cap)));
    }
    return logits;
  }

 private:
  Waves plain_waves(double base) const {
    const std::size_t n_rot = f_.positions ? 0 : number(h_.rope_dimensions, key_dim_);
    Waves waves;
    for (std::size_t i = 0; i < n_rot / 2; ++i)
      waves.radians.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(n_rot)));
    return waves;
  }

  Waves find_waves(double base, const std::string& scaling, double stretch, std::size_t n_ctx) {
    Waves waves = plain_waves(base);
    const double n = 2.0 * static_cast<double>(waves.radians.size());
    // base^(-2i/n) * L / 2 pi turns are made over the original context L; solved for i.
    const double context = static_cast<double>(original_context_);
    const auto index_at = [&](double turns) {
      return n / 2.0 * std::log(context / (2.0 * std::numbers::pi * turns)) / std::log(base);
    };
    const double low = std::max(0.0, std::floor(index_at(h_.yarn_beta_fast.value_or(32.0))));
    const double high = std::min(n - 1.0, std::ceil(index_at(h_.yarn_beta_slow.value_or(1.0))));
    const std::string longrope = n_ctx > original_context_ ? "rope_factors_long.weight" : "rope_factors_short.weight";

    for (std::size_t i = 0; i < waves.radians.size(); ++i) {
      double& wave = waves.radians[i];
      if (scaling == "linear") wave /= stretch;
      if (scaling == "yarn") {
        // Waves before `low` turn often and are kept, those after `high` are stretched, and between them it changes
        // over.
        double stretched = 0.0;
        if (static_cast<double>(i) >= high) {
          stretched = 1.0;
        } else if (static_cast<double>(i) > low) {
          stretched = (static_cast<double>(i) - low) / (high - low);
        }
        const double kept = h_.yarn_ext_factor.value_or(1.0) * (1.0 - stretched);
        wave = kept * wave + (1.0 - kept) * wave / stretch;
      }
      if (t_.has("rope_freqs.weight")) wave /= t_["rope_freqs.weight"][i];
      if (t_.has(longrope)) wave /= t_[longrope][i];
    }
    waves.magnitude = h_.rope_attn_factor.value_or(1.0);
    const double magnitude = h_.yarn_attn_factor.value_or(1.0);   // 1: the file has none
    if (scaling == "yarn" && magnitude != 1.0) {
      waves.magnitude *= magnitude;
    } else if (scaling == "yarn" && stretch > 1.0) {
      waves.magnitude *= 1.0 + std::log(stretch) / 10.0;
      waves.magnitude /= 1.0 + h_.yarn_log_multiplier.value_or(0.0) * std::log(stretch) / 10.0;
    }
    return waves;
  }

  /// The place of a layer in the pattern of windows, whether there are any or not.
  bool is_global(std::size_t layer) const {
    if (!h_.window_layers.empty()) return !h_.window_layers[layer];
    const std::size_t period = number(h_.window_period, f_.window_period);
    return period > 0 && layer % period == period - 1;
  }

  Vector norm(const Vector& x, const std::string& name) {
    if (!f_.layer_norm) return rms_norm(x, name);
    double mean = 0.0;
    for (const double v : x) mean += v / static_cast<double>(x.size());
    Vector centred = x;
    for (double& v : centred) v -= mean;
    const Vector y = rms_norm(centred, name);
    return t_.has(name + ".bias") ? y + t_[name + ".bias"] : y;
  }

  /// Piece by piece where x is longer than the weights: heads are normed alone.
  Vector rms_norm(const Vector& x, const std::string& name) {
    const Vector& weight = t_[name + ".weight"];
    Vector y(x.size());
    for (std::size_t first = 0; first < x.size(); first += weight.size()) {
      double squares = 0.0;
      for (std::size_t i = 0; i < weight.size(); ++i) squares += x[first + i] * x[first + i];
      const double length = std::sqrt(squares / static_cast<double>(weight.size()) + epsilon_);
      for (std::size_t i = 0; i < weight.size(); ++i) y[first + i] = x[first + i] / length * weight[i];
    }
    return y;
  }

  /// A pair is a complex number; its position turns it.
  void rotate(Vector& heads, std::size_t position, const Waves& waves) const {
    const std::size_t n_pairs = waves.radians.size();
    for (std::size_t head = 0; head < heads.size(); head += key_dim_) {
      for (std::size_t i = 0; i < n_pairs; ++i) {
        double& real = heads[head + (f_.neighbours ? 2 * i : i)];
        double& imaginary = heads[head + (f_.neighbours ? 2 * i + 1 : i + n_pairs)];
        const double angle = static_cast<double>(position) * waves.radians[i];
        const std::complex<double> turned = std::complex(real, imaginary) * std::polar(waves.magnitude, angle);
        real = turned.real();
        imaginary = turned.imag();
      }
    }
  }

  void run_layer(std::size_t layer, std::vector<Vector>& x) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const Waves& waves = is_global(layer) ? global_ : local_;
    const std::size_t n_q = n_heads_ * key_dim_, n_k = n_kv_heads_ * key_dim_, n_v = n_kv_heads_ * value_dim_;
    std::vector<Vector> h, q, k, v;
    for (std::size_t t = 0; t < x.size(); ++t) {
      h.push_back(norm(x[t], prefix + "attn_norm"));
      if (t_.has(prefix + "attn_qkv.weight")) {
        const Vector qkv = t_.multiply(prefix + "attn_qkv", h[t]);
        q.push_back(slice(qkv, 0, n_q));
        k.push_back(slice(qkv, n_q, n_k));
        v.push_back(slice(qkv, n_q + n_k, n_v));
      } else {
        q.push_back(t_.multiply(prefix + "attn_q", h[t]));
        k.push_back(t_.multiply(prefix + "attn_k", h[t]));
        v.push_back(t_.multiply(prefix + "attn_v", h[t]));
      }
      if (t_.has(prefix + "attn_q_norm.weight")) {
        q[t] = rms_norm(q[t], prefix + "attn_q_norm");
        k[t] = rms_norm(k[t], prefix + "attn_k_norm");
      }
      rotate(q[t], t, waves);
      rotate(k[t], t, waves);
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      const Vector attended = t_.multiply(prefix + "attn_output", attend(layer, q[t], k, v, t));
      if (f_.parallel) {
        x[t] = x[t] + attended + ffn(prefix, h[t]);
        continue;
      }
      x[t] = x[t] + post_norm(attended, prefix + "post_attention_norm");
      x[t] = x[t] + post_norm(ffn(prefix, norm(x[t], prefix + "ffn_norm")), prefix + "post_ffw_norm");
    }
  }

  Vector post_norm(const Vector& x, const std::string& name) { return t_.has(name + ".weight") ? norm(x, name) : x; }

  Vector attend(std::size_t layer, const Vector& q, const std::vector<Vector>& k, const std::vector<Vector>& v,
                std::size_t now) const {
    const double temperature = temperature_at(now);
    Vector out(n_heads_ * value_dim_);
    for (std::size_t head = 0; head < n_heads_; ++head) {
      const std::size_t kv_head = head * n_kv_heads_ / n_heads_;
      double sum = 0.0;
      for (std::size_t t = 0; t <= now; ++t) {
        if (window_ > 0 && !is_global(layer) && now - t >= window_) continue;
        double score = 0.0;
        for (std::size_t i = 0; i < key_dim_; ++i) score += q[head * key_dim_ + i] * k[t][kv_head * key_dim_ + i];
        const double weight = std::exp(capped(score * score_scale_ * temperature, h_.attention_softcap.value_or(f_.attention_cap)));
        sum += weight;
        for (std::size_t i = 0; i < value_dim_; ++i)
          out[head * value_dim_ + i] += weight * v[t][kv_head * value_dim_ + i];
      }
      for (std::size_t i = 0; i < value_dim_; ++i) out[head * value_dim_ + i] /= sum;
    }
    return out;
  }

  /// Queries far beyond the original context look more sharply.
  double temperature_at(std::size_t position) const {
    const std::size_t length = number(h_.temperature_length, original_context_);
    return 1.0 + h_.temperature_scale.value_or(0.0) * std::log(1.0 + static_cast<double>(position / length));
  }

  Vector ffn(const std::string& prefix, const Vector& x) {
    if (t_.has(prefix + "ffn_gate_inp.weight")) return experts(prefix, x);
    const Vector up = t_.multiply(prefix + "ffn_up", x);
    if (t_.has(prefix + "ffn_gate.weight"))
      return t_.multiply(prefix + "ffn_down", gated(t_.multiply(prefix + "ffn_gate", x), up));
    const std::size_t width = t_[prefix + "ffn_down.weight"].size() / n_embd_;
    if (up.size() == 2 * width)
      return t_.multiply(prefix + "ffn_down", gated(slice(up, 0, width), slice(up, width, width)));
    return t_.multiply(prefix + "ffn_down", gated(up, Vector(width, 1.0)));
  }

  Vector gated(Vector gate, const Vector& up) const {
    for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = (f_.gelu ? gelu(gate[i]) : silu(gate[i])) * up[i];
    return gate;
  }

  Vector experts(const std::string& prefix, const Vector& x) {
    const Vector scores = t_.multiply(prefix + "ffn_gate_inp", x);
    const bool renormalise = h_.expert_weights_norm.value_or(f_.renormalise);
    const std::vector<Choice> choices =
        f_.sparse_mixer ? sparse_mixer(scores) : best_of(scores, number(h_.n_experts_used, 0), renormalise);
    Vector out(n_embd_);
    for (const Choice& c : choices) {
      const auto expert = [&](const char* part, const Vector& input) {
        return t_.multiply(prefix + part, c.expert, scores.size(), input);
      };
      const Vector inner = gated(expert("ffn_gate_exps", x), expert("ffn_up_exps", x));
      out = out + c.weight * h_.expert_weights_scale.value_or(1.0) * expert("ffn_down_exps", inner);
    }
    if (!t_.has(prefix + "ffn_gate_shexp.weight")) return out;
    const Vector inner = gated(t_.multiply(prefix + "ffn_gate_shexp", x), t_.multiply(prefix + "ffn_up_shexp", x));
    const double gate = sigmoid(t_.multiply(prefix + "ffn_gate_inp_shexp", x)[0]);
    return out + gate * t_.multiply(prefix + "ffn_down_shexp", inner);
  }

  const Hyper& h_;
  const Family& f_;
  Tensors t_;
  std::size_t n_embd_, n_heads_, n_kv_heads_, key_dim_, value_dim_, window_, original_context_;
  double epsilon_, score_scale_;
  Waves global_, local_;
};

}  // namespace

std::vector<double> oracle_logits(const ModelDescriptor& model, std::span<const std::byte> file,
                                  std::span<const Token> ids, std::int64_t n_ctx, Activations activations) {
  return Oracle(model, file, n_ctx, activations).run(ids);
}

}  // namespace infer::testing
