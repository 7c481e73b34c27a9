// SPDX-License-Identifier: MIT
// The double-precision decoder. Weights are expanded by the QuantFormat of their type (tested by
// tests/ops/quant_test.cpp).
#include "tests/testing/oracle.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <map>
#include <numbers>
#include <string>

#include "ops/quant/quants.h"

namespace infer::testing {
namespace {

using Vector = std::vector<double>;

Vector operator+(Vector a, const Vector& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

std::size_t number(std::optional<std::int64_t> value, std::size_t fallback) {
  return value ? static_cast<std::size_t>(*value) : fallback;
}

/// The tensors by name, as doubles.
class Tensors {
 public:
  Tensors(const ModelDescriptor& model, std::span<const std::byte> file) : model_(model), file_(file) {}

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
    const Vector& w = (*this)[name + ".weight"];
    Vector y(w.size() / x.size());
    for (std::size_t r = 0; r < y.size(); ++r) {
      for (std::size_t c = 0; c < x.size(); ++c) y[r] += w[r * x.size() + c] * x[c];
    }
    return has(name + ".bias") ? y + (*this)[name + ".bias"] : y;
  }

 private:
  const ModelDescriptor& model_;
  std::span<const std::byte> file_;
  std::map<std::string, Vector> expanded_;
};

class Oracle {
 public:
  Oracle(const ModelDescriptor& model, std::span<const std::byte> file) : h_(model.hyper), t_(model, file) {
    n_embd_ = number(h_.embedding_length, 0);
    n_heads_ = static_cast<std::size_t>(h_.n_heads[0]);
    n_kv_heads_ = h_.n_kv_heads.empty() ? n_heads_ : static_cast<std::size_t>(h_.n_kv_heads[0]);
    key_dim_ = number(h_.key_length, n_embd_ / n_heads_);
    value_dim_ = number(h_.value_length, n_embd_ / n_heads_);
    window_ = number(h_.sliding_window, 0);
    find_waves();
  }

  Vector run(std::span<const Token> ids) {
    std::vector<Vector> x;
    const Vector& embedding = t_["token_embd.weight"];
    for (const Token id : ids) {
      const auto row = embedding.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(id) * n_embd_);
      x.emplace_back(row, row + static_cast<std::ptrdiff_t>(n_embd_));
    }
    for (std::size_t layer = 0; layer < number(h_.n_layers, 0); ++layer)
      run_layer("blk." + std::to_string(layer) + ".", x);

    Vector logits;
    for (const Vector& row : x) {
      const Vector h = norm(row, "output_norm.weight");
      const Vector y = t_.multiply(t_.has("output.weight") ? "output" : "token_embd", h);
      logits.insert(logits.end(), y.begin(), y.end());
    }
    return logits;
  }

 private:
  /// Radians per position of each pair, and the factor on a rotated vector's length.
  void find_waves() {
    const std::size_t n_rot = number(h_.rope_dimensions, key_dim_);
    const double n = static_cast<double>(n_rot), base = h_.rope_base.value_or(10000.0);
    const double stretch = h_.rope_factor.value_or(1.0);
    const std::string scaling = h_.rope_scaling.value_or(h_.rope_factor ? "linear" : "none");
    // base^(-2i/n) * L / 2 pi turns are made over the original context L; solved for i.
    const double context = static_cast<double>(number(h_.rope_original_context, number(h_.context_length, 2048)));
    const auto index_at = [&](double turns) {
      return n / 2.0 * std::log(context / (2.0 * std::numbers::pi * turns)) / std::log(base);
    };
    const double low = std::max(0.0, std::floor(index_at(h_.yarn_beta_fast.value_or(32.0))));
    const double high = std::min(n - 1.0, std::ceil(index_at(h_.yarn_beta_slow.value_or(1.0))));

    for (std::size_t i = 0; i < n_rot / 2; ++i) {
      double wave = std::pow(base, -2.0 * static_cast<double>(i) / n);
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
        wave = (1.0 - stretched) * wave + stretched * wave / stretch;
      }
      if (t_.has("rope_freqs.weight")) wave /= t_["rope_freqs.weight"][i];
      waves_.push_back(wave);
    }
    magnitude_ = h_.rope_attn_factor.value_or(1.0) * (scaling == "yarn" ? 1.0 + std::log(stretch) / 10.0 : 1.0);
  }

