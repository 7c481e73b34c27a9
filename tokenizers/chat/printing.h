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

/// Puts a text behind another: paid for, and within the limit of a text.
Status append(Text& out, const Text& part, Budget& budget);

/// What {{ value }} prints.
Result<Text> to_str(const Value& value, Budget& budget);
Result<Text> to_repr(const Value& value, Budget& budget);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<Text> indent = {};  ///< of one level
  Text item_separator{", ", Origin::trusted};
  Text key_separator{": ", Origin::trusted};
};
Result<Text> to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace infer::chat
