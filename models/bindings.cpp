// SPDX-License-Identifier: MIT
// Names and shapes. See bindings.h; docs/architectures.md has them as a table.
#include "models/bindings.h"

namespace infer {

void bind_ends(Binder& b, Decoder& d, NormKind norm, Bias head_bias) {
  const DecoderConfig& c = d.config;
  b.table(d.embedding, "token_embd", c.n_vocab, c.n_embd);
  b.norm(d.output_norm, "output_norm", c.n_embd, c.norm_eps, norm);
  if (head_bias == Bias::required || b.has("output.weight")) {
    b.linear(d.output, "output", c.n_vocab, c.n_embd, head_bias);
  } else {
    b.tie(d.output, d.embedding);
  }
  if (c.rope.n_rot == 0) return;
  if (c.rope.scaling == RopeScaling::longrope) {
    b.divisors(d.rope_factors, "rope_factors_short.weight", c.rope.n_rot / 2);
    b.divisors(d.long_rope_factors, "rope_factors_long.weight", c.rope.n_rot / 2);
  } else if (b.has("rope_freqs.weight")) {
    b.divisors(d.rope_factors, "rope_freqs.weight", c.rope.n_rot / 2);
  }
}

void bind_attention(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix,
                    const AttentionNames& names) {
  const std::int64_t q = c.n_heads * c.key_dim, k = c.n_kv_heads * c.key_dim, v = c.n_kv_heads * c.value_dim;
  const auto has = [&](const char* name) { return b.has(prefix + name + ".weight"); };
  const bool has_fused = has("attn_qkv"), has_separate = has("attn_q") || has("attn_k") || has("attn_v");
  if (has_fused || (names.fused && !has_separate)) {
    b.split({{w.q, q}, {w.k, k}, {w.v, v}}, prefix + "attn_qkv", c.n_embd, names.qkv);
  } else {
    b.linear(w.q, prefix + "attn_q", q, c.n_embd, names.qkv);
    b.linear(w.k, prefix + "attn_k", k, c.n_embd, names.qkv);
    b.linear(w.v, prefix + "attn_v", v, c.n_embd, names.qkv);
  }
  b.linear(w.output, prefix + "attn_output", c.n_embd, c.n_heads * c.value_dim, names.output);
}

void plain_attention(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix) {
  bind_attention(b, c, w, prefix);
}

void attention_with_head_norms(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix) {
  bind_attention(b, c, w, prefix);
  b.norm(w.q_norm, prefix + "attn_q_norm", c.key_dim, c.norm_eps);
  b.norm(w.k_norm, prefix + "attn_k_norm", c.key_dim, c.norm_eps);
}

void bind_gated_ffn(Binder& b, const DecoderConfig& c, FfnWeights& w, const std::string& prefix) {
  b.linear(w.gate, prefix + "ffn_gate", c.n_ff, c.n_embd);
  b.linear(w.up, prefix + "ffn_up", c.n_ff, c.n_embd);
  b.linear(w.down, prefix + "ffn_down", c.n_embd, c.n_ff);
}

void bind_plain_ffn(Binder& b, const DecoderConfig& c, FfnWeights& w, const std::string& prefix) {
  b.linear(w.up, prefix + "ffn_up", c.n_ff, c.n_embd, Bias::required);
  b.linear(w.down, prefix + "ffn_down", c.n_embd, c.n_ff, Bias::required);
}

void bind_feed_forward(Binder& b, const DecoderConfig& c, Layer& layer, const std::string& prefix) {
  if (c.experts.n > 0) {
    bind_experts(b, c, layer.experts, prefix);
  } else {
    bind_gated_ffn(b, c, layer.ffn, prefix);
  }
}

bool has_stacked_experts(const ModelDescriptor& m) noexcept {
  return m.has_tensor("blk.0.ffn_gate_exps.weight") || m.has_tensor("blk.0.ffn_gate_up_exps.weight");
}

void bind_experts(Binder& b, const DecoderConfig& c, ExpertWeights& w, const std::string& prefix) {
  const ExpertConfig& e = c.experts;
  b.linear(w.router, prefix + "ffn_gate_inp", e.n, c.n_embd);
  if (b.has(prefix + "ffn_gate_up_exps.weight")) {
    b.expert_pairs(w.each, &FfnWeights::gate, &FfnWeights::up, e.n, prefix + "ffn_gate_up", e.n_ff, c.n_embd);
  } else {
    b.experts(w.each, &FfnWeights::gate, e.n, prefix + "ffn_gate", e.n_ff, c.n_embd);
    b.experts(w.each, &FfnWeights::up, e.n, prefix + "ffn_up", e.n_ff, c.n_embd);
  }
  b.experts(w.each, &FfnWeights::down, e.n, prefix + "ffn_down", c.n_embd, e.n_ff);
  if (e.n_ff_shared == 0) return;
  b.linear(w.shared_gate, prefix + "ffn_gate_inp_shexp", 1, c.n_embd);
  b.linear(w.shared.gate, prefix + "ffn_gate_shexp", e.n_ff_shared, c.n_embd);
  b.linear(w.shared.up, prefix + "ffn_up_shexp", e.n_ff_shared, c.n_embd);
  b.linear(w.shared.down, prefix + "ffn_down_shexp", c.n_embd, e.n_ff_shared);
}

void bind_pre_norm_layers(Binder& b, Decoder& d, BindAttention attention, NormKind norm) {
  const DecoderConfig& c = d.config;
  for_each_layer(d, [&](Layer& l, const std::string& prefix) {
    b.norm(l.attn_norm, prefix + "attn_norm", c.n_embd, c.norm_eps, norm);
    attention(b, c, l.attn, prefix);
    b.norm(l.ffn_norm, prefix + "ffn_norm", c.n_embd, c.norm_eps, norm);
    bind_feed_forward(b, c, l, prefix);
  });
}

}  // namespace infer