  Vector norm(const Vector& x, const std::string& name) {
    double squares = 0.0;
    for (const double v : x) squares += v * v;
    const double length = std::sqrt(squares / static_cast<double>(x.size()) + h_.rms_epsilon.value_or(1e-5));
    const Vector& weight = t_[name];
    Vector y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] / length * weight[i];
    return y;
  }

  /// A neighbouring pair is a complex number; its position turns it.
  void rotate(Vector& heads, std::size_t position) const {
    for (std::size_t head = 0; head < heads.size(); head += key_dim_) {
      for (std::size_t i = 0; i < waves_.size(); ++i) {
        double& real = heads[head + 2 * i];
        double& imaginary = heads[head + 2 * i + 1];
        const std::complex<double> turned =
            std::complex(real, imaginary) * std::polar(magnitude_, static_cast<double>(position) * waves_[i]);
        real = turned.real();
        imaginary = turned.imag();
      }
    }
  }

  void run_layer(const std::string& prefix, std::vector<Vector>& x) {
    std::vector<Vector> q, k, v;
    for (std::size_t t = 0; t < x.size(); ++t) {
      const Vector h = norm(x[t], prefix + "attn_norm.weight");
      q.push_back(t_.multiply(prefix + "attn_q", h));
      k.push_back(t_.multiply(prefix + "attn_k", h));
      v.push_back(t_.multiply(prefix + "attn_v", h));
      rotate(q[t], t);
      rotate(k[t], t);
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      x[t] = x[t] + t_.multiply(prefix + "attn_output", attend(q[t], k, v, t));
      const Vector h = norm(x[t], prefix + "ffn_norm.weight");
      Vector gate = t_.multiply(prefix + "ffn_gate", h);
      const Vector up = t_.multiply(prefix + "ffn_up", h);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = up[i] * gate[i] / (1.0 + std::exp(-gate[i]));
      x[t] = x[t] + t_.multiply(prefix + "ffn_down", gate);
    }
  }

  Vector attend(const Vector& q, const std::vector<Vector>& k, const std::vector<Vector>& v, std::size_t now) const {
    Vector out(n_heads_ * value_dim_);
    for (std::size_t head = 0; head < n_heads_; ++head) {
      const std::size_t kv_head = head * n_kv_heads_ / n_heads_;
      double sum = 0.0;
      for (std::size_t t = 0; t <= now; ++t) {
        if (window_ > 0 && now - t >= window_) continue;
        double score = 0.0;
        for (std::size_t i = 0; i < key_dim_; ++i) score += q[head * key_dim_ + i] * k[t][kv_head * key_dim_ + i];
        const double weight = std::exp(score / std::sqrt(static_cast<double>(key_dim_)));
        sum += weight;
        for (std::size_t i = 0; i < value_dim_; ++i)
          out[head * value_dim_ + i] += weight * v[t][kv_head * value_dim_ + i];
      }
      for (std::size_t i = 0; i < value_dim_; ++i) out[head * value_dim_ + i] /= sum;
    }
    return out;
  }

  const Hyper& h_;
  Tensors t_;
  std::size_t n_embd_, n_heads_, n_kv_heads_, key_dim_, value_dim_, window_;
  Vector waves_;
  double magnitude_ = 1.0;
};

}  // namespace

std::vector<double> oracle_logits(const ModelDescriptor& model, std::span<const std::byte> file,
                                  std::span<const Token> ids) {
  return Oracle(model, file).run(ids);
}

}  // namespace infer::testing
