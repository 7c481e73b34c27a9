// SPDX-License-Identifier: MIT
// tokenizer.ggml.model = "llama": byte-pair encoding as SentencePiece does it (Kudo and Richardson 2018): spaces become
// U+2581, the text is cut into characters, and of all neighbours whose concatenation is a piece the pair with the best
// score is joined, the leftmost first, until none is left. Entry point: spm_tokenizer. Tested by
// tests/tokenizers/spm_test.cpp and golden_test.cpp.
//
// Three things beside the paper make it quick. Joining never crosses a place where no piece has these two characters side
// by side, so the text is cut there first into words, as we call them here. What became of the last few thousand different
// short words is remembered. And a pair is looked up once, when its members become neighbours; of few symbols the best pair
// is searched one by one, of many it comes from a heap.
//
// User-defined tokens are recognised always, but in prompts those that look like control only where the text is trusted. As
// SentencePiece has it they are pieces that nothing is joined to, and the space prefix stands before one that begins a
// text. With parse_special they are marks like control tokens: the text is cut at the leftmost, longest marks first, and
// every part between gets its own prefix.
//
// Text that is not UTF-8 is cut by the high bits of first bytes alone and ends up as byte tokens, as in other
// implementations: a space within the length that a broken character announces becomes the bytes of U+2581.
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "src/base/utf8.h"
#include "tokenizers/sentencepiece.h"
#include "tokenizers/spm_words.h"
#include "tokenizers/text_matcher.h"
#include "tokenizers/tokenizers.h"
#include "tokenizers/unicode.h"
#include "tokenizers/vocab.h"

namespace infer {
namespace {

using sentencepiece::append_escaped;
using sentencepiece::escape_spaces;
using sentencepiece::kEscapedSpace;

constexpr std::size_t kFew = 32;  // symbols, from where on the heap is quicker

class SpmTokenizer final : public VocabTokenizer {
 public:
  SpmTokenizer(Vocab vocab, StringList pieces, bool space_prefix);
  /// Takes in the texts of all tokens; encode() needs it. Errors: cancelled.
  Status index(const CancelFlag* cancel);

  std::uint64_t memory() const noexcept override {
    return VocabTokenizer::memory() + stripping_.memory() + user_defined_.memory() + untrusted_.memory() + uncut_.memory() +
           neighbours_.memory();
  }

 protected:
  const TextMatcher& usual_marks() const noexcept override { return stripping_; }
  std::unique_ptr<TextEncoder> make_encoder(const EncodeOptions& options, SpanNotes& spans) const override;
  bool may_cut(std::string_view text, std::size_t at) const override;
  bool is_joined_at(std::string_view text, std::size_t at) const override;

 private:
  friend class Encoder;

  /// The token that these characters may be joined to: normal ones only. User-defined texts were taken out before.
  Token find_piece(std::string_view text) const noexcept {
    if (text.size() > vocab().longest()) return kNoToken;
    const Token token = vocab().find(text);
    return token != kNoToken && vocab().type(token) == TokenType::normal ? token : kNoToken;
  }

  TextMatcher stripping_;     // user-defined texts that take the white space behind them along
  TextMatcher user_defined_;  // the others, in escaped text between marks
  TextMatcher untrusted_;     // of these the ones that do not look like control tokens
  TextMatcher uncut_;         // user_defined_, and what is left of each where the space prefix gives its first U+2581
  Neighbours neighbours_;
  bool space_prefix_;
  bool has_all_bytes_ = true;  // so that nothing becomes the unknown token
};

/// Working memory: of one part after the other.
class Encoder final : public TextEncoder {
 public:
  Encoder(const SpmTokenizer& tokenizer, const TextMatcher& user_defined, SpanNotes& spans)
      : t_(tokenizer), user_defined_(user_defined), spans_(spans) {}

  /// Text without marks, or between two of them, gets a space prefix of its own.
  Status encode(std::string_view text, bool continued, std::vector<Token>& out) override;

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
  Status encode_word(std::size_t begin, std::size_t end, std::vector<Token>& out);
  Status join_word(std::size_t begin, std::size_t end, std::vector<Token>& out);
  void add_symbol(std::size_t begin, std::size_t size);
  std::optional<Pair> pair_at(std::int32_t left) const noexcept;
  void join_few();
  void join_many();
  void join(const Pair& pair);
  Status emit_symbols(std::vector<Token>& out);

