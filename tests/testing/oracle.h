// SPDX-License-Identifier: MIT
// A second opinion on all families: the decoder written once more from the papers, in double precision, without cache,
// kernels, threads or batches, and without a line of models/. Slow, and meant for tiny models. Golden logits hold it to
// others' word (oracle_test.cpp), and it holds the library where there are none (tests/models).
// LLaMA arXiv:2302.13971, RMSNorm 1910.07467, LayerNorm 1607.06450, RoPE 2104.09864, GQA 2305.13245, SwiGLU 2002.05202,
// GELU 1606.08415, window 2310.06825, linear scaling 2306.15595, YaRN 2309.00071, LongRoPE 2402.13753, Mixtral
// 2401.04088, shared experts 2401.06066, SparseMixer 2409.12136, Phi 2309.05463, Gemma 2403.08295, 2408.00118 and
// 2503.19786, Qwen 2309.16609, 2407.10671 and 2505.09388, GPT-2 (Radford et al. 2019).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "libinfer/model_descriptor.h"
#include "libinfer/tokenizer.h"

namespace infer::testing {

/// What products are given: activations as they are, or rounded to bfloat16 where the weights are in it (docs/numerics.md).
enum class Activations { exact, rounded_to_bf16 };

/// The logits of every position, (ids.size(), n_vocab), in a session of n_ctx positions. `file` has the bytes that the
/// descriptor's tensors point into.
std::vector<double> oracle_logits(const ModelDescriptor& model, std::span<const std::byte> file,
                                  std::span<const Token> ids, std::int64_t n_ctx,
                                  Activations activations = Activations::exact);

}  // namespace infer::testing
