// SPDX-License-Identifier: MIT
// Messages: what callers say, as values of the template interpreter. Tested by tests/runtime/messages_test.cpp.
#include "libinfer/messages.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "src/runtime/messages_impl.h"
#include "tokenizers/chat/printing.h"

namespace infer {
namespace {

using chat::CivilTime;
using chat::Dict;
using chat::Origin;
using chat::Value;
using chat::Values;

Value key(std::string_view name) { return Value::string(name, Origin::trusted); }

Result<Value> text_value(std::string_view text, const char* what) {
  if (!is_utf8(text)) return Status::error(Code::utf8, fmt::format("{}: not valid UTF-8", what)).about(what);
  return Value::string(text, Origin::untrusted);
}

/// "2025-03-09T14:05:07"
Result<CivilTime> parse_time(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  bool is_time = text.size() == kShape.size();
  for (std::size_t i = 0; is_time && i < text.size(); ++i) {
    is_time = kShape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == kShape[i];
  }
  const auto number = [&text](std::size_t begin, std::size_t n) {
    int out = 0;
    std::from_chars(text.data() + begin, text.data() + begin + n, out);
    return out;
  };
  if (is_time) {
    const CivilTime time{.year = number(0, 4),
                         .month = number(5, 2),
                         .day = number(8, 2),
                         .hour = number(11, 2),
                         .minute = number(14, 2),
                         .second = number(17, 2)};
    if (chat::is_valid(time)) return time;
  }
  return Status::error(Code::argument, "'now' must be a time like 2025-03-09T14:05:07, on a day of the calendar").about("now");
}

/// What a template may call a variable that is not the messages.
Status check_name(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const bool is_name = !name.empty() && is_letter(name[0]) &&
                       std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
  if (is_name && name != "messages") return {};
  return Status::error(Code::argument, fmt::format("{} is no name of a variable that can be set", quoted(name))).about("name");
}

Result<Value> frozen_list(Values items) {
  INFER_ASSIGN(Value list, chat::make_list(std::move(items)));
  list.list().frozen = true;
  return list;
}

Result<Value> make_call(std::string_view id, std::string_view name, std::string_view arguments) {
  INFER_ASSIGN(Value parsed, chat::parse_json(arguments, "arguments"));
  if (!parsed.is_dict()) return Status::error(Code::argument, "arguments: a JSON object is needed").about("arguments");
  Dict function;
  INFER_ASSIGN(Value function_name, text_value(name, "name"));
  function.set(key("name"), std::move(function_name));
  function.set(key("arguments"), std::move(parsed));
  Dict call;
  INFER_ASSIGN(Value call_id, text_value(id, "id"));
  if (!id.empty()) call.set(key("id"), std::move(call_id));
  call.set(key("type"), key("function"));
  INFER_ASSIGN(Value made, chat::make_dict(std::move(function)));
  call.set(key("function"), std::move(made));
  return chat::make_dict(std::move(call));
}

/// The last message with one more value in the list `name`, which begins with `first` where it was no list.
Result<Value> with_element(const Value& message, std::string_view name, Values first, Value element) {
  Values items = std::move(first);
  const Value* const held = message.dict().find(name);
  if (held != nullptr && held->is_list()) items = held->list().items;
  items.push_back(std::move(element));
  INFER_ASSIGN(Value list, frozen_list(std::move(items)));
  Dict dict = message.dict();
  dict.set(key(name), std::move(list));
  return chat::make_dict(std::move(dict));
}

Result<Value> text_part(Value text) {
  Dict part;
  part.set(key("type"), key("text"));
  part.set(key("text"), std::move(text));
  return chat::make_dict(std::move(part));
}

Status no_message() { return Status::error(Code::state, "there is no message yet to which this belongs; add one first"); }

}  // namespace

void Messages::Impl::set(std::string_view name, Value value) {
  for (auto& [known, held] : variables) {
    if (known != name) continue;
    held = std::move(value);
    return;
  }
  variables.emplace_back(name, std::move(value));
}

Messages::Messages() : impl_(std::make_unique<Impl>()) {}
Messages::~Messages() = default;
Messages::Messages(Messages&&) noexcept = default;
Messages& Messages::operator=(Messages&&) noexcept = default;

Messages Messages::clone() const {
  Messages copy;
  *copy.impl_ = *impl_;
  return copy;
}

Result<std::string> Messages::json() const {
  const chat::Limits limits;
  chat::Budget budget(limits, nullptr);
  INFER_ASSIGN(Value list, chat::make_list(impl_->messages));
  INFER_ASSIGN(const chat::Text text, chat::to_json(list, {}, budget));
  return text.bytes();
}

Result<Messages> Messages::parse(std::string_view request) {
  INFER_ASSIGN(const Value parsed, chat::parse_json(request, "request"));
  if (!parsed.is_dict()) return Status::error(Code::argument, "request: a JSON object is needed");
  const Dict& fields = parsed.dict();
  const Value* const list = fields.find("messages");
  if (list == nullptr || !list->is_list()) {
    return Status::error(Code::argument, "request: 'messages' must be a list").about("messages");
  }
  Messages made;
  made.impl_->messages = list->list().items;
  for (const std::string_view name : {"tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}) {
    if (const Value* const value = fields.find(name)) made.impl_->set(name, *value);
  }
  if (const Value* const now = fields.find("now"); now != nullptr && !now->is_none()) {
    INFER_TRY(made.set_now(now->is_string() ? now->bytes() : "?"));
  }
  if (const Value* const extra = fields.find("extra"); extra != nullptr && !extra->is_none()) {
    if (!extra->is_dict()) return Status::error(Code::argument, "request: 'extra' must be an object").about("extra");
    for (const auto& [name, value] : extra->dict().entries()) {
      INFER_TRY(check_name(name.bytes()));
      made.impl_->set(name.bytes(), value);
    }
  }
  return made;
}

Status Messages::add(std::string_view role, std::string_view content) {
  Dict message;
  INFER_ASSIGN(Value role_value, text_value(role, "role"));
  INFER_ASSIGN(Value content_value, text_value(content, "content"));
  message.set(key("role"), std::move(role_value));
  message.set(key("content"), std::move(content_value));
  INFER_ASSIGN(Value made, chat::make_dict(std::move(message)));
  impl_->messages.push_back(std::move(made));
  return {};
}

Status Messages::add_part(std::string_view text) {
  if (impl_->messages.empty()) return no_message();
  INFER_ASSIGN(Value value, text_value(text, "text"));
  INFER_ASSIGN(Value part, text_part(std::move(value)));
  Value& message = impl_->messages.back();
  Values before;   // the content so far, unless it is empty
  const Value* const content = message.dict().find("content");
  if (content != nullptr && content->is_string() && !content->bytes().empty()) {
    INFER_ASSIGN(Value held, text_part(*content));
    before.push_back(std::move(held));
  }
  INFER_ASSIGN(message, with_element(message, "content", std::move(before), std::move(part)));
  return {};
}

Status Messages::add_json(std::string_view json) {
  INFER_ASSIGN(Value parsed, chat::parse_json(json, "messages"));
  Values added = parsed.is_list() ? parsed.list().items : Values{std::move(parsed)};
  for (std::size_t i = 0; i < added.size(); ++i) {
    const Value* const role = added[i].is_dict() ? added[i].dict().find("role") : nullptr;
    if (role != nullptr && role->is_string()) continue;
    return Status::error(Code::argument, fmt::format("messages: number {} is not a JSON object with a \"role\"", i)).about("messages");
  }
  impl_->messages.insert(impl_->messages.end(), added.begin(), added.end());
  return {};
}

Status Messages::add_tool_call(std::string_view id, std::string_view name, std::string_view arguments) {
  if (impl_->messages.empty()) return no_message();
  Value& message = impl_->messages.back();
  const Value* const role = message.dict().find("role");
  if (role == nullptr || !role->is_string() || role->bytes() != "assistant") {
    return Status::error(Code::state, "the last message is not the assistant's: only the assistant calls tools; add its message "
                                      "first");
  }
  INFER_ASSIGN(Value call, make_call(id, name, arguments));
  INFER_ASSIGN(message, with_element(message, "tool_calls", {}, std::move(call)));
  return {};
}

Status Messages::add_tool_result(std::string_view id, std::string_view name, std::string_view content) {
  INFER_ASSIGN(Value id_value, text_value(id, "id"));
  INFER_ASSIGN(Value name_value, text_value(name, "name"));
  INFER_ASSIGN(Value content_value, text_value(content, "content"));
  Dict message;
  message.set(key("role"), Value::string("tool", Origin::untrusted));
  message.set(key("content"), std::move(content_value));
  if (!id.empty()) message.set(key("tool_call_id"), std::move(id_value));
  if (!name.empty()) message.set(key("name"), std::move(name_value));
  INFER_ASSIGN(Value made, chat::make_dict(std::move(message)));
  impl_->messages.push_back(std::move(made));
  return {};
}

Status Messages::set_tools(std::string_view json) {
  INFER_ASSIGN(Value parsed, chat::parse_json(json, "tools"));
  if (!parsed.is_list() && !parsed.is_none()) {
    return Status::error(Code::argument, "tools: a JSON list of tool definitions is needed").about("tools");
  }
  impl_->set("tools", std::move(parsed));
  return {};
}

Status Messages::set_variable(std::string_view name, std::string_view json) {
  INFER_TRY(check_name(name));
  INFER_ASSIGN(Value parsed, chat::parse_json(json, "value"));
  impl_->set(name, std::move(parsed));
  return {};
}

Status Messages::set_now(std::string_view time) {
  if (time.empty()) {
    impl_->now.reset();
    return {};
  }
  INFER_ASSIGN(impl_->now, parse_time(time));
  return {};
}

std::size_t Messages::size() const noexcept { return impl_->messages.size(); }

void Messages::truncate(std::size_t n) noexcept {
  if (n < impl_->messages.size()) impl_->messages.resize(n);
}

}  // namespace infer
