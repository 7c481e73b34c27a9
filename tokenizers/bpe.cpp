// SPDX-License-Identifier: MIT
// tokenizer.ggml.model = "gpt2": byte-level byte-pair encoding (Radford et al. 2019). The text is cut into words
// (pretokenize.h), the bytes of each become tokens, and neighbours are joined in the order of the merges (merges.h).
// Entry point: bpe_tokenizer. Tested by tests/tokenizers/bpe_test.cpp and golden_test.cpp.
//
// Most words are tokens themselves. Those that the merges lead to are found by one look-up of the whole word; which
// ones these are is found out when the vocabulary is loaded. With the rule's `whole_words` it is all of them.
//
// User-defined tokens are recognised always (in prompts those that look like control only where the text is trusted),
// control tokens with parse_special: the text is cut at the leftmost, longest of them first, before anything else is done to
// it. Bytes that are not UTF-8 are encoded as they are. What a
// vocabulary has no bytes for is left out, as the original tokenizers do, but for bytes beyond ASCII, which mostly are
// no text at all: they become U+FFFD.
#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/merges.h"
#include "tokenizers/pretokenize.h"
#include "tokenizers/text_matcher.h"
#include "tokenizers/tokenizers.h"
#include "tokenizers/unicode.h"
#include "tokenizers/vocab.h"

namespace infer {
namespace {

// Vocabularies write bytes as characters that print: those that do in Latin-1 as themselves, the others in their order
// from U+0100 on.
constexpr bool prints(std::size_t byte) noexcept {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}
constexpr std::array<char32_t, 256> kCharacterOfByte = [] {
  std::array<char32_t, 256> characters{};
  char32_t next = 0x100;
  for (std::size_t byte = 0; byte < 256; ++byte) characters[byte] = prints(byte) ? static_cast<char32_t>(byte) : next++;
  return characters;
}();
constexpr std::array<int, 0x144> kByteOfCharacter = [] {
  std::array<int, 0x144> bytes{};
  bytes.fill(-1);
  for (int byte = 0; byte < 256; ++byte) bytes[kCharacterOfByte[static_cast<std::size_t>(byte)]] = byte;
  return bytes;
}();

/// The bytes that a token of a vocabulary stands for; a text with other characters stands for itself.
std::string bytes_of(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += utf8_step(text.substr(i)).size) {
    const char32_t code = unicode::code_of(text.substr(i));
    if (code >= kByteOfCharacter.size() || kByteOfCharacter[code] < 0) return std::string(text);
    bytes += static_cast<char>(kByteOfCharacter[code]);
  }
  return bytes;
}

class BpeTokenizer final : public VocabTokenizer {
 public:
  BpeTokenizer(Vocab vocab, StringList pieces, Merges merges, const Pretokenizer& rule, bool space_prefix)
      : VocabTokenizer(std::move(vocab), std::move(pieces), space_prefix),
        merges_(std::move(merges)),
        rule_(rule),
        space_prefix_(space_prefix) {}
  /// Takes in the texts of all tokens; encode() needs it. Errors: vocab, cancelled.
  Status index(const CancelFlag* cancel, std::vector<std::string>& warnings);

  std::uint64_t memory() const noexcept override {
    return VocabTokenizer::memory() + merges_.memory() + words_.memory();
  }

 protected:
  const TextMatcher& usual_marks() const noexcept override { return user_defined_marks(); }
  std::unique_ptr<TextEncoder> make_encoder(const EncodeOptions& options, SpanNotes& spans) const override;
  bool may_cut(std::string_view text, std::size_t at) const override { return infer::may_cut(rule_, text, at); }

 private:
  friend class Encoder;

  Status index_words(const CancelFlag* cancel);

  Merges merges_;
  const Pretokenizer& rule_;
  bool space_prefix_;
  std::array<Token, 256> bytes_{};
  Token unknown_ =
      kNoToken;    // for bytes without a token; only one of type unknown, so that no text becomes a control token
  TextMap words_;  // the tokens that a word becomes as a whole, by their bytes
  std::size_t longest_word_ = 0;
};

class Encoder final : public TextEncoder {
 public:
  Encoder(const BpeTokenizer& tokenizer, SpanNotes& spans) : t_(tokenizer), spans_(spans), joiner_(tokenizer.merges_) {}

