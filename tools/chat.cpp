// SPDX-License-Identifier: MIT
// infer chat: a conversation with a model, line by line. Ctrl-C stops an answer and keeps the conversation; when input or output is
// not a terminal nothing but the answers is printed. Tested by tests/tools/chat_test.cpp.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/jsonl.h"

namespace tool {
namespace {

constexpr const char* kFooter =
    R"(Each line is a message; a backslash at its end takes the next line in, too. Ctrl-C stops an answer and keeps what was said of
it, Ctrl-D ends. When input or output is no terminal the status is 1 if a message could not be answered. Lines that begin with a
slash are commands:
  /system [TEXT]  show or change the system prompt     /clear  forget the conversation
  /stats          speed and lengths so far             /quit   end
and // at the beginning stands for a slash.)";

constexpr const char* kHelp =
    "/system [TEXT]  show or change the system prompt\n"
    "/clear          forget the conversation, not the system prompt\n"
    "/stats          speed and lengths so far\n"
    "/quit           end (Ctrl-D, too); Ctrl-C stops an answer\n";

struct Arguments {
  ModelArguments model;
  TemplateArguments chat_template;
  OptionSet session{INFER_OPTIONS_SESSION};
  OptionSet generate{INFER_OPTIONS_GENERATE};
  std::optional<std::string> system;
  bool quiet = false;
};

/// Lines of stdin. While it lives Ctrl-C ends the program no more: it ends a wait for a line.
class LineReader {
 public:
  enum class Outcome { line, end, interrupted, failed };

  LineReader() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};   // reading ends with EINTR, no more
    sigaction(SIGINT, &action, &before_);
  }
  ~LineReader() { sigaction(SIGINT, &before_, nullptr); }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// Without its newline.
  Outcome read(std::string& line) {
    for (;;) {
      if (const std::size_t end = ahead_.find('\n'); end != std::string::npos) {
        line = ahead_.substr(0, end);
        ahead_.erase(0, end + 1);
        return Outcome::line;
      }
      char block[4096];
      const ssize_t n = ::read(STDIN_FILENO, block, sizeof block);
      if (n < 0 && errno == EINTR) {
        ahead_.clear();
        return Outcome::interrupted;
      }
      if (n < 0) return Outcome::failed;
      if (n == 0 && ahead_.empty()) return Outcome::end;
      if (n == 0) ahead_ += '\n';   // the last line has none
      ahead_.append(block, static_cast<std::size_t>(n));
    }
  }

 private:
  struct sigaction before_ = {};
  std::string ahead_;   // read beyond the line
};

struct Totals {
  std::int64_t answers = 0, fed = 0, reused = 0, generated = 0, position = 0;
  std::int64_t last_fed = 0, last_reused = 0;
  double prompt_seconds = 0, decode_seconds = 0;
};

class Conversation {
 public:
  Conversation(const libinfer::Chat& chat, const libinfer::Options& options, std::int64_t n_ctx, bool is_terminal)
      : chat_(chat), messages_(chat.messages()), options_(options), n_ctx_(n_ctx), is_terminal_(is_terminal) {}

  /// False when stdout is gone.
  bool say(const std::string& text);
  void command(std::string_view line);
  void set_system(std::string text);
  bool is_over() const { return over_; }
  bool has_failed() const { return failed_; }
  const Totals& totals() const { return totals_; }

 private:
  bool answer();
  void take_back();
  void note(const std::string& text) const;

  libinfer::Chat chat_;
  libinfer::Messages messages_;
  const libinfer::Options& options_;
  std::int64_t n_ctx_;
  bool is_terminal_;
  std::string system_;
  Totals totals_;
  bool over_ = false;
  bool failed_ = false;   // a message has
};

/// For the person at the terminal; nobody reads it elsewhere.
void Conversation::note(const std::string& text) const {
  if (is_terminal_) tell(text);
}

/// Puts the system prompt before the messages, or in place of the one there is.
void Conversation::set_system(std::string text) {
  Json messages = Json::parse(messages_.json().value_or("[]"), nullptr, false);
  if (!system_.empty() && !messages.empty()) messages.erase(0);
  Json changed = Json::array();
  if (!text.empty()) changed.push_back({{"role", "system"}, {"content", text}});
  for (auto& message : messages) changed.push_back(std::move(message));
  auto done = messages_.truncate(0);
  if (done && !changed.empty()) done = messages_.add_json(to_json_text(changed));
  if (!done) {
    fail(done.error());
    failed_ = true;
  }
  system_ = std::move(text);
}

