// SPDX-License-Identifier: MIT
// LLaMA (arXiv:2302.13971, 2307.09288, 2407.21783) and what carries its name in GGUF: Mistral 7B (arXiv:2310.06825, with a
// sliding window where the metadata has one), Mixtral (arXiv:2401.04088: experts, their weights renormalised), many
// fine-tunes, and models with biases. mistral3 is Mistral's later name for the same layer, with YaRN and scores that grow
// with the position (config.temperature_scale). The layer is the common one (models/blocks/layer.cpp):
//
//   x += attention(norm(x));  x += ffn(norm(x))
//
// with RMSNorm, rotary positions on interleaved pairs (the converter permutes q and k for them), grouped-query attention
// and SwiGLU. Tested by tests/models/families_test.cpp.
#include "models/architectures.h"
#include "models/bindings.h"
#include "models/blocks/blocks.h"
#include "models/config.h"

namespace infer {
namespace {

constexpr std::string_view kNames[] = {"llama", "mistral3"};

/// After all others: plain names, and nothing that is another family's.
bool recognises(const ModelDescriptor& model) noexcept {
  const auto has = [&](std::string_view name) { return model.has_tensor(name); };
  const bool dense = has("blk.0.ffn_gate.weight"), experts = has_stacked_experts(model);
  return has("token_embd.weight") && has("blk.0.attn_q.weight") && has("blk.0.attn_norm.weight") &&
         has("blk.0.ffn_norm.weight") && (dense || experts) && !has("blk.0.attn_norm.bias") &&
         !has("blk.0.attn_q_norm.weight") && !has("blk.0.post_attention_norm.weight");
}

Result<DecoderConfig> configure(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read_decoder_config(model, {.rope_style = RopeStyle::interleaved, .experts = Experts::allowed}, warnings);
}

void bind(Binder& b, Decoder& d) {
  bind_ends(b, d);
  bind_pre_norm_layers(b, d);
}

}  // namespace

constinit const Architecture architecture_llama{
    .names = kNames, .recognises = recognises, .configure = configure, .bind = bind, .layer = pre_norm_layer};

}  // namespace infer
