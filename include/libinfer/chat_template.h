// SPDX-License-Identifier: MIT
// ChatTemplate: a conversation to the text that a model was trained on, by the template of its file. A thin front of the
// interpreter in tokenizers/chat, with JSON in and text out. docs/chat_templates.md has the language and the limits.
// Tested by tests/capi/template_test.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libinfer/status.h"

namespace infer {

/// A piece of a prompt: what the template says is trusted, what comes from messages is not.
struct PromptSegment {
  std::string text;
  bool trusted;
};

struct ChatPrompt {
  std::string text;                      ///< all segments, one after the other
  std::vector<PromptSegment> segments;
};

/// Immutable; any number of threads may render with it.
class ChatTemplate {
 public:
  /// Code::chat_template or Code::template_limit, with line and column in the message and the byte in offset().
  static Result<ChatTemplate> compile(std::string_view text);

  /// The request is a JSON object: "messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token",
  /// "now" ("2025-03-09T14:05:07", for strftime_now), and "extra", an object of further variables. Other keys are left
  /// alone. Code::argument, utf8 or limit for what is wrong with it.
  Result<ChatPrompt> render(std::string_view request) const;

  /// A line for each construct that rendering would fail at, with its place.
  std::vector<std::string> unsupported() const;

 private:
  struct Impl;
  explicit ChatTemplate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace infer
