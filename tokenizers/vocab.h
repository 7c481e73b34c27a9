// SPDX-License-Identifier: MIT
// Vocab: a validated TokenizerSpec with a reverse map from text to token; the entry point is Vocab::build().
// VocabTokenizer: what all kinds of tokenizer share, which is everything but the way from text without marks to tokens.
// Tested by tests/tokenizers/vocab_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libinfer/model_descriptor.h"
#include "libinfer/status.h"
#include "libinfer/thread_pool.h"
#include "libinfer/tokenizer.h"
#include "tokenizers/spans.h"
#include "tokenizers/text_map.h"
#include "tokenizers/text_matcher.h"

namespace infer {

/// What a kind of vocabulary assumes where the file is silent.
struct VocabDefaults {
  /// Taken when the key is absent and the token there is control (unk: unknown).
  Token bos = kNoToken, eos = kNoToken, unk = kNoToken;
  bool add_bos = false, add_eos = false;
  /// Their usual texts, by which they are known in files without types.
  std::string_view bos_text = "<s>", eos_text = "</s>", unk_text = "<unk>";
  bool cls_and_sep = false;  ///< CLS and SEP are BOS and EOS where the file names none
};

/// Immutable. Texts, scores and types are those of the spec, which must outlive it; what it adds is 8 bytes for each of
/// at least two slots per token.
class Vocab {
 public:
  /// Errors, all naming key, value and limit: vocab (no tokens; scores or types of another number; a score that is not
  /// a number; an unknown type; a special id outside the vocabulary), limit (a token longer than kMaxTokenBytes, marks
  /// beyond the two limits below), cancelled (the flag is looked at with every token).
  static Result<Vocab> build(const TokenizerSpec& spec, const VocabDefaults& defaults, const CancelFlag* cancel = nullptr);

  /// Control and user-defined tokens are marks: their texts are looked for at every place of an input, so the time is that of
  /// the text times the longest of them. Known models have up to 93 bytes (a run of 31 U+2581).
  static constexpr std::size_t kMaxMarkBytes = 256;
  static constexpr std::size_t kMaxMarks = 65536;

  /// Adds what is odd but usable: equal texts, no token that ends a generation.
  void judge(std::vector<std::string>& warnings) const;

  std::int32_t size() const noexcept { return static_cast<std::int32_t>(spec_->tokens.size()); }
  bool contains(std::int64_t token) const noexcept { return token >= 0 && token < size(); }
  /// The three below: the token must be in the vocabulary.
  std::string_view text(Token token) const noexcept { return spec_->tokens[static_cast<std::size_t>(token)]; }
  float score(Token token) const noexcept {
    return spec_->scores.empty() ? 0.0F : spec_->scores[static_cast<std::size_t>(token)];
  }
  /// Without types in the file: byte for <0xXX>, control for BOS and EOS, unknown for UNK, normal for the rest.
  TokenType type(Token token) const noexcept;

  /// Whether it shows as nothing in decoded text: control and unknown tokens, and the marks of fill-in-the-middle.
  bool is_hidden(Token token) const noexcept;

  /// The first token with this text, of whatever type, or kNoToken.
  Token find(std::string_view text) const noexcept { return texts_.find(text, spec_->tokens); }
  /// The token of type byte for this byte, or kNoToken.
  Token byte_token(unsigned char byte) const noexcept { return bytes_[byte]; }
  /// The byte a token of type byte stands for; -1 for other tokens and for texts not of the form <0xXX>.
  int byte_value(Token token) const noexcept;
  /// Length of the longest text in bytes.
  std::size_t longest() const noexcept { return longest_; }

  const SpecialTokens& special() const noexcept { return special_; }
  /// What stands for text that nothing else stands for: UNK, or kNoToken where that begins a text or ends a generation, which
  /// plain text must not.
  Token unknown() const noexcept;
  /// EOS, EOT and EOM. Where the file names no EOT also the control tokens whose texts are known to end a turn
  /// (`<|eot_id|>`, `<|im_end|>`, `<end_of_turn>` and so on; the list is kTurnEnds in vocab.cpp).
  bool ends_generation(Token token) const noexcept;
  /// Control tokens, and tokens of other types that have a role (BOS, EOS, SEP, EOT, EOM) or are written like those that have
  /// one: `<|User|>`, `<s>`, `</s>`, `<start_of_turn>`, and what ends a turn.
  bool looks_like_control(Token token) const noexcept;

  /// Whether white space behind this mark is left out. The format has no key for it, so it is known of one family, by its
  /// architecture: the texts of Phi 3, but for <unk>, <s> and <|endoftext|>.
  bool strips_space_behind(Token mark) const noexcept;

  /// Bytes held beside the spec.
  std::uint64_t memory() const noexcept;

 private:
  explicit Vocab(const TokenizerSpec& spec) : spec_(&spec) { bytes_.fill(kNoToken); }
  Status check_lists() const;
  Status take_special_tokens(const VocabDefaults& defaults);
  Status index_texts(const CancelFlag* cancel);
  Status check_length(Token token, std::size_t& n_marks) const;
  void find_turn_ends();

