// SPDX-License-Identifier: MIT
// Python's operators on values. See operators.h.
#include "tokenizers/chat/operators.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {
namespace {

using Kind = Value::Kind;

Status no_operator(std::string_view op, const Value& a, const Value& b) {
  for (const Value* v : {&a, &b}) {
    if (v->is_undefined()) return chat_error(std::string(v->what()));
  }
  return chat_error(fmt::format("'{}' does not go with {} and {}", op, type_name(a), type_name(b)));
}

int three_way(double a, double b) noexcept { return a < b ? -1 : a > b ? 1 : 0; }

Result<bool> equal_dicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.entries()) {
    INFER_TRY(charge_key(key, budget));
    const Value* const other = b.find(key);
    if (other == nullptr) return false;
    INFER_ASSIGN(const bool same, equals(value, *other, budget));
    if (!same) return false;
  }
  return true;
}

Result<bool> contains(const Value& item, const Value& container, Budget& budget) {
  switch (container.kind()) {
    case Kind::undefined:
      return false;
    case Kind::string:
      if (!item.is_string()) return no_operator("in", item, container);
      INFER_TRY(budget.charge_search(container.text().memory(), item.text().size()));
      return container.bytes().find(item.bytes()) != std::string::npos;
    case Kind::dict:
      INFER_TRY(charge_key(item, budget));
      return container.dict().find(item) != nullptr;
    case Kind::list:
      for (const Value& element : container.list().items) {
        INFER_ASSIGN(const bool same, equals(element, item, budget));
        if (same) return true;
      }
      return false;
    default:
      return chat_error(fmt::format("'in' needs a text, list or dict on its right, not {}", type_name(container)));
  }
}

Result<Value> repeat(const Value& sequence, std::int64_t times, Budget& budget) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (sequence.is_string()) {
    const Text& text = sequence.text();
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(text.memory(), n, &bytes)) return limit_error("a text that is repeated too often");
    INFER_TRY(budget.charge_bytes(bytes));
    if (text.empty()) return sequence;
    Text out;
    for (std::size_t i = 0; i < n; ++i) out.append(text);
    return Value(std::move(out));
  }
  const Values& items = sequence.list().items;
  std::size_t count = 0;
  if (__builtin_mul_overflow(items.size(), n, &count)) return limit_error("a list that is repeated too often");
  INFER_TRY(budget.charge_elements(count));
  Values out;
  for (std::size_t i = 0; count > 0 && i < n; ++i) out.insert(out.end(), items.begin(), items.end());
  return make_list(std::move(out), sequence.list().kind);
}

Result<Value> on_integers(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  const auto checked = [&](bool overflow) -> Result<Value> {
    if (overflow) return chat_error(fmt::format("{} {} {} does not fit 64 bits", a, op, b));
    return Value(out);
  };
  if (op == "+") return checked(__builtin_add_overflow(a, b, &out));
  if (op == "-") return checked(__builtin_sub_overflow(a, b, &out));
  if (op == "*") return checked(__builtin_mul_overflow(a, b, &out));
  if (op == "**") {
    if (b < 0) return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
    out = 1;
    if (a == 0 || a == 1 || b == 0) return Value(b == 0 ? std::int64_t{1} : a);
    if (a == -1) return Value(std::int64_t{b % 2 == 0 ? 1 : -1});
    for (std::int64_t i = 0; i < b; ++i) {  // |a| is at least 2: 63 rounds at most
      if (__builtin_mul_overflow(out, a, &out)) return checked(true);
    }
    return Value(out);
  }
  if (b == 0) return chat_error("division by zero");
  if (b == -1) {  // the smallest integer has no negative
    if (op == "%") return Value(std::int64_t{0});
    if (op == "//") return checked(__builtin_sub_overflow(std::int64_t{0}, a, &out));
  }
  if (op == "/") return Value(static_cast<double>(a) / static_cast<double>(b));
  const bool down = a % b != 0 && (a < 0) != (b < 0);
  out = op == "//" ? a / b - (down ? 1 : 0) : a % b + (down ? b : 0);
  return Value(out);
}

double computed(std::string_view op, double a, double b) noexcept {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (op == "/") return a / b;
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  return op == "%" ? rest : std::floor((a - rest) / b + 0.5);
}

Result<Value> on_reals(std::string_view op, double a, double b) {
  if (b == 0 && (op == "/" || op == "//" || op == "%")) return chat_error("division by zero");
  return Value(computed(op, a, b));
}

/// Where element `index` of `n` is, counted from the end when it is negative; n when there is none.
std::size_t element(std::int64_t index, std::size_t n) noexcept {
  const auto count = static_cast<std::int64_t>(n);
  if (index < 0) index += count;
  return index >= 0 && index < count ? static_cast<std::size_t>(index) : n;
}

