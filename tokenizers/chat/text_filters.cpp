// SPDX-License-Identifier: MIT
// Filters that make texts and numbers: tojson, trim, replace, indent, int ... Tested by
// tests/tokenizers/chat/jinja_test.cpp.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/numbers.h"
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

/// None where there are fewer than none.
Result<Text> spaces(std::int64_t n, Budget& budget) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(n, 0));
  INFER_TRY(budget.charge_bytes(count));
  return Text(std::string(count, ' '), Origin::trusted);
}

Result<Value> tojson(const Value& self, const Bound& args) {
  JsonStyle style{.ensure_ascii = args.flag(0), .sort_keys = args.flag(3)};
  if (args[1] != nullptr && !args[1]->is_none()) {
    style.item_separator = Text(",", Origin::trusted);
    if (args[1]->is_string()) {
      style.indent = args[1]->text();
    } else {
      INFER_ASSIGN(const std::int64_t n, integer_argument(args, 1, "indent", 0));
      INFER_ASSIGN(style.indent, spaces(n, args.budget));
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
    INFER_ASSIGN(margin, spaces(width, args.budget));
  }
  // The first line and blank ones keep their places unless told otherwise; all ends of lines become \n.
  const std::string& bytes = text.bytes();
  Text out;
  for (std::size_t begin = 0;;) {
    const LineEnd end = find_line_end(bytes, begin);
    INFER_TRY(args.budget.charge(1));
    if (begin == 0 ? args.flag(1) : (end.at > begin || args.flag(2))) INFER_TRY(append(out, margin, args.budget));
    out.append(text, begin, end.at - begin);
    // Jinja puts a \n behind the text first, of which a \r at its end becomes a part.
    if (end.at == bytes.size() || (end.next == bytes.size() && bytes.ends_with('\r'))) break;
    out.append("\n", text.origin_at(end.at));
    begin = end.next;
  }
  INFER_TRY(args.budget.charge_bytes(out.memory()));
  return Value(std::move(out));
}

/// What is no integer of any size gives `default`; what is one and does not fit is an error.
Result<Value> to_int(const Value& self, const Bound& args) {
  const Value otherwise = args[0] == nullptr ? Value(std::int64_t{0}) : *args[0];
  INFER_ASSIGN(const std::int64_t base, integer_argument(args, 1, "base", 10));
  if (base != 0 && (base < 2 || base > 36)) return chat_error("the base of int must be 0 or 2 to 36");
  if (self.is_undefined()) return chat_error(std::string(self.what()));
  if (self.is_integer()) return Value(self.integer());
  if (self.is(Value::Kind::big)) return self;
  std::optional<double> real;
  if (self.is(Value::Kind::real)) real = self.real();
  if (self.is_string()) {
    INFER_TRY(args.budget.charge(self.text().memory() / 16));   // some copies
    const std::string digits = ascii_digits(self.text());
    INFER_ASSIGN(const std::optional<std::int64_t> value, read_integer(digits, static_cast<int>(base)));
    if (value) return Value(*value);
    real = read_real(digits);
    if (real && std::isinf(*real)) return otherwise;
  }
  if (!real || std::isnan(*real)) return otherwise;
  if (!(*real >= -0x1p63 && *real < 0x1p63)) return chat_error("int: the number does not fit 64 bits");
  return Value(static_cast<std::int64_t>(*real));
}

Result<Value> to_float(const Value& self, const Bound& args) {
  if (self.is_undefined()) return chat_error(std::string(self.what()));
  if (self.is_number()) return Value(self.real());
  if (self.is_string()) {
    INFER_TRY(args.budget.charge(self.text().memory() / 16));   // some copies
    if (const auto value = read_real(ascii_digits(self.text()))) return Value(*value);
  }
  return args[0] == nullptr ? Value(0.0) : *args[0];
}

Result<Value> absolute(const Value& self, const Bound& args) {
  if (self.is(Value::Kind::real)) return Value(std::abs(self.real()));
  if (self.is_integer()) return self.integer() < 0 ? negate(self) : Value(self.integer());
  if (!self.is(Value::Kind::big)) return chat_error(fmt::format("abs needs a number, not {}", type_name(self)));
  if (!self.digits().starts_with('-')) return self;
  INFER_TRY(args.budget.charge_bytes(self.digits().size()));
  return Value(BigInteger{std::make_shared<const std::string>(self.digits().substr(1))});
}

/// Integers stay such where they are rounded, and become reals by ceil and floor.
Result<Value> round_number(const Value& self, const Bound& args) {
  if (self.is_undefined()) return chat_error(std::string(self.what()));
  if (!self.is_number()) return chat_error(fmt::format("round needs a number, not {}", type_name(self)));
  INFER_ASSIGN(const std::int64_t precision, integer_argument(args, 0, "precision", 0));
  const int places = static_cast<int>(std::clamp<std::int64_t>(precision, -100'000, 100'000));
  std::string method = "common";
  if (args[1] != nullptr) method = args[1]->is_string() ? args[1]->bytes() : "";
  if (method == "common") {
    if (self.is(Value::Kind::real)) return round_real(self.real(), places, args.budget);
    if (places >= 0) return self.is(Value::Kind::big) ? self : Value(self.integer());
    INFER_TRY(args.budget.charge_bytes(self.is(Value::Kind::big) ? 2 * self.digits().size() : 0));
    return round_integer(self.is(Value::Kind::big) ? self.digits() : fmt::format("{}", self.integer()), -places);
  }
  if (method != "ceil" && method != "floor") return chat_error("the method of round must be common, ceil or floor");
  if (!self.is(Value::Kind::real) && places >= 0) return Value(self.real());
  const double scale = read_real(fmt::format("1e{}", places)).value_or(0);
  const double scaled = self.real() * scale;
  if (!std::isfinite(scaled) || scale == 0) return chat_error("round: the number is too large for the precision");
  return Value(((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) + 0.0) / scale);   // Python's integers have no -0
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

/// Runs of letters, numbers and underscores.
Result<Value> wordcount(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text text, as_text(self, args));
  std::int64_t n = 0;
  bool was_word = false;
  for (std::size_t i = 0; i < text.size(); i += character_at(text.bytes(), i)) {
    const char32_t c = code_point_at(text.bytes(), i);
    const bool is_word = c == '_' || is_letter_or_number(c);
    if (is_word && !was_word) ++n;
    was_word = is_word;
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