  const SpmTokenizer& t_;
  const TextMatcher& user_defined_;
  SpanNotes& spans_;
  std::string text_;             // escaped
  std::vector<Symbol> symbols_;  // of the word at hand
  std::vector<Pair> pairs_;      // a heap, or in any order
  WordCache cache_;
  bool after_unknown_ = false;   // whether the last token is UNK, for characters that nothing stands for
};

Status Encoder::encode(std::string_view text, bool continued, std::vector<Token>& out) {
  text_.clear();
  if (t_.space_prefix_ && !continued && !text.empty()) text_ = kEscapedSpace;
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
  cache_.reserve(text.size());

  const std::string_view all = text_;
  std::size_t word = 0;  // where the word at hand begins
  std::string_view previous;
  for (std::size_t i = 0; i < all.size();) {
    if (const TextMatcher::Match match = user_defined_.match_at(all, i); match.found()) {
      INFER_TRY(encode_word(word, i, out));
      out.push_back(match.token);
      spans_.add(i, i + match.size);
      after_unknown_ = false;
      i += match.size;
      word = i;
      continue;
    }
    const std::string_view character = first_character(all.substr(i));
    if (word < i && !t_.neighbours_.contains(previous, character)) {
      INFER_TRY(encode_word(word, i, out));
      word = i;
    }
    previous = character;
    i += character.size();
  }
  return encode_word(word, all.size(), out);
}

Status Encoder::encode_word(std::size_t begin, std::size_t end, std::vector<Token>& out) {
  if (begin == end) return {};
  const std::size_t n_bytes = end - begin;
  const bool is_remembered = n_bytes <= WordCache::kMaxBytes && t_.has_all_bytes_ && !spans_.wanted();
  if (!is_remembered) return join_word(begin, end, out);
  WordCache::Key key{};
  std::memcpy(key.data(), text_.data() + begin, n_bytes);
  WordCache::Entry& entry = cache_.at(key);
  if (entry.n_bytes == n_bytes && entry.key == key) {
    out.insert(out.end(), entry.tokens.begin(), entry.tokens.begin() + entry.n_tokens);
    return {};
  }
  const std::size_t n_before = out.size();
  INFER_TRY(join_word(begin, end, out));
  const std::size_t n_tokens = out.size() - n_before;
  if (n_tokens <= entry.tokens.size()) {
    entry = {key, static_cast<std::uint16_t>(n_bytes), static_cast<std::uint16_t>(n_tokens), {}};
    std::copy(out.end() - static_cast<std::ptrdiff_t>(n_tokens), out.end(), entry.tokens.begin());
  }
  return {};
}

Status Encoder::join_word(std::size_t begin, std::size_t end, std::vector<Token>& out) {
  symbols_.clear();
  const std::string_view word = std::string_view(text_).substr(0, end);
  for (std::size_t i = begin; i < end; i += first_character(word.substr(i)).size()) {
    add_symbol(i, first_character(word.substr(i)).size());
  }
  if (symbols_.size() > kFew) {
    join_many();
  } else if (symbols_.size() > 1) {
    join_few();
  }
  return emit_symbols(out);
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

void Encoder::join(const Pair& pair) {
  Symbol& left = symbols_[static_cast<std::size_t>(pair.left)];
  Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
  left.size = pair.size;
  left.token = pair.token;
  left.next = right.next;
  right.size = 0;
  if (left.next >= 0) symbols_[static_cast<std::size_t>(left.next)].previous = pair.left;
}

// pairs_ has at most one pair for each left symbol.
void Encoder::join_few() {
  pairs_.clear();
  const auto look_up = [this](std::int32_t left) {
    if (const std::optional<Pair> pair = pair_at(left)) pairs_.push_back(*pair);
  };
  const auto n = static_cast<std::int32_t>(symbols_.size());
  for (std::int32_t i = 0; i < n; ++i) look_up(i);
  while (!pairs_.empty()) {
    const Pair best = *std::max_element(pairs_.begin(), pairs_.end());
    const Symbol& left = symbols_[static_cast<std::size_t>(best.left)];
    const std::int32_t previous = left.previous;
    const std::int32_t right = left.next;
    join(best);
    std::erase_if(pairs_, [&](const Pair& p) { return p.left == best.left || p.left == previous || p.left == right; });
    if (previous >= 0) look_up(previous);
    look_up(best.left);
  }
}

void Encoder::join_many() {
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

    const Symbol& left = symbols_[static_cast<std::size_t>(best.left)];
    if (left.size == 0 || left.next < 0) continue;
    if (left.size + symbols_[static_cast<std::size_t>(left.next)].size != best.size) continue;

    join(best);
    if (left.previous >= 0) push(left.previous);
    push(best.left);
  }
}

Status Encoder::emit_symbols(std::vector<Token>& out) {
  for (const Symbol& symbol : symbols_) {
    if (symbol.size == 0) continue;
    const std::string_view characters = text_of(symbol.begin, symbol.size);
    const Token token = symbol.token != kNoToken ? symbol.token : t_.find_piece(characters);
    if (token == kNoToken) {
      INFER_TRY(sentencepiece::append_without_piece(t_.vocab(), characters, symbol.begin, out, spans_, after_unknown_));
    } else {
      out.push_back(token);
      spans_.add(symbol.begin, symbol.begin + symbol.size);
      after_unknown_ = false;
    }
  }
  return {};
}

SpmTokenizer::SpmTokenizer(Vocab vocab, StringList pieces, bool space_prefix)
    : VocabTokenizer(std::move(vocab), std::move(pieces), space_prefix),
      neighbours_(static_cast<std::size_t>(size())),
      space_prefix_(space_prefix) {
  for (int byte = 0; byte < 256; ++byte) has_all_bytes_ &= this->vocab().byte_token(static_cast<unsigned char>(byte)) != kNoToken;
}

Status SpmTokenizer::index(const CancelFlag* cancel) {
  std::vector<TextMatcher::Entry> stripping, user_defined, untrusted, uncut;
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    if (type(token) == TokenType::normal && !text(token).empty()) neighbours_.add(text(token));
    if (type(token) != TokenType::user_defined) continue;
    if (vocab().strips_space_behind(token)) {
      stripping.push_back({std::string(text(token)), token});
      continue;
    }
    user_defined.push_back({escape_spaces(text(token)), token});
    uncut.push_back(user_defined.back());
    if (const std::string_view whole = user_defined.back().text; space_prefix_ && whole.starts_with(kEscapedSpace)) {
      uncut.push_back({std::string(whole.substr(kEscapedSpace.size())), token});
    }
    if (!vocab().looks_like_control(token)) untrusted.push_back(user_defined.back());
  }
  set_marks(sentencepiece::special_texts(vocab()));
  stripping_ = TextMatcher(std::move(stripping));
  user_defined_ = TextMatcher(std::move(user_defined));
  untrusted_ = TextMatcher(std::move(untrusted));
  uncut_ = TextMatcher(std::move(uncut));
  return {};
}

std::unique_ptr<TextEncoder> SpmTokenizer::make_encoder(const EncodeOptions& options, SpanNotes& spans) const {
  return std::make_unique<Encoder>(*this, is_untrusted(options) ? untrusted_ : user_defined_, spans);
}

/// The well-formed character that ends at `at`, where cutting by first bytes finds it, too: no byte before it announces a
/// character that reaches into it. Empty: there is none.
std::string_view character_before(std::string_view text, std::size_t at) noexcept {
  for (std::size_t size = 1; size <= std::min<std::size_t>(at, 4); ++size) {
    const std::size_t begin = at - size;
    const std::string_view character = text.substr(begin, size);
    const Utf8Step step = utf8_step(character);
    if (step.state != Utf8State::valid || step.size != size) continue;
    for (std::size_t back = 1; back <= std::min<std::size_t>(begin, 3); ++back) {
      if (utf8_length(text[begin - back]) > back) return {};
    }
    return character;
  }
  return {};
}

// Between two characters that no piece has side by side, the left one no space: those may belong to a mark. It must not
// become the unknown token, of which a run gives one.
bool SpmTokenizer::may_cut(std::string_view text, std::size_t at) const {
  const std::string_view rest = text.substr(at);
  if (const Utf8Step step = utf8_step(rest); step.state != Utf8State::valid) return false;
  const std::string_view right = rest[0] == ' ' ? kEscapedSpace : first_character(rest);
  const std::string_view left = character_before(text, at);
  if (left.empty() || unicode::char_at(left, 0).set == unicode::kSpace || left == kEscapedSpace) return false;
  return !neighbours_.contains(left, right) && (has_all_bytes_ || find_piece(left) != kNoToken);
}

// User-defined texts, to be searched for with spaces escaped. Four bytes beside the place are a character's, at most.
bool SpmTokenizer::is_joined_at(std::string_view text, std::size_t at) const {
  if (uncut_.empty()) return false;
  constexpr std::size_t kCharacter = 4;
  const std::size_t reach = uncut_.longest() + kCharacter;
  std::string nearby = escape_spaces(text.substr(at - std::min(at, reach), std::min(at, reach)));
  const std::size_t place = nearby.size();
  append_escaped(text.substr(at, reach), nearby);
  return uncut_.touches(nearby, place - std::min(place, kCharacter), std::min(place + kCharacter, nearby.size()));
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