/// The byte offset of character `to`, seen from character `from`, which is at `at`.
std::size_t walk(std::string_view text, std::size_t at, std::int64_t from, std::int64_t to) noexcept {
  for (; from < to; ++from) at += character_at(text, at);
  for (; from > to; --from) at = character_before(text, at);
  return at;
}

}  // namespace

Result<bool> equals(const Value& a, const Value& b, Budget& budget) {
  INFER_TRY(budget.charge(1));
  if (a.is_number() && b.is_number()) {
    if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
    if (a.is(Kind::big) && b.is(Kind::big)) return a.digits() == b.digits();
    if (a.is(Kind::big) != b.is(Kind::big) && !a.is(Kind::real) && !b.is(Kind::real)) return false;
    return a.real() == b.real();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::string:
      INFER_TRY(budget.charge(std::min(a.text().size(), b.text().size()) / 32));
      return a.bytes() == b.bytes();
    case Kind::dict:
      return equal_dicts(a.dict(), b.dict(), budget);
    case Kind::object:
      return a.object() == b.object();
    case Kind::list:
      break;
    default:
      return true;
  }
  const List& x = a.list();
  const List& y = b.list();
  if (x.kind == List::Kind::generator || y.kind == List::Kind::generator) return &x == &y;
  if (x.kind != y.kind || x.items.size() != y.items.size()) return false;
  for (std::size_t i = 0; i < x.items.size(); ++i) {
    INFER_ASSIGN(const bool same, equals(x.items[i], y.items[i], budget));
    if (!same) return false;
  }
  return true;
}

Result<int> order(const Value& a, const Value& b, std::string_view op, Budget& budget) {
  INFER_TRY(budget.charge(1));
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  if (a.is_number() && b.is_number()) return three_way(a.real(), b.real());
  if (a.is_string() && b.is_string()) {
    INFER_TRY(budget.charge(std::min(a.text().size(), b.text().size()) / 32));
    return a.bytes().compare(b.bytes());  // the order of UTF-8's bytes is that of code points
  }
  if (!a.is_list() || !b.is_list() || a.list().kind != b.list().kind) return no_operator(op, a, b);
  const Values& x = a.list().items;
  const Values& y = b.list().items;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    INFER_ASSIGN(const bool same, equals(x[i], y[i], budget));
    if (!same) return order(x[i], y[i], op, budget);
  }
  return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
}

Result<bool> compare(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (op == "in" || op == "not in") {
    INFER_ASSIGN(const bool found, contains(a, b, budget));
    return found == (op == "in");
  }
  if (op == "==" || op == "!=") {
    INFER_ASSIGN(const bool same, equals(a, b, budget));
    return same == (op == "==");
  }
  // Nothing is above or below what is not a number.
  if (a.is_number() && b.is_number() && (std::isnan(a.real()) || std::isnan(b.real()))) return false;
  INFER_ASSIGN(const int sign, order(a, b, op, budget));
  if (op == "<") return sign < 0;
  if (op == "<=") return sign <= 0;
  return op == ">" ? sign > 0 : sign >= 0;
}

Result<Value> arithmetic(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (a.is_integer() && b.is_integer()) return on_integers(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return on_reals(op, a.real(), b.real());
  if (op == "+" && a.is_string() && b.is_string()) {
    INFER_TRY(budget.charge_bytes(a.text().memory() + b.text().memory()));
    Text sum = a.text();
    sum.append(b.text());
    return Value(std::move(sum));
  }
  if (op == "+" && a.is_list() && b.is_list() && a.list().kind == b.list().kind &&
      a.list().kind != List::Kind::generator) {
    INFER_TRY(budget.charge_elements(a.list().items.size() + b.list().items.size()));
    Values sum = a.list().items;
    sum.insert(sum.end(), b.list().items.begin(), b.list().items.end());
    return make_list(std::move(sum), a.list().kind);
  }
  const auto is_sequence = [](const Value& v) {
    return v.is_string() || (v.is_list() && v.list().kind != List::Kind::generator);
  };
  if (op == "*" && is_sequence(a) && b.is_integer()) return repeat(a, b.integer(), budget);
  if (op == "*" && a.is_integer() && is_sequence(b)) return repeat(b, a.integer(), budget);
  if (op == "%" && a.is_string()) return format_percent(a.text(), b, budget);
  return no_operator(op, a, b);
}

Result<Value> negate(const Value& a) {
  if (a.is_integer()) return on_integers("-", 0, a.integer());
  if (a.is(Kind::real)) return Value(-a.real());
  if (a.is_undefined()) return chat_error(std::string(a.what()));
  return chat_error(fmt::format("'-' does not go with {}", type_name(a)));
}

Status charge_key(const Value& key, Budget& budget) {
  return budget.charge(key.is_string() ? key.text().size() / 32 : 0);
}

Result<Values> iterate(const Value& value, Budget& budget) {
  Values out;
  switch (value.kind()) {
    case Kind::undefined:
      return out;
    case Kind::list:
      INFER_TRY(budget.charge_elements(value.list().items.size()));
      return value.list().items;
    case Kind::dict:
      INFER_TRY(budget.charge_elements(value.dict().size()));
      for (const auto& entry : value.dict().entries()) out.push_back(entry.first);
      return out;
    case Kind::string: {
      const Text& text = value.text();
      INFER_TRY(budget.charge_elements(2 * text.size()));  // each character becomes a text of its own
      for (std::size_t i = 0, n = 0; i < text.size(); i += n) {
        n = character_at(text.bytes(), i);
        out.emplace_back(text.slice(i, n));
      }
      return out;
    }
    default:
      return chat_error(fmt::format("{} is not iterable", type_name(value)));
  }
}

Result<std::int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return std::int64_t{0};
    case Kind::string:
      return static_cast<std::int64_t>(count_characters(value.bytes()));
    case Kind::dict:
      return static_cast<std::int64_t>(value.dict().size());
    case Kind::list:
      if (value.list().kind != List::Kind::generator) return static_cast<std::int64_t>(value.list().items.size());
      [[fallthrough]];
    default:
      return chat_error(fmt::format("{} has no length", type_name(value)));
  }
}

