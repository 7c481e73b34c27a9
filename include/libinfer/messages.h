// SPDX-License-Identifier: MIT
// Messages: a conversation, and what else a chat template is told: tools, variables, the time. Contents, names, tools and arguments
// are untrusted: no text of them becomes a control token. Roles that are plain words, bos_token and eos_token are the host's own
// words and trusted; never take these from users. Tested by tests/runtime/messages_test.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "libinfer/status.h"

namespace infer {

/// Not for several threads at once. A failed call changes nothing. Text must be UTF-8 (Code::utf8).
class Messages {
 public:
  Messages();
  ~Messages();
  Messages(Messages&&) noexcept;
  Messages& operator=(Messages&&) noexcept;
  Messages clone() const;

  /// From a JSON object: "messages" (needed), "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "now",
  /// and "extra", an object of further variables. Other keys are left alone. Errors: argument, utf8, limit.
  static Result<Messages> parse(std::string_view request);

  /// A message: role "system", "user", "assistant", or what else the template knows.
  Status add(std::string_view role, std::string_view content);
  /// The next part of the last message, whose content becomes a list of {"type": "text", "text": ...}.
  Status add_part(std::string_view text);
  /// A message as a JSON object with any keys, or a list of them. Errors: argument.
  Status add_json(std::string_view json);
  /// A call of a tool, in the last message, which must be the assistant's; `arguments` is a JSON object, `id` may be empty.
  /// Errors: argument, state (no message yet).
  Status add_tool_call(std::string_view id, std::string_view name, std::string_view arguments);
  /// What a tool answered: a message of role "tool". `id` may be empty.
  Status add_tool_result(std::string_view id, std::string_view name, std::string_view content);

  /// A JSON list of tool definitions, as in {"type": "function", "function": {"name", "description", "parameters"}}; null for none.
  Status set_tools(std::string_view json);
  /// A variable of the template, as JSON: "enable_thinking", "documents", "bos_token" ... Errors: argument (a name that is not
  /// one; "messages").
  Status set_variable(std::string_view name, std::string_view json);
  /// The local time for strftime_now, "2025-03-09T14:05:07"; empty: none, and strftime_now is undefined.
  /// Errors: argument (what is no time, or no day of the calendar).
  Status set_now(std::string_view time);

  std::size_t size() const noexcept;
  /// All messages as a JSON list, which add_json() takes. Errors: template_limit (beyond 16 MiB, in which each text counts 16 bytes
  /// more).
  Result<std::string> json() const;
  /// Forgets the messages from number n on; tools, variables and time stay.
  void truncate(std::size_t n) noexcept;

 private:
  friend class ChatTemplate;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace infer
