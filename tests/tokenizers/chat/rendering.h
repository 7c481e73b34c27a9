// SPDX-License-Identifier: MIT
// What the tests of chat templates share: a template compiled and rendered in one call, with variables as JSON.
#pragma once

#include <string>
#include <string_view>

#include "tokenizers/chat/template.h"

namespace infer::chat::testing {

inline constexpr CivilTime kSunday{.year = 2025, .month = 3, .day = 9, .hour = 14, .minute = 5, .second = 7};

inline Result<Text> render(std::string_view source, const Value& variables, const Limits& limits = {}) {
  INFER_ASSIGN(const Template compiled, Template::compile(source, limits));
  Inputs inputs{.variables = {}, .now = kSunday};
  for (const auto& [name, value] : variables.dict().entries()) inputs.variables.emplace_back(name.bytes(), value);
  return compiled.render(inputs);
}

inline Result<Text> render(std::string_view source, std::string_view json = "{}", const Limits& limits = {}) {
  INFER_ASSIGN(const Value variables, parse_json(json, "variables"));
  return render(source, variables, limits);
}

/// The text, or the error's sentence.
inline std::string shown(const Result<Text>& rendered) {
  return rendered.ok() ? rendered.value().bytes() : std::string(rendered.status().message());
}

}  // namespace infer::chat::testing
