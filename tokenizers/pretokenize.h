// SPDX-License-Identifier: MIT
// Pre-tokenizers: the rules that cut a text into words before byte-level BPE joins bytes inside each. A model is
// trained with one of them, which tokenizer.ggml.pre names. Entry points: find_pretokenizer, split. Tested by
// tests/tokenizers/pretokenize_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace infer {

/// Cuts one piece: appends where its parts end, counted from `begin` on. Linear in the size of the piece.
using SplitStep = void (*)(std::string_view piece, std::uint32_t begin, std::vector<std::uint32_t>& ends);

struct Pretokenizer {
  std::string_view name;             ///< tokenizer.ggml.pre
  std::span<const SplitStep> steps;  ///< each cuts the pieces of the one before
  bool nfc = false;                  ///< the text is brought to normal form C first
  bool whole_words = false;          ///< a piece that is a token is not built by merges ("ignore_merges")
  bool add_bos = false;              ///< where the file does not say
  bool joins_caseless = false;       ///< words of letters without case stay together with the spaces between them
};

/// The rule of that name, or null.
const Pretokenizer* find_pretokenizer(std::string_view name) noexcept;
/// The names of all rules, for messages.
std::string pretokenizer_names();

/// Cuts the text, which has at most 2^32 - 1 bytes: `ends` receives where each piece ends. Bytes that are not UTF-8 are
/// cut as U+FFFD would be.
void split(const Pretokenizer& rule, std::string_view text, std::vector<std::uint32_t>& ends);

/// Whether both sides of a place inside the text are cut as the whole text is, with a cut at the place itself. That is
/// known of a letter before a space, a line end or a full stop or comma of Chinese; of other places it says no.
bool may_cut(const Pretokenizer& rule, std::string_view text, std::size_t at) noexcept;

}  // namespace infer
