// SPDX-License-Identifier: MIT
// How a conversation goes on in a sequence that holds its beginning. Tested by tests/runtime/chat_test.cpp.
//
// An answer was chosen token by token, and its text need not give the same tokens when it is cut up anew. So the tokens of what
// was said are kept, and where the new prompt's text begins with that text only the rest of it is tokenised. Templates that show
// earlier answers otherwise (trimmed, without their reasoning) are tokenised as a whole. Either way the sequence keeps the longest
// prefix that it has in common with the new prompt.
#include "libinfer/chat.h"

#include <algorithm>
#include <utility>

namespace infer {

Result<std::unique_ptr<Chat>> Chat::create(Session& session, SequenceId seq, ChatTemplate chat_template) {
  INFER_TRY(session.check(seq));
  INFER_ASSIGN(const Tokenizer* const tokenizer, session.model().tokenizer());
  return std::unique_ptr<Chat>(new Chat(session, seq, *tokenizer, std::move(chat_template)));
}

/// The first tokens of what was said, which stand for the first bytes of the prompt, and the tokens of the rest.
Result<std::vector<Token>> Chat::continued(const ChatPrompt& prompt, std::size_t n_bytes, std::size_t n_tokens) const {
  const bool after_mark = tokenizer_.type(said_tokens_[n_tokens - 1]) == TokenType::control;
  INFER_ASSIGN(const std::vector<Token> rest, prompt.tokens_from(n_bytes, after_mark, tokenizer_));
  std::vector<Token> all(said_tokens_.begin(), said_tokens_.begin() + static_cast<std::ptrdiff_t>(n_tokens));
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

/// What was said but for the token that ended it, which a template may write otherwise.
std::string_view Chat::said_without_end() const {
  const bool has_end = !said_tokens_.empty() && tokenizer_.ends_generation(said_tokens_.back());
  return std::string_view(said_).substr(0, said_.size() - (has_end ? tokenizer_.piece(said_tokens_.back(), true).size() : 0));
}

Result<std::vector<Token>> Chat::tokens_of(const ChatPrompt& prompt) const {
  const std::size_t n = said_tokens_.size();
  if (n > 1 && prompt.text.starts_with(said_)) return continued(prompt, said_.size(), n);
  const std::string_view said = said_without_end();
  if (n > 1 && said.size() < said_.size() && prompt.text.starts_with(said)) return continued(prompt, said.size(), n - 1);
  return prompt.tokens(tokenizer_);
}

/// Cuts the sequence down to what the prompt begins with, less than all of it: the last token's logits are needed. How much stays.
Result<std::size_t> Chat::keep(std::span<const Token> prompt) {
  const std::span<const Token> held = session_.tokens(seq_);
  const auto differ = std::mismatch(held.begin(), held.end(), prompt.begin(), prompt.end());
  std::size_t n = static_cast<std::size_t>(differ.first - held.begin());
  if (n == prompt.size() && n > 0) --n;
  if (n == held.size()) return n;
  const Status cut = session_.truncate(seq_, static_cast<std::int64_t>(n));
  if (cut.ok()) return n;
  if (cut.code() != Code::unsupported) return cut.clone();
  INFER_TRY(session_.clear(seq_));
  return std::size_t{0};
}

Result<std::unique_ptr<Generation>> Chat::answer(const GenerationOptions& options, const CancelFlag* cancel) {
  INFER_TRY(session_.check(seq_));
  INFER_ASSIGN(ChatPrompt prompt, template_.render(messages_, {.add_generation_prompt = true, .tokenizer = &tokenizer_}));
  INFER_ASSIGN(std::vector<Token> tokens, tokens_of(prompt));
  INFER_ASSIGN(const std::size_t kept, keep(tokens));
  INFER_ASSIGN(std::unique_ptr<Generation> generation,
               Generation::start(session_, seq_, std::span<const Token>(tokens).subspan(kept), options, cancel));
  prompt_tokens_ = static_cast<std::int64_t>(tokens.size());
  reused_tokens_ = static_cast<std::int64_t>(kept);
  said_ = std::move(prompt.text);
  said_tokens_ = std::move(tokens);
  return generation;
}

// Some templates put a space between the mark of the assistant and its answers, but not at the end of a prompt: there the model says
// it, and it is no part of the message.
Status Chat::finish(const Generation& answer) {
  const std::string text = answer.text();
  INFER_TRY(messages_.add("assistant", text));
  for (const Token token : answer.tokens()) {
    said_ += tokenizer_.piece(token, true);
    said_tokens_.push_back(token);
  }
  if (!text.starts_with(' ') || shows_what_was_said()) return {};
  const std::size_t n = messages_.size() - 1;
  messages_.truncate(n);
  INFER_TRY(messages_.add("assistant", std::string_view(text).substr(1)));
  if (shows_what_was_said()) return {};
  messages_.truncate(n);
  return messages_.add("assistant", text);
}

/// Whether the template renders the messages as they were said.
bool Chat::shows_what_was_said() const {
  const Result<ChatPrompt> prompt = template_.render(messages_, {.add_generation_prompt = false, .tokenizer = &tokenizer_});
  return prompt.ok() && prompt.value().text.starts_with(said_without_end());
}

}  // namespace infer
