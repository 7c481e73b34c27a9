// SPDX-License-Identifier: MIT
// The table of tokenizer kinds: one constant object for each file of this folder that implements one. The runtime looks
// tokenizer.ggml.model up in it (src/runtime/library.cpp).
#pragma once

#include <span>

#include "libinfer/tokenizer.h"

namespace infer {

extern const TokenizerKind bpe_tokenizer;        // bpe.cpp: "gpt2"
extern const TokenizerKind spm_tokenizer;        // spm.cpp: "llama"
extern const TokenizerKind unigram_tokenizer;    // unigram.cpp: "t5"
extern const TokenizerKind wordpiece_tokenizer;  // wordpiece.cpp: "bert"

std::span<const TokenizerKind* const> builtin_tokenizers() noexcept;

}  // namespace infer
