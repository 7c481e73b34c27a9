// SPDX-License-Identifier: MIT
// A second opinion on llama models: the decoder written once more from the papers, in double precision, without cache,
// kernels, threads or batches, and without a line of models/. Slow, and meant for tiny models.
// LLaMA arXiv:2302.13971, RMSNorm 1910.07467, RoPE 2104.09864, GQA 2305.13245, SwiGLU 2002.05202, window 2310.06825,
// linear scaling 2306.15595, YaRN 2309.00071.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "libinfer/model_descriptor.h"
#include "libinfer/tokenizer.h"

namespace infer::testing {

/// The logits of every position, (ids.size(), n_vocab). `file` has the bytes that the descriptor's tensors point into.
std::vector<double> oracle_logits(const ModelDescriptor& model, std::span<const std::byte> file,
                                  std::span<const Token> ids);

}  // namespace infer::testing
