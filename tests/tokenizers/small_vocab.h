// SPDX-License-Identifier: MIT
// Small vocabularies for tests, written out piece by piece.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/tokenizer.h"
#include "tokenizers/unicode.h"

namespace infer::testing {

inline void add_token(TokenizerSpec& spec, std::string_view text, TokenType type, float score = 0.0F) {
  spec.tokens.push_back(text);
  spec.scores.push_back(score);
  spec.types.push_back(static_cast<std::int32_t>(type));
}

/// "llama": <unk> <s> </s> as 0 1 2, then <0x00> to <0xFF> from 3 on when asked for; pieces follow.
inline TokenizerSpec llama_spec(bool with_bytes = true) {
  TokenizerSpec spec;
  spec.model = "llama";
  add_token(spec, "<unk>", TokenType::unknown);
  add_token(spec, "<s>", TokenType::control);
  add_token(spec, "</s>", TokenType::control);
  for (int byte = 0; with_bytes && byte < 256; ++byte) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    const std::string text = {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
    add_token(spec, text, TokenType::byte);
  }
  return spec;
}

/// "gpt2": the characters that stand for the bytes 0 to 255, as these tokens; every merge, "left right", adds the token it
/// gives. Bytes that do not print are written from U+0100 on: a space is U+0120, "Ġ".
inline TokenizerSpec gpt2_spec(const std::vector<std::string>& merges = {}) {
  TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    std::string text;
    unicode::append(prints ? byte : next++, text);
    add_token(spec, text, TokenType::normal);
  }
  for (const std::string& merge : merges) {
    spec.merges.push_back(merge);
    std::string text = merge;
    text.erase(text.find(' '), 1);
    add_token(spec, text, TokenType::normal);
  }
  return spec;
}

/// Adds pieces with falling scores: the earlier one is joined first.
inline void add_pieces(TokenizerSpec& spec, const std::vector<std::string>& pieces) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    add_token(spec, pieces[i], TokenType::normal, -static_cast<float>(i));
  }
}

}  // namespace infer::testing
