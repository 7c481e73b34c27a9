// SPDX-License-Identifier: MIT
// Values as text, to the letter as Python has it: str(), repr() and json.dumps().
// Tested by tests/tokenizers/chat/jinja_test.cpp.
#pragma once

#include <optional>
#include <string>

#include "tokenizers/chat/budget.h"
#include "tokenizers/chat/value.h"

namespace infer::chat {

/// 1.0, 1e-07, 1e+16, inf: the shortest digits that read back as the same number.
std::string python_float(double value);

/// What {{ value }} prints.
Result<Text> to_str(const Value& value, Budget& budget);
Result<Text> to_repr(const Value& value, Budget& budget);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent = {};  ///< of one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
Result<Text> to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace infer::chat
