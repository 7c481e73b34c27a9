// SPDX-License-Identifier: MIT
// tokenizer.ggml.model = "bert": WordPiece as BERT has it (Devlin et al. 2018). Control characters go, CJK ideographs stand
// alone, letters lose case and accents where the model is uncased, the text is cut at white space and punctuation, and
// every word becomes the longest pieces from left to right, or one [UNK] where these do not make up all of it. Entry
// point: wordpiece_tokenizer. Tested by tests/tokenizers/wordpiece_test.cpp and golden_test.cpp.
//
// Files write the beginning of a word with U+2581 in front, and what continues one plainly, not with "##". CLS and SEP
// have the roles of BOS and EOS. Bytes that are not UTF-8 are left out, like U+FFFD.
#include <fmt/format.h>

#include "tokenizers/sentencepiece.h"
#include "tokenizers/text_matcher.h"
#include "tokenizers/tokenizers.h"
#include "tokenizers/unicode.h"
#include "tokenizers/vocab.h"

namespace infer {
namespace {

using sentencepiece::kEscapedSpace;

constexpr std::size_t kMaxCharacters = 100;  // of a word; longer ones are unknown

/// The ideographs that BERT sets apart: the unified ones of its time, and those for compatibility.
constexpr bool is_ideograph(char32_t c) noexcept {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

/// All of ASCII that prints and is neither letter nor digit, and \p{P}.
bool is_punctuation(char32_t code, unicode::Set set) noexcept {
  return (set & unicode::kPunctuation) != 0 || (code < 0x80 && (set & unicode::kSymbol) != 0);
}

/// What BERT calls cleaning up: control characters, of which tab and line ends are white space instead, and U+FFFD.
bool is_left_out(char32_t code) noexcept {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  return code == 0xfffd || unicode::is_control(code);
}

constexpr std::size_t utf8_size(char32_t c) noexcept { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

class WordpieceTokenizer final : public VocabTokenizer {
 public:
  WordpieceTokenizer(Vocab vocab, StringList pieces, bool lowercase, bool strip_accents)
      : VocabTokenizer(std::move(vocab), std::move(pieces), true), lowercase_(lowercase), strip_accents_(strip_accents) {}
  /// Takes in the texts of all tokens; encode() needs it. Errors: cancelled.
  Status index(const CancelFlag* cancel);

  std::uint64_t memory() const noexcept override {
    return VocabTokenizer::memory() + beginnings_.memory() + continuations_.memory();
  }

 protected:
  const TextMatcher& usual_marks() const noexcept override { return user_defined_marks(); }
  std::unique_ptr<TextEncoder> make_encoder(const EncodeOptions& options, SpanNotes& spans) const override;
  /// Between a space, which ends a word, and an ASCII letter, which no mark before it can change.
  bool may_cut(std::string_view text, std::size_t at) const override {
    const char letter = static_cast<char>(text[at] | 0x20);
    return at > 0 && text[at - 1] == ' ' && letter >= 'a' && letter <= 'z';
  }

 private:
  friend class Encoder;

  TextMatcher beginnings_;    // of words, without U+2581
  TextMatcher continuations_;
  bool lowercase_, strip_accents_;
};

class Encoder final : public TextEncoder {
 public:
  Encoder(const WordpieceTokenizer& tokenizer, SpanNotes& spans) : t_(tokenizer), spans_(spans) {}

  Status encode(std::string_view text, bool continued, std::vector<Token>& out) override;

 private:
  std::size_t normalise(std::string_view text, std::size_t at, char32_t code);
  void add(char32_t code, std::vector<Token>& out);
  void end_word(std::vector<Token>& out);
  bool cut(std::string_view word);

  const WordpieceTokenizer& t_;
  SpanNotes& spans_;
  std::u32string normal_, unlowered_;  // of the characters at hand
  std::string words_;                  // the normal form of the part: its words, one behind the other
  std::size_t begin_ = 0;              // of the word at hand in words_
  std::size_t n_characters_ = 0;       // that it has
  std::vector<TextMatcher::Match> cuts_;
};

Status Encoder::encode(std::string_view text, bool, std::vector<Token>& out) {
  words_.clear();
  begin_ = 0;
  for (std::size_t i = 0; i < text.size();) {
    const unicode::Char c = unicode::char_at(text, i);
    const char32_t code = unicode::code_of(text.substr(i));
    const bool is_gone = (c.set & (unicode::kOther | unicode::kSpace | unicode::kSymbol)) != 0 && is_left_out(code);
    if ((c.set & unicode::kSpace) != 0 || is_gone) {
      if (!is_gone) end_word(out);
      spans_.changed(c.size, 0);
      i += c.size;
      continue;
    }
    if (is_ideograph(code)) end_word(out);
    const std::size_t end = normalise(text, i, code);
    std::size_t n_bytes = 0;
    for (const char32_t n : normal_) n_bytes += utf8_size(n);
    spans_.changed(end - i, n_bytes);
    for (const char32_t n : normal_) add(n, out);
    if (is_ideograph(code)) end_word(out);
    i = end;
  }
  end_word(out);
  return {};
}

/// What becomes of the character there and, where accents are stripped, of the marks behind it; returns where these end.
std::size_t Encoder::normalise(std::string_view text, std::size_t at, char32_t code) {
  std::size_t end = at + unicode::char_at(text, at).size;
  const bool is_ascii = code < 0x80 && (end == text.size() || static_cast<unsigned char>(text[end]) < 0x80);
  normal_.clear();
  if (t_.strip_accents_ && !is_ascii) {
    end = unicode::decompose_at(text, at, normal_);
    std::erase_if(normal_, unicode::is_nonspacing);
  } else {
    normal_ += code;
  }
  if (t_.lowercase_) {
    unlowered_.swap(normal_);
    normal_.clear();
    for (const char32_t c : unlowered_) unicode::append_lower(c, normal_);
  }
  return end;
}

void Encoder::add(char32_t code, std::vector<Token>& out) {
  const bool stands_alone = is_punctuation(code, unicode::char_of(code, 0).set);
  if (stands_alone) end_word(out);
  unicode::append(code, words_);
  ++n_characters_;
  if (stands_alone) end_word(out);
}

void Encoder::end_word(std::vector<Token>& out) {
  if (begin_ == words_.size()) return;
  const std::string_view word = std::string_view(words_).substr(begin_);
  if (n_characters_ > kMaxCharacters || !cut(word)) cuts_.assign(1, {t_.vocab().unknown(), 0, word.size()});
  for (const TextMatcher::Match& piece : cuts_) {
    out.push_back(piece.token);
    spans_.add(begin_ + piece.begin, begin_ + piece.begin + piece.size);
  }
  begin_ = words_.size();
  n_characters_ = 0;
}

/// False where pieces do not make up all of the word.
bool Encoder::cut(std::string_view word) {
  cuts_.clear();
  for (std::size_t at = 0; at < word.size(); at += cuts_.back().size) {
    const TextMatcher::Match piece = (at == 0 ? t_.beginnings_ : t_.continuations_).match_at(word, at);
    if (!piece.found()) return false;
    cuts_.push_back(piece);
  }
  return true;
}

Status WordpieceTokenizer::index(const CancelFlag* cancel) {
  std::vector<TextMatcher::Entry> beginnings, continuations;
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    std::string_view entry = text(token);
    if (type(token) != TokenType::normal) continue;
    const bool begins = entry.starts_with(kEscapedSpace);
    if (begins) entry.remove_prefix(kEscapedSpace.size());
    (begins ? beginnings : continuations).push_back({std::string(entry), token});
  }
  set_marks(sentencepiece::special_texts(vocab()));
  beginnings_ = TextMatcher(std::move(beginnings));
  continuations_ = TextMatcher(std::move(continuations));
  return {};
}

std::unique_ptr<TextEncoder> WordpieceTokenizer::make_encoder(const EncodeOptions&, SpanNotes& spans) const {
  return std::make_unique<Encoder>(*this, spans);
}

Result<std::unique_ptr<Tokenizer>> make_wordpiece(const TokenizerSpec& spec, const CancelFlag* cancel,
                                                  std::vector<std::string>& warnings) {
  const VocabDefaults defaults{.bos = 101, .eos = 102, .unk = 100, .add_bos = true, .add_eos = true, .bos_text = "[CLS]",
                               .eos_text = "[SEP]", .unk_text = "[UNK]", .cls_and_sep = true};
  INFER_ASSIGN(Vocab vocab, Vocab::build(spec, defaults, cancel));
  if (vocab.special().unk == kNoToken) {
    return Status::error(Code::vocab, "tokenizer.ggml.unknown_token_id is missing: a 'bert' vocabulary needs [UNK] for words "
                                      "without pieces")
        .about("tokenizer.ggml.unknown_token_id");
  }
  if (vocab.unknown() == kNoToken) {
    return Status::error(Code::vocab, fmt::format("tokenizer.ggml.unknown_token_id is {}, which begins a text or ends a "
                                                  "generation; words without pieces must not",
                                                  vocab.special().unk))
        .about("tokenizer.ggml.unknown_token_id");
  }
  vocab.judge(warnings);
  INFER_ASSIGN(StringList pieces, sentencepiece::make_pieces(vocab, cancel));
  const bool lowercase = spec.lowercase.value_or(true);
  auto tokenizer = std::make_unique<WordpieceTokenizer>(std::move(vocab), std::move(pieces), lowercase,
                                                        spec.strip_accents.value_or(lowercase));
  INFER_TRY(tokenizer->index(cancel));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace

constinit const TokenizerKind wordpiece_tokenizer{.name = "bert", .make = make_wordpiece};

}  // namespace infer
