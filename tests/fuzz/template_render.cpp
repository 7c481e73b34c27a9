// SPDX-License-Identifier: MIT
// Fuzz target: any chat template with any texts of a caller. A rendering keeps to its budgets, its segments add up to its
// text, and none that is trusted has what only the caller said: a mark in all texts of the caller's, which the template
// does not know.
//
// Input: the template, up to a NUL; texts of messages, likewise; then JSON for a variable `x`.
#include <algorithm>
#include <string>
#include <string_view>

#include "libinfer/chat_template.h"
#include "libinfer/text.h"
#include "tests/fuzz/fuzz.h"
#include "tokenizers/chat/template.h"

namespace {

using infer::Code;
using infer::Result;
using infer::fuzz::require;
namespace chat = infer::chat;

constexpr std::string_view kMark = "\uE5A5";   // for private use, and without an upper case
constexpr chat::Limits kLimits{.max_steps = 50'000, .max_output_bytes = 1 << 16, .max_depth = 60};

/// Up to a NUL, which is taken off, too.
std::string_view take_text(std::string_view& input) {
  const std::string_view text = input.substr(0, input.find('\0'));
  input.remove_prefix(std::min(input.size(), text.size() + 1));
  return text;
}

std::string json_string(std::string_view text) {
  if (!infer::is_utf8(text)) text = "not UTF-8";
  std::string out = "\"";
  for (const char c : text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += {'\\', c};
    else if (byte < 0x20) out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    else out += c;
  }
  return out += '"';
}

/// A conversation with three texts of the input, tools, and keys of objects; the mark is in everything but the tokens.
std::string request(std::string_view& input) {
  const auto marked = [](std::string_view text) { return json_string(std::string(kMark).append(text).append(kMark)); };
  const std::string_view first = take_text(input), second = take_text(input), role = take_text(input);
  std::string json = R"({"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "documents": null,)";
  json += R"("now": "2025-03-09T14:05:07",)";
  json += R"("messages": [{"role": "system", "content": )" + marked(first) + R"(}, {"role": "user", "content": )" +
          marked(second) + R"(}, {"role": )" + marked(role) + R"(, "content": [{"type": "text", "text": )" + marked(first) +
          R"(}], "tool_calls": [{"type": "function", "function": {"name": )" + marked(role) + R"(, "arguments": {)" +
          marked(second) + ": " + marked(first) + "}}}]}],";
  json += R"("tools": [{"type": "function", "function": {"name": )" + marked(second) + R"(, "parameters": {"properties": {)" +
          marked(role) + R"(: {"type": "string"}}}}}], "extra": {"x": )";
  const bool is_json = chat::parse_json(input, "x").ok();
  return json + (is_json ? std::string(input) : marked(input)) + "}}";
}

/// The same with small limits: with the defaults of libinfer/chat_template.h a rendering may take seconds.
Result<chat::Text> render_within(std::string_view text, const std::string& json) {
  INFER_ASSIGN(const chat::Template compiled, chat::Template::compile(text, kLimits));
  INFER_ASSIGN(const chat::Value fields, chat::parse_json(json, "request"));
  chat::Inputs inputs{.variables = {}, .now = chat::CivilTime{.year = 2025, .month = 3, .day = 9, .hour = 14, .minute = 5, .second = 7}};
  for (const std::string_view name : {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}) {
    inputs.variables.emplace_back(name, *fields.dict().find(name));
  }
  inputs.variables.emplace_back("x", *fields.dict().find("extra")->dict().find("x"));
  return compiled.render(inputs);
}

/// Whether the template may write the mark without a message: as it is, or as an escape.
bool knows_mark(std::string_view text) {
  return text.find(kMark) != text.npos || text.find("\\u") != text.npos || text.find("\\U") != text.npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view text = take_text(input);
  const auto compiled = infer::ChatTemplate::compile(text);
  if (!compiled.ok()) return 0;   // template_compile.cpp
  const std::string json = request(input);

  const Result<chat::Text> within = render_within(text, json);
  if (within.ok()) {
    require(within.value().size() <= kLimits.max_output_bytes && infer::is_utf8(within.value().bytes()));
  } else {
    infer::fuzz::require_message(within.status());
    if (within.status().code() != Code::chat_template) return 0;   // larger than one of the limits
    require(within.status().offset() <= static_cast<std::int64_t>(text.size()));
  }

  const Result<infer::Messages> messages = infer::Messages::parse(json);
  require(messages.ok());
  const Result<infer::ChatPrompt> prompt = compiled.value().render(messages.value());
  require(prompt.ok() == within.ok());
  if (!prompt.ok()) {
    require(prompt.status().message() == within.status().message());
    return 0;
  }
  require(prompt.value().text == within.value().bytes());
  std::string together;
  for (const infer::PromptSegment& segment : prompt.value().segments) {
    require(!segment.text.empty());
    require(!segment.trusted || knows_mark(text) || segment.text.find(kMark) == std::string::npos);
    together += segment.text;
  }
  require(together == prompt.value().text);
  return 0;
}
