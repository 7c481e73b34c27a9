// SPDX-License-Identifier: MIT
// The generation stream, its events, and the one-call generate.
#include <bit>

#include <fmt/format.h>

#include "capi/facts.h"
#include "capi/handles.h"

using infer::Code;
using infer::GenerationEvent;
using infer::Result;
using infer::Status;
using namespace infer::capi;

namespace {

Status start(infer_session* session, std::int32_t seq, std::span<const infer::Token> prompt, const infer_options* options,
             infer_cancel* cancel, infer_stream** out) {
  INFER_ASSIGN(const infer::GenerationOptions o, to_generation_options(options == nullptr ? nullptr : &options->values));
  auto stream = std::make_unique<infer_stream>();
  INFER_ASSIGN(stream->generation, infer::Generation::start(*session->session, seq, prompt, o, flag_of(cancel)));
  stream->session = Ref<infer_session>(session);
  stream->cancel = Ref<infer_cancel>(cancel);
  *out = stream.release();
  return {};
}

/// Special tokens are added where a text begins.
Result<std::vector<infer::Token>> encode(const infer_session* session, std::int32_t seq, std::string_view text,
                                         const infer_options* options, const infer_cancel* cancel) {
  INFER_TRY(session->session->check(seq));
  INFER_ASSIGN(const infer::Tokenizer* const tokenizer, session->session->model().tokenizer());
  const bool one_thread = session->session->options().n_threads == 1;
  return tokenizer->encode(text, {.add_special = session->session->length(seq) == 0,
                                  .parse_special = wants_parse_special(options == nullptr ? nullptr : &options->values),
                                  .n_threads = one_thread ? 1 : 0,
                                  .executor = session->model->env->executor,
                                  .cancel = flag_of(cancel)});
}

Status start_text(infer_session* session, std::int32_t seq, std::string_view text, const infer_options* options,
                  infer_cancel* cancel, infer_stream** out) {
  INFER_ASSIGN(const std::vector<infer::Token> prompt, encode(session, seq, text, options, cancel));
  return start(session, seq, prompt, options, cancel, out);
}

Status check_start(infer_session* session, const infer_options* options, infer_cancel* cancel) {
  INFER_TRY(check(session, "session"));
  INFER_TRY(check_optional(options, "options"));
  return check_optional(cancel, "cancel");
}

/// What was said goes to the chat, once. After a failure it can be tried again.
Status tell_chat(infer_stream& stream) {
  if (stream.chat.get() == nullptr) return {};
  INFER_TRY(stream.chat->chat->finish(*stream.generation));
  stream.chat->is_answering = false;
  stream.chat = Ref<infer_chat>();
  return {};
}

/// The messages of the chat that the stream answers in, if any.
Ref<infer_messages> messages_of(infer_stream& stream) {
  return Ref<infer_messages>(stream.chat.get() == nullptr ? nullptr : stream.chat->messages.get());
}

/// The next event, or null at the end.
Result<const GenerationEvent*> next(infer_stream& stream) {
  INFER_ENTER_SESSION(stream.session.get());
  const Ref<infer_messages> messages = messages_of(stream);   // the chat may go when it has been told
  const Busy alone(messages.get() == nullptr ? nullptr : &messages->busy);
  if (!alone.entered()) return busy("messages");
  Result<const GenerationEvent*> event = stream.untold == nullptr ? stream.generation->next() : Result(stream.untold);
  const bool is_over = !event.ok() || event.value() == nullptr || event.value()->kind == GenerationEvent::Kind::end;
  if (!is_over) return event;
  stream.untold = event.ok() ? event.value() : nullptr;   // until the chat is told, for which memory may be missing
  Status told = tell_chat(stream);
  if (event.ok() && !told.ok()) return told;
  stream.untold = nullptr;
  return event;
}

const GenerationEvent* event_of(const infer_event* event) noexcept { return event == nullptr ? nullptr : event->event; }

}  // namespace

/// An answer that was not pulled to its end: what there is of it is kept, if there is memory for it.
infer_stream::~infer_stream() {
  if (chat.get() == nullptr) return;
  const Ref<infer_messages> messages = messages_of(*this);
  const Busy alone(messages->busy);
  if (alone.entered()) guard(nullptr, [this] { return tell_chat(*this); });
  if (chat.get() != nullptr) chat->is_answering = false;
}

extern "C" {

infer_status infer_stream_start(infer_session* session, int32_t seq, const int32_t* tokens, size_t n_tokens,
                                const infer_options* options, infer_cancel* cancel, infer_stream** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check_start(session, options, cancel));
    if (tokens == nullptr && n_tokens > 0) return null_argument("tokens");
    INFER_ENTER_SESSION(session);
    return start(session, seq, {tokens, n_tokens}, options, cancel, out);
  });
}

infer_status infer_stream_start_text(infer_session* session, int32_t seq, const char* text, size_t length,
                                     const infer_options* options, infer_cancel* cancel, infer_stream** out,
                                     infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check_start(session, options, cancel));
    INFER_ASSIGN(const std::string_view prompt, text_argument(text, length, "text"));
    INFER_ENTER_SESSION(session);
    return start_text(session, seq, prompt, options, cancel, out);
  });
}