/// The last question, which was not answered.
void Conversation::take_back() { static_cast<void>(messages_.truncate(messages_.count() - 1)); }

bool Conversation::say(const std::string& text) {
  if (const auto added = messages_.add("user", text); !added) {
    fail(added.error());
    failed_ = true;
    return true;
  }
  return answer();
}

bool Conversation::answer() {
  const Interrupt interrupt(Interrupt::Signals::ctrl_c);
  const std::size_t n_before = messages_.count();
  auto stream = chat_.answer(&options_, interrupt.cancel());
  if (!stream) {
    const bool is_full = stream.error().code() == INFER_E_CONTEXT_FULL;
    fail(stream.error(), is_full ? "/clear forgets the conversation; --ctx N makes room for longer ones" : "");
    failed_ = true;
    return take_back(), true;
  }
  bool is_begun = false;
  std::int32_t reason = INFER_FINISH_NONE;
  bool written = true;
  for (const libinfer::Event& event : *stream) {
    std::string_view shown = event.text();
    if (!is_begun && shown.starts_with(' ')) shown.remove_prefix(1);   // between the mark of the assistant and the answer
    is_begun = is_begun || !event.text().empty();
    if (event.kind() == INFER_EVENT_END) reason = event.finish_reason();
    if (!shown.empty()) written = write_all(stdout, shown);
    if (!written) break;
  }
  if (!written || !write_all(stdout, "\n")) return stdout_failed(), false;
  if (!stream->status()) {
    fail(stream->status().error());
    failed_ = true;
  }
  if (reason == INFER_FINISH_CONTEXT) fail("the context is full", "/clear forgets the conversation; --ctx N makes room for longer ones");
  if (reason == INFER_FINISH_LENGTH) note("(as long as --max-tokens allows)\n");
  const bool is_answered = messages_.count() > n_before;
  if (reason == INFER_FINISH_CANCELLED) note(is_answered ? "(stopped)\n" : "(stopped before the answer; the question is taken back)\n");
  if (!is_answered) take_back();

  const auto integer = [&](const char* key) { return stream->get_i64(key).value_or(0); };
  const auto number = [&](const char* key) { return stream->get_f64(key).value_or(0); };
  ++totals_.answers;
  totals_.last_fed = integer("prompt_tokens");
  totals_.last_reused = integer("reused_tokens");
  totals_.fed += totals_.last_fed;
  totals_.reused += totals_.last_reused;
  totals_.generated += integer("generated_tokens");
  totals_.position = integer("position");
  totals_.prompt_seconds += number("prompt_seconds");
  totals_.decode_seconds += number("decode_seconds");
  return true;
}

std::string text_of(const Totals& t, std::int64_t n_ctx) {
  const auto rate = [](std::int64_t n, double seconds) {
    return seconds > 0 ? fmt::format(", {:.1f} tokens/s", static_cast<double>(n) / seconds) : std::string();
  };
  return fmt::format(
      "answers  {}\n"
      "prompts  {} tokens fed{}, {} kept from before; of the last {} and {}\n"
      "decode   {} tokens{}\n"
      "context  {} of {} tokens\n",
      t.answers, t.fed, rate(t.fed, t.prompt_seconds), t.reused, t.last_fed, t.last_reused, t.generated,
      rate(t.generated - t.answers, t.decode_seconds), t.position, n_ctx);
}

void Conversation::command(std::string_view line) {
  const std::size_t space = line.find(' ');
  const std::string_view name = line.substr(0, space);
  const std::string_view text = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  if (name == "/quit" || name == "/exit") {
    over_ = true;
  } else if (name == "/clear") {
    static_cast<void>(messages_.truncate(system_.empty() ? 0 : 1));
    note("(forgotten)\n");
  } else if (name == "/system" && !text.empty()) {
    set_system(std::string(text));
    note("(the system prompt is changed)\n");
  } else if (name == "/system") {
    tell((system_.empty() ? "(no system prompt)" : printable(system_)) + "\n");
  } else if (name == "/stats") {
    tell(text_of(totals_, n_ctx_));
  } else if (name == "/help") {
    tell(kHelp);
  } else {
    fail(fmt::format("unknown command '{}'", name), "/help tells what there is; // begins a message with a slash");
  }
}

