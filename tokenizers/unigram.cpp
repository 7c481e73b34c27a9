// SPDX-License-Identifier: MIT
// tokenizer.ggml.model = "t5": SentencePiece's unigram model (Kudo 2018). The text is normalised (charsmap.h, spaces to
// U+2581) and of all ways to cut it into pieces the one with the best sum of scores is taken (Viterbi). Entry point:
// unigram_tokenizer. Tested by tests/tokenizers/unigram_test.cpp.
//
// Sums are those of SentencePiece to the last bit: floats that run through the whole text, of equal ways the one whose last
// piece is longest. A character without a piece costs ten more than the worst piece; then it becomes bytes, or UNK once for
// a run. Nearly everywhere all ways meet at the next space, so what lies before is settled there and memory stays small. Where
// they never meet it is up to about 33 bytes for each byte of the stretch.
//
// User-defined tokens are not normalised, and so cheap that they are taken wherever they fit, but in text that is not trusted
// not those that look like control. With parse_special they are
// marks like control tokens: the text is cut at the leftmost, longest marks first, and every part is normalised by itself.
// Bytes that are not UTF-8 count as characters of one byte each.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "src/base/utf8.h"
#include "tokenizers/charsmap.h"
#include "tokenizers/sentencepiece.h"
#include "tokenizers/text_matcher.h"
#include "tokenizers/tokenizers.h"
#include "tokenizers/vocab.h"

namespace infer {
namespace {

using sentencepiece::escape_spaces;
using sentencepiece::kEscapedSpace;

// The time is that of the text times its longest piece. Real ones have less than 100 bytes.
constexpr std::size_t kMaxPieceBytes = 512;
constexpr float kUnknownPenalty = 10.0F;
constexpr double kMostScore = 1e30;         // sums beyond it, up or down, count as it
constexpr double kUserDefinedScore = -0.1;  // SentencePiece adds 1.2e-38 for each byte, which is lost in it

/// Bytes of the character that the text begins with; 1 where there is none.
std::size_t character_size(std::string_view text) noexcept {
  const Utf8Step step = utf8_step(text);
  return step.state == Utf8State::valid ? step.size : 1;
}

class UnigramTokenizer final : public VocabTokenizer {
 public:
  UnigramTokenizer(Vocab vocab, StringList pieces, Charsmap charsmap, const TokenizerSpec& spec)
      : VocabTokenizer(std::move(vocab), std::move(pieces), spec.add_space_prefix.value_or(true)),
        charsmap_(std::move(charsmap)),
        space_prefix_(spec.add_space_prefix.value_or(true)),
        joins_spaces_(spec.remove_extra_whitespaces.value_or(true)) {}
  /// Takes in the texts of all tokens; encode() needs it. Errors: limit, cancelled.
  Status index(const CancelFlag* cancel);

  std::uint64_t memory() const noexcept override {
    return VocabTokenizer::memory() + charsmap_.memory() + lattice_.memory();
  }

 protected:
  const TextMatcher& usual_marks() const noexcept override { return no_marks_; }
  std::unique_ptr<TextEncoder> make_encoder(const EncodeOptions& options, SpanNotes& spans) const override;
  /// Nowhere: the best way to cut a text is one of the whole.
  bool may_cut(std::string_view, std::size_t) const override { return false; }

 private:
  friend class Encoder;

  Charsmap charsmap_;
  TextMatcher no_marks_;
  TextMatcher lattice_;       // normal and user-defined pieces, escaped
  float unknown_score_ = 0;
  bool space_prefix_;
  bool joins_spaces_;         // leading and trailing ones go, too
};

class Encoder final : public TextEncoder {
 public:
  Encoder(const UnigramTokenizer& tokenizer, bool is_untrusted, SpanNotes& spans)
      : t_(tokenizer),
        user_defined_(is_untrusted ? tokenizer.untrusted_marks() : tokenizer.user_defined_marks()),
        is_untrusted_(is_untrusted),
        spans_(spans) {}

  Status encode(std::string_view text, bool continued, std::vector<Token>& out) override;

