// SPDX-License-Identifier: MIT
// ChatTemplate: a conversation to the text and the tokens that a model was trained on, by the template of its file or by one of
// ours. A thin front of the interpreter in tokenizers/chat. docs/chat_templates.md has the language and the limits.
// Tested by tests/runtime/chat_template_test.cpp and tests/capi/template_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libinfer/hooks.h"
#include "libinfer/messages.h"
#include "libinfer/status.h"
#include "libinfer/tokenizer.h"

namespace infer {

class Model;

/// A piece of a prompt: what the template says is trusted, what comes from messages is not.
struct PromptSegment {
  std::string text;
  bool trusted;
};

struct ChatPrompt {
  std::string text;                      ///< all segments, one after the other
  std::vector<PromptSegment> segments;   ///< neighbours differ in trust

  /// Control tokens are recognised in trusted segments only. BOS stands at the beginning exactly once, whether the template
  /// writes it, or the vocabulary adds it, or both. Errors: those of Tokenizer::encode.
  Result<std::vector<Token>> tokens(const Tokenizer& tokenizer, const CancelFlag* cancel = nullptr) const;
  /// Which bytes are trusted, counted from the byte `begin`: ascending and apart.
  std::vector<TextSpan> trusted_from(std::size_t begin) const;
  /// The tokens of what follows the first `begin` bytes, to be put after tokens that stand for these, `previous` the last of them.
  Result<std::vector<Token>> tokens_from(std::size_t begin, Token previous, const Tokenizer& tokenizer,
                                         const CancelFlag* cancel = nullptr) const;
};

struct RenderOptions {
  std::optional<bool> add_generation_prompt{};  ///< absent: as the messages say, or not
  const Tokenizer* tokenizer = nullptr;         ///< for bos_token and eos_token, unless the messages say them
  const CancelFlag* cancel = nullptr;
  std::optional<std::uint64_t> max_steps{};     ///< less than the interpreter's own budget
};

/// Immutable; any number of threads may render with it.
class ChatTemplate {
 public:
  /// Code::chat_template or Code::template_limit, with line and column in the message and the byte in offset().
  static Result<ChatTemplate> compile(std::string_view text);

  /// Ours: "chatml", "llama3" ... Errors: notfound, which lists the names.
  static Result<ChatTemplate> builtin(std::string_view name);
  static std::string_view builtin_name(std::size_t index) noexcept;   ///< a literal; empty beyond the last

  /// The template of a model's file; `name` is empty for the default one, else of tokenizer.chat_template.NAME. A file without a
  /// template gets the built-in one whose turn marks its vocabulary has, and origin() tells so. Errors: notfound (none of this
  /// name; none at all, and no marks of ours), template_limit, those of compile.
  static Result<ChatTemplate> of(const Model& model, std::string_view name = {});

  /// Errors: chat_template, template_limit, cancelled.
  Result<ChatPrompt> render(const Messages& messages, const RenderOptions& options = {}) const;

  /// A line for each construct that rendering would fail at, with its place.
  std::vector<std::string> unsupported() const;

  const std::string& source() const noexcept;
  /// Where it comes from, as a sentence.
  const std::string& origin() const noexcept;
  /// Whether of() chose a built-in one by the marks of the vocabulary.
  bool is_chosen_by_rule() const noexcept;

 private:
  struct Impl;
  explicit ChatTemplate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  static Result<ChatTemplate> compile(std::string text, std::string origin, bool is_chosen_by_rule = false);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace infer