/// A message: a line, and the next one where it ends with a backslash.
LineReader::Outcome read_message(bool is_terminal, LineReader& reader, std::string& message) {
  message.clear();
  for (const char* sign = "> ";; sign = ". ") {
    if (is_terminal) tell(sign);
    std::string line;
    const LineReader::Outcome outcome = reader.read(line);
    if (outcome == LineReader::Outcome::end && !message.empty()) return LineReader::Outcome::line;   // it ended with a backslash
    if (outcome != LineReader::Outcome::line) return outcome;
    const bool goes_on = !line.empty() && line.back() == '\\';
    message += goes_on ? line.substr(0, line.size() - 1) + "\n" : line;
    if (!goes_on) return outcome;
  }
}

int talk(Conversation& conversation, bool is_terminal) {
  LineReader reader;
  std::string message;
  bool interrupted = false;
  while (!conversation.is_over()) {
    switch (read_message(is_terminal, reader, message)) {
      case LineReader::Outcome::end:
        if (is_terminal) tell("\n");
        return conversation.has_failed() && !is_terminal ? kFailure : kSuccess;
      case LineReader::Outcome::failed:
        return fail_errno("stdin", errno);
      case LineReader::Outcome::interrupted:
        if (is_terminal) tell("\n");
        if (interrupted || !is_terminal) return kFailure;
        tell("(once more, or Ctrl-D, ends the conversation)\n");
        interrupted = true;
        continue;
      case LineReader::Outcome::line:
        break;
    }
    interrupted = false;
    if (message.empty()) continue;
    const bool is_command = message.starts_with('/') && !message.starts_with("//");
    if (message.starts_with("//")) message.erase(0, 1);
    if (is_command) {
      conversation.command(message);
    } else if (!conversation.say(message)) {
      return kFailure;
    }
  }
  return conversation.has_failed() && !is_terminal ? kFailure : kSuccess;
}

int run(const Arguments& arguments) {
  const auto session_options = arguments.session.build();
  if (!session_options) return usage(session_options.error().message());
  const auto options = arguments.generate.build();
  if (!options) return usage(options.error().message());

  std::optional<OpenedModel> opened;
  {
    const Interrupt interrupt;
    opened = open_model(arguments.model, interrupt.cancel());
  }
  if (!opened) return kFailure;
  const auto chat_template = arguments.chat_template.open(opened->model);
  if (!chat_template) return kFailure;
  const auto session = libinfer::Session::create(opened->model, &*session_options);
  if (!session) {
    return fail(session.error(), session.error().code() == INFER_E_NOMEM ? "a smaller --ctx needs less" : "");
  }
  const auto chat = libinfer::Chat::create(*session, &*chat_template);
  if (!chat) return fail(chat.error());
  auto messages = chat->messages();
  if (!arguments.chat_template.apply(messages)) return kFailure;

  const bool is_talk = is_terminal(stdin) && is_terminal(stdout);
  const std::int64_t n_ctx = session->get_i64("n_ctx").value_or(0);
  Conversation conversation(*chat, *options, n_ctx, is_talk);
  if (arguments.system) conversation.set_system(*arguments.system);
  if (is_talk && !arguments.quiet) {
    tell(fmt::format("{}, {} tokens of context\ntemplate: {}\n/help tells the commands; Ctrl-C stops an answer, Ctrl-D ends.\n\n",
                    printable(opened->path), n_ctx, printable(chat_template->origin().value_or(""))));
  }
  const int status = talk(conversation, is_talk);
  if (is_talk && !arguments.quiet && conversation.totals().answers > 0) {
    tell("\n" + text_of(conversation.totals(), n_ctx));
  }
  return status;
}

}  // namespace

Action setup_chat(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer(kFooter);
  a.model.add_to(app);
  a.chat_template.add_to(app);
  app.add_option("--system", a.system, "the system prompt")->type_name("TEXT");
  add_generate_options(app, a.generate, "");
  add_session_options(app, a.session);
  app.add_flag("-q,--quiet", a.quiet, "no greeting and no statistics at the end");
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
