// SPDX-License-Identifier: MIT
// "%s and %-5d" % values: Python's formats of C's making. See operators.h. Tested by tests/tokenizers/chat/jinja_test.cpp.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/operators.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {
namespace {

using Kind = Value::Kind;

/// A place for a value: %(name)[flags][width][.precision][h|l|L]type
struct Place {
  bool left = false, plus = false, space = false, alternate = false, zeros = false;
  std::size_t width = 0;
  std::optional<std::size_t> precision = {};
  char type = 0;
  std::string_view spelled = {};   ///< without the name, for messages
};

/// Digits at `at`, behind which it stands afterwards. What no budget has room for is as good as the largest number.
std::size_t read_number(std::string_view text, std::size_t& at) noexcept {
  std::size_t n = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    n = std::min<std::size_t>(n * 10 + static_cast<std::size_t>(text[at] - '0'), std::numeric_limits<int>::max());
  return n;
}

Result<Place> read_place(std::string_view text, std::size_t& at) {
  Place place;
  const std::size_t begin = at;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    bool& flag = c == '-' ? place.left : c == '+' ? place.plus : c == ' ' ? place.space : c == '#' ? place.alternate : place.zeros;
    if (std::string_view("-+ #0").find(c) == std::string_view::npos) break;
    flag = true;
  }
  place.width = read_number(text, at);
  if (at < text.size() && text[at] == '.') {
    ++at;
    place.precision = read_number(text, at);
  }
  if (at < text.size() && std::string_view("hlL").find(text[at]) != std::string_view::npos) ++at;
  if (at == text.size()) return chat_error("the format ends within a place for a value");
  place.type = text[at];
  const std::size_t n = character_at(text, at);
  place.spelled = text.substr(begin, at + n - begin);
  at += n;
  return place;
}

std::string shown(const Place& place) { return quoted(fmt::format("%{}", place.spelled)); }

/// Puts fill around a text: `head` of it, a sign and 0x, stays in front of zeros.
Status append_padded(Text& out, const Text& text, std::size_t head, const Place& place, bool is_number, Budget& budget) {
  const std::size_t n = count_characters(text.bytes());
  const std::size_t missing = place.width > n ? place.width - n : 0;
  INFER_TRY(budget.charge_bytes(missing));
  const bool zeros = is_number && place.zeros && !place.left;
  const Text fill(std::string(missing, zeros ? '0' : ' '), Origin::trusted);
  if (!place.left && !zeros) INFER_TRY(append(out, fill, budget));
  if (zeros) {
    INFER_TRY(append(out, text.slice(0, head), budget));
    INFER_TRY(append(out, fill, budget));
  }
  INFER_TRY(append(out, zeros ? text.slice(head, text.size() - head) : text, budget));
  return place.left ? append(out, fill, budget) : Status();
}

Status append_text(Text& out, const Value& value, const Place& place, Budget& budget) {
  INFER_ASSIGN(Text text, place.type == 's' ? to_str(value, budget) : to_repr(value, budget));
  if (place.precision) {
    INFER_TRY(budget.charge_bytes(text.memory()));
    std::size_t end = 0;
    for (std::size_t i = 0; i < *place.precision && end < text.size(); ++i) end += character_at(text.bytes(), end);
    text = text.slice(0, end);
  }
  return append_padded(out, text, 0, place, false, budget);
}

/// %c: a character, or its number, which says no more than the message that it came from.
Status append_character(Text& out, const Value& value, const Place& place, Budget& budget) {
  if (value.is_string() && count_characters(value.bytes()) == 1) return append_padded(out, value.text(), 0, place, false, budget);
  if (!value.is_integer()) return chat_error(fmt::format("the format '%c' needs a character or its number, not {}", type_name(value)));
  const std::int64_t code = value.integer();
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return chat_error("the format '%c' is given no character");
  std::string bytes;
  unicode::append(static_cast<char32_t>(code), bytes);
  return append_padded(out, Text(bytes, Origin::untrusted), 0, place, false, budget);
}

