// SPDX-License-Identifier: MIT
// infer run: continues a text. Shows the stream of the session tier: options by key, events, cancel, statistics.
// Tested by tests/tools/infer_program_test.cpp.
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

namespace tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kDefaultTokens = "128";
constexpr std::string_view kOpening =
    "Prince Andrew";  // the bundled model knows War and Peace, and has no BOS to begin from

constexpr const char* kFooter =
    R"(Without -p and -f the prompt is read from stdin when that is not a terminal. One newline
at the end of a file or of stdin is left out. With the bundled model "Prince Andrew"
stands in where there is nothing to read.

stdout gets the prompt as it was given, its continuation and one newline, and nothing
else. Ctrl-C ends the text early, with status 0; a second one ends the program.)";

struct Arguments {
  ModelArguments model;
  OptionSet session{INFER_OPTIONS_SESSION};
  OptionSet generate{INFER_OPTIONS_GENERATE};
  std::optional<std::string> prompt;
  std::string file;
  bool no_echo = false;
  bool json = false;
  bool quiet = false;
  bool stats = false;
};

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

const char* finish_name(std::int32_t reason) {
  switch (reason) {
    case INFER_FINISH_EOG:
      return "eog";
    case INFER_FINISH_STOP:
      return "stop";
    case INFER_FINISH_LENGTH:
      return "length";
    case INFER_FINISH_CONTEXT:
      return "context";
    case INFER_FINISH_CANCELLED:
      return "cancelled";
    default:
      return "none";
  }
}

/// No value after a failure, which has been reported.
std::optional<std::string> read_prompt(const Arguments& arguments) {
  if (arguments.prompt) return arguments.prompt;
  if (arguments.file.empty() && is_terminal(stdin)) return std::string();
  const std::string file = arguments.file.empty() ? "-" : arguments.file;
  auto text = read_file(file);
  if (!text) return fail_errno(file == "-" ? "stdin" : file, errno), std::nullopt;
  if (!text->empty() && text->back() == '\n') text->pop_back();
  return text;
}

struct Statistics {
  double load_seconds = 0;
  double prompt_seconds = 0, decode_seconds = 0, first_token_seconds = 0;
  double prompt_speed = 0, decode_speed = 0;  // tokens per second
  std::int64_t prompt_tokens = 0, generated_tokens = 0, position = 0;
  std::uint64_t seed = 0;
  std::uint64_t memory[std::size(kMemoryClasses)] = {};  // in the order of kMemoryClasses
};

Statistics gather(const OpenedModel& opened, const libinfer::Session& session, const libinfer::Stream& stream) {
  const auto integer = [&](const char* key) { return stream.get_i64(key).value_or(0); };
  const auto number = [&](const char* key) { return stream.get_f64(key).value_or(0); };
  Statistics s;
  s.load_seconds = opened.seconds;
  s.prompt_seconds = number("prompt_seconds");
  s.decode_seconds = number("decode_seconds");
  s.first_token_seconds = number("first_token_seconds");
  s.prompt_speed = number("prompt_tokens_per_second");
  s.decode_speed = number("decode_tokens_per_second");
  s.prompt_tokens = integer("prompt_tokens");
  s.generated_tokens = integer("generated_tokens");
  s.position = integer("position");
  s.seed = static_cast<std::uint64_t>(integer("seed"));
  for (std::size_t i = 0; i < std::size(kMemoryClasses); ++i) {
    s.memory[i] = opened.model.memory(kMemoryClasses[i].id) + session.memory(kMemoryClasses[i].id);
  }
  return s;
}

std::string text_of(const Statistics& s, std::int32_t reason) {
  std::string memory;
  for (std::size_t i = 0; i < std::size(kMemoryClasses); ++i) {
    if (s.memory[i] == 0) continue;
    memory += fmt::format("{}{} {}", memory.empty() ? "" : ", ", kMemoryClasses[i].name, bytes_text(s.memory[i]));
  }
  const auto speed = [](double tokens_per_second) {
    return tokens_per_second > 0 ? fmt::format(", {:.1f} tokens/s", tokens_per_second) : std::string();
  };
  return fmt::format(
      "load    {:.3f} s, first token {:.3f} s later\n"
      "prompt  {} tokens{}\n"
      "decode  {} tokens{}\n"
      "memory  {}\n"
      "ended   {} (seed {})\n",
      s.load_seconds, s.first_token_seconds, s.prompt_tokens, speed(s.prompt_speed), s.generated_tokens,
      speed(s.decode_speed), memory, finish_name(reason), s.seed);
}

Json json_of(const Statistics& s) {
  Json memory;
  for (std::size_t i = 0; i < std::size(kMemoryClasses); ++i) memory[kMemoryClasses[i].name] = s.memory[i];
  return {{"load_seconds", s.load_seconds},
          {"first_token_seconds", s.first_token_seconds},
          {"prompt_tokens", s.prompt_tokens},
          {"prompt_seconds", s.prompt_seconds},
          {"prompt_tokens_per_second", s.prompt_speed},
          {"generated_tokens", s.generated_tokens},
          {"decode_seconds", s.decode_seconds},
          {"decode_tokens_per_second", s.decode_speed},
          {"position", s.position},
          {"memory", std::move(memory)}};
}

