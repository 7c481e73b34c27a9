// SPDX-License-Identifier: MIT
// What Python's operators do: arithmetic, comparison, membership, subscripts. Errors have no place yet; the interpreter
// adds it. Tested by tests/tokenizers/chat/jinja_test.cpp.
#pragma once

#include <optional>
#include <string_view>

#include "tokenizers/chat/budget.h"
#include "tokenizers/chat/value.h"

namespace infer::chat {

Result<bool> equals(const Value& a, const Value& b, Budget& budget);
/// <0, 0 or >0; an error for values that Python cannot order, for which `op` is named.
Result<int> order(const Value& a, const Value& b, std::string_view op, Budget& budget);
/// a == b, a < b, a in b ...
Result<bool> compare(std::string_view op, const Value& a, const Value& b, Budget& budget);
/// + - * / // % **
Result<Value> arithmetic(std::string_view op, const Value& a, const Value& b, Budget& budget);
Result<Value> negate(const Value& a);
/// "%s and %d" % values
Result<Value> format_percent(const Text& format, const Value& values, Budget& budget);

/// For a look-up of the key in a dict: long texts take their time.
Status charge_key(const Value& key, Budget& budget);

/// What a loop goes through: elements, keys, characters. Nothing for undefined.
Result<Values> iterate(const Value& value, Budget& budget);
/// len(); for undefined 0.
Result<std::int64_t> length(const Value& value);
/// a[key]; undefined where there is no such element.
Result<Value> subscript(const Value& a, const Value& key, Budget& budget);
/// a[begin:end:step]
Result<Value> slice(const Value& a, std::optional<std::int64_t> begin, std::optional<std::int64_t> end,
                    std::optional<std::int64_t> step, Budget& budget);

}  // namespace infer::chat