  Status encode(std::string_view text, bool continued, std::vector<Token>& out) override;
  /// What the merges make of a word.
  void encode_word(std::string_view word, std::vector<Token>& out);

 private:
  void add_bytes(std::string_view bytes);
  void note_changes(std::size_t prefix_size, const std::vector<unicode::Change>& changes, std::size_t text_size);
  void note_word(std::string_view word, std::size_t begin, std::span<const Token> tokens);

  const BpeTokenizer& t_;
  SpanNotes& spans_;
  Joiner joiner_;
  std::vector<std::uint32_t> ends_;  // of words
  std::string prefixed_, normal_;
};

Status Encoder::encode(std::string_view text, bool continued, std::vector<Token>& out) {
  const bool is_prefixed = t_.space_prefix_ && !continued && !text.empty() && text[0] != ' ';
  if (is_prefixed) text = prefixed_.assign(1, ' ').append(text);
  std::vector<unicode::Change> changes;
  const std::size_t size_before = text.size();
  if (t_.rule_.nfc) text = unicode::to_nfc(text, normal_, spans_.wanted() ? &changes : nullptr);
  if (spans_.wanted()) note_changes(is_prefixed ? 1 : 0, changes, size_before);
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return Status::error(Code::limit, fmt::format("text: {} bytes in normal form exceed 2147483647", text.size()));
  }
  split(t_.rule_, text, ends_);
  std::size_t begin = 0;
  for (const std::uint32_t end : ends_) {
    const std::string_view word = text.substr(begin, end - begin);
    const Token token = word.size() <= t_.longest_word_ ? t_.words_.find(word, t_.pieces()) : kNoToken;
    const std::size_t n_before = out.size();
    if (token != kNoToken) {
      out.push_back(token);
    } else {
      encode_word(word, out);
    }
    if (spans_.wanted()) note_word(word, begin, std::span<const Token>(out).subspan(n_before));
    begin = end;
  }
  return {};
}

// The prefix is no part of the text, whatever became of it.
void Encoder::note_changes(std::size_t prefix_size, const std::vector<unicode::Change>& changes, std::size_t text_size) {
  std::size_t at = 0;
  if (prefix_size > 0 && (changes.empty() || changes[0].begin > 0)) {
    spans_.changed(0, prefix_size);
    at = prefix_size;
  }
  for (const unicode::Change& c : changes) {
    spans_.copied(c.begin - at);
    spans_.changed(c.end - std::max(c.begin, prefix_size), c.n_normal);
    at = c.end;
  }
  spans_.copied(text_size - at);
}

// Tokens lie side by side, except in a word with bytes that have no token: there each has the span of the word.
void Encoder::note_word(std::string_view word, std::size_t begin, std::span<const Token> tokens) {
  std::string_view rest = word;
  for (const Token token : tokens) {
    const std::string_view piece = t_.piece(token, true);
    if (!rest.starts_with(piece)) break;
    rest.remove_prefix(piece.size());
  }
  const bool side_by_side = rest.empty();
  std::size_t at = begin;
  for (const Token token : tokens) {
    const std::size_t next = side_by_side ? at + t_.piece(token, true).size() : begin + word.size();
    spans_.add(at, next);
    if (side_by_side) at = next;
  }
}

void Encoder::encode_word(std::string_view word, std::vector<Token>& out) {
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (t_.bytes_[byte] != kNoToken) {
      joiner_.add(t_.bytes_[byte]);
    } else if (t_.unknown_ != kNoToken) {
      joiner_.add(t_.unknown_);
    } else if (byte >= 0x80) {
      add_bytes(kReplacementCharacter);
    }
  }
  joiner_.join(out);
}

void Encoder::add_bytes(std::string_view bytes) {
  for (const char c : bytes) {
    if (const Token token = t_.bytes_[static_cast<unsigned char>(c)]; token != kNoToken) joiner_.add(token);
  }
}

