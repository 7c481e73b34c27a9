// SPDX-License-Identifier: MIT
// Qwen (arXiv:2309.16609), Qwen2 (2407.10671, 2412.15115) and Qwen3 (2505.09388). LLaMA's layer, rotated in halves, and
//   qwen      biases on the fused queries, keys and values; the file's feed-forward length is that of gate and up together
//   qwen2     biases on queries, keys and values
//   qwen2moe  the same with experts whose weights are not renormalised, and one that every token runs through
//   qwen3     no biases; a norm on each head's queries and keys; a head size of its own
//   qwen3moe  the same with experts, weights renormalised
// Tested by tests/models/families_test.cpp.
#include <fmt/format.h>

#include "models/architectures.h"
#include "models/bindings.h"
#include "models/blocks/blocks.h"
#include "models/config.h"

namespace infer {
namespace {

constexpr std::string_view kQwen[] = {"qwen"};
constexpr std::string_view kQwen2[] = {"qwen2"};
constexpr std::string_view kQwen2Moe[] = {"qwen2moe"};
constexpr std::string_view kQwen3[] = {"qwen3"};
constexpr std::string_view kQwen3Moe[] = {"qwen3moe"};

// ---- what a file looks like

bool looks_like_qwen(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.attn_qkv.bias") && m.has_tensor("blk.0.ffn_gate.weight") && !m.has_tensor("blk.0.attn_norm.bias");
}

bool looks_like_qwen2(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.attn_q.bias") && !m.has_tensor("blk.0.attn_output.bias") && m.has_tensor("blk.0.ffn_gate.weight") &&
         !m.has_tensor("blk.0.attn_norm.bias") && !m.has_tensor("blk.0.attn_q_norm.weight");
}

bool looks_like_qwen2moe(const ModelDescriptor& m) noexcept { return m.has_tensor("blk.0.ffn_gate_inp_shexp.weight"); }

bool has_qwen3_attention(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.attn_q_norm.weight") && m.has_tensor("blk.0.attn_k_norm.weight") &&
         m.has_tensor("blk.0.ffn_norm.weight") && !m.has_tensor("blk.0.post_attention_norm.weight");
}

bool looks_like_qwen3(const ModelDescriptor& m) noexcept {
  return has_qwen3_attention(m) && m.has_tensor("blk.0.ffn_gate.weight");
}

bool looks_like_qwen3moe(const ModelDescriptor& m) noexcept {
  return has_qwen3_attention(m) && has_stacked_experts(m);
}

// ---- numbers

/// A width that is a share of another.
Result<std::int64_t> share(const ModelDescriptor& model, const char* key, std::int64_t whole, std::int64_t parts,
                           const char* why) {
  if (whole % parts == 0) return whole / parts;
  const std::string name = model.key_prefix + "." + key;
  return Status::error(Code::metadata, fmt::format("metadata '{}' = {} is not a multiple of {}: {}", name, whole, parts, why))
      .about(name);
}

Result<DecoderConfig> configure_qwen(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  INFER_ASSIGN(DecoderConfig c, read_decoder_config(model, {}, warnings));
  INFER_ASSIGN(c.n_ff, share(model, "feed_forward_length", c.n_ff, 2, "gate and up have half of it each"));
  return c;
}

Result<DecoderConfig> configure_dense(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read_decoder_config(model, {}, warnings);
}

/// Without a width of their own the experts that a token runs through are together as wide as a dense block.
Result<DecoderConfig> read_experts(const ModelDescriptor& model, const Family& family, std::vector<std::string>& warnings) {
  INFER_ASSIGN(DecoderConfig c, read_decoder_config(model, family, warnings));
  if (!model.hyper.expert_feed_forward_length) {
    INFER_ASSIGN(c.experts.n_ff, share(model, "feed_forward_length", c.n_ff, c.experts.n_used,
                                       "the experts that a token runs through share it"));
  }
  return c;
}

Result<DecoderConfig> configure_qwen2moe(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read_experts(model, {.experts = Experts::required, .renormalise = false, .shared_expert = true}, warnings);
}

Result<DecoderConfig> configure_qwen3moe(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read_experts(model, {.experts = Experts::required}, warnings);
}

// ---- tensors

/// attn_output has no bias in the published models; one that a file has is added.
void fused_with_biases(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix) {
  bind_attention(b, c, w, prefix, {.fused = true, .qkv = Bias::required});
}

void with_biases(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix) {
  bind_attention(b, c, w, prefix, {.qkv = Bias::required});
}

template <BindAttention attention>
void bind(Binder& b, Decoder& d) {
  bind_ends(b, d);
  bind_pre_norm_layers(b, d, attention);
}

}  // namespace

constinit const Architecture architecture_qwen{.names = kQwen,
                                               .recognises = looks_like_qwen,
                                               .configure = configure_qwen,
                                               .bind = bind<fused_with_biases>,
                                               .layer = pre_norm_layer};
constinit const Architecture architecture_qwen2{.names = kQwen2,
                                                .recognises = looks_like_qwen2,
                                                .configure = configure_dense,
                                                .bind = bind<with_biases>,
                                                .layer = pre_norm_layer};
constinit const Architecture architecture_qwen2moe{.names = kQwen2Moe,
                                                   .recognises = looks_like_qwen2moe,
                                                   .configure = configure_qwen2moe,
                                                   .bind = bind<with_biases>,
                                                   .layer = pre_norm_layer};
constinit const Architecture architecture_qwen3{.names = kQwen3,
                                                .recognises = looks_like_qwen3,
                                                .configure = configure_dense,
                                                .bind = bind<attention_with_head_norms>,
                                                .layer = pre_norm_layer};
constinit const Architecture architecture_qwen3moe{.names = kQwen3Moe,
                                                   .recognises = looks_like_qwen3moe,
                                                   .configure = configure_qwen3moe,
                                                   .bind = bind<attention_with_head_norms>,
                                                   .layer = pre_norm_layer};

}  // namespace infer
