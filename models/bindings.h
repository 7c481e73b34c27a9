// SPDX-License-Identifier: MIT
// The bindings that families share: which tensors a block has, by the names that GGUF gives them. A prefix is that of a
// layer, "blk.7.". Tested by tests/models/families_test.cpp.
#pragma once

#include <string>

#include "models/binder.h"

namespace infer {

/// fn(layer, its prefix) for each layer.
template <class Fn>
void for_each_layer(Decoder& decoder, const Fn& fn) {
  for (std::size_t i = 0; i < decoder.layers.size(); ++i) fn(decoder.layers[i], "blk." + std::to_string(i) + ".");
}

/// token_embd, output_norm, output (or the embedding again where the file has none), and divisors of the RoPE frequencies.
void bind_ends(Binder& b, Decoder& d, NormKind norm = NormKind::rms, Bias head_bias = Bias::optional);

/// Queries, keys and values in three matrices or below one another in attn_qkv; attn_output.
struct AttentionNames {
  bool fused = false;                ///< which of the two is missed where the file has neither
  Bias qkv = Bias::optional;
  Bias output = Bias::optional;
};
void bind_attention(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix,
                    const AttentionNames& names = {});
/// Binds the attention of a layer as a family has it.
using BindAttention = void (*)(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix);
/// Biases where the file has them.
void plain_attention(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix);
/// The same, with attn_q_norm and attn_k_norm.
void attention_with_head_norms(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix);

/// ffn_gate, ffn_up, ffn_down.
void bind_gated_ffn(Binder& b, const DecoderConfig& c, FfnWeights& w, const std::string& prefix);
/// ffn_up, ffn_down, with biases.
void bind_plain_ffn(Binder& b, const DecoderConfig& c, FfnWeights& w, const std::string& prefix);
/// Experts where the model has them, else a gated block.
void bind_feed_forward(Binder& b, const DecoderConfig& c, Layer& layer, const std::string& prefix);
/// The layers of most families: attn_norm, what `attention` binds, ffn_norm, bind_feed_forward.
void bind_pre_norm_layers(Binder& b, Decoder& d, BindAttention attention = plain_attention, NormKind norm = NormKind::rms);
/// Whether the first layer has a tensor of the gates of all experts, alone or above what goes up.
bool has_stacked_experts(const ModelDescriptor& m) noexcept;
/// ffn_gate_inp; ffn_gate_exps and ffn_up_exps, or both in ffn_gate_up_exps; ffn_down_exps; for the shared one ffn_gate_inp_shexp and kin.
void bind_experts(Binder& b, const DecoderConfig& c, ExpertWeights& w, const std::string& prefix);

}  // namespace infer
