// SPDX-License-Identifier: MIT
// Chat templates: Jinja as transformers sets it up, interpreted by our own few hundred lines with nothing of the host
// in reach. compile once, render from any number of threads. The result knows of each byte whether the template said it
// or a message did. docs/chat_templates.md tells what is supported. Tested by tests/tokenizers/chat/jinja_test.cpp.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/chat/budget.h"
#include "tokenizers/chat/value.h"

namespace infer::chat {

struct Program;

/// The caller's local time: the interpreter looks at no clock.
struct CivilTime {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
};

/// Whether the calendar has the day and the clock the time, a leap second among them, in the years 1 to 9999.
bool is_valid(const CivilTime& time) noexcept;

struct Inputs {
  std::vector<std::pair<std::string, Value>> variables;  ///< messages, tools, bos_token ...
  std::optional<CivilTime> now;                          ///< for strftime_now, which is undefined without
  const CancelFlag* cancel = nullptr;                    ///< ends the rendering with Code::cancelled
  std::optional<std::uint64_t> max_steps = {};           ///< at most, below those of the template's limits
};

struct Segment {
  std::string text;
  Origin origin;
};

class Template {
 public:
  /// Code::chat_template for what is no template, with line and column in the message and the byte in offset();
  /// Code::template_limit for what is too large or nested too deeply.
  static Result<Template> compile(std::string_view text, const Limits& limits = {});

  /// The same codes, and cancelled; what raise_exception says comes with the subject "raise_exception".
  Result<Text> render(const Inputs& inputs) const;

  /// Constructs that rendering would fail at, were it to reach them: "line 3, column 5: filter 'from_json'".
  std::vector<std::string> unsupported() const;

 private:
  Template(std::shared_ptr<const Program> program, const Limits& limits)
      : program_(std::move(program)), limits_(limits) {}
  std::shared_ptr<const Program> program_;
  Limits limits_;
};

/// A text in pieces of one origin each.
std::vector<Segment> segments(const Text& text);

/// Values of JSON, all strings of it untrusted. Integers of any size are kept, keys stay in order, lists cannot be
/// changed by templates. `what` is named in errors. `max_depth` bounds nesting.
Result<Value> parse_json(std::string_view json, std::string_view what);

/// The messages with roles trusted that are plain words (letters, digits, _ and -): templates build control tokens of
/// them, as in '<|' + message.role + '|>'.
Result<Value> trust_roles(const Value& messages);

}  // namespace infer::chat
