// SPDX-License-Identifier: MIT
// How arguments find their parameters, and what filters and methods share. See functions.h.
#include "tokenizers/chat/functions.h"

#include <algorithm>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {

const Value* Arguments::find(std::string_view name) const noexcept {
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

Result<Value> call(const FunctionRow& row, const Value& self, const Arguments& arguments, Budget& budget) {
  const auto steps = [](const Value& value) { return 1 + (value.is_string() ? value.text().memory() / 32 : 0); };
  INFER_TRY(budget.charge(steps(self)));
  for (const Value& argument : arguments.positional) INFER_TRY(budget.charge(steps(argument)));
  for (const auto& argument : arguments.named) INFER_TRY(budget.charge(steps(argument.second)));
  Bound bound{.all = arguments, .budget = budget};
  if (row.parameters == "*") return row.call(self, bound);
  std::size_t n = 0;
  std::size_t n_named = 0;
  for (std::string_view rest = row.parameters; !rest.empty(); ++n) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view parameter = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const Value* const named = arguments.find(parameter);
    if (named != nullptr) ++n_named;
    bound.at[n] = n < arguments.positional.size() ? &arguments.positional[n] : named;
    if (bound.at[n] == nullptr && n < row.n_needed) {
      return chat_error(fmt::format("'{}' needs the argument '{}'", row.name, parameter));
    }
  }
  if (arguments.positional.size() > n) return chat_error(fmt::format("'{}' takes at most {} arguments", row.name, n));
  if (n_named < arguments.named.size()) {
    return chat_error(
        fmt::format("'{}' has not all of the named arguments that it is given; it has: {}", row.name, row.parameters));
  }
  return row.call(self, bound);
}

Result<Value> missing_attribute(const Value& value, std::string_view name, Budget& budget) {
  if (name.starts_with("__")) return chat_error(fmt::format("unknown attribute {}", quoted(name)));
  return absent(value.is_none() ? fmt::format("'None' has no attribute {}", quoted(name))
                                : fmt::format("'{} object' has no attribute {}", type_name(value), quoted(name)),
                budget);
}

Result<Value> absent(std::string why, Budget& budget) {
  INFER_TRY(budget.charge_elements(1));
  INFER_TRY(budget.charge(why.size() / 32));
  return Value::undefined(std::move(why));
}

Result<Value> get_attribute(const Value& value, std::string_view name, Budget& budget) {
  INFER_TRY(budget.charge(1 + name.size() / 32));
  if (value.is_undefined()) return chat_error(std::string(value.what()));
  if (find_method(value, name) != nullptr) {
    return Value(std::make_shared<const Method>(Method{.self = value, .name = std::string(name)}));
  }
  if (value.is_dict()) {
    if (const Value* const found = value.dict().find(name)) return *found;
  }
  return missing_attribute(value, name, budget);
}

LineEnd find_line_end(std::string_view text, std::size_t begin) noexcept {
  std::size_t at = begin;
  while (at < text.size() && !is_line_end(code_point_at(text, at))) at += character_at(text, at);
  if (at == text.size()) return {at, at};
  return {at, at + (text.substr(at).starts_with("\r\n") ? 2 : character_at(text, at))};
}

Text stripped(const Text& text, Side side, const std::string* characters) {
  const std::string& bytes = text.bytes();
  const auto goes = [&](std::size_t i) {
    if (characters == nullptr) return is_space(code_point_at(bytes, i));
    const std::string_view c = std::string_view(bytes).substr(i, character_at(bytes, i));
    for (std::size_t k = 0; k < characters->size(); k += character_at(*characters, k)) {
      if (std::string_view(*characters).substr(k, character_at(*characters, k)) == c) return true;
    }
    return false;
  };
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (side != Side::right && begin < end && goes(begin)) begin += character_at(bytes, begin);
  while (side != Side::left && end > begin && goes(character_before(bytes, end))) end = character_before(bytes, end);
  return text.slice(begin, end - begin);
}

Result<Value> replaced(const Text& text, const Text& old, const Text& with, std::int64_t count, Budget& budget) {
  INFER_TRY(budget.charge_search(text.memory(), old.size()));
  const std::string& bytes = text.bytes();
  Text out;
  std::size_t at = 0;
  std::size_t from = 0;
  for (std::int64_t n = 0; n != count && from <= bytes.size(); ++n) {
    const std::size_t found = bytes.find(old.bytes(), from);
    if (found == std::string::npos) break;
    out.append(text, at, found - at);
    INFER_TRY(append(out, with, budget));
    at = found + old.size();
    // An empty text stands before every character, and at the end.
    from = !old.empty() ? at : found < bytes.size() ? found + character_at(bytes, found) : bytes.size() + 1;
  }
  out.append(text, at, bytes.size() - at);
  INFER_TRY(budget.charge_bytes(out.memory()));
  return Value(std::move(out));
}

namespace {

/// Each character through `map`, which gives its new spelling.
template <class Map>
Text mapped(const Text& text, const Map& map) {
  Text out;
  const std::string& bytes = text.bytes();
  std::string spelled;
  for (std::size_t i = 0; i < bytes.size(); i += character_at(bytes, i)) {
    spelled.clear();
    map(code_point_at(bytes, i), spelled);
    out.append(spelled, text.origin_at(i));
  }
  return out;
}

void spell_upper(char32_t c, std::string& out) {
  if (c == 0xdf) {
    out += "SS";
  } else {
    unicode::append(to_upper(c), out);
  }
}

}  // namespace

Text upper(const Text& text) { return mapped(text, spell_upper); }
Text lower(const Text& text) {
  return mapped(text, [](char32_t c, std::string& out) { unicode::append(to_lower(c), out); });
}
Text capitalized(const Text& text) {
  bool first = true;
  return mapped(text, [&first](char32_t c, std::string& out) {
    unicode::append(std::exchange(first, false) ? to_upper(c) : to_lower(c), out);
  });
}

Result<const Text*> text_argument(const Bound& args, std::size_t i, std::string_view name) {
  if (args[i] != nullptr && args[i]->is_string()) return &args[i]->text();
  return chat_error(
      fmt::format("'{}' must be a text, not {}", name, args[i] == nullptr ? "missing" : type_name(*args[i])));
}

Result<std::int64_t> integer_argument(const Bound& args, std::size_t i, std::string_view name, std::int64_t otherwise) {
  if (args[i] == nullptr) return otherwise;
  if (args[i]->is_integer()) return args[i]->integer();
  return chat_error(fmt::format("'{}' must be an integer, not {}", name, type_name(*args[i])));
}

}  // namespace infer::chat
