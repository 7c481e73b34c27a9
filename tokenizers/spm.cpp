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
// User-defined tokens are recognised always. As SentencePiece has it they are pieces that nothing is joined to, and the
// space prefix stands before one that begins a text. With parse_special they are marks like control tokens: the text is
// cut at the leftmost, longest marks first, and every part between gets its own prefix.
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
#include "tokenizers/spm_words.h"
#include "tokenizers/text_matcher.h"
#include "tokenizers/tokenizers.h"
#include "tokenizers/unicode.h"
#include "tokenizers/vocab.h"

namespace infer {
namespace {

constexpr std::string_view kEscapedSpace = "\xe2\x96\x81";  // U+2581
constexpr std::size_t kFew = 32;  // symbols, from where on the heap is quicker

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

Status cancelled() { return Status::error(Code::cancelled, "tokenizer.ggml.tokens: loading was cancelled"); }

class SpmTokenizer final : public VocabTokenizer {
 public:
  SpmTokenizer(Vocab vocab, StringList pieces, bool space_prefix);
  /// Takes in the texts of all tokens; encode() needs it. Errors: cancelled.
  Status index(const CancelFlag* cancel);

  std::uint64_t memory() const noexcept override {
    return VocabTokenizer::memory() + special_.memory() + user_marks_.memory() + user_defined_.memory() + neighbours_.memory();
  }

 protected:
  const TextMatcher& marks(bool parse_special) const noexcept override { return parse_special ? special_ : no_marks_; }
  const TextMatcher& user_marks() const noexcept override { return user_marks_; }
  std::unique_ptr<TextEncoder> make_encoder() const override;
  bool may_cut(std::string_view text, std::size_t at) const override;

 private:
  friend class Encoder;

  /// The token that these characters may be joined to: normal ones only. User-defined texts were taken out before.
  Token find_piece(std::string_view text) const noexcept {
    if (text.size() > vocab().longest()) return kNoToken;
    const Token token = vocab().find(text);
    return token != kNoToken && vocab().type(token) == TokenType::normal ? token : kNoToken;
  }

  TextMatcher special_;       // in the text as it comes, only with parse_special
  TextMatcher no_marks_;      // else
  TextMatcher user_marks_;    // the user-defined ones of the former
  TextMatcher user_defined_;  // in escaped text between those, always
  Neighbours neighbours_;
  bool space_prefix_;
  bool has_all_bytes_ = true;  // so that nothing becomes the unknown token
};

/// Working memory: of one part after the other.
class Encoder final : public TextEncoder {
 public:
  explicit Encoder(const SpmTokenizer& tokenizer) : t_(tokenizer) {}

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
  Status emit_without_piece(std::string_view characters, std::vector<Token>& out);

