// SPDX-License-Identifier: MIT
// Sessions: sequences, feeding, stepping, logits.
#include <fmt/format.h>

#include "capi/facts.h"
#include "capi/handles.h"

using infer::Code;
using infer::Status;
using namespace infer::capi;

extern "C" {

infer_status infer_session_create(infer_model* model, const infer_options* options, infer_session** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_optional(options, "options"));
    INFER_ASSIGN(infer::SessionOptions o, to_session_options(options == nullptr ? nullptr : &options->values));
    o.executor = model->env->executor;
    auto session = std::make_unique<infer_session>();
    INFER_ASSIGN(session->session, infer::Session::create(model->model, o));
    session->model = Ref<infer_model>(model);
    *out = session.release();
    return {};
  });
}
infer_status infer_session_plan(const infer_model* model, const infer_options* options, infer_memory_plan* plan,
                                infer_error** err) {
  return guard(err, [&]() -> Status {
    if (plan == nullptr) return null_argument("plan");
    INFER_TRY(fill(plan, infer_memory_plan{}));
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_optional(options, "options"));
    INFER_ASSIGN(infer::SessionOptions o, to_session_options(options == nullptr ? nullptr : &options->values));
    o.executor = model->env->executor;
    INFER_ASSIGN(const infer::MemoryUse use, infer::Session::plan(model->model, o));
    return fill(plan, plan_of(use));
  });
}
void infer_session_retain(infer_session* session) { retain(session); }
void infer_session_release(infer_session* session) { release(session); }

infer_status infer_session_get_i64(const infer_session* session, const char* key, int64_t* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(session, "session"));
    INFER_TRY(check_key(key));
    const infer::SessionOptions& o = session->session->options();
    const infer::KvCache& kv = session->session->kv();
    const FactOf<std::int64_t> facts[] = {
        {"n_ctx", o.n_ctx},
        {"n_seq", o.n_seq},
        {"n_batch", o.n_batch},
        {"n_logits", o.n_logits},
        {"n_threads", o.n_threads},
        {"kv_position_bytes", static_cast<std::int64_t>(kv.position_bytes())},
        {"kv_window_position_bytes", static_cast<std::int64_t>(kv.window_position_bytes())}};
    return get_fact(facts, key, value);
  });
}

uint64_t infer_session_memory(const infer_session* session, int32_t memory_class) {
  return is(session) ? bytes_of(session->session->memory(), memory_class) : 0;
}

infer_status infer_seq_open(infer_session* session, int32_t* seq, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(seq, "seq"));
    INFER_TRY(check(session, "session"));
    INFER_ENTER_SESSION(session);
    INFER_ASSIGN(*seq, session->session->open());
    return {};
  });
}

infer_status infer_seq_close(infer_session* session, int32_t seq, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(session, "session"));
    INFER_ENTER_SESSION(session);
    return session->session->close(seq);
  });
}

infer_status infer_seq_clear(infer_session* session, int32_t seq, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(session, "session"));
    INFER_ENTER_SESSION(session);
    return session->session->clear(seq);
  });
}

infer_status infer_seq_truncate(infer_session* session, int32_t seq, int64_t length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(session, "session"));
    INFER_ENTER_SESSION(session);
    return session->session->truncate(seq, length);
  });
}

infer_status infer_seq_tokens(infer_session* session, int32_t seq, int32_t* tokens, size_t capacity, size_t* need,
                              infer_error** err) {
  return guard(err, [&]() -> Status {
    if (need != nullptr) *need = 0;
    if (tokens == nullptr && capacity > 0) return null_argument("tokens");
    INFER_TRY(check(session, "session"));
    INFER_ENTER_SESSION(session);
    INFER_TRY(session->session->check(seq));
    return copy_tokens(session->session->tokens(seq), tokens, capacity, need);
  });
}

infer_status infer_seq_length(infer_session* session, int32_t seq, int64_t* length, int64_t* room, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(length, "length"));
    if (room != nullptr) *room = 0;
    INFER_TRY(check(session, "session"));
    INFER_ENTER_SESSION(session);
    INFER_TRY(session->session->check(seq));
    *length = session->session->length(seq);
    if (room != nullptr) *room = session->session->room(seq);
    return {};
  });
}

infer_status infer_feed(infer_session* session, int32_t seq, const int32_t* tokens, size_t n_tokens, int32_t want,
                        const infer_cancel* cancel, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(session, "session"));
    INFER_TRY(check_optional(cancel, "cancel"));
    if (tokens == nullptr && n_tokens > 0) return null_argument("tokens");
    if (want < INFER_LOGITS_NONE || want > INFER_LOGITS_ALL) {
      return Status::error(Code::argument, fmt::format("want = {} is no INFER_LOGITS_ constant", want)).about("want");
    }
    INFER_ENTER_SESSION(session);
    return session->session->feed(seq, {tokens, n_tokens}, static_cast<infer::WantLogits>(want), flag_of(cancel));
  });
}

infer_status infer_step(infer_session* session, const int32_t* seqs, const int32_t* tokens, size_t n,
                        const infer_cancel* cancel, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(session, "session"));
    INFER_TRY(check_optional(cancel, "cancel"));
    if (seqs == nullptr && n > 0) return null_argument("seqs");
    if (tokens == nullptr && n > 0) return null_argument("tokens");
    INFER_ENTER_SESSION(session);
    return session->session->step({seqs, n}, {tokens, n}, flag_of(cancel));
  });
}

infer_status infer_logits(const infer_session* session, size_t row, const float** logits, size_t* n_vocab, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(logits, "logits"));
    if (n_vocab != nullptr) *n_vocab = 0;
    INFER_TRY(check(session, "session"));
    INFER_ASSIGN(const std::span<const float> values, session->session->logits(row));
    *logits = values.data();
    if (n_vocab != nullptr) *n_vocab = values.size();
    return {};
  });
}

}  // extern "C"
