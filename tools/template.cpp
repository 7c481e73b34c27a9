// SPDX-License-Identifier: MIT
// infer template: conversations to the text that a model was trained on, by chat templates. No model is needed.
// Tested by tests/tools/infer_program_test.cpp.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/commands.h"
#include "tools/common.h"
#include "tools/jsonl.h"

namespace tool {
namespace {

constexpr const char* kFooter =
    R"(Requests are read from stdin, one a line:
  {"template": "...", "messages": [...], "tools": [...], "add_generation_prompt": true, "bos_token": "...",
   "eos_token": "...", "now": "2025-03-09T14:05:07", "extra": {further variables}}
where only template and messages are needed. Each is answered on a line of its own: {"text": "..."}, with "segments":
true also {"segments": [{"text", "trusted"}]}; or {"error": "..."}, with "line" and "column" where the template is what
failed. {"template": "...", "check": true} is answered with {"unsupported": [...]}.)";

/// The error, and the place in the template that it is about.
Json failure(const libinfer::Error& error, std::string_view source) {
  Json answer = {{"error", error.message()}};
  const bool of_template = error.code() == INFER_E_TEMPLATE || error.code() == INFER_E_TEMPLATE_LIMIT;
  const auto offset = static_cast<std::size_t>(error.offset());
  if (!of_template || error.offset() < 0 || offset > source.size()) return answer;
  std::size_t line = 1;
  std::size_t line_begin = 0;
  for (std::size_t i = 0; i < offset; ++i) {  // \n, \r\n and \r end a line
    const bool carriage_return = source[i] == '\r' && (i + 1 == source.size() || source[i + 1] != '\n');
    if (source[i] != '\n' && !carriage_return) continue;
    ++line;
    line_begin = i + 1;
  }
  const std::string_view before = source.substr(line_begin, offset - line_begin);
  answer["line"] = line;
  answer["column"] = 1 + std::count_if(before.begin(), before.end(),
                                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  return answer;
}

Json answer(const Json& request, const std::string& line) {
  const std::string source = string_field(request, "template");
  const auto compiled = libinfer::Template::compile(source);
  if (!compiled) return failure(compiled.error(), source);
  if (bool_field(request, "check")) {
    const auto lines = compiled->check();
    if (!lines) return failure(lines.error(), source);
    Json unsupported = Json::array();
    for (std::size_t begin = 0; begin < lines->size();) {
      const std::size_t end = lines->find('\n', begin);
      unsupported.push_back(lines->substr(begin, end - begin));
      begin = end + 1;
    }
    return {{"unsupported", std::move(unsupported)}};
  }
  const auto prompt = compiled->render_json(line);
  if (!prompt) return failure(prompt.error(), source);
  const auto text = prompt->text();
  if (!text) return failure(text.error(), source);
  Json rendered = {{"text", *text}};
  if (bool_field(request, "segments")) {
    rendered["segments"] = Json::array();
    for (const auto& segment : prompt->segments())
      rendered["segments"].push_back({{"text", segment.text}, {"trusted", segment.trusted}});
  }
  return rendered;
}

}  // namespace

Action setup_template(CLI::App& app) {
  app.footer(kFooter);
  auto jsonl = std::make_shared<bool>(false);
  app.add_flag("--jsonl", *jsonl, "answer requests, see below")->required();
  return [jsonl] { return answer_lines(answer); };
}

}  // namespace tool
