// SPDX-License-Identifier: MIT
// The loop of a generation, turned inside out: each next() does one piece of work and reports it. A token is chosen in
// the same call that computed its logits, so streams over several sequences of one session may be pulled in turn.
// Tested by tests/runtime/generation_test.cpp.
#include "libinfer/generation.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "src/base/range.h"

namespace infer {
namespace {

double now() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool shows_nothing(const Tokenizer& tokenizer, std::span<const Token> tokens) {
  return std::all_of(tokens.begin(), tokens.end(),
                     [&](Token t) { return t >= tokenizer.size() || tokenizer.piece(t, false).empty(); });
}

std::size_t bytes_of(const std::vector<std::string>& texts) noexcept {
  std::size_t n = texts.capacity() * sizeof(std::string);
  for (const std::string& text : texts) n += text.capacity();
  return n;
}

}  // namespace

Generation::Generation(Session& session, SequenceId seq, const Tokenizer& tokenizer, std::span<const Token> prompt,
                       SamplerChain chain, const GenerationOptions& options, const CancelFlag* cancel)
    : session_(session),
      seq_(seq),
      tokenizer_(tokenizer),
      chain_(std::move(chain)),
      text_(options.stop, session.model().longest_piece()),
      options_(options),
      cancel_(cancel),
      prompt_(prompt.begin(), prompt.end()),
      begins_text_(session.length(seq) == 0 && tokenizer.strips_leading_space() && shows_nothing(tokenizer, prompt)),
      strip_space_(begins_text_) {
  event_.text.reserve(text_.most_out());
  const std::int64_t room = session.room(seq) - static_cast<std::int64_t>(prompt.size()) + 1;   // the last token needs no position
  tokens_.reserve(static_cast<std::size_t>(options.max_tokens > 0 ? std::min(room, options.max_tokens) : room));
}

Result<std::unique_ptr<Generation>> Generation::start(Session& session, SequenceId seq, std::span<const Token> prompt,
                                                      const GenerationOptions& options, const CancelFlag* cancel) {
  INFER_TRY(session.check(seq));
  INFER_ASSIGN(const Tokenizer* const tokenizer, session.model().tokenizer());
  if (prompt.empty()) {
    return Status::error(Code::argument, "the prompt has no tokens and the model adds none; give it some text to continue");
  }
  for (const std::string& s : options.stop) {
    if (s.empty()) return Status::error(Code::argument, "a stop string is empty").about("stop");
    if (!is_utf8(s)) return Status::error(Code::utf8, fmt::format("the stop string {} is not valid UTF-8", quoted(s))).about("stop");
  }
  if (options.max_tokens < 0) {
    return Status::error(Code::range, fmt::format("max_tokens = {} is below 0 (0: until the context is full)",
                                                  options.max_tokens)).about("max_tokens");
  }
  INFER_TRY(check_range("logprobs", options.logprobs, 0, kMaxLogprobs));
  if (prompt.size() > static_cast<std::size_t>(session.room(seq))) {   // before any is read: a wrong count may be of any size
    return Status::error(Code::context_full,
                         fmt::format("the prompt needs {} positions, {} of {} are free; shorten it or create the session "
                                     "with a larger n_ctx",
                                     prompt.size(), session.room(seq), session.length(seq) + session.room(seq)));
  }
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    if (prompt[i] >= 0 && prompt[i] < session.model().n_vocab()) continue;
    return Status::error(Code::token, fmt::format("token {} at index {} of the prompt is outside the vocabulary 0..{}",
                                                  prompt[i], i, session.model().n_vocab() - 1));
  }

  // Rows of the embedding beyond the vocabulary are padding: they have no text and are never chosen.
  const std::int32_t n_vocab = static_cast<std::int32_t>(std::min<std::int64_t>(session.model().n_vocab(), tokenizer->size()));
  SamplerParams params = options.sampler;
  params.penalty_window = std::min(params.penalty_window, session.length(seq) + session.room(seq));   // no more can be recent
  INFER_ASSIGN(SamplerChain chain, SamplerChain::create(params, session.model().library().samplers.all(), n_vocab));
  std::unique_ptr<Generation> g(new Generation(session, seq, *tokenizer, prompt, std::move(chain), options, cancel));
  g->top_.resize(static_cast<std::size_t>(std::min<std::int64_t>(options.logprobs, n_vocab)));
  const std::uint64_t lists = prompt.size_bytes() + g->tokens_.capacity() * sizeof(Token);
  g->charge_ = session.model().account()->count(MemoryClass::other,
                                                sizeof(Generation) + g->chain_.memory() + lists + g->text_.memory() + bytes_of(g->options_.stop) +
                                                    g->event_.text.capacity());
  // Penalties see all of the sequence, so that it does not matter what of a prompt was fed before.
  for (Token t : session.tokens(seq)) g->chain_.accept(t);
  for (Token t : prompt) g->chain_.accept(t);
  return g;
}

