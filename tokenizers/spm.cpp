// SPDX-License-Identifier: MIT
// tokenizer.ggml.model = "llama": byte-pair encoding as SentencePiece does it (Kudo and Richardson 2018): spaces become
// U+2581, the text is cut into characters, and of all neighbours whose concatenation is a piece the pair with the best
// score is joined, the leftmost first, until none is left. Entry point: spm_tokenizer. Tested by
// tests/tokenizers/spm_test.cpp and golden_test.cpp.
//
// Two things beside the paper make it quick. Joining never crosses a place where no piece has these two characters side
// by side, so the text is cut there first and every part, mostly a word, is encoded with a heap that stays in the
// cache. And a pair is looked up once, when its members become neighbours.
//
// User-defined tokens are recognised always. As SentencePiece has it they are pieces that nothing is joined to, and the
// space prefix stands before one that begins a text. With parse_special they are marks like control tokens: the text is
// cut at the leftmost, longest marks first, and every part between gets its own prefix.
//
// Text that is not UTF-8 is cut by the high bits of first bytes alone and ends up as byte tokens, as in other
// implementations: a space within the length that a broken character announces becomes the bytes of U+2581.
#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "src/base/utf8.h"
#include "tokenizers/sentencepiece.h"
#include "tokenizers/text_matcher.h"
#include "tokenizers/tokenizers.h"
#include "tokenizers/vocab.h"

namespace infer {
namespace {

using sentencepiece::append_escaped;
using sentencepiece::escape_spaces;
using sentencepiece::kEscapedSpace;

Status cancelled() { return Status::error(Code::cancelled, "tokenizer.ggml.tokens: loading was cancelled"); }

/// The character a text begins with, as long as its first byte says, but not longer than the text.
std::string_view first_character(std::string_view text) noexcept { return text.substr(0, utf8_length(text[0])); }

/// Which characters stand side by side inside some piece. A false "yes" (the set is a hash without chains) costs time,
/// never a wrong token.
class Neighbours {
 public:
  explicit Neighbours(std::size_t n_pieces) : words_(std::bit_ceil(n_pieces / 8 + 1), 0) {}

  void add(std::string_view piece) {
    std::string_view previous = first_character(piece);
    for (std::size_t i = previous.size(); i < piece.size();) {
      const std::string_view next = first_character(piece.substr(i));
      const std::uint64_t bit = place(previous, next);
      words_[bit >> 6] |= std::uint64_t{1} << (bit & 63);
      previous = next;
      i += next.size();
    }
  }

  bool contains(std::string_view a, std::string_view b) const noexcept {
    const std::uint64_t bit = place(a, b);
    return (words_[bit >> 6] >> (bit & 63) & 1) != 0;
  }

  std::uint64_t memory() const noexcept { return words_.capacity() * sizeof(std::uint64_t); }

 private:
  static std::uint64_t number(std::string_view character) noexcept {
    std::uint64_t n = 0;
    for (const char c : character) n = n << 8 | static_cast<unsigned char>(c);
    return n;
  }
  std::uint64_t place(std::string_view a, std::string_view b) const noexcept {
    const std::uint64_t hash = (number(a) << 32 | number(b)) * 0x9e3779b97f4a7c15U;
    return (hash >> 32) & (words_.size() * 64 - 1);
  }

  std::vector<std::uint64_t> words_;  // a power of two of them, at least 8 bits for each piece
};

class SpmTokenizer final : public VocabTokenizer {
 public:
  SpmTokenizer(Vocab vocab, StringList pieces, bool space_prefix);
  /// Takes in the texts of all tokens; encode() needs it. Errors: cancelled.
  Status index(const CancelFlag* cancel);

  Result<std::vector<Token>> encode(std::string_view text, const EncodeOptions& options) const override;
  std::uint64_t memory() const noexcept override {
    return VocabTokenizer::memory() + special_.memory() + always_.memory() + user_defined_.memory() + neighbours_.memory();
  }

 private:
  friend class Encoder;

  /// The token that these characters may be joined to: normal ones only. User-defined texts were taken out before.
  Token find_piece(std::string_view text) const noexcept {
    if (text.size() > vocab().longest()) return kNoToken;
    const Token token = vocab().find(text);
    return token != kNoToken && vocab().type(token) == TokenType::normal ? token : kNoToken;
  }

