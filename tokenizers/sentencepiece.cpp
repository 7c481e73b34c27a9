// SPDX-License-Identifier: MIT
// Spaces as U+2581, and tokens for bytes. See sentencepiece.h.
#include "tokenizers/sentencepiece.h"

#include <algorithm>

#include <fmt/format.h>

namespace infer::sentencepiece {

void append_escaped(std::string_view text, std::string& out) {
  out.reserve(out.size() + text.size() + text.size() / 2);
  for (std::size_t begin = 0;; ++begin) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    out.append(text, begin, end - begin);
    if (end == text.size()) return;
    out += kEscapedSpace;
    begin = end;
  }
}

std::string escape_spaces(std::string_view text) {
  std::string escaped;
  append_escaped(text, escaped);
  return escaped;
}

std::string unescape_spaces(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const std::size_t n = std::min(text.find(kEscapedSpace), text.size());
    plain += text.substr(0, n);
    text.remove_prefix(n);
    if (text.empty()) break;
    plain += ' ';
    text.remove_prefix(kEscapedSpace.size());
  }
  return plain;
}

std::vector<TextMatcher::Entry> special_texts(const Vocab& vocab) {
  std::vector<TextMatcher::Entry> texts;
  for (Token token = 0; token < vocab.size(); ++token) {
    const TokenType type = vocab.type(token);
    if (type == TokenType::user_defined) {
      texts.push_back({unescape_spaces(vocab.text(token)), token});  // files write their spaces either way
    } else if (type == TokenType::control || (type == TokenType::unknown && token == vocab.special().unk)) {
      texts.push_back({std::string(vocab.text(token)), token});
    }
  }
  return texts;
}

Status append_without_piece(const Vocab& vocab, std::string_view characters, std::size_t begin, std::vector<Token>& tokens,
                            SpanNotes& spans, bool& after_unknown) {
  const auto byte_token = [&vocab](char c) { return vocab.byte_token(static_cast<unsigned char>(c)); };
  if (std::all_of(characters.begin(), characters.end(), [&](char c) { return byte_token(c) != kNoToken; })) {
    for (const char c : characters) {
      tokens.push_back(byte_token(c));
      spans.add(begin, begin + 1);
      ++begin;
    }
    after_unknown = false;
    return {};
  }
  const Token unknown = vocab.unknown();
  if (unknown == kNoToken) {
    return Status::error(Code::utf8, fmt::format("text: the vocabulary has no token for byte 0x{:02x} and no unknown "
                                                 "token",
                                                 static_cast<unsigned char>(characters[0])));
  }
  if (after_unknown) {
    spans.extend(begin + characters.size());
  } else {
    tokens.push_back(unknown);
    spans.add(begin, begin + characters.size());
  }
  after_unknown = true;
  return {};
}

Result<StringList> make_pieces(const Vocab& vocab, const CancelFlag* cancel) {
  StringList pieces;
  for (Token token = 0; token < vocab.size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    const TokenType type = vocab.type(token);
    const int byte = vocab.byte_value(token);
    if (byte >= 0) {
      const char c = static_cast<char>(byte);
      pieces.push_back(std::string_view(&c, 1));
    } else if (type == TokenType::control || type == TokenType::unknown) {
      pieces.push_back(vocab.text(token));
    } else {
      pieces.push_back(unescape_spaces(vocab.text(token)));
    }
  }
  return pieces;
}

void judge_bytes(const Vocab& vocab, std::vector<std::string>& warnings) {
  int n_missing = 0;
  for (int byte = 0; byte < 256; ++byte) n_missing += vocab.byte_token(static_cast<unsigned char>(byte)) == kNoToken;
  if (n_missing == 0) return;
  const char* const fate = vocab.unknown() != kNoToken         ? "become the unknown token"
                           : vocab.special().unk == kNoToken ? "cannot be encoded"
                                                             : "cannot be encoded, since the unknown token begins a text or "
                                                               "ends a generation";
  warnings.push_back(fmt::format("tokenizer.ggml.tokens: {} of the 256 byte tokens <0x00> to <0xFF> are missing; characters "
                                 "without a piece {}",
                                 n_missing, fate));
}

}  // namespace infer::sentencepiece
