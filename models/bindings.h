// SPDX-License-Identifier: MIT
// The bindings that families share: which tensors a block has, by the names that GGUF gives them. A prefix is that of a
// layer, "blk.7.". Tested by tests/models/families_test.cpp.
#pragma once

#include <string>

#include "models/binder.h"

namespace infer {

/// "blk.7."
std::string layer_prefix(std::size_t layer);

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
/// attn_q_norm and attn_k_norm.
void bind_head_norms(Binder& b, const DecoderConfig& c, AttentionWeights& w, const std::string& prefix);

/// ffn_gate, ffn_up, ffn_down.
void bind_gated_ffn(Binder& b, const DecoderConfig& c, FfnWeights& w, const std::string& prefix);
/// ffn_up, ffn_down, with biases.
void bind_plain_ffn(Binder& b, const DecoderConfig& c, FfnWeights& w, const std::string& prefix);
/// ffn_gate_inp, ffn_gate_exps, ffn_up_exps, ffn_down_exps; for the shared one ffn_gate_inp_shexp and kin.
void bind_experts(Binder& b, const DecoderConfig& c, ExpertWeights& w, const std::string& prefix);

}  // namespace infer