Result<const GenerationEvent*> Generation::next() {
  if (ended_) return static_cast<const GenerationEvent*>(nullptr);
  INFER_TRY(session_.check_process());
  if (started_ < 0.0) started_ = now();
  event_.clear();
  const GenerationEvent* const event = &event_;
  if (is_cancelled()) {
    end(FinishReason::cancelled);
    return event;
  }
  if (pending_ != FinishReason::none) {
    end(pending_);
    return event;
  }

  Status status;
  if (n_fed_ < prompt_.size()) {
    const std::size_t n = std::min(prompt_.size() - n_fed_, static_cast<std::size_t>(session_.options().n_batch));
    const double before = now();
    status = feed(std::span<const Token>(prompt_).subspan(n_fed_, n));
    stats_.prompt_seconds += now() - before;
    if (status.ok()) {
      n_fed_ += n;
      stats_.prompt_tokens += static_cast<std::int64_t>(n);
      event_.kind = GenerationEvent::Kind::prompt;
      event_.prompt_done = static_cast<std::int64_t>(n_fed_);
      event_.prompt_total = static_cast<std::int64_t>(prompt_.size());
    }
  } else {
    if (!chosen_ready_) {
      if (session_.room(seq_) == 0) {
        end(FinishReason::context);
        return event;
      }
      status = feed(std::span<const Token>(&chosen_.token, 1));
    }
    if (status.ok()) emit_token();
  }

  if (status.code() == Code::cancelled) {
    end(FinishReason::cancelled);
    return event;
  }
  if (!status.ok()) {
    ended_ = true;
    return status;
  }
  return event;
}

/// Feeds tokens; after the last one there is to feed, chooses the next at once.
Status Generation::feed(std::span<const Token> tokens) {
  const bool last = n_fed_ + tokens.size() >= prompt_.size();
  INFER_TRY(session_.feed(seq_, tokens, last ? WantLogits::last : WantLogits::none, cancel_));
  return last ? choose() : Status();
}

Status Generation::choose() {
  INFER_ASSIGN(std::span<const float> logits, session_.logits(0));
  logits = logits.first(static_cast<std::size_t>(std::min<std::int64_t>(static_cast<std::int64_t>(logits.size()), tokenizer_.size())));
  INFER_TRY(chain_.sample(logits, chosen_));
  if (!top_.empty()) chain_.top(logits, top_);
  chain_.accept(chosen_.token);
  chosen_ready_ = true;
  const double t = now();
  if (stats_.generated_tokens == 0) {
    first_token_at_ = t;
    stats_.first_token_seconds = t - started_;
  }
  stats_.decode_seconds = t - first_token_at_;
  return {};
}

void Generation::emit_token() {
  chosen_ready_ = false;
  event_.kind = GenerationEvent::Kind::token;
  event_.token = chosen_.token;
  tokens_.push_back(chosen_.token);
  ++stats_.generated_tokens;
  event_.logprob = chosen_.logprob;
  event_.top = top_;
  if (tokenizer_.ends_generation(chosen_.token) && !options_.ignore_eog) {
    pending_ = FinishReason::eog;
    return;
  }
  if (push_text(chosen_.token, text_, strip_space_, event_.text)) {
    pending_ = FinishReason::stop;
  } else if (options_.max_tokens > 0 && stats_.generated_tokens >= options_.max_tokens) {
    pending_ = FinishReason::length;
  }
}

/// True when a stop string was completed.
bool Generation::push_text(Token token, TextStream& stream, bool& strip_space, std::string& out) const {
  std::string_view piece = tokenizer_.piece(token, options_.show_special);
  if (strip_space && !piece.empty()) {
    strip_space = false;
    if (piece.front() == ' ') piece.remove_prefix(1);
  }
  return stream.push(piece, out);
}

std::string Generation::text() const {
  std::string all;
  TextStream stream(options_.stop);
  bool strip_space = begins_text_;
  for (const Token token : tokens_) {
    if (tokenizer_.ends_generation(token) && !options_.ignore_eog) break;
    if (push_text(token, stream, strip_space, all)) break;
  }
  stream.flush(all);
  return all;
}

void Generation::end(FinishReason reason) {
  // What was reported is what the sequence holds, so that the next prompt continues it: the last token too, room
  // permitting. A cancel has no time for that.
  if (pending_ != FinishReason::none && reason == pending_ && session_.room(seq_) > 0) {
    const Status held = session_.feed(seq_, std::span<const Token>(&chosen_.token, 1), WantLogits::none, cancel_);
    if (held.code() == Code::cancelled) reason = FinishReason::cancelled;
  }
  event_.kind = GenerationEvent::Kind::end;
  event_.finish = reason;
  text_.flush(event_.text);
  event_.stop_string = text_.matched();
  event_.prompt_done = static_cast<std::int64_t>(n_fed_);
  event_.prompt_total = static_cast<std::int64_t>(prompt_.size());
  ended_ = true;
}

}  // namespace infer
