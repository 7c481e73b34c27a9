// SPDX-License-Identifier: MIT
// ChatTemplate: what of a request becomes which variable, and what of it is trusted. Tested by
// tests/capi/template_test.cpp.
#include "libinfer/chat_template.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/template.h"

namespace infer {
namespace {

using chat::CivilTime;
using chat::Dict;
using chat::Value;

/// "2025-03-09T14:05:07"
Result<CivilTime> parse_time(const Value& value) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  const auto wrong = [] {
    return Status::error(Code::argument, "request: 'now' must be a time like 2025-03-09T14:05:07").about("now");
  };
  if (!value.is_string() || value.bytes().size() != kShape.size()) return wrong();
  const std::string& text = value.bytes();
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != kShape[i]) return wrong();
  }
  const auto number = [&text](std::size_t begin, std::size_t n) {
    int out = 0;
    std::from_chars(text.data() + begin, text.data() + begin + n, out);
    return out;
  };
  return CivilTime{.year = number(0, 4),
                   .month = number(5, 2),
                   .day = number(8, 2),
                   .hour = number(11, 2),
                   .minute = number(14, 2),
                   .second = number(17, 2)};
}

}  // namespace

struct ChatTemplate::Impl {
  chat::Template compiled;
};

Result<ChatTemplate> ChatTemplate::compile(std::string_view text) {
  INFER_ASSIGN(chat::Template compiled, chat::Template::compile(text));
  return ChatTemplate(std::make_shared<const Impl>(Impl{std::move(compiled)}));
}

Result<ChatPrompt> ChatTemplate::render(std::string_view request) const {
  INFER_ASSIGN(const Value parsed, chat::parse_json(request, "request"));
  if (!parsed.is_dict()) return Status::error(Code::argument, "request: a JSON object is needed");
  const Dict& fields = parsed.dict();
  chat::Inputs inputs;
  const auto set = [&inputs](std::string_view name, Value value) {
    inputs.variables.emplace_back(name, std::move(value));
  };

  const Value* const messages = fields.find("messages");
  if (messages == nullptr || !messages->is_list()) {
    return Status::error(Code::argument, "request: 'messages' must be a list").about("messages");
  }
  INFER_ASSIGN(Value trusted, chat::trust_roles(*messages));
  set("messages", std::move(trusted));
  // As transformers has it, tools and documents are always there, if only as None.
  for (const std::string_view name : {"tools", "documents"}) {
    const Value* const value = fields.find(name);
    set(name, value == nullptr ? Value(chat::None{}) : *value);
  }
  const Value* const generation = fields.find("add_generation_prompt");
  set("add_generation_prompt", generation == nullptr ? Value(false) : *generation);
  for (const std::string_view name : {"bos_token", "eos_token"}) {  // the model's own
    if (const Value* const token = fields.find(name))
      set(name, token->is_string() ? Value::string(token->bytes(), chat::Origin::trusted) : *token);
  }
  if (const Value* const now = fields.find("now"); now != nullptr && !now->is_none()) {
    INFER_ASSIGN(inputs.now, parse_time(*now));
  }
  if (const Value* const extra = fields.find("extra"); extra != nullptr && !extra->is_none()) {
    if (!extra->is_dict()) return Status::error(Code::argument, "request: 'extra' must be an object").about("extra");
    for (const auto& [name, value] : extra->dict().entries()) set(name.bytes(), value);
  }

  INFER_ASSIGN(const chat::Text text, impl_->compiled.render(inputs));
  ChatPrompt prompt{.text = text.bytes(), .segments = {}};
  for (chat::Segment& segment : chat::segments(text)) {
    prompt.segments.push_back({std::move(segment.text), segment.origin == chat::Origin::trusted});
  }
  return prompt;
}

std::vector<std::string> ChatTemplate::unsupported() const { return impl_->compiled.unsupported(); }

}  // namespace infer