/// One event as a line. Log-probabilities are there when they were asked for.
Json json_of(const libinfer::Event& event) {
  switch (event.kind()) {
    case INFER_EVENT_PROMPT:
      return {{"event", "prompt"}, {"done", event.prompt_done()}, {"total", event.prompt_total()}};
    case INFER_EVENT_TOKEN: {
      Json json = {{"event", "token"}, {"id", event.token()}, {"text", event.text()}};
      if (event.top_count() == 0) return json;
      json["logprob"] = event.logprob();
      json["top"] = Json::array();
      for (std::size_t i = 0; i < event.top_count(); ++i) {
        json["top"].push_back({{"id", event.top_token(i)}, {"logprob", event.top_logprob(i)}});
      }
      return json;
    }
    default: {
      Json json = {{"event", "end"}, {"text", event.text()}, {"finish_reason", finish_name(event.finish_reason())}};
      json["stop"] = event.finish_reason() == INFER_FINISH_STOP ? Json(event.stop_string()) : Json(nullptr);
      return json;
    }
  }
}

/// Pulls all events and shows them as they come.
int show(const Arguments& arguments, std::string_view prompt, const OpenedModel& opened,
         const libinfer::Session& session, libinfer::Stream& stream) {
  if (!arguments.json && !arguments.no_echo && !write_all(stdout, prompt)) return stdout_failed();
  std::int32_t reason = INFER_FINISH_NONE;
  for (const libinfer::Event& event : stream) {
    std::string out;
    if (event.kind() == INFER_EVENT_END) reason = event.finish_reason();
    if (!arguments.json) {
      out = event.text();
    } else {
      Json json = json_of(event);
      if (event.kind() == INFER_EVENT_END) {
        const auto statistics = gather(opened, session, stream);
        json["seed"] = statistics.seed;
        json["stats"] = json_of(statistics);
      }
      out = dump(json);
    }
    if (!out.empty() && !write_all(stdout, out)) return stdout_failed();
  }
  if (!arguments.json && !write_all(stdout, "\n")) return stdout_failed();
  if (!stream.status()) return fail(stream.status().error());
  if (reason == INFER_FINISH_CANCELLED && Interrupt::asked_to_end()) return fail("ended by a signal");
  if (!arguments.quiet && (arguments.stats || is_terminal(stderr))) {
    tell("\n" + text_of(gather(opened, session, stream), reason));
  }
  return kSuccess;
}

int run(const Arguments& arguments) {
  const auto session_options = arguments.session.build();
  if (!session_options) return usage(session_options.error().message());
  const auto options = arguments.generate.build();
  if (!options) return usage(options.error().message());
  auto prompt = read_prompt(arguments);
  if (!prompt) return kFailure;

  const Interrupt interrupt;
  const auto opened = open_model(arguments.model, interrupt.cancel());
  if (!opened) return kFailure;
  const auto session = libinfer::Session::create(opened->model, &*session_options);
  if (!session) {
    return fail(session.error(), session.error().code() == INFER_E_NOMEM ? "a smaller --ctx needs less" : "");
  }
  if (prompt->empty() && !arguments.prompt && opened->is_bundled) prompt = kOpening;
  auto stream = libinfer::Stream::start(*session, *prompt, &*options, interrupt.cancel());
  if (!stream) {
    const bool is_full = stream.error().code() == INFER_E_CONTEXT_FULL;
    return fail(stream.error(), is_full ? "give a shorter prompt, or a longer context with --ctx N" : "");
  }
  return show(arguments, *prompt, *opened, *session, *stream);
}

}  // namespace

Action setup_run(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer(kFooter);
  a.model.add_to(app);
  auto* prompt = app.add_option("-p,--prompt", a.prompt, "the text to continue, fed exactly as given");
  app.add_option("-f,--file", a.file, "take the prompt from a file; - is stdin")->type_name("FILE")->excludes(prompt);
  app.add_flag("--no-echo", a.no_echo, "leave the prompt out of the output");

  add_generate_options(app, a.generate, kDefaultTokens);
  a.generate.add_flag(app, "--ignore-eog", "ignore_eog", true);
  a.generate.add_flag(app, "--show-special", "show_special", true);
  a.generate.add_flag(app, "--parse-special,--special", "parse_special", true);
  app.add_flag("--json", a.json, "one JSON object per event and line on stdout, in place of the text");
  a.generate.add(app, "--logprobs", "logprobs");
  app.get_option("--logprobs")->needs("--json");

  add_session_options(app, a.session);
  auto* stats = app.add_flag("--stats", a.stats, "statistics on stderr also when it is not a terminal");
  app.add_flag("-q,--quiet", a.quiet, "no statistics")->excludes(stats);
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
