// SPDX-License-Identifier: MIT
// Filters that make texts and numbers: tojson, trim, replace, indent, int ... Tested by
// tests/tokenizers/chat/jinja_test.cpp.
#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/operators.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {
namespace {

/// The input as text, as {{ input }} would print it.
Result<Text> as_text(const Value& self, const Bound& args) {
  INFER_ASSIGN(Text text, to_str(self, args.budget));
  INFER_TRY(args.budget.charge_bytes(text.memory()));
  return text;
}

Result<Value> tojson(const Value& self, const Bound& args) {
  JsonStyle style{.ensure_ascii = args.flag(0), .sort_keys = args.flag(3)};
  if (args[1] != nullptr && !args[1]->is_none()) {
    style.item_separator = Text(",", Origin::trusted);
    if (args[1]->is_string()) {
      style.indent = args[1]->text();
    } else {
      INFER_ASSIGN(const std::int64_t n, integer_argument(args, 1, "indent", 0));
      style.indent = Text(std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(n, 0, 64)), ' '), Origin::trusted);
    }
  }
  if (args[2] != nullptr && !args[2]->is_none()) {
    const bool pair = args[2]->is_list() && args[2]->list().items.size() == 2;
    if (!pair || !args[2]->list().items[0].is_string() || !args[2]->list().items[1].is_string()) {
      return chat_error("'separators' must be two texts");
    }
    style.item_separator = args[2]->list().items[0].text();
    style.key_separator = args[2]->list().items[1].text();
    INFER_TRY(args.budget.charge_bytes(style.item_separator.memory() + style.key_separator.memory()));
  }
  INFER_ASSIGN(Text json, to_json(self, style, args.budget));
  return Value(std::move(json));
}

Result<Value> string(const Value& self, const Bound& args) {
  if (self.is_string()) return self;
  INFER_ASSIGN(Text text, to_str(self, args.budget));
  return Value(std::move(text));
}

Result<Value> trim(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  if (args[0] == nullptr || args[0]->is_none()) return Value(stripped(text, Side::both, nullptr));
  INFER_ASSIGN(const Text* const characters, text_argument(args, 0, "chars"));
  INFER_TRY(args.budget.charge_each(text.size(), characters->size()));
  return Value(stripped(text, Side::both, &characters->bytes()));
}

Result<Value> upper_case(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  return Value(upper(text));
}
Result<Value> lower_case(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  return Value(lower(text));
}
Result<Value> capitalize(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  return Value(capitalized(text));
}

/// A capital at the beginning of each word: after white space, hyphens and opening brackets, unlike the method title.
Result<Value> title(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  const std::string& bytes = text.bytes();
  Text out;
  std::string spelled;
  bool first = true;
  for (std::size_t i = 0; i < bytes.size(); i += character_at(bytes, i)) {
    const char32_t c = code_point_at(bytes, i);
    const bool breaks = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    spelled.clear();
    unicode::append(breaks ? c : first ? to_upper(c) : to_lower(c), spelled);
    first = breaks;
    out.append(spelled, text.origin_at(i));
  }
  return Value(std::move(out));
}

Result<Value> replace(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  INFER_ASSIGN(const Text old, to_str(*args[0], args.budget));
  INFER_ASSIGN(const Text with, to_str(*args[1], args.budget));
  const bool all = args[2] == nullptr || args[2]->is_none();
  INFER_ASSIGN(const std::int64_t count,
               all ? Result<std::int64_t>(std::int64_t{-1}) : integer_argument(args, 2, "count", -1));
  return replaced(text, old, with, count, args.budget);
}

Result<Value> indent(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  Text margin;
  if (args[0] != nullptr && args[0]->is_string()) {
    margin = args[0]->text();
  } else {
    INFER_ASSIGN(const std::int64_t width, integer_argument(args, 0, "width", 4));
    margin =
        Text(std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(width, 0, 1000)), ' '), Origin::trusted);
  }
  // The first line and blank ones keep their places unless told otherwise.
  const std::string& bytes = text.bytes();
  Text out;
  for (std::size_t begin = 0; begin <= bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const bool first = begin == 0;
    INFER_TRY(args.budget.charge(1));
    if (first ? args.flag(1) : (end > begin || args.flag(2))) INFER_TRY(append(out, margin, args.budget));
    out.append(text, begin, std::min(end + 1, bytes.size()) - begin);
    begin = end + 1;
  }
  INFER_TRY(args.budget.charge_bytes(out.memory()));
  return Value(std::move(out));
}

/// Decimal digits with a sign and white space around them, as int(text) takes them.
std::optional<std::int64_t> parse_integer(const Text& text, int base) {
  Text digits = stripped(text, Side::both, nullptr);
  std::string bytes = digits.bytes();
  std::erase(bytes, '_');
  if (bytes.starts_with('+')) bytes.erase(0, 1);
  if (bytes.starts_with('+') || bytes.starts_with("+-")) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value, base);
  if (error != std::errc() || end != bytes.data() + bytes.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_real(const Text& text) {
  std::string bytes = stripped(text, Side::both, nullptr).bytes();
  if (bytes.starts_with('+') && !bytes.starts_with("+-")) bytes.erase(0, 1);
  double value = 0;
  const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value);
  if (error != std::errc() || end != bytes.data() + bytes.size() || bytes.empty()) return std::nullopt;
  return value;
}