  TextMatcher special_;       // in the text as it comes, only with parse_special
  TextMatcher always_;        // likewise, without it: user-defined ones that take the white space behind them along
  TextMatcher user_defined_;  // in escaped text between those, always
  Neighbours neighbours_;
  bool space_prefix_;
};

/// One call of encode(): the working memory, and the tokens so far.
class Encoder {
 public:
  Encoder(const SpmTokenizer& tokenizer, SpanNotes& spans) : t_(tokenizer), spans_(spans) {}

  /// Text without marks, or between two of them: it gets a space prefix of its own.
  Status encode(std::string_view text);
  void append(Token token) { tokens_.push_back(token); }
  std::vector<Token> take() && { return std::move(tokens_); }

 private:
  // A run of characters in text_. Joining two lengthens the left one and empties the right one.
  struct Symbol {
    std::uint32_t begin, size;
    std::int32_t previous, next;  // neighbours in symbols_, -1 at the ends
    Token token;                  // kNoToken: not looked up yet
  };
  // Two neighbours that make a piece. Out of date when their sizes no longer add up to `size`: sizes only grow.
  struct Pair {
    float score;
    std::int32_t left;
    std::uint32_t size;
    Token token;
    /// Whether it is joined later than the other: a worse score, or the same further right.
    bool operator<(const Pair& other) const noexcept {
      return score != other.score ? score < other.score : left > other.left;
    }
  };

  std::string_view text_of(std::uint32_t begin, std::uint32_t size) const noexcept {
    return std::string_view(text_).substr(begin, size);
  }
  void add_symbol(std::size_t begin, std::size_t size);
  std::optional<Pair> pair_at(std::int32_t left) const noexcept;
  void join_all();
  Status emit_symbols();

  const SpmTokenizer& t_;
  SpanNotes& spans_;
  std::vector<Token> tokens_;
  std::string text_;             // escaped
  std::vector<Symbol> symbols_;  // of the part at hand
  std::vector<Pair> pairs_;      // a heap
  bool after_unknown_ = false;   // whether the last token is UNK, for characters that nothing stands for
};

Status Encoder::encode(std::string_view text) {
  text_.clear();
  if (t_.space_prefix_ && !text.empty()) text_ = kEscapedSpace;
  spans_.changed(0, text_.size());
  append_escaped(text, text_);
  for (std::size_t i = 0; spans_.wanted() && i < text.size(); ++i) {
    if (text[i] == ' ') {
      spans_.changed(1, kEscapedSpace.size());
    } else {
      spans_.copied(1);
    }
  }
  if (text_.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return Status::error(Code::limit, fmt::format("text: {} bytes after escaping exceed 2147483647", text_.size()));
  }
  after_unknown_ = false;

  const std::string_view all = text_;
  std::string_view previous;
  for (std::size_t i = 0; i < all.size();) {
    if (const TextMatcher::Match match = t_.user_defined_.match_at(all, i); match.found()) {
      INFER_TRY(emit_symbols());
      append(match.token);
      spans_.add(i, i + match.size);
      after_unknown_ = false;
      i += match.size;
      continue;
    }
    const std::string_view character = first_character(all.substr(i));
    if (!symbols_.empty() && !t_.neighbours_.contains(previous, character)) INFER_TRY(emit_symbols());
    add_symbol(i, character.size());
    previous = character;
    i += character.size();
  }
  return emit_symbols();
}

void Encoder::add_symbol(std::size_t begin, std::size_t size) {
  const auto index = static_cast<std::int32_t>(symbols_.size());
  if (index > 0) symbols_.back().next = index;
  symbols_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(size), index - 1, -1, kNoToken});
}

std::optional<Encoder::Pair> Encoder::pair_at(std::int32_t left) const noexcept {
  const Symbol& a = symbols_[static_cast<std::size_t>(left)];
  if (a.next < 0) return std::nullopt;
  const std::uint32_t size = a.size + symbols_[static_cast<std::size_t>(a.next)].size;
  const Token token = t_.find_piece(text_of(a.begin, size));
  if (token == kNoToken) return std::nullopt;
  return Pair{t_.score(token), left, size, token};
}

