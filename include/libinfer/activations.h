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

/// Rotary positions of one kind of layer.
struct Rotation {
  std::span<double> frequencies;   ///< (n_pairs) radians per position; filled at creation, for this context size
  double magnitude = 1.0;          ///< factor on cosine and sine
  MatF32 cos;                      ///< (batch, n_pairs) of each row's position
  MatF32 sin;                      ///< (batch, n_pairs)
};

struct Activations {
  MatF32 x;             ///< (batch, n_embd) the residual stream
  MatF32 h;             ///< (batch, n_embd) normed input of a block, then its output
  MatF32 branch;        ///< (batch, n_embd) output of a block whose input is still needed
  MatF32 q;             ///< (batch, n_heads * key_dim)
  MatF32 k;             ///< (batch, n_kv_heads * key_dim)
  MatF32 v;             ///< (batch, n_kv_heads * value_dim)
  MatF32 attn;          ///< (batch, n_heads * value_dim)
  MatF32 gate;          ///< (batch, widest feed-forward block)
  MatF32 up;            ///< (batch, widest feed-forward block)
  Rotation rope;
  Rotation local_rope;  ///< of layers with a window, where it is another
  MatF32 router;        ///< (batch, n_experts) logits; these four only in models with experts
  std::span<std::int32_t> chosen;     ///< (batch, n_used) experts
  std::span<float> chosen_weights;    ///< (batch, n_used)
  MatF32 expert;        ///< (batch, n_embd) rows of one expert: input, then output
  std::byte* input[kInputFormCount] = {};   ///< what products take, of x in one of its forms: (batch, widest input)
  std::byte* scratch = nullptr;   ///< (n_threads, scratch_bytes) what kernels use while they run
  std::size_t scratch_bytes = 0;
  MatF32 logits;        ///< (n_logits, n_vocab)
};

struct ActivationSizes {
  std::int64_t batch = 0;
  std::int64_t n_logits = 0;
  std::int64_t n_threads = 1;
  std::size_t scratch_bytes = 0;   ///< of each thread
};

/// Takes all buffers from `workspace` (counts only, when it is a planning one). Implemented in models/activations.cpp.
Activations layout_activations(Workspace& workspace, const DecoderConfig& config, const ActivationSizes& sizes) noexcept;

}  // namespace infer
