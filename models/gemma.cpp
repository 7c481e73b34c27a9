// SPDX-License-Identifier: MIT
// Gemma (arXiv:2403.08295), Gemma 2 (2408.00118) and the text part of Gemma 3 (2503.19786). The embedding is times
// sqrt(n_embd), the feed-forward block GeGLU; the 1 + weight of the norms is in the weights that converters write.
//   gemma   LLaMA's layer
//   gemma2  norms after attention and feed-forward block, soft-caps on scores and logits, a window in every other layer
//   gemma3  those norms, and one on each head's queries and keys instead of soft-caps; five layers with a window and a
//           rotation of their own base, then one without
// Scores are divided by sqrt(key_dim), in the 27B models of both generations by sqrt(n_embd / n_heads): files do not say so,
// these models are known by their number of layers. Tested by tests/models/families_test.cpp.
#include <cmath>

#include <fmt/format.h>

#include "models/architectures.h"
#include "models/bindings.h"
#include "models/blocks/blocks.h"
#include "models/config.h"

namespace infer {
namespace {

constexpr std::string_view kGemma[] = {"gemma"};
constexpr std::string_view kGemma2[] = {"gemma2"};
constexpr std::string_view kGemma3[] = {"gemma3"};
constexpr std::int64_t kGemma2Layers27B = 46;
constexpr std::int64_t kGemma3Layers27B = 62;

// ---- what a file looks like

/// Gemma's tensors are named as LLaMA's: only the file can say which it is.
bool cannot_be_told(const ModelDescriptor&) noexcept { return false; }

bool has_both_norms(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.post_attention_norm.weight") && m.has_tensor("blk.0.post_ffw_norm.weight") &&
         m.has_tensor("blk.0.ffn_gate.weight");
}

bool has_head_norms(const ModelDescriptor& m) noexcept { return m.has_tensor("blk.0.attn_q_norm.weight"); }

bool looks_like_gemma2(const ModelDescriptor& m) noexcept { return has_both_norms(m) && !has_head_norms(m); }
bool looks_like_gemma3(const ModelDescriptor& m) noexcept { return has_both_norms(m) && has_head_norms(m); }

// ---- numbers

Result<DecoderConfig> read(const ModelDescriptor& model, Family family, std::int64_t layers_27b,
                           std::vector<std::string>& warnings) {
  family.activation = Activation::gelu;
  INFER_ASSIGN(DecoderConfig c, read_decoder_config(model, family, warnings));
  c.embedding_scale = std::sqrt(static_cast<float>(c.n_embd));
  if (c.n_layers == layers_27b && !model.hyper.attention_scale) {
    c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.n_embd) / static_cast<float>(c.n_heads));
  }
  return c;
}

Result<DecoderConfig> configure_gemma(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read(model, {}, 0, warnings);
}

Result<DecoderConfig> configure_gemma2(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  // The first converters did not write what all published models have.
  constexpr Family kFamily{.sliding_window = 4096, .window_period = 2, .attention_softcap = 50.0, .final_softcap = 30.0};
  const Hyper& h = model.hyper;
  const auto warn = [&](bool there, const char* key, double taken) {
    if (!there) warnings.push_back(fmt::format("metadata '{}.{}' is missing; taken as {}", model.key_prefix, key, taken));
  };
  warn(h.sliding_window.has_value(), "attention.sliding_window", static_cast<double>(kFamily.sliding_window));
  warn(h.attention_softcap.has_value(), "attn_logit_softcapping", kFamily.attention_softcap);
  warn(h.final_softcap.has_value(), "final_logit_softcapping", kFamily.final_softcap);
  return read(model, kFamily, kGemma2Layers27B, warnings);
}

Result<DecoderConfig> configure_gemma3(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read(model, {.local_rope = true, .window_period = 6}, kGemma3Layers27B, warnings);
}

// ---- tensors

void bind_gemma(Binder& b, Decoder& d) {
  bind_ends(b, d);
  bind_pre_norm_layers(b, d);
}

template <BindAttention attention>
void bind_with_norms_after(Binder& b, Decoder& d) {
  const DecoderConfig& c = d.config;
  bind_ends(b, d);
  bind_pre_norm_layers(b, d, attention);
  for_each_layer(d, [&](Layer& l, const std::string& prefix) {
    b.norm(l.post_attn_norm, prefix + "post_attention_norm", c.n_embd, c.norm_eps);
    b.norm(l.post_ffn_norm, prefix + "post_ffw_norm", c.n_embd, c.norm_eps);
  });
}

/// x += norm(attention(norm(x))); x += norm(ffn(norm(x))).
void layer_with_norms_after(Step& s, const Layer& l, std::int64_t index) noexcept {
  MatF32 x = rows_of(s, s.act.x), h = rows_of(s, s.act.h);
  norm(s, l.attn_norm, x, h);
  attention(s, l.attn, index, h, h);
  x = rows_of(s, x), h = rows_of(s, h);
  norm(s, l.post_attn_norm, h, h);
  add(s, x, h);
  norm(s, l.ffn_norm, x, h);
  ffn(s, l.ffn, h, h);
  norm(s, l.post_ffn_norm, h, h);
  add(s, x, h);
}

}  // namespace

constinit const Architecture architecture_gemma{.names = kGemma,
                                                .recognises = cannot_be_told,
                                                .configure = configure_gemma,
                                                .bind = bind_gemma,
                                                .layer = pre_norm_layer};
constinit const Architecture architecture_gemma2{.names = kGemma2,
                                                 .recognises = looks_like_gemma2,
                                                 .configure = configure_gemma2,
                                                 .bind = bind_with_norms_after<plain_attention>,
                                                 .layer = layer_with_norms_after};
constinit const Architecture architecture_gemma3{.names = kGemma3,
                                                 .recognises = looks_like_gemma3,
                                                 .configure = configure_gemma3,
                                                 .bind = bind_with_norms_after<attention_with_head_norms>,
                                                 .layer = layer_with_norms_after};

}  // namespace infer
