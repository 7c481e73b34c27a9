// SPDX-License-Identifier: MIT
// Chat templates of our own, for files that carry none: the table is in builtin.cpp. A new one is a row there. Tested by
// tests/tokenizers/chat/builtin_test.cpp.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace infer::chat {

struct BuiltinTemplate {
  std::string_view name;                    ///< "chatml"
  std::string_view settings{};              ///< variables that the body asks for
  std::string_view body;                    ///< without what all of them begin with
  /// Control tokens by which a vocabulary is known to be meant for it; all are needed. None: it is never chosen by itself.
  std::array<std::string_view, 3> marks{};
  std::string_view tokenizer{};             ///< tokenizer.ggml.model that it needs as well; empty: any

  /// The whole template.
  std::string text() const;
};

/// In the order in which their marks are looked for.
std::span<const BuiltinTemplate> builtin_templates() noexcept;

}  // namespace infer::chat