/// The digits of an integer, at least `precision` of them, with sign and prefix, which so many bytes belong to.
Result<std::size_t> spell_integer(std::string& out, const Value& value, const Place& place, Budget& budget) {
  std::string digits;
  bool negative = false;
  const bool decimal = place.type == 'd' || place.type == 'i' || place.type == 'u';
  if (value.is(Kind::big) && decimal) {
    INFER_TRY(budget.charge_bytes(value.digits().size()));
    negative = value.digits().starts_with('-');
    digits = value.digits().substr(negative ? 1 : 0);
  } else if (value.is(Kind::real) && decimal) {
    const double whole = std::trunc(value.real());
    if (!std::isfinite(whole)) return chat_error(fmt::format("the format {} needs a number that is finite", shown(place)));
    negative = whole < 0;
    digits = fmt::format("{:.0f}", std::abs(whole));
    INFER_TRY(budget.charge(digits.size()));   // they take longer than bytes
  } else if (!value.is_integer()) {
    return chat_error(fmt::format("the format {} needs an integer of 64 bits", shown(place)));
  } else {
    const std::int64_t integer = value.integer();
    negative = integer < 0;
    const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(integer) : static_cast<std::uint64_t>(integer);
    digits = place.type == 'x'   ? fmt::format("{:x}", size)
             : place.type == 'X' ? fmt::format("{:X}", size)
             : place.type == 'o' ? fmt::format("{:o}", size)
                                 : fmt::format("{}", size);
  }
  const std::size_t least = place.precision.value_or(0);
  const std::size_t missing = least > digits.size() ? least - digits.size() : 0;
  INFER_TRY(budget.charge_bytes(missing));
  if (negative || place.plus || place.space) out += negative ? '-' : place.plus ? '+' : ' ';
  if (place.alternate && !decimal) out += place.type == 'o' ? "0o" : place.type == 'x' ? "0x" : "0X";
  const std::size_t head = out.size();
  out.append(missing, '0');
  out += digits;
  return head;
}

Result<std::size_t> spell_real(std::string& out, const Value& value, const Place& place, Budget& budget) {
  if (place.alternate && (place.type == 'g' || place.type == 'G'))   // 1. is 1.0 for fmt
    return chat_error(fmt::format("the format {} is not supported", shown(place)));
  const double real = std::isnan(value.real()) ? std::abs(value.real()) : value.real();   // of which Python shows no sign
  const std::size_t precision = place.precision.value_or(6);
  INFER_TRY(budget.check_size(precision));
  INFER_TRY(budget.charge(precision));   // digits take longer than bytes
  const std::string_view sign = place.plus ? "+" : place.space ? " " : "";
  const std::string spec = fmt::format("{{:{}{}.{}{}}}", sign, place.alternate ? "#" : "", precision, place.type);
  out = fmt::format(fmt::runtime(spec), real);
  INFER_TRY(budget.charge(out.size()));
  return out.find_first_not_of("+- ") == 0 ? 0 : 1;
}

Status append_number(Text& out, const Value& value, const Place& place, Budget& budget) {
  const bool integral = std::string_view("diuoxX").find(place.type) != std::string_view::npos;
  if (!value.is_number())
    return chat_error(fmt::format("the format {} does not go with {}", shown(place), type_name(value)));
  std::string spelled;
  INFER_ASSIGN(const std::size_t head, integral ? spell_integer(spelled, value, place, budget) : spell_real(spelled, value, place, budget));
  return append_padded(out, Text(spelled, Origin::trusted), head, place, true, budget);
}

}  // namespace

Result<Value> format_percent(const Text& format, const Value& values, Budget& budget) {
  INFER_TRY(budget.charge_bytes(format.memory()));
  const std::string& bytes = format.bytes();
  const bool is_tuple = values.is_list() && values.list().kind == List::Kind::tuple;
  std::size_t n_used = 0;
  Text out;
  std::size_t plain = 0;
  for (std::size_t i = bytes.find('%'); i != std::string::npos; i = bytes.find('%', plain)) {
    out.append(format, plain, i - plain);
    std::size_t at = i + 1;
    Value value = values;
    bool named = false;
    if (at < bytes.size() && bytes[at] == '(') {
      const std::size_t close = bytes.find(')', at);
      if (close == std::string::npos || !values.is_dict()) return chat_error("a format with names needs a dict");
      const Value* const found = values.dict().find(std::string_view(bytes).substr(at + 1, close - at - 1));
      if (found == nullptr) return chat_error("a name of the format is not in the dict");
      value = *found;
      named = true;
      at = close + 1;
    }
    INFER_ASSIGN(const Place place, read_place(bytes, at));
    plain = at;
    if (place.spelled == "%" && !named) {
      INFER_TRY(append(out, Text("%", Origin::trusted), budget));
      continue;
    }
    if (!named && is_tuple) {
      if (n_used == values.list().items.size()) return chat_error("not enough values for the format");
      value = values.list().items[n_used];
    } else if (!named && n_used > 0) {
      return chat_error("not enough values for the format");
    }
    ++n_used;
    if (place.type == 's' || place.type == 'r') {
      INFER_TRY(append_text(out, value, place, budget));
    } else if (place.type == 'c') {
      INFER_TRY(append_character(out, value, place, budget));
    } else if (std::string_view("diuoxXeEfFgG").find(place.type) != std::string_view::npos) {
      INFER_TRY(append_number(out, value, place, budget));
    } else {
      return chat_error(fmt::format("the format {} is not supported", shown(place)));
    }
  }
  if (is_tuple && n_used < values.list().items.size()) return chat_error("not all values of the format were used");
  if (!values.is_list() && !values.is_dict() && n_used == 0) return chat_error("not all values of the format were used");
  out.append(format, plain, bytes.size() - plain);
  INFER_TRY(budget.charge_bytes(out.memory()));
  return Value(std::move(out));
}

}  // namespace infer::chat