Status BpeTokenizer::index(const CancelFlag* cancel, std::vector<std::string>& warnings) {
  int n_missing = 0;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    unicode::append(kCharacterOfByte[byte], character);
    const Token token = vocab().find(character);
    bytes_[byte] = token != kNoToken && type(token) == TokenType::normal ? token : kNoToken;
    n_missing += bytes_[byte] == kNoToken;
  }
  if (const Token unknown = vocab().unknown(); unknown != kNoToken && type(unknown) == TokenType::unknown) unknown_ = unknown;
  if (n_missing > 0) {
    warnings.push_back(fmt::format(
        "tokenizer.ggml.tokens: {} of the 256 bytes have no token; in a text they {}", n_missing,
        unknown_ != kNoToken ? "become the unknown token" : "are left out, or become U+FFFD if beyond ASCII"));
  }
  std::vector<TextMatcher::Entry> marks;
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    const TokenType kind = type(token);
    // Padding entries may be of type unknown, too; their texts are no marks.
    if (kind == TokenType::user_defined || kind == TokenType::control || (kind == TokenType::unknown && token == special().unk)) {
      marks.push_back({std::string(text(token)), token});
    }
  }
  set_marks(std::move(marks));
  return index_words(cancel);
}

Status BpeTokenizer::index_words(const CancelFlag* cancel) {
  words_ = TextMap(static_cast<std::size_t>(size()));
  SpanNotes no_spans;
  Encoder encoder(*this, no_spans);
  std::vector<Token> tokens;
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    const std::string_view word = pieces()[static_cast<std::size_t>(token)];
    if (type(token) != TokenType::normal || word.empty()) continue;
    if (!rule_.whole_words) {
      tokens.clear();
      encoder.encode_word(word, tokens);
      if (tokens.size() != 1 || tokens[0] != token) continue;
    }
    if (words_.add(token, pieces()) == kNoToken) {
      return Status::error(Code::vocab,
                           fmt::format("tokenizer.ggml.tokens has too many texts with the same hash: {} at token {}",
                                       TextMap::kMaxProbes, token))
          .about("tokenizer.ggml.tokens");
    }
    longest_word_ = std::max(longest_word_, word.size());
  }
  return {};
}

std::unique_ptr<TextEncoder> BpeTokenizer::make_encoder(const EncodeOptions&, SpanNotes& spans) const {
  return std::make_unique<Encoder>(*this, spans);
}

Result<StringList> make_pieces(const Vocab& vocab, const CancelFlag* cancel) {
  StringList pieces;
  for (Token token = 0; token < vocab.size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    const TokenType type = vocab.type(token);
    if (type == TokenType::normal) {
      pieces.push_back(bytes_of(vocab.text(token)));
    } else if (type == TokenType::unused) {
      pieces.push_back({});
    } else if (const int byte = vocab.byte_value(token); byte >= 0) {
      pieces.push_back(std::string(1, static_cast<char>(byte)));
    } else {
      pieces.push_back(vocab.text(token));
    }
  }
  return pieces;
}

Result<const Pretokenizer*> rule_of(const TokenizerSpec& spec, std::vector<std::string>& warnings) {
  constexpr const char* kKey = "tokenizer.ggml.pre";
  if (spec.pre.empty()) {
    warnings.push_back(
        fmt::format("{} is missing: text is split by the rule 'default', which may not be the model's", kKey));
  }
  const Pretokenizer* rule = find_pretokenizer(spec.pre.empty() ? "default" : spec.pre);
  if (rule == nullptr) {
    return Status::error(Code::pretokenizer, fmt::format("{} is {}, which is unknown; known: {}; the option "
                                                         "'allow_default_pretokenizer' takes 'default' instead",
                                                         kKey, quoted(spec.pre), pretokenizer_names()))
        .about(kKey);
  }
  return rule;
}

Result<std::unique_ptr<Tokenizer>> make_bpe(const TokenizerSpec& spec, const CancelFlag* cancel,
                                            std::vector<std::string>& warnings) {
  INFER_ASSIGN(const Pretokenizer* rule, rule_of(spec, warnings));
  INFER_ASSIGN(Vocab vocab, Vocab::build(spec, {.add_bos = rule->add_bos}, cancel));
  vocab.judge(warnings);
  INFER_ASSIGN(Merges merges, Merges::build(spec.merges, vocab, cancel, warnings));
  INFER_ASSIGN(StringList pieces, make_pieces(vocab, cancel));
  auto tokenizer = std::make_unique<BpeTokenizer>(std::move(vocab), std::move(pieces), std::move(merges), *rule,
                                                  spec.add_space_prefix.value_or(false));
  INFER_TRY(tokenizer->index(cancel, warnings));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace

constinit const TokenizerKind bpe_tokenizer{.name = "gpt2", .make = make_bpe};

}  // namespace infer
