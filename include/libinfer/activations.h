// SPDX-License-Identifier: MIT
// Every buffer of a forward pass, named, with its shape. One function lays them out; a session runs it twice (see
// workspace.h). Nothing else is written during a step but these, the KV cache and the logits.
#pragma once

#include <cstdint>
#include <span>

#include "libinfer/kernels.h"
#include "libinfer/tensor.h"
#include "libinfer/workspace.h"

namespace infer {

struct DecoderConfig;

struct Activations {
  MatF32 x;             ///< (batch, n_embd) the residual stream
  MatF32 h;             ///< (batch, n_embd) normed input of a block, then its output
  MatF32 q;             ///< (batch, n_heads * key_dim)
  MatF32 k;             ///< (batch, n_kv_heads * key_dim)
  MatF32 v;             ///< (batch, n_kv_heads * value_dim)
  MatF32 attn;          ///< (batch, n_heads * value_dim)
  MatF32 gate;          ///< (batch, n_ff)
  MatF32 up;            ///< (batch, n_ff)
  MatF32 rope_cos;      ///< (batch, n_pairs) of each row's position
  MatF32 rope_sin;      ///< (batch, n_pairs)
  std::byte* input[kInputFormCount] = {};   ///< what products take, of x in one of its forms: (batch, widest input)
  MatF32 logits;        ///< (n_logits, n_vocab)
  std::span<double> rope_frequencies;   ///< (n_pairs) radians per position; filled at creation, for this context size
  double rope_magnitude = 1.0;          ///< factor on cosine and sine
};

struct ActivationSizes {
  std::int64_t batch = 0;
  std::int64_t n_logits = 0;
};

/// Takes all buffers from `workspace` (counts only, when it is a planning one). Implemented in models/activations.cpp.
Activations layout_activations(Workspace& workspace, const DecoderConfig& config, const ActivationSizes& sizes) noexcept;

}  // namespace infer
