// SPDX-License-Identifier: MIT
// The message list of a conversation.
#include <memory>
#include <string_view>

#include "capi/handles.h"

using infer::Status;
using namespace infer::capi;

namespace {

/// Runs `body` with the messages and the text argument, alone.
template <class Body>
infer_status with_text(infer_messages* messages, const char* text, std::size_t length, const char* name, infer_error** err,
                       Body&& body) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(messages, "messages"));
    INFER_ASSIGN(const std::string_view given, text_argument(text, length, name));
    INFER_ENTER(messages, "messages");
    return body(*messages->messages, given);
  });
}

std::string_view or_empty(const char* text) { return text == nullptr ? std::string_view() : std::string_view(text); }

}  // namespace

extern "C" {

infer_status infer_messages_create(infer_messages** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    *out = std::make_unique<infer_messages>(std::make_shared<infer::Messages>()).release();
    return {};
  });
}
void infer_messages_retain(infer_messages* messages) { retain(messages); }
void infer_messages_release(infer_messages* messages) { release(messages); }

infer_status infer_messages_add(infer_messages* messages, const char* role, const char* content, size_t length,
                                infer_error** err) {
  return with_text(messages, content, length, "content", err, [&](infer::Messages& m, std::string_view text) -> Status {
    if (role == nullptr) return null_argument("role");
    return m.add(role, text);
  });
}

infer_status infer_messages_add_part(infer_messages* messages, const char* text, size_t length, infer_error** err) {
  return with_text(messages, text, length, "text", err, [](infer::Messages& m, std::string_view part) { return m.add_part(part); });
}

infer_status infer_messages_add_json(infer_messages* messages, const char* json, size_t length, infer_error** err) {
  return with_text(messages, json, length, "json", err, [](infer::Messages& m, std::string_view text) { return m.add_json(text); });
}

infer_status infer_messages_add_tool_call(infer_messages* messages, const char* id, const char* name, const char* arguments,
                                          size_t length, infer_error** err) {
  return with_text(messages, arguments, length, "arguments", err, [&](infer::Messages& m, std::string_view text) -> Status {
    if (name == nullptr) return null_argument("name");
    return m.add_tool_call(or_empty(id), name, text);
  });
}

infer_status infer_messages_add_tool_result(infer_messages* messages, const char* id, const char* name, const char* content,
                                            size_t length, infer_error** err) {
  return with_text(messages, content, length, "content", err, [&](infer::Messages& m, std::string_view text) {
    return m.add_tool_result(or_empty(id), or_empty(name), text);
  });
}

infer_status infer_messages_set_tools(infer_messages* messages, const char* json, size_t length, infer_error** err) {
  return with_text(messages, json, length, "json", err, [](infer::Messages& m, std::string_view text) { return m.set_tools(text); });
}

infer_status infer_messages_set_variable(infer_messages* messages, const char* name, const char* json, size_t length,
                                         infer_error** err) {
  return with_text(messages, json, length, "json", err, [&](infer::Messages& m, std::string_view text) -> Status {
    if (name == nullptr) return null_argument("name");
    return m.set_variable(name, text);
  });
}

infer_status infer_messages_set_now(infer_messages* messages, const char* time, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(messages, "messages"));
    INFER_ENTER(messages, "messages");
    return messages->messages->set_now(or_empty(time));
  });
}

infer_status infer_messages_json(const infer_messages* messages, char* buffer, size_t capacity, size_t* need, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    INFER_TRY(check(messages, "messages"));
    INFER_ASSIGN(const std::string json, messages->messages->json());
    return copy_out(json, buffer, capacity, need);
  });
}

size_t infer_messages_count(const infer_messages* messages) { return is(messages) ? messages->messages->size() : 0; }

infer_status infer_messages_truncate(infer_messages* messages, size_t n, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(messages, "messages"));
    INFER_ENTER(messages, "messages");
    messages->messages->truncate(n);
    return {};
  });
}

}  // extern "C"