Result<Value> subscript(const Value& a, const Value& key, Budget& budget) {
  if (a.is_undefined()) return chat_error(std::string(a.what()));
  if (a.is_dict()) {
    INFER_TRY(charge_key(key, budget));
    if (const Value* const found = a.dict().find(key)) return *found;
  } else if (key.is_integer() && a.is_string()) {
    INFER_TRY(budget.charge_bytes(a.text().size()));
    const std::string& bytes = a.bytes();
    const std::size_t n = count_characters(bytes);
    if (const std::size_t wanted = element(key.integer(), n); wanted < n) {
      const std::size_t at = walk(bytes, 0, 0, static_cast<std::int64_t>(wanted));
      return Value(a.text().slice(at, character_at(bytes, at)));
    }
  } else if (key.is_integer() && a.is_list() && a.list().kind != List::Kind::generator) {
    const Values& items = a.list().items;
    if (const std::size_t i = element(key.integer(), items.size()); i < items.size()) return items[i];
  }
  INFER_ASSIGN(const Text shown, to_repr(key, budget));
  return absent(fmt::format("{} object has no element {}", type_name(a), escaped(shown.bytes())), budget);
}

Result<Value> slice(const Value& a, std::optional<std::int64_t> begin, std::optional<std::int64_t> end,
                    std::optional<std::int64_t> step, Budget& budget) {
  if (a.is_undefined()) return chat_error(std::string(a.what()));
  if (!a.is_string() && (!a.is_list() || a.list().kind == List::Kind::generator)) {
    return chat_error(fmt::format("{} cannot be sliced", type_name(a)));
  }
  const std::int64_t stride = step.value_or(1);
  if (stride == 0) return chat_error("the step of a slice is zero");
  if (a.is_string()) INFER_TRY(budget.charge_bytes(a.text().memory()));
  INFER_ASSIGN(const std::int64_t n, length(a));
  const std::int64_t lowest = stride < 0 ? -1 : 0;
  const std::int64_t highest = stride < 0 ? n - 1 : n;
  const auto bound = [&](std::optional<std::int64_t> index, std::int64_t otherwise) {
    if (!index) return otherwise;
    return std::clamp(*index < 0 ? *index + n : *index, lowest, highest);
  };
  const std::int64_t first = bound(begin, stride < 0 ? highest : lowest);
  const std::int64_t last = bound(end, stride < 0 ? lowest : highest);
  if (a.is_string() && stride == 1) {
    if (first >= last) return Value(Text());
    const std::size_t from = walk(a.bytes(), 0, 0, first);
    return Value(a.text().slice(from, walk(a.bytes(), from, first, last) - from));
  }
  Text text;
  Values items;
  std::size_t at = 0;      // the byte offset
  std::int64_t here = 0;   // of this character
  for (std::int64_t i = first; stride > 0 ? i < last : i > last;) {
    INFER_TRY(budget.charge_elements(1));
    if (a.is_string()) {
      at = walk(a.bytes(), at, here, i);
      here = i;
      text.append(a.text(), at, character_at(a.bytes(), at));
    } else {
      items.push_back(a.list().items[static_cast<std::size_t>(i)]);
    }
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  if (a.is_string()) return Value(std::move(text));
  return make_list(std::move(items), a.list().kind);
}

}  // namespace infer::chat