Result<Value> to_int(const Value& self, const Bound& args) {
  const Value otherwise = args[0] == nullptr ? Value(std::int64_t{0}) : *args[0];
  INFER_ASSIGN(const std::int64_t base, integer_argument(args, 1, "base", 10));
  if (base < 2 || base > 36) return chat_error("the base of int must be 2 to 36");
  if (self.is_integer()) return Value(self.integer());
  if (self.is(Value::Kind::big)) return self;
  std::optional<double> real;
  if (self.is(Value::Kind::real)) real = self.real();
  if (self.is_string()) {
    if (const auto value = parse_integer(self.text(), static_cast<int>(base))) return Value(*value);
    real = parse_real(self.text());
  }
  if (!real || !(std::abs(*real) < 9.2e18)) return otherwise;
  return Value(static_cast<std::int64_t>(*real));
}

Result<Value> to_float(const Value& self, const Bound& args) {
  if (self.is_number()) return Value(self.real());
  if (self.is_string()) {
    if (const auto value = parse_real(self.text())) return Value(*value);
  }
  return args[0] == nullptr ? Value(0.0) : *args[0];
}

Result<Value> absolute(const Value& self, const Bound&) {
  if (self.is(Value::Kind::real)) return Value(std::abs(self.real()));
  if (self.is_integer()) return self.integer() < 0 ? negate(self) : Value(self.integer());
  return chat_error(fmt::format("abs needs a number, not {}", type_name(self)));
}

Result<Value> round_number(const Value& self, const Bound& args) {
  if (!self.is_number()) return chat_error(fmt::format("round needs a number, not {}", type_name(self)));
  INFER_ASSIGN(const std::int64_t digits, integer_argument(args, 0, "precision", 0));
  const std::string method = args[1] != nullptr && args[1]->is_string() ? args[1]->bytes() : "common";
  if (digits < -300 || digits > 300) return chat_error("the precision of round must be -300 to 300");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double value = self.real();
  if (method == "ceil") return Value(std::ceil(value * scale) / scale);
  if (method == "floor") return Value(std::floor(value * scale) / scale);
  if (digits < 0) return Value(std::nearbyint(value * scale) / scale);
  // Printing rounds the exact value, to even where it lies between: what Python's round does.
  const std::string shown = fmt::format("{:.{}f}", value, static_cast<int>(digits));
  INFER_TRY(args.budget.charge(shown.size()));  // digits take longer than bytes
  double rounded = 0;
  std::from_chars(shown.data(), shown.data() + shown.size(), rounded);
  return Value(rounded);
}

Result<Value> escape(const Value& self, const Bound& args) {
  INFER_ASSIGN(Text text, as_text(self, args));
  constexpr std::pair<std::string_view, std::string_view> kEscapes[] = {
      {"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
  for (const auto& [from, to] : kEscapes) {
    INFER_ASSIGN(const Value next,
                 replaced(text, Text(from, Origin::trusted), Text(to, Origin::untrusted), -1, args.budget));
    text = next.text();
  }
  return Value(std::move(text));
}

Result<Value> format(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  if (args.all.named.empty()) {
    INFER_ASSIGN(const Value values, make_list(args.all.positional, List::Kind::tuple));
    return format_percent(text, values, args.budget);
  }
  INFER_TRY(args.budget.charge_elements(4 * args.all.named.size()));
  Dict dict;
  for (const auto& [name, value] : args.all.named) dict.set(Value::string(name, Origin::trusted), value);
  INFER_ASSIGN(const Value values, make_dict(std::move(dict)));
  return format_percent(text, values, args.budget);
}

Result<Value> wordcount(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  std::int64_t n = 0;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); i += character_at(text.bytes(), i)) {
    const bool space = is_space(code_point_at(text.bytes(), i));
    if (!space && !in_word) ++n;
    in_word = !space;
  }
  return Value(n);
}

constexpr FunctionRow kRows[] = {
    {"tojson", tojson, "ensure_ascii indent separators sort_keys"},
    {"string", string},
    {"safe", string},  // there is no markup to protect
    {"trim", trim, "chars"},
    {"upper", upper_case},
    {"lower", lower_case},
    {"capitalize", capitalize},
    {"title", title},
    {"replace", replace, "old new count", 2},
    {"indent", indent, "width first blank"},
    {"int", to_int, "default base"},
    {"float", to_float, "default"},
    {"abs", absolute},
    {"round", round_number, "precision method"},
    {"escape", escape},
    {"e", escape},
    {"format", format, "*"},
    {"wordcount", wordcount},
};

}  // namespace

std::span<const FunctionRow> text_filters() noexcept { return kRows; }

}  // namespace infer::chat
