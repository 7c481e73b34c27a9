// SPDX-License-Identifier: MIT
// Chat: a conversation with a model in one sequence of a session. Each answer feeds only what the sequence does not hold yet.
// Tested by tests/runtime/chat_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libinfer/chat_template.h"
#include "libinfer/generation.h"
#include "libinfer/messages.h"
#include "libinfer/session.h"
#include "libinfer/status.h"

namespace infer {

class Chat {
 public:
  /// The sequence is the chat's alone; what it holds at first is given up. Errors: sequence, forked; vocab when the model has no
  /// usable tokenizer.
  static Result<std::unique_ptr<Chat>> create(Session& session, SequenceId seq, ChatTemplate chat_template);

  /// To be added to, and cut: what changed is fed with the next answer.
  Messages& messages() noexcept { return messages_; }
  const ChatTemplate& chat_template() const noexcept { return template_; }

  /// The assistant's next message. Renders the messages with a generation prompt, keeps of the sequence what the new prompt begins
  /// with, and feeds the rest. The answer before, if any, must be over. Errors: those of rendering and of Generation::start; the
  /// messages stay as they are.
  Result<std::unique_ptr<Generation>> answer(const GenerationOptions& options, const CancelFlag* cancel);
  /// Ends an answer, wherever it is: adds what was said to the messages, as the assistant's, without the space in front of it where
  /// the template writes that (and, after a cancel, is quick to say so). An answer that has no token yet adds nothing. All or nothing: after a failure it can be tried again.
  Status finish(const Generation& answer);

  /// Of the last prompt: tokens in all, and how many of them the sequence held already.
  std::int64_t prompt_tokens() const noexcept { return static_cast<std::int64_t>(asked_tokens_); }
  std::int64_t reused_tokens() const noexcept { return reused_tokens_; }

 private:
  Chat(Session& session, SequenceId seq, const Tokenizer& tokenizer, ChatTemplate chat_template)
      : session_(session), seq_(seq), tokenizer_(tokenizer), template_(std::move(chat_template)) {}
  Result<std::vector<Token>> tokens_of(const ChatPrompt& prompt, std::span<const TextSpan> trusted,
                                       const CancelFlag* cancel) const;
  Result<std::size_t> keep(std::span<const Token> prompt);
  std::string_view content_of(std::string_view answer, bool in_haste) const;
  bool shows(std::string_view content, std::string_view answer, bool in_haste) const;

  Session& session_;
  SequenceId seq_;
  const Tokenizer& tokenizer_;
  ChatTemplate template_;
  Messages messages_;
  std::string said_;                 ///< the last prompt and what was answered to it, control tokens as their text
  std::vector<Token> said_tokens_;   ///< the same
  std::size_t asked_bytes_ = 0;      ///< of said_, the prompt
  std::size_t asked_tokens_ = 0;
  std::vector<TextSpan> asked_trusted_;
  std::int64_t reused_tokens_ = 0;
};

}  // namespace infer
