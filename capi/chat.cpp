// SPDX-License-Identifier: MIT
// Chat: a conversation in one sequence of a session.
#include <memory>
#include <optional>
#include <utility>

#include "capi/handles.h"

using infer::Code;
using infer::Status;
using namespace infer::capi;

extern "C" {

infer_status infer_chat_create(infer_session* session, int32_t seq, infer_template* chat_template, infer_chat** out,
                               infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(session, "session"));
    INFER_TRY(check_optional(chat_template, "template"));
    INFER_ENTER_SESSION(session);
    std::optional<infer::ChatTemplate> used;
    if (chat_template != nullptr) {
      used = chat_template->compiled;
    } else {
      INFER_ASSIGN(used, infer::ChatTemplate::of(session->session->model()));
    }
    auto made = std::make_unique<infer_chat>();
    INFER_ASSIGN(made->chat, infer::Chat::create(*session->session, seq, *std::move(used)));
    std::shared_ptr<infer::Messages> messages(made->chat, &made->chat->messages());
    made->messages = Ref<infer_messages>::adopt(new infer_messages(std::move(messages)));
    made->chat_template = Ref<infer_template>::adopt(new infer_template(made->chat->chat_template()));
    made->session = Ref<infer_session>(session);
    *out = made.release();
    return {};
  });
}
void infer_chat_retain(infer_chat* chat) { retain(chat); }
void infer_chat_release(infer_chat* chat) { release(chat); }

infer_status infer_chat_messages(infer_chat* chat, infer_messages** messages, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(messages, "messages"));
    INFER_TRY(check(chat, "chat"));
    *messages = chat->messages.get();
    return {};
  });
}

infer_status infer_chat_template(infer_chat* chat, infer_template** chat_template, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(chat_template, "chat_template"));
    INFER_TRY(check(chat, "chat"));
    *chat_template = chat->chat_template.get();
    return {};
  });
}

infer_status infer_chat_answer(infer_chat* chat, const infer_options* options, infer_cancel* cancel, infer_stream** out,
                               infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(chat, "chat"));
    INFER_TRY(check_optional(options, "options"));
    INFER_TRY(check_optional(cancel, "cancel"));
    INFER_ASSIGN(const infer::GenerationOptions o, to_generation_options(options == nullptr ? nullptr : &options->values));
    INFER_ENTER_SESSION(chat->session.get());
    const Busy messages(chat->messages->busy);
    if (!messages.entered()) return busy("messages");
    if (chat->is_answering) {
      return Status::error(Code::state, "the answer before is not over: pull its stream to the end, or release it");
    }
    auto stream = std::make_unique<infer_stream>();
    INFER_ASSIGN(stream->generation, chat->chat->answer(o, flag_of(cancel)));
    stream->session = Ref<infer_session>(chat->session.get());
    stream->cancel = Ref<infer_cancel>(cancel);
    stream->chat = Ref<infer_chat>(chat);
    stream->reused_tokens = chat->chat->reused_tokens();
    chat->is_answering = true;
    *out = stream.release();
    return {};
  });
}

}  // extern "C"
