// SPDX-License-Identifier: MIT
// GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): the classic. Positions are learned,
// one row each, and there are no more of them; layer norms; every query head has its own keys and values, all three in one
// matrix; a plain feed-forward block with GELU; biases everywhere but on the head. Tested by tests/models/families_test.cpp.
#include "models/architectures.h"
#include "models/bindings.h"
#include "models/blocks/blocks.h"
#include "models/config.h"

namespace infer {
namespace {

constexpr std::string_view kNames[] = {"gpt2"};

bool recognises(const ModelDescriptor& model) noexcept {
  return model.has_tensor("position_embd.weight") && model.has_tensor("blk.0.attn_qkv.bias") &&
         model.has_tensor("blk.0.ffn_up.bias");
}

Result<DecoderConfig> configure(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  INFER_ASSIGN(DecoderConfig c, read_decoder_config(model, {.rotary = false, .activation = Activation::gelu}, warnings));
  c.max_positions = c.context_length;
  return c;
}

void bind(Binder& b, Decoder& d) {
  const DecoderConfig& c = d.config;
  bind_ends(b, d, NormKind::layer);
  b.table(d.positions, "position_embd", c.max_positions, c.n_embd);
  for_each_layer(d, [&](Layer& l, const std::string& prefix) {
    b.norm(l.attn_norm, prefix + "attn_norm", c.n_embd, c.norm_eps, NormKind::layer);
    bind_attention(b, c, l.attn, prefix, {.fused = true, .qkv = Bias::required, .output = Bias::required});
    b.norm(l.ffn_norm, prefix + "ffn_norm", c.n_embd, c.norm_eps, NormKind::layer);
    bind_plain_ffn(b, c, l.ffn, prefix);
  });
}

}  // namespace

constinit const Architecture architecture_gpt2{
    .names = kNames, .recognises = recognises, .configure = configure, .bind = bind, .layer = pre_norm_layer};

}  // namespace infer
