// SPDX-License-Identifier: MIT
// How a conversation goes on in a sequence that holds its beginning. Tested by tests/runtime/chat_test.cpp.
//
// An answer was chosen token by token, and its text need not give the same tokens when it is cut up anew. So the tokens of what
// was said are kept, and as far as the new prompt's text agrees with theirs only the rest of it is tokenised. The sequence keeps the
// longest prefix that it has in common with the new prompt.
#include "libinfer/chat.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace infer {

Result<std::unique_ptr<Chat>> Chat::create(Session& session, SequenceId seq, ChatTemplate chat_template) {
  INFER_TRY(session.check(seq));
  INFER_ASSIGN(const Tokenizer* const tokenizer, session.model().tokenizer());
  return std::unique_ptr<Chat>(new Chat(session, seq, *tokenizer, std::move(chat_template)));
}

/// Of what was said all tokens whose text the prompt begins with, and those of its rest. When that is not even the prompt of before
/// and a token of its answer, all is tokenised anew.
Result<std::vector<Token>> Chat::tokens_of(const ChatPrompt& prompt) const {
  const auto differ = std::mismatch(said_.begin(), said_.end(), prompt.text.begin(), prompt.text.end());
  const auto n_common = static_cast<std::size_t>(differ.first - said_.begin());
  std::size_t n_bytes = asked_bytes_, n_tokens = asked_tokens_;
  while (n_bytes <= n_common && n_tokens < said_tokens_.size()) {
    const std::size_t size = tokenizer_.piece(said_tokens_[n_tokens], true).size();
    if (n_bytes + size > n_common) break;
    n_bytes += size;
    ++n_tokens;
  }
  if (n_tokens == asked_tokens_) return prompt.tokens(tokenizer_);

  INFER_ASSIGN(const std::vector<Token> rest, prompt.tokens_from(n_bytes, said_tokens_[n_tokens - 1], tokenizer_));
  std::vector<Token> all(said_tokens_.begin(), said_tokens_.begin() + static_cast<std::ptrdiff_t>(n_tokens));
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
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
  asked_tokens_ = tokens.size();
  asked_bytes_ = prompt.text.size();
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
  if (!text.starts_with(' ') || shows(text)) return {};
  const std::size_t n = messages_.size() - 1;
  messages_.truncate(n);
  INFER_TRY(messages_.add("assistant", std::string_view(text).substr(1)));
  if (shows(text)) return {};
  messages_.truncate(n);
  return messages_.add("assistant", text);
}

/// Whether the template renders the messages as the prompt of before, and after it the answer.
bool Chat::shows(std::string_view answer) const {
  const Result<ChatPrompt> prompt = template_.render(messages_, {.add_generation_prompt = false, .tokenizer = &tokenizer_});
  if (!prompt.ok()) return false;
  const std::string_view text = prompt.value().text, asked = std::string_view(said_).substr(0, asked_bytes_);
  return text.starts_with(asked) && text.substr(asked.size()).starts_with(answer);
}

}  // namespace infer
