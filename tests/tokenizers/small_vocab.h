// SPDX-License-Identifier: MIT
// Small vocabularies for tests, written out piece by piece.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/tokenizer.h"

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

/// Adds pieces with falling scores: the earlier one is joined first.
inline void add_pieces(TokenizerSpec& spec, const std::vector<std::string>& pieces) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    add_token(spec, pieces[i], TokenType::normal, -static_cast<float>(i));
  }
}

}  // namespace infer::testing