  const SpmTokenizer& t_;
  std::string text_;             // escaped
  std::vector<Symbol> symbols_;  // of the word at hand
  std::vector<Pair> pairs_;      // a heap, or in any order
  WordCache cache_;
  bool after_unknown_ = false;   // whether the last token is UNK, for characters that nothing stands for
};

Status Encoder::encode(std::string_view text, bool continued, std::vector<Token>& out) {
  text_.clear();
  if (t_.space_prefix_ && !continued && !text.empty()) text_ = kEscapedSpace;
  append_escaped(text, text_);
  if (text_.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return Status::error(Code::limit, fmt::format("text: {} bytes after escaping exceed 2147483647", text_.size()));
  }
  after_unknown_ = false;
  cache_.reserve(text.size());

  const std::string_view all = text_;
  std::size_t word = 0;  // where the word at hand begins
  std::string_view previous;
  for (std::size_t i = 0; i < all.size();) {
    if (const TextMatcher::Match match = t_.user_defined_.match_at(all, i); match.found()) {
      INFER_TRY(encode_word(word, i, out));
      out.push_back(match.token);
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
  if (n_bytes > WordCache::kMaxBytes || !t_.has_all_bytes_) return join_word(begin, end, out);
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
      INFER_TRY(emit_without_piece(characters, out));
    } else {
      out.push_back(token);
      after_unknown_ = false;
    }
  }
  return {};
}

// Bytes where the vocabulary has tokens for all of them; else UNK, once for a run of such characters.
Status Encoder::emit_without_piece(std::string_view characters, std::vector<Token>& out) {
  const auto byte_token = [this](char c) { return t_.vocab().byte_token(static_cast<unsigned char>(c)); };
  if (std::all_of(characters.begin(), characters.end(), [&](char c) { return byte_token(c) != kNoToken; })) {
    for (const char c : characters) out.push_back(byte_token(c));
    after_unknown_ = false;
    return {};
  }
  const Token unknown = t_.special().unk;
  if (unknown == kNoToken) {
    return Status::error(Code::utf8, fmt::format("text: the vocabulary has no token for byte 0x{:02x} and no unknown "
                                                 "token",
                                                 static_cast<unsigned char>(characters[0])));
  }
  if (!after_unknown_) out.push_back(unknown);
  after_unknown_ = true;
  return {};
}

SpmTokenizer::SpmTokenizer(Vocab vocab, StringList pieces, bool space_prefix)
    : VocabTokenizer(std::move(vocab), std::move(pieces), space_prefix),
      neighbours_(static_cast<std::size_t>(size())),
      space_prefix_(space_prefix) {
  for (int byte = 0; byte < 256; ++byte) has_all_bytes_ &= this->vocab().byte_token(static_cast<unsigned char>(byte)) != kNoToken;
}

Status SpmTokenizer::index(const CancelFlag* cancel) {
  std::vector<TextMatcher::Entry> special_texts;
  std::vector<TextMatcher::Entry> user_marks;
  std::vector<TextMatcher::Entry> user_defined;
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return cancelled();
    switch (type(token)) {
      case TokenType::user_defined:
        // Files write their spaces either way.
        special_texts.push_back({unescape_spaces(text(token)), token});
        user_marks.push_back(special_texts.back());
        user_defined.push_back({escape_spaces(text(token)), token});
        break;
      case TokenType::control:
        special_texts.push_back({std::string(text(token)), token});
        break;
      case TokenType::unknown:  // padding entries may have this type too; their texts are no marks
        if (token == special().unk) special_texts.push_back({std::string(text(token)), token});
        break;
      case TokenType::normal:
        if (!text(token).empty()) neighbours_.add(text(token));
        break;
      case TokenType::unused:
      case TokenType::byte:
        break;
    }
  }
  special_ = TextMatcher(std::move(special_texts));
  user_marks_ = TextMatcher(std::move(user_marks));
  user_defined_ = TextMatcher(std::move(user_defined));
  return {};
}

std::unique_ptr<TextEncoder> SpmTokenizer::make_encoder() const { return std::make_unique<Encoder>(*this); }

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
// become the unknown token, of which a run gives one. And no user-defined text may be there.
bool SpmTokenizer::may_cut(std::string_view text, std::size_t at) const {
  const std::string_view rest = text.substr(at);
  if (const Utf8Step step = utf8_step(rest); step.state != Utf8State::valid) return false;
  const std::string_view right = rest[0] == ' ' ? kEscapedSpace : first_character(rest);
  const std::string_view left = character_before(text, at);
  if (left.empty() || unicode::char_at(left, 0).set == unicode::kSpace || left == kEscapedSpace) return false;
  if (neighbours_.contains(left, right) || (!has_all_bytes_ && find_piece(left) == kNoToken)) return false;
  if (user_defined_.empty()) return true;
  const std::size_t reach = user_defined_.longest() + left.size();
  std::string nearby = escape_spaces(text.substr(at - std::min(at, reach), std::min(at, reach)));
  const std::size_t place = nearby.size();
  append_escaped(rest.substr(0, reach), nearby);
  return !user_defined_.touches(nearby, place - left.size(), std::min(place + right.size(), nearby.size()));
}

// A token's own bytes: the byte of a byte token, the text with its spaces of all others. Texts of control and unknown
// tokens are shown as they are.
Result<StringList> make_pieces(const Vocab& vocab, const CancelFlag* cancel) {
  StringList pieces;
  for (Token token = 0; token < vocab.size(); ++token) {
    if (is_cancelled(cancel)) return cancelled();
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

/// Text whose characters have neither a piece nor bytes cannot be encoded as it is.
void judge_bytes(const Vocab& vocab, std::vector<std::string>& warnings) {
  int n_missing = 0;
  for (int byte = 0; byte < 256; ++byte) n_missing += vocab.byte_token(static_cast<unsigned char>(byte)) == kNoToken;
  if (n_missing == 0) return;
  warnings.push_back(fmt::format("tokenizer.ggml.tokens: {} of the 256 byte tokens <0x00> to <0xFF> are missing; characters "
                                 "without a piece {}",
                                 n_missing,
                                 vocab.special().unk == kNoToken ? "cannot be encoded" : "become the unknown token"));
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
  judge_bytes(vocab, warnings);
  INFER_ASSIGN(StringList pieces, make_pieces(vocab, cancel));
  auto tokenizer = std::make_unique<SpmTokenizer>(std::move(vocab), std::move(pieces), spec.add_space_prefix.value_or(true));
  INFER_TRY(tokenizer->index(cancel));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace

constinit const TokenizerKind spm_tokenizer{.name = "llama", .make = make_spm};

}  // namespace infer
