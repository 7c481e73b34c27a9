// SPDX-License-Identifier: MIT
// Phi-2 (arXiv:2306.11644 and its kin), Phi-3, 3.5 and 4 (2404.14219, 2412.08905, 2503.01743), Phi-3.5-MoE (2404.14219).
//   phi2    attention and feed-forward block side by side on one layer norm; a part of each head is rotated; biases; GELU
//   phi3    LLaMA's layer, rotated in halves, queries, keys and values in one matrix, gate above up in another; a window in
//           all layers where the file has one; LongRoPE
//   phimoe  layer norms and biases, LongRoPE, two experts that SparseMixer chooses
// Tested by tests/models/families_test.cpp.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "models/architectures.h"
#include "models/bindings.h"
#include "models/blocks/blocks.h"
#include "models/config.h"

namespace infer {
namespace {

constexpr std::string_view kPhi2[] = {"phi2"};
constexpr std::string_view kPhi3[] = {"phi3"};
constexpr std::string_view kPhiMoe[] = {"phimoe"};

// ---- what a file looks like

bool looks_like_phi2(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.attn_norm.bias") && m.has_tensor("blk.0.ffn_up.bias") && !m.has_tensor("blk.0.ffn_norm.weight");
}

bool looks_like_phi3(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.attn_qkv.weight") && m.has_tensor("blk.0.ffn_norm.weight") && m.has_tensor("blk.0.ffn_up.weight") &&
         !m.has_tensor("blk.0.ffn_gate.weight") && !m.has_tensor("blk.0.attn_norm.bias");
}

bool looks_like_phimoe(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.attn_norm.bias") && has_stacked_experts(m);
}

// ---- phi2

Result<DecoderConfig> configure_phi2(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read_decoder_config(model, {.activation = Activation::gelu}, warnings);
}

void bind_phi2(Binder& b, Decoder& d) {
  const DecoderConfig& c = d.config;
  bind_ends(b, d, NormKind::layer, Bias::required);
  for_each_layer(d, [&](Layer& l, const std::string& prefix) {
    b.norm(l.attn_norm, prefix + "attn_norm", c.n_embd, c.norm_eps, NormKind::layer);
    bind_attention(b, c, l.attn, prefix, {.fused = true, .qkv = Bias::required, .output = Bias::required});
    bind_plain_ffn(b, c, l.ffn, prefix);
  });
}

/// h = norm(x); x += attention(h) + ffn(h).
void layer_phi2(Step& s, const Layer& l, std::int64_t index) noexcept {
  MatF32 x = rows_of(s, s.act.x), h = rows_of(s, s.act.h), y = rows_of(s, s.act.branch);
  norm(s, l.attn_norm, x, h);
  attention(s, l.attn, index, h, y);
  x = rows_of(s, x), h = rows_of(s, h), y = rows_of(s, y);
  ffn(s, l.ffn, h, h);
  add(s, x, y);
  add(s, x, h);
}

// ---- phi3

Result<DecoderConfig> configure_phi3(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read_decoder_config(model, {}, warnings);
}

void bind_phi3(Binder& b, Decoder& d) {
  const DecoderConfig& c = d.config;
  bind_ends(b, d);
  for_each_layer(d, [&](Layer& l, const std::string& prefix) {
    b.norm(l.attn_norm, prefix + "attn_norm", c.n_embd, c.norm_eps);
    bind_attention(b, c, l.attn, prefix, {.fused = true});
    b.norm(l.ffn_norm, prefix + "ffn_norm", c.n_embd, c.norm_eps);
    b.split({{l.ffn.gate, c.n_ff}, {l.ffn.up, c.n_ff}}, prefix + "ffn_up", c.n_embd);
    b.linear(l.ffn.down, prefix + "ffn_down", c.n_embd, c.n_ff);
  });
}

// ---- phimoe

constexpr std::int64_t kSparseMixerExperts = 2;
constexpr float kSparseMixerJitter = 0.01f;   // of its training: scores nearer than twice that to the best count

/// SparseMixer-v2 (arXiv:2409.12136) as it is at inference: twice the best expert of those that are left, with its softmax
/// among those that are near it. The two weights stand for themselves.
void route_sparse_mixer(std::span<const float> logits, std::span<std::int32_t> chosen, std::span<float> weights) noexcept {
  std::size_t best = kNoExpert;
  for (std::size_t k = 0; k < chosen.size(); ++k) {
    best = next_best(logits, best);
    const float most = logits[best];
    double sum = 0.0;
    for (std::size_t e = 0; e < logits.size(); ++e) {
      const bool is_left = std::find(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(k),
                                     static_cast<std::int32_t>(e)) == chosen.begin() + static_cast<std::ptrdiff_t>(k);
      const float distance = (most - logits[e]) / std::max(std::fabs(logits[e]), most);
      const bool is_near = !(distance > 2.0f * kSparseMixerJitter);   // 0 / 0: both are 0
      if (is_left && is_near) sum += std::exp(static_cast<double>(logits[e] - most));
    }
    chosen[k] = static_cast<std::int32_t>(best);
    weights[k] = static_cast<float>(1.0 / sum);
  }
}

Result<DecoderConfig> configure_phimoe(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  INFER_ASSIGN(DecoderConfig c,
               read_decoder_config(
                   model, {.experts = Experts::required, .route = route_sparse_mixer, .renormalise = false}, warnings));
  if (c.experts.n_used != kSparseMixerExperts) {
    const std::string key = model.key_prefix + ".expert_used_count";
    return Status::error(Code::unsupported, fmt::format("metadata '{}' = {}: SparseMixer chooses {}", key, c.experts.n_used,
                                                        kSparseMixerExperts))
        .about(key);
  }
  return c;
}

void attention_with_biases(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix) {
  bind_attention(b, c, w, prefix, {.qkv = Bias::required, .output = Bias::required});
}

void bind_phimoe(Binder& b, Decoder& d) {
  bind_ends(b, d, NormKind::layer, Bias::required);
  bind_pre_norm_layers(b, d, attention_with_biases, NormKind::layer);
}

}  // namespace

constinit const Architecture architecture_phi2{.names = kPhi2,
                                               .recognises = looks_like_phi2,
                                               .configure = configure_phi2,
                                               .bind = bind_phi2,
                                               .layer = layer_phi2};
constinit const Architecture architecture_phi3{.names = kPhi3,
                                               .recognises = looks_like_phi3,
                                               .configure = configure_phi3,
                                               .bind = bind_phi3,
                                               .layer = pre_norm_layer};
constinit const Architecture architecture_phimoe{.names = kPhiMoe,
                                                 .recognises = looks_like_phimoe,
                                                 .configure = configure_phimoe,
                                                 .bind = bind_phimoe,
                                                 .layer = pre_norm_layer};

}  // namespace infer
