// SPDX-License-Identifier: MIT
// LLaMA (arXiv:2302.13971, 2307.09288, 2407.21783) and what carries its name in GGUF: Mistral 7B (arXiv:2310.06825,
// with a sliding window where the metadata has one), many fine-tunes, and models with attention biases.
// Pre-norm transformer: RMSNorm, rotary positions on interleaved pairs (the converter permutes q and k for them),
// grouped-query attention, SwiGLU. Tested by tests/models/llama_test.cpp.
#include <fmt/format.h>

#include "models/architectures.h"
#include "models/binder.h"
#include "models/blocks/blocks.h"
#include "models/config.h"
#include "src/base/range.h"

namespace infer {
namespace {

constexpr std::string_view kNames[] = {"llama"};

bool recognises(const ModelDescriptor& model) noexcept {
  const auto has = [&](std::string_view name) { return model.find_tensor(name) != nullptr; };
  return has("token_embd.weight") && has("blk.0.attn_q.weight") && has("blk.0.ffn_gate.weight") &&
         has("blk.0.attn_norm.weight") && has("blk.0.ffn_norm.weight") &&
         !has("blk.0.attn_q_norm.weight") && !has("blk.0.post_attention_norm.weight");
}

/// Dense models only, but what the file says of experts must be right for that to be the reason.
Status check_experts(const ModelDescriptor& model) {
  constexpr std::int64_t kMaxExperts = 1024;
  constexpr const char* kCount = "llama.expert_count";
  constexpr const char* kUsed = "llama.expert_used_count";
  const std::int64_t n = model.hyper.n_experts.value_or(0);
  if (n == 0) return {};
  if (n < 0 || n > kMaxExperts) {
    return Status::error(Code::limit, outside(fmt::format("metadata '{}'", kCount), n, 0, kMaxExperts)).about(kCount);
  }
  const std::int64_t n_used = model.hyper.n_experts_used.value_or(n);
  if (n_used < 1 || n_used > n) {
    return Status::error(Code::metadata, outside(fmt::format("metadata '{}'", kUsed), n_used, 1, n)).about(kUsed);
  }
  constexpr const char* kRouter = "blk.0.ffn_gate_inp.weight";
  if (model.find_tensor(kRouter) == nullptr) {
    return Status::error(Code::tensor, fmt::format("tensor '{}' is missing: metadata '{}' = {} announces experts", kRouter,
                                                   kCount, n))
        .about(kRouter);
  }
  return Status::error(Code::unsupported, fmt::format("a model with {} experts cannot be run yet; dense models can", n))
      .about(kCount);
}

Result<DecoderConfig> configure(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  INFER_ASSIGN(DecoderConfig config, read_decoder_config(model, warnings));
  INFER_TRY(check_experts(model));
  config.rope.style = RopeStyle::interleaved;
  return config;
}

void bind(Binder& b, Decoder& d) {
  const DecoderConfig& c = d.config;
  b.table(d.embedding, "token_embd", c.n_vocab, c.n_embd);
  for (std::size_t i = 0; i < d.layers.size(); ++i) {
    Layer& l = d.layers[i];
    const auto name = [i](std::string_view part) { return fmt::format("blk.{}.{}", i, part); };
    b.norm(l.attn_norm, name("attn_norm"), c.n_embd, c.norm_eps);
    b.linear(l.attn.q, name("attn_q"), c.n_heads * c.key_dim, c.n_embd);
    b.linear(l.attn.k, name("attn_k"), c.n_kv_heads * c.key_dim, c.n_embd);
    b.linear(l.attn.v, name("attn_v"), c.n_kv_heads * c.value_dim, c.n_embd);
    b.linear(l.attn.output, name("attn_output"), c.n_embd, c.n_heads * c.value_dim);
    b.norm(l.ffn_norm, name("ffn_norm"), c.n_embd, c.norm_eps);
    b.linear(l.ffn.gate, name("ffn_gate"), c.n_ff, c.n_embd);
    b.linear(l.ffn.up, name("ffn_up"), c.n_ff, c.n_embd);
    b.linear(l.ffn.down, name("ffn_down"), c.n_embd, c.n_ff);
  }
  b.norm(d.output_norm, "output_norm", c.n_embd, c.norm_eps);
  if (!b.optional_linear(d.output, "output", c.n_vocab, c.n_embd)) b.tie(d.output, d.embedding);
  b.optional_divisors(d.rope_factors, "rope_freqs.weight", c.rope.n_rot / 2);
}

/// x += attention(norm(x)); x += ffn(norm(x)).
void layer(Step& s, const Layer& l, std::int64_t index) noexcept {
  const std::int64_t n = static_cast<std::int64_t>(s.rows.size());
  const MatF32 x = s.act.x.first_rows(n), h = s.act.h.first_rows(n);
  rms_norm(s, l.attn_norm, x, h);
  attention(s, l.attn, index, h, h);
  add(s, x, h);
  rms_norm(s, l.ffn_norm, x, h);
  gated_ffn(s, l.ffn, h, h);
  add(s, x, h);
}

}  // namespace

constinit const Architecture architecture_llama{
    .names = kNames, .recognises = recognises, .configure = configure, .bind = bind, .layer = layer};

}  // namespace infer
