// SPDX-License-Identifier: MIT
// Tokenizer: text to token ids and back, immutable after construction and shared by threads. Kinds are registered in
// tokenizers/tokenizers.cpp, one file each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/executor.h"
#include "libinfer/hooks.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/status.h"

namespace infer {

using Token = std::int32_t;
inline constexpr Token kNoToken = -1;

/// A stretch of a text, in bytes.
struct TextSpan {
  std::size_t begin = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// The first four say what the tokens are.
struct EncodeOptions {
  bool add_special = true;     ///< add BOS and EOS where the vocabulary says so
  bool parse_special = false;  ///< recognise the texts of control tokens; off, so that user text never becomes one
  /// Where parse_special holds, ascending and apart: a control token must lie in one of them as a whole. So must a user-defined
  /// one that looks like control (`<|User|>`, `</s>`, what ends a turn); the other user-defined ones may be anywhere. Absent:
  /// everywhere.
  std::optional<std::span<const TextSpan>> special_in{};
  Token previous = kNoToken;   ///< the text goes on behind this token; one outside the vocabulary: it begins here
  std::int32_t n_threads = 0;  ///< 0: one, but above a mebibyte of text as many as a session would take
  Executor executor{};         ///< instead of threads that live as long as the call
  const CancelFlag* cancel = nullptr;   ///< looked at between parts
  std::size_t part_bytes = std::size_t{1} << 16;  ///< a thread's portion, about; smaller ones are for tests
  /// Receives for each token the bytes of the text that it stands for, from one thread; null: not asked for. Spans are in the
  /// order of the text. A byte belongs to one token, but where a normal form changed a stretch as a whole: every token with a
  /// part of what it became has all of it. What was added (BOS, EOS, a space prefix) is empty; what was left out belongs to no
  /// token, but may lie inside a span.
  std::vector<TextSpan>* spans = nullptr;
};

struct DecodeOptions {
  bool remove_special = false;   ///< drop a leading BOS and a trailing EOS that encode() would have added
  bool unparse_special = false;  ///< render control and unknown tokens as their text instead of as nothing
};

/// Ids of the tokens with a role, or kNoToken.
struct SpecialTokens {
  Token bos = kNoToken, eos = kNoToken, unk = kNoToken, sep = kNoToken, pad = kNoToken, eot = kNoToken, eom = kNoToken;
  bool add_bos = false, add_eos = false;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::int32_t size() const noexcept = 0;
  virtual const SpecialTokens& special() const noexcept = 0;
  /// The entry as the vocabulary has it ("▁the", "<0x0A>").
  virtual std::string_view text(Token token) const noexcept = 0;
  virtual TokenType type(Token token) const noexcept = 0;
  virtual float score(Token token) const noexcept = 0;
  /// Whether the token ends a generation (EOS, EOT, EOM).
  virtual bool ends_generation(Token token) const noexcept = 0;

  /// Bytes that are not UTF-8 are encoded as they are where the vocabulary has tokens for bytes. After a failure *spans is
  /// unspecified.
  /// Errors: limit (text longer than 2^31 - 1 bytes); utf8 (a character that the vocabulary has no piece, bytes or
  /// unknown token for); range (n_threads). Where the system gives no threads the caller does it all.
  virtual Result<std::vector<Token>> encode(std::string_view text, const EncodeOptions& options) const = 0;

  /// The token's own bytes; control and unknown tokens, and marks of fill-in-the-middle, are empty unless
  /// unparse_special. The token must be < size(). The view is borrowed from the tokenizer.
  virtual std::string_view piece(Token token, bool unparse_special) const noexcept = 0;

  /// The bytes of all pieces; what encode() left out or normalised does not come back. Errors: token (an id outside the
  /// vocabulary, with its index).
  virtual Result<std::string> decode(std::span<const Token> tokens, const DecodeOptions& options) const = 0;

  /// Whether the first piece of a text loses one leading space when it is decoded (the inverse of the space prefix).
  virtual bool strips_leading_space() const noexcept = 0;

  /// Bytes of memory it holds beside the TokenizerSpec.
  virtual std::uint64_t memory() const noexcept = 0;
};

struct TokenizerKind {
  std::string_view name;   ///< tokenizer.ggml.model
  /// `spec` must outlive the tokenizer (it is the model descriptor's). What is odd but usable is added to `warnings`. The
  /// flag (null: none) is looked at with every token. Errors: vocab, pretokenizer, limit, cancelled.
  Result<std::unique_ptr<Tokenizer>> (*make)(const TokenizerSpec& spec, const CancelFlag* cancel,
                                             std::vector<std::string>& warnings);
};

}  // namespace infer