  const TokenizerSpec* spec_;
  SpecialTokens special_;
  std::vector<Token> turn_ends_;
  TextMap texts_;
  std::array<Token, 256> bytes_;
  std::size_t longest_ = 0;
  std::size_t n_repeated_ = 0;            // tokens whose text an earlier one has
  Token first_repeated_ = kNoToken;
};

inline Status loading_cancelled(std::string_view key = "tokenizer.ggml.tokens") {
  return Status::error(Code::cancelled, std::string(key) + ": loading was cancelled");
}

/// Turns text into tokens: the working memory of one thread.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  /// Appends the tokens of a text without marks. `continued`: it was cut off from the text before, at a place that
  /// may_cut() allows, so that no space is put in front of it.
  virtual Status encode(std::string_view text, bool continued, std::vector<Token>& out) = 0;
};

/// The tokenizer of a vocabulary; a kind derives from it and adds an encoder.
class VocabTokenizer : public Tokenizer {
 public:
  /// `pieces`: the bytes each token stands for, one entry per token.
  VocabTokenizer(Vocab vocab, StringList pieces, bool strips_leading_space)
      : vocab_(std::move(vocab)), pieces_(std::move(pieces)), strips_leading_space_(strips_leading_space) {}

  std::int32_t size() const noexcept final { return vocab_.size(); }
  const SpecialTokens& special() const noexcept final { return vocab_.special(); }
  std::string_view text(Token token) const noexcept final { return vocab_.text(token); }
  TokenType type(Token token) const noexcept final { return vocab_.type(token); }
  float score(Token token) const noexcept final { return vocab_.score(token); }
  bool ends_generation(Token token) const noexcept final { return vocab_.ends_generation(token); }
  std::string_view piece(Token token, bool unparse_special) const noexcept final;
  Result<std::vector<Token>> encode(std::string_view text, const EncodeOptions& options) const final;  // encode.cpp
  Result<std::string> decode(std::span<const Token> tokens, const DecodeOptions& options) const final;
  bool strips_leading_space() const noexcept final { return strips_leading_space_; }
  std::uint64_t memory() const noexcept override {
    return vocab_.memory() + pieces_.memory() + marks_.memory() + user_defined_marks_.memory() + untrusted_marks_.memory();
  }

 protected:
  const Vocab& vocab() const noexcept { return vocab_; }

  /// The texts that are cut out before anything else is done to a text, with parse_special. Of these, user-defined ones are
  /// recognised in text that is not trusted, too, unless they look like control tokens. encode() needs it.
  void set_marks(std::vector<TextMatcher::Entry> marks);
  /// Those of them that are user-defined, and of these the ones that text which is not trusted may have.
  const TextMatcher& user_defined_marks() const noexcept { return user_defined_marks_; }
  const TextMatcher& untrusted_marks() const noexcept { return untrusted_marks_; }
  /// Whether an encoder must leave alone what looks like control: parts that are trusted have had theirs cut out.
  static bool is_untrusted(const EncodeOptions& options) noexcept { return options.parse_special && options.special_in; }
  /// What is cut out without parse_special: mostly the user-defined ones, or nothing.
  virtual const TextMatcher& usual_marks() const noexcept = 0;
  /// `spans` must outlive it, and is told of each token.
  virtual std::unique_ptr<TextEncoder> make_encoder(const EncodeOptions& options, SpanNotes& spans) const = 0;
  /// Whether the text may be cut at this place, inside it, without any change to its tokens, if no mark and nothing that
  /// is_joined_at() finds is there. Asked at thousands of places, so it must be quick.
  virtual bool may_cut(std::string_view text, std::size_t at) const = 0;
  /// Whether a text that a kind looks for beside the marks may be there. Asked at few places, so it may search.
  virtual bool is_joined_at(std::string_view, std::size_t) const { return false; }

  const StringList& pieces() const noexcept { return pieces_; }

 private:
  std::vector<std::size_t> cut(std::string_view text, const EncodeOptions& options) const;
  bool is_mark(Token token) const noexcept;
  std::size_t behind(Token mark, std::string_view text, std::size_t at) const noexcept;
  TextMatcher::Match find_mark(std::string_view text, std::size_t begin, const EncodeOptions& options) const noexcept;
  Status encode_part(std::string_view text, std::size_t begin, const EncodeOptions& options, TextEncoder& encoder,
                     SpanNotes& spans, std::vector<Token>& out) const;
  Status encode_at_once(std::string_view text, std::span<const std::size_t> ends, const EncodeOptions& options,
                        ThreadPool& pool, std::vector<Token>& out) const;

  Vocab vocab_;
  StringList pieces_;
  bool strips_leading_space_;
  TextMatcher marks_, user_defined_marks_, untrusted_marks_;
};

}  // namespace infer