 private:
  // The best way to a place of the normal form: the place before it, the token between (kNoToken: none stands for it).
  struct Way {
    float score = 0;
    std::uint32_t begin = 0;
    Token token = kNoToken;
    bool found = false;
  };
  struct Normalised {
    std::size_t size;       // bytes of the text
    std::string_view text;  // what they become
  };

  Normalised next(std::string_view text) const noexcept;
  Status normalise(std::string_view text, bool continued);
  void offer(std::size_t begin, std::size_t size, Token token, double score);
  Status settle(std::size_t end, std::vector<Token>& out);

  const UnigramTokenizer& t_;
  const TextMatcher& user_defined_;
  bool is_untrusted_;
  SpanNotes& spans_;
  std::string text_;             // in normal form
  std::size_t settled_ = 0;      // up to there all ways are the same
  std::vector<Way> ways_;        // to the places from settled_ on
  std::vector<std::uint32_t> ends_;
  bool after_unknown_ = false;   // whether the last token is UNK, for characters that nothing stands for
};

Encoder::Normalised Encoder::next(std::string_view text) const noexcept {
  if (const TextMatcher::Match match = user_defined_.match_at(text, 0); match.found()) {
    return {match.size, text.substr(0, match.size)};
  }
  if (const Charsmap::Match match = t_.charsmap_.match(text); match.size > 0) return {match.size, match.replacement};
  const std::size_t size = character_size(text);
  return {size, text.substr(0, size)};
}

// Spaces count when everything else is normalised.
Status Encoder::normalise(std::string_view text, bool continued) {
  // Unicode's own normal forms make at most 11 bytes of one, and a space becomes 3; a hostile map, 256.
  constexpr std::size_t kMost = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max());
  const std::size_t n_bytes = text.size(), most = n_bytes < kMost / 64 ? 32 * n_bytes + 4096 : kMost;
  text_.clear();
  bool after_space = t_.joins_spaces_ && !continued;
  bool is_begun = false;
  while (!text.empty()) {
    const Normalised part = next(text);
    std::string_view kept = part.text;
    while (after_space && kept.starts_with(' ')) kept.remove_prefix(1);
    if (!is_begun && (!t_.joins_spaces_ || part.text != " ")) {
      is_begun = true;
      if (t_.space_prefix_ && !continued) text_ += kEscapedSpace;
      spans_.changed(0, text_.size());
    }
    const std::size_t size_before = text_.size();
    sentencepiece::append_escaped(kept, text_);
    if (kept == text.substr(0, part.size) && text_.size() - size_before == part.size) {
      spans_.copied(part.size);
    } else {
      spans_.changed(part.size, text_.size() - size_before);
    }
    if (!kept.empty()) after_space = t_.joins_spaces_ && kept.ends_with(' ');
    text.remove_prefix(part.size);
    if (text_.size() > most) {
      return Status::error(Code::limit, fmt::format("text: {} bytes become more than {} in normal form; the model's charsmap is none of "
                                                    "Unicode's forms", n_bytes, most));
    }
  }
  while (t_.joins_spaces_ && text_.ends_with(kEscapedSpace)) text_.resize(text_.size() - kEscapedSpace.size());
  return {};
}

void Encoder::offer(std::size_t begin, std::size_t size, Token token, double score) {
  const std::size_t index = begin - settled_ + size;
  if (index >= ways_.size()) ways_.resize(index + 1);
  Way& way = ways_[index];
  const double sum = std::clamp(score + ways_[begin - settled_].score, -kMostScore, kMostScore);
  if (way.found && !(sum > way.score)) return;
  way = {static_cast<float>(sum), static_cast<std::uint32_t>(begin), token, true};
}

Status Encoder::encode(std::string_view text, bool continued, std::vector<Token>& out) {
  INFER_TRY(normalise(text, continued));
  after_unknown_ = false;
  settled_ = 0;
  ways_.assign(1, Way{});
  const std::string_view all = text_;
  for (std::size_t i = 0; i < all.size();) {
    if (i - settled_ + 1 == ways_.size() && i > settled_) INFER_TRY(settle(i, out));
    const std::size_t size = character_size(all.substr(i));
    bool has_character = false;
    t_.lattice_.for_each_at(all, i, [&](const TextMatcher::Match& piece) {
      const bool is_user_defined = t_.type(piece.token) == TokenType::user_defined;
      if (is_user_defined && is_untrusted_ && t_.vocab().looks_like_control(piece.token)) return;
      offer(i, piece.size, piece.token, is_user_defined ? kUserDefinedScore : double{t_.score(piece.token)});
      has_character = has_character || piece.size == size;
    });
    if (!has_character) offer(i, size, kNoToken, t_.unknown_score_);
    i += size;
  }
  return settle(all.size(), out);
}

/// Emits the best way from settled_ to `end`, where all ways meet.
Status Encoder::settle(std::size_t end, std::vector<Token>& out) {
  ends_.clear();
  for (std::size_t at = end; at > settled_; at = ways_[at - settled_].begin) ends_.push_back(static_cast<std::uint32_t>(at));
  for (std::size_t i = ends_.size(); i > 0; --i) {
    const std::size_t at = ends_[i - 1];
    const Way& way = ways_[at - settled_];
    const std::string_view piece = std::string_view(text_).substr(way.begin, at - way.begin);
    if (way.token == kNoToken) {
      INFER_TRY(sentencepiece::append_without_piece(t_.vocab(), piece, way.begin, out, spans_, after_unknown_));
    } else {
      out.push_back(way.token);
      spans_.add(way.begin, at);
      after_unknown_ = false;
    }
  }
  ways_.front() = ways_[end - settled_];
  ways_.resize(1);
  settled_ = end;
  return {};
}

Status UnigramTokenizer::index(const CancelFlag* cancel) {
  std::vector<TextMatcher::Entry> lattice;
  float worst = std::numeric_limits<float>::max();
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    const TokenType kind = type(token);
    if (kind != TokenType::normal && kind != TokenType::user_defined) continue;
    if (text(token).size() > kMaxPieceBytes) {
      return Status::error(Code::limit, fmt::format("tokenizer.ggml.tokens: token {} has {} bytes; at most {} are supported",
                                                    token, text(token).size(), kMaxPieceBytes))
          .about("tokenizer.ggml.tokens");
    }
    lattice.push_back({escape_spaces(text(token)), token});
    if (kind == TokenType::normal) worst = std::min(worst, score(token));
  }
  unknown_score_ = worst - kUnknownPenalty;
  set_marks(sentencepiece::special_texts(vocab()));
  lattice_ = TextMatcher(std::move(lattice));
  return {};
}