void Encoder::join_all() {
  pairs_.clear();
  for (std::size_t i = 0; i < symbols_.size(); ++i) {
    if (const std::optional<Pair> pair = pair_at(static_cast<std::int32_t>(i))) pairs_.push_back(*pair);
  }
  std::make_heap(pairs_.begin(), pairs_.end());
  const auto push = [this](std::int32_t left) {
    if (const std::optional<Pair> pair = pair_at(left)) {
      pairs_.push_back(*pair);
      std::push_heap(pairs_.begin(), pairs_.end());
    }
  };
  while (!pairs_.empty()) {
    std::pop_heap(pairs_.begin(), pairs_.end());
    const Pair best = pairs_.back();
    pairs_.pop_back();

    Symbol& left = symbols_[static_cast<std::size_t>(best.left)];
    if (left.size == 0 || left.next < 0) continue;
    Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
    if (left.size + right.size != best.size) continue;

    left.size = best.size;
    left.token = best.token;
    left.next = right.next;
    right.size = 0;
    if (left.next >= 0) symbols_[static_cast<std::size_t>(left.next)].previous = best.left;
    if (left.previous >= 0) push(left.previous);
    push(best.left);
  }
}

Status Encoder::emit_symbols() {
  if (symbols_.size() > 1) join_all();
  for (const Symbol& symbol : symbols_) {
    if (symbol.size == 0) continue;
    const std::string_view characters = text_of(symbol.begin, symbol.size);
    const Token token = symbol.token != kNoToken ? symbol.token : t_.find_piece(characters);
    if (token == kNoToken) {
      INFER_TRY(sentencepiece::append_without_piece(t_.vocab(), characters, symbol.begin, tokens_, spans_, after_unknown_));
    } else {
      append(token);
      spans_.add(symbol.begin, symbol.begin + symbol.size);
      after_unknown_ = false;
    }
  }
  symbols_.clear();
  return {};
}

SpmTokenizer::SpmTokenizer(Vocab vocab, StringList pieces, bool space_prefix)
    : VocabTokenizer(std::move(vocab), std::move(pieces), space_prefix),
      neighbours_(static_cast<std::size_t>(size())),
      space_prefix_(space_prefix) {}

Status SpmTokenizer::index(const CancelFlag* cancel) {
  std::vector<TextMatcher::Entry> user_defined, always;
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return cancelled();
    if (type(token) == TokenType::user_defined) {
      const bool is_mark = vocab().strips_space_behind(token);
      (is_mark ? always : user_defined).push_back({is_mark ? std::string(text(token)) : escape_spaces(text(token)), token});
    }
    if (type(token) == TokenType::normal && !text(token).empty()) neighbours_.add(text(token));
  }
  special_ = TextMatcher(sentencepiece::special_texts(vocab()));
  always_ = TextMatcher(std::move(always));
  user_defined_ = TextMatcher(std::move(user_defined));
  return {};
}

Result<std::vector<Token>> SpmTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  SpanNotes spans(options.spans);
  Encoder encoder(*this, spans);
  INFER_TRY(encode_between(options.parse_special ? &special_ : &always_, text, options, encoder, spans));
  return std::move(encoder).take();
}

Result<std::unique_ptr<Tokenizer>> make_spm(const TokenizerSpec& spec, const CancelFlag* cancel,
                                            std::vector<std::string>& warnings) {
  const VocabDefaults defaults{.bos = 1, .eos = 2, .unk = 0, .add_bos = true, .add_eos = false};
  INFER_ASSIGN(Vocab vocab, Vocab::build(spec, defaults, cancel));
  if (spec.scores.empty()) {
    return Status::error(Code::vocab, "tokenizer.ggml.scores is missing: a 'llama' vocabulary joins pieces by score")
        .about("tokenizer.ggml.scores");
  }
  vocab.judge(warnings);
  sentencepiece::judge_bytes(vocab, warnings);
  INFER_ASSIGN(StringList pieces, sentencepiece::make_pieces(vocab, cancel));
  auto tokenizer = std::make_unique<SpmTokenizer>(std::move(vocab), std::move(pieces), spec.add_space_prefix.value_or(true));
  INFER_TRY(tokenizer->index(cancel));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace

constinit const TokenizerKind spm_tokenizer{.name = "llama", .make = make_spm};

}  // namespace infer
