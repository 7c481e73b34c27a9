// SPDX-License-Identifier: MIT
// The vocabularies of the fuzz targets `tokenize` and `detokenize_stream`: a small one of each kind of tokenizer, of which
// the input chooses one. A further kind is a further entry of vocabularies().
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/tokenizers.h"

namespace infer::fuzz {

struct Vocabulary {
  std::unique_ptr<const TokenizerSpec> spec;   ///< the tokenizer borrows from it
  std::unique_ptr<const Tokenizer> tokenizer;
  /// What of a text is kept: decode(encode(text)) and text are the same after it.
  std::string (*plain)(std::string text);
};

inline Vocabulary make_vocabulary(const TokenizerKind& kind, TokenizerSpec spec, std::string (*plain)(std::string)) {
  Vocabulary made{.spec = std::make_unique<const TokenizerSpec>(std::move(spec)), .tokenizer = nullptr, .plain = plain};
  std::vector<std::string> warnings;
  made.tokenizer = kind.make(*made.spec, nullptr, warnings).value();
  return made;
}

/// SentencePiece writes a space as U+2581. A stray byte in front of one keeps its bytes apart, so it may come back as it is.
inline std::string with_plain_spaces(std::string text) {
  for (std::size_t at = 0; (at = text.find("\u2581", at)) != std::string::npos; ++at) {
    text.erase(at, 2);
    text[at] = ' ';
  }
  return text;
}

/// One like any text, one written like a control token.
inline void add_user_defined(TokenizerSpec& spec) {
  testing::add_token(spec, "<mark>", TokenType::user_defined);
  testing::add_token(spec, "<|User|>", TokenType::user_defined);
}

/// "llama", with all bytes, and pieces that join to longer ones.
inline Vocabulary spm_vocabulary() {
  TokenizerSpec spec = testing::llama_spec();
  testing::add_pieces(spec, {"\u2581", "e", "t", "h", "a", "n", "\u2581t", "he", "\u2581the", "in", "an", "aa", "aaaa", "é", "\n"});
  add_user_defined(spec);
  testing::add_token(spec, "<|end|>", TokenType::control);
  spec.bos = 1, spec.eos = 2, spec.unk = 0;
  return make_vocabulary(spm_tokenizer, std::move(spec), with_plain_spaces);
}

/// "gpt2", likewise, with the split of a pre-tokenizer that keeps every byte.
inline Vocabulary bpe_vocabulary() {
  TokenizerSpec spec =
      testing::gpt2_spec({"h e", "Ġ t", "Ġt he", "i n", "a n", "Ġ Ġ", "ĠĠ ĠĠ", "a a", "aa aa", "Ã ©", "ð Ł", "1 2", "Ċ Ċ"});
  spec.pre = "llama-bpe";
  testing::add_token(spec, "<|begin|>", TokenType::control);
  testing::add_token(spec, "<|end|>", TokenType::control);
  add_user_defined(spec);
  const auto n = static_cast<std::int64_t>(spec.tokens.size());
  spec.bos = n - 4, spec.eos = n - 3;
  spec.add_bos = true;
  return make_vocabulary(bpe_tokenizer, std::move(spec), [](std::string text) { return text; });
}

/// "bert": loses case, accents and white space.
inline Vocabulary wordpiece_vocabulary() {
  TokenizerSpec spec;
  spec.model = "bert";
  for (const char* mark : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) testing::add_token(spec, mark, TokenType::control);
  testing::add_pieces(spec, {"\u2581a", "\u2581e", "e", "a", "t", "h", "\u2581the", "in", "\u2581.", "\u2581,", "\u2581\u4e2d"});
  add_user_defined(spec);
  spec.unk = 1, spec.bos = 2, spec.eos = 3;
  return make_vocabulary(wordpiece_tokenizer, std::move(spec), [](std::string) { return std::string(); });
}

/// "t5", with all bytes: loses spaces beside spaces.
inline Vocabulary unigram_vocabulary() {
  TokenizerSpec spec = testing::llama_spec();
  spec.model = "t5";
  testing::add_pieces(spec, {"\u2581", "e", "t", "h", "a", "n", "\u2581t", "he", "\u2581the", "in", "an", "aa", "aaaa", "é"});
  add_user_defined(spec);
  spec.bos = 1, spec.eos = 2, spec.unk = 0;
  return make_vocabulary(unigram_tokenizer, std::move(spec), [](std::string) { return std::string(); });
}

inline const std::vector<Vocabulary>& vocabularies() {
  static const std::vector<Vocabulary> all = [] {
    std::vector<Vocabulary> made;
    made.push_back(spm_vocabulary());
    made.push_back(bpe_vocabulary());
    made.push_back(wordpiece_vocabulary());
    made.push_back(unigram_vocabulary());
    return made;
  }();
  return all;
}

/// Two bits of the choice are the target's own.
inline const Vocabulary& chosen_vocabulary(std::uint8_t choice) { return vocabularies()[(choice >> 2) % vocabularies().size()]; }

}  // namespace infer::fuzz
