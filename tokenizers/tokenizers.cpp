// SPDX-License-Identifier: MIT
// The table of tokenizer kinds. A new kind is one file, one declaration in tokenizers.h and one name here.
#include "tokenizers/tokenizers.h"

namespace infer {
namespace {

constexpr const TokenizerKind* kTokenizers[] = {&bpe_tokenizer, &spm_tokenizer, &unigram_tokenizer, &wordpiece_tokenizer};

}  // namespace

std::span<const TokenizerKind* const> builtin_tokenizers() noexcept { return kTokenizers; }

}  // namespace infer
