// SPDX-License-Identifier: MIT
// infer template: conversations to the text that a model was trained on, by chat templates: one from files for a model, or many
// from requests, for which no model is needed.
// Tested by tests/tools/infer_program_test.cpp and chat_test.cpp.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/jsonl.h"

namespace tool {
namespace {

constexpr const char* kFooter =
    R"(The messages are a JSON list, as in [{"role": "user", "content": "Hello"}]. The prompt is printed as it is, without a
newline at its end.

With --jsonl no model is needed. Requests are read from stdin, one a line:
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

struct Arguments {
  bool jsonl = false;
  ModelArguments model;
  TemplateArguments chat_template;
  std::string messages;
  bool no_generation_prompt = false;
  bool tokens = false;
  bool check = false;
  bool source = false;
};

/// Of the failures of the library, true for none.
template <class T>
bool succeeded(const libinfer::Expected<T>& result) {
  if (!result) fail(result.error());
  return static_cast<bool>(result);
}

/// The messages and what goes with them, or nothing, and the failure has been reported.
std::optional<libinfer::Messages> read_messages(const Arguments& arguments) {
  const auto text = read_file(arguments.messages);
  if (!text) return fail_errno(arguments.messages, errno), std::nullopt;
  auto messages = libinfer::Messages::create();
  if (!succeeded(messages) || !arguments.chat_template.apply(*messages)) return std::nullopt;
  if (!succeeded(messages->add_json(*text))) return std::nullopt;
  return *std::move(messages);
}

std::string id_line(const std::vector<std::int32_t>& ids) { return fmt::format("{}\n", fmt::join(ids, " ")); }

int render(const Arguments& arguments) {
  const auto opened = open_vocabulary(arguments.model);
  if (!opened) return kFailure;
  const auto chat_template = arguments.chat_template.open(opened->model);
  if (!chat_template) return kFailure;
  if (arguments.source || arguments.check) {
    const auto text = arguments.source ? chat_template->source() : chat_template->check();
    if (!succeeded(text)) return kFailure;
    if (!write_all(stdout, *text)) return stdout_failed();
    return arguments.check && !text->empty() ? kFailure : kSuccess;
  }
  const auto messages = read_messages(arguments);
  if (!messages) return kFailure;
  const auto prompt = chat_template->render(*messages, &opened->model,
                                            arguments.no_generation_prompt ? 0 : INFER_RENDER_GENERATION_PROMPT);
  if (!succeeded(prompt)) return kFailure;
  std::string out;
  if (arguments.tokens) {
    const auto tokens = prompt->tokens();
    if (!succeeded(tokens)) return kFailure;
    out = id_line(*tokens);
  } else {
    const auto text = prompt->text();
    if (!succeeded(text)) return kFailure;
    out = *text;
  }
  return write_all(stdout, out) ? kSuccess : stdout_failed();
}

int run(const Arguments& arguments) {
  const TemplateArguments& given = arguments.chat_template;
  const bool says_more = !given.name.empty() || !given.tools.empty() || !given.variables.empty() || !arguments.model.path.empty();
  if (arguments.jsonl && says_more) return usage("with --jsonl the requests say it all: no --model, --template, --tools, --set");
  if (arguments.jsonl) return answer_lines(answer);
  if (arguments.messages.empty() && !arguments.check && !arguments.source) {
    return usage("--messages FILE is needed, or --jsonl, --check, --source");
  }
  return render(arguments);
}

}  // namespace

Action setup_template(CLI::App& app) {
  app.footer(kFooter);
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  a.model.add_to(app);
  a.chat_template.add_to(app);
  auto* messages = app.add_option("--messages", a.messages, "the conversation, a JSON list; - is stdin")->type_name("FILE");
  app.add_flag("--no-generation-prompt", a.no_generation_prompt, "end after the last message, not where the answer begins");
  app.add_flag("--tokens", a.tokens, "print the token ids instead of the text")->needs(messages);
  app.add_flag("--source", a.source, "print the template itself")->excludes(messages);
  app.add_flag("--check", a.check, "list what the template uses and is not supported; status 1 if there is anything")
      ->excludes(messages);
  app.add_flag("--jsonl", a.jsonl, "answer requests, see below")->excludes(messages);
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