std::unique_ptr<TextEncoder> UnigramTokenizer::make_encoder(const EncodeOptions& options, SpanNotes& spans) const {
  return std::make_unique<Encoder>(*this, is_untrusted(options), spans);
}

Result<std::unique_ptr<Tokenizer>> make_unigram(const TokenizerSpec& spec, const CancelFlag* cancel,
                                                std::vector<std::string>& warnings) {
  const VocabDefaults defaults{.eos = 1, .unk = 2, .add_eos = true};
  INFER_ASSIGN(Vocab vocab, Vocab::build(spec, defaults, cancel));
  if (spec.scores.empty()) {
    return Status::error(Code::vocab, "tokenizer.ggml.scores is missing: a 't5' vocabulary cuts text by score")
        .about("tokenizer.ggml.scores");
  }
  INFER_ASSIGN(Charsmap charsmap, Charsmap::build(spec.charsmap, cancel));
  vocab.judge(warnings);
  sentencepiece::judge_bytes(vocab, warnings);
  INFER_ASSIGN(StringList pieces, sentencepiece::make_pieces(vocab, cancel));
  auto tokenizer = std::make_unique<UnigramTokenizer>(std::move(vocab), std::move(pieces), std::move(charsmap), spec);
  INFER_TRY(tokenizer->index(cancel));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace

constinit const TokenizerKind unigram_tokenizer{.name = "t5", .make = make_unigram};

}  // namespace infer
