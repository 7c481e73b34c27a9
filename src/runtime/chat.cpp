// SPDX-License-Identifier: MIT
// How a conversation goes on in a sequence that holds its beginning. Tested by tests/runtime/chat_test.cpp.
//
// An answer was chosen token by token, and its text need not give the same tokens when it is cut up anew. So the tokens of what
// was said are kept, and as far as the new prompt's text agrees with theirs only the rest of it is tokenised. The sequence keeps the
// longest prefix that it has in common with the new prompt.
#include "libinfer/chat.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace infer {
namespace {

/// Up to which byte the same bytes are trusted. Spans are ascending and apart.
std::size_t trusted_alike(std::span<const TextSpan> a, std::span<const TextSpan> b) noexcept {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i].begin != b[i].begin) return std::min(a[i].begin, b[i].begin);
    if (a[i].end != b[i].end) return std::min(a[i].end, b[i].end);
  }
  if (a.size() == b.size()) return SIZE_MAX;
  return a.size() > b.size() ? a[b.size()].begin : b[a.size()].begin;
}

bool lies_in(std::span<const TextSpan> spans, std::size_t begin, std::size_t end) noexcept {
  return std::any_of(spans.begin(), spans.end(), [&](const TextSpan& s) { return s.begin <= begin && end <= s.end; });
}

}  // namespace

Result<std::unique_ptr<Chat>> Chat::create(Session& session, SequenceId seq, ChatTemplate chat_template) {
  INFER_TRY(session.check(seq));
  INFER_ASSIGN(const Tokenizer* const tokenizer, session.model().tokenizer());
  return std::unique_ptr<Chat>(new Chat(session, seq, *tokenizer, std::move(chat_template)));
}

/// Of what was said all tokens whose text the prompt begins with, and those of its rest. When that is not even the prompt of before,
/// all is tokenised anew, and also when it is no more than that and ended with what a message says: words may go on there. Text that
/// was trusted must be so again, and a control token of the answer must be the template's now.
Result<std::vector<Token>> Chat::tokens_of(const ChatPrompt& prompt, std::span<const TextSpan> trusted,
                                           const CancelFlag* cancel) const {
  const auto differ = std::mismatch(said_.begin(), said_.end(), prompt.text.begin(), prompt.text.end());
  const auto n_common = static_cast<std::size_t>(differ.first - said_.begin());
  const bool begins_alike = n_common >= asked_bytes_ && trusted_alike(asked_trusted_, trusted) >= asked_bytes_;
  std::size_t n_bytes = asked_bytes_, n_tokens = asked_tokens_;
  while (begins_alike && n_tokens < said_tokens_.size()) {
    const Token token = said_tokens_[n_tokens];
    const std::size_t end = n_bytes + tokenizer_.piece(token, true).size();
    const bool is_control = tokenizer_.type(token) == TokenType::control || tokenizer_.ends_generation(token);
    if (end > n_common || (is_control && !lies_in(trusted, n_bytes, end))) break;
    n_bytes = end;
    ++n_tokens;
  }
  const bool ends_trusted = !asked_trusted_.empty() && asked_trusted_.back().end == asked_bytes_;
  if (!begins_alike || (n_tokens == asked_tokens_ && !ends_trusted)) return prompt.tokens(tokenizer_, cancel);

  INFER_ASSIGN(const std::vector<Token> rest, prompt.tokens_from(n_bytes, said_tokens_[n_tokens - 1], tokenizer_, cancel));
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
  INFER_ASSIGN(ChatPrompt prompt, template_.render(messages_, {.add_generation_prompt = true, .tokenizer = &tokenizer_, .cancel = cancel}));
  std::vector<TextSpan> trusted = prompt.trusted_from(0);
  INFER_ASSIGN(std::vector<Token> tokens, tokens_of(prompt, trusted, cancel));
  INFER_ASSIGN(const std::size_t kept, keep(tokens));
  INFER_ASSIGN(std::unique_ptr<Generation> generation,
               Generation::start(session_, seq_, std::span<const Token>(tokens).subspan(kept), options, cancel));
  asked_tokens_ = tokens.size();
  asked_bytes_ = prompt.text.size();
  reused_tokens_ = static_cast<std::int64_t>(kept);
  asked_trusted_ = std::move(trusted);
  said_ = std::move(prompt.text);
  said_tokens_ = std::move(tokens);
  return generation;
}

Status Chat::finish(const Generation& answer) {
  if (answer.tokens().empty()) return {};
  std::string said = said_;
  std::vector<Token> tokens = said_tokens_;
  for (const Token token : answer.tokens()) {
    said += tokenizer_.piece(token, true);
    tokens.push_back(token);
  }
  const std::string text = answer.text();
  INFER_TRY(messages_.add("assistant", content_of(text, answer.is_cancelled())));
  said_.swap(said);
  said_tokens_.swap(tokens);
  return {};
}

// Where a cancel waits for it: a template that takes more steps is not asked, and the space stays.
constexpr std::uint64_t kStepsToShow = 200'000;   // some 20 ms

// Some templates put a space between the mark of the assistant and its answers, but not at the end of a prompt: there the model says
// it, and it is no part of the message.
std::string_view Chat::content_of(std::string_view answer, bool in_haste) const {
  if (!answer.starts_with(' ') || shows(answer, answer, in_haste)) return answer;
  return shows(answer.substr(1), answer, in_haste) ? answer.substr(1) : answer;
}

/// Whether the template renders this message of the assistant as the prompt of before, and after it the answer.
bool Chat::shows(std::string_view content, std::string_view answer, bool in_haste) const {
  Messages messages = messages_.clone();
  if (!messages.add("assistant", content).ok()) return false;
  RenderOptions options{.add_generation_prompt = false, .tokenizer = &tokenizer_};
  if (in_haste) options.max_steps = kStepsToShow;
  const Result<ChatPrompt> prompt = template_.render(messages, options);
  if (!prompt.ok()) return false;
  const std::string_view text = prompt.value().text, asked = std::string_view(said_).substr(0, asked_bytes_);
  return text.starts_with(asked) && text.substr(asked.size()).starts_with(answer);
}

}  // namespace infer