infer_status infer_stream_next(infer_stream* stream, const infer_event** event, infer_error** err) {
  bool done = false;
  const infer_status status = guard(err, [&]() -> Status {
    INFER_TRY(clear_out(event, "event"));
    INFER_TRY(check(stream, "stream"));
    INFER_TRY(stream->session->session->check_process());   // before the flag: a fork may have left it set
    INFER_ENTER(stream, "stream");
    INFER_ASSIGN(stream->event.event, next(*stream));
    done = stream->event.event == nullptr;
    if (!done) *event = &stream->event;
    return {};
  });
  return done ? INFER_DONE : status;
}

void infer_stream_release(infer_stream* stream) { release(stream); }

int32_t infer_event_kind(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr ? 0 : static_cast<std::int32_t>(e->kind);
}
const char* infer_event_text(const infer_event* event, size_t* length) {
  const GenerationEvent* e = event_of(event);
  if (length != nullptr) *length = e == nullptr ? 0 : e->text.size();
  return e == nullptr ? "" : e->text.c_str();
}
int32_t infer_event_token(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr ? infer::kNoToken : e->token;
}
double infer_event_logprob(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr ? 0.0 : static_cast<double>(e->logprob);
}
size_t infer_event_top_count(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr ? 0 : e->top.size();
}
int32_t infer_event_top_token(const infer_event* event, size_t index) {
  return index < infer_event_top_count(event) ? event->event->top[index].token : infer::kNoToken;
}
double infer_event_top_logprob(const infer_event* event, size_t index) {
  return index < infer_event_top_count(event) ? static_cast<double>(event->event->top[index].logprob) : 0.0;
}
int32_t infer_event_finish_reason(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr ? INFER_FINISH_NONE : static_cast<std::int32_t>(e->finish);
}
const char* infer_event_stop_string(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr || e->stop_string.empty() ? "" : e->stop_string.data();   // a whole std::string: NUL-terminated
}
int64_t infer_event_prompt_done(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr ? 0 : e->prompt_done;
}
int64_t infer_event_prompt_total(const infer_event* event) {
  const GenerationEvent* e = event_of(event);
  return e == nullptr ? 0 : e->prompt_total;
}

infer_status infer_stream_get_i64(const infer_stream* stream, const char* key, int64_t* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(stream, "stream"));
    INFER_TRY(check_key(key));
    const infer::Generation& g = *stream->generation;
    const FactOf<std::int64_t> facts[] = {{"prompt_tokens", g.stats().prompt_tokens},
                                          {"reused_tokens", stream->reused_tokens},
                                          {"generated_tokens", g.stats().generated_tokens},
                                          {"position", std::max<std::int64_t>(0, g.position())},
                                          {"seed", std::bit_cast<std::int64_t>(g.seed())}};
    return get_fact(facts, key, value);
  });
}

infer_status infer_stream_get_f64(const infer_stream* stream, const char* key, double* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(stream, "stream"));
    INFER_TRY(check_key(key));
    const infer::GenerationStats& s = stream->generation->stats();
    const auto rate = [](std::int64_t n, double seconds) { return seconds > 0.0 ? static_cast<double>(n) / seconds : 0.0; };
    const FactOf<double> facts[] = {
        {"prompt_seconds", s.prompt_seconds},
        {"decode_seconds", s.decode_seconds},
        {"first_token_seconds", s.first_token_seconds},
        {"prompt_tokens_per_second", rate(s.prompt_tokens, s.prompt_seconds)},
        // The first token belongs to the prompt: its logits came with it.
        {"decode_tokens_per_second", rate(s.generated_tokens - 1, s.decode_seconds)}};
    return get_fact(facts, key, value);
  });
}

infer_status infer_generate(infer_session* session, int32_t seq, const char* prompt, size_t length,
                            const infer_options* options, infer_cancel* cancel, infer_text_fn fn, void* user,
                            int32_t* finish_reason, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (finish_reason != nullptr) *finish_reason = INFER_FINISH_NONE;
    INFER_TRY(check_start(session, options, cancel));
    if (fn == nullptr) return null_argument("fn");
    INFER_ASSIGN(const std::string_view text, text_argument(prompt, length, "prompt"));
    const Ref<infer_session> held(session);   // whatever the callback releases
    INFER_ENTER_SESSION(session);
    infer_stream* started = nullptr;
    Status status = start_text(session, seq, text, options, cancel, &started);
    if (status.code() == Code::cancelled) {
      if (finish_reason != nullptr) *finish_reason = INFER_FINISH_CANCELLED;
      return {};
    }
    INFER_TRY(std::move(status));
    const std::unique_ptr<infer_stream, void (*)(infer_stream*)> stream(started, infer_stream_release);
    for (;;) {
      INFER_ASSIGN(const GenerationEvent* const event, stream->generation->next());
      if (event == nullptr) return {};
      if (!event->text.empty()) {
        std::int32_t stop = 0;
        try {
          stop = fn(user, event->text.c_str(), event->text.size());
        } catch (...) {
          return Status::error(Code::callback, "the text callback threw an exception, which no callback may");
        }
        if (stop != 0) return Status::error(Code::callback, fmt::format("the text callback stopped the generation with {}", stop));
      }
      if (event->kind == GenerationEvent::Kind::end && finish_reason != nullptr) {
        *finish_reason = static_cast<std::int32_t>(event->finish);
      }
    }
  });
}

}  // extern "C"
