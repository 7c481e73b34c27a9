// SPDX-License-Identifier: MIT
// What `x is ...` asks. Tested by tests/tokenizers/chat/jinja_test.cpp.
#include <fmt/format.h>

#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/operators.h"

namespace infer::chat {
namespace {

using Kind = Value::Kind;
using Answer = Result<Value>;

Answer defined(const Value& v, const Bound&) { return Value(!v.is_undefined()); }
Answer undefined(const Value& v, const Bound&) { return Value(v.is_undefined()); }
Answer none(const Value& v, const Bound&) { return Value(v.is_none()); }
Answer string(const Value& v, const Bound&) { return Value(v.is_string()); }
Answer number(const Value& v, const Bound&) { return Value(v.is_number()); }
Answer integer(const Value& v, const Bound&) { return Value(v.is(Kind::integer) || v.is(Kind::big)); }
Answer real(const Value& v, const Bound&) { return Value(v.is(Kind::real)); }
Answer boolean(const Value& v, const Bound&) { return Value(v.is(Kind::boolean)); }
Answer is_true_itself(const Value& v, const Bound&) { return Value(v.is(Kind::boolean) && v.boolean()); }
Answer is_false_itself(const Value& v, const Bound&) { return Value(v.is(Kind::boolean) && !v.boolean()); }
Answer mapping(const Value& v, const Bound&) { return Value(v.is_dict()); }
/// Jinja's rule: it has a length and elements, so texts and dicts are sequences too. So is what is undefined.
Answer sequence(const Value& v, const Bound&) {
  return Value(v.is_string() || v.is_dict() || v.is_undefined() ||
               (v.is_list() && v.list().kind != List::Kind::generator));
}
Answer iterable(const Value& v, const Bound&) {
  return Value(v.is_string() || v.is_dict() || v.is_list() || v.is_undefined());
}
Answer callable(const Value& v, const Bound&) { return Value(v.is(Kind::method) || v.is(Kind::object)); }
Answer escaped(const Value&, const Bound&) { return Value(false); }
Answer filter(const Value& v, const Bound&) { return Value(v.is_string() && find_filter(v.bytes()) != nullptr); }
Answer test(const Value& v, const Bound&) { return Value(v.is_string() && find_test(v.bytes()) != nullptr); }

Answer upper_case(const Value& v, const Bound& args) {
  return v.is_string() ? call(*find_method(v, "isupper"), v, {}, args.budget) : Answer(Value(false));
}
Answer lower_case(const Value& v, const Bound& args) {
  return v.is_string() ? call(*find_method(v, "islower"), v, {}, args.budget) : Answer(Value(false));
}

Answer rest_is(const Value& v, std::int64_t divisor, std::int64_t rest, Budget& budget) {
  INFER_ASSIGN(const Value remainder, arithmetic("%", v, Value(divisor), budget));
  return Value(remainder.is_number() && remainder.real() == static_cast<double>(rest));
}
Answer odd(const Value& v, const Bound& args) { return rest_is(v, 2, 1, args.budget); }
Answer even(const Value& v, const Bound& args) { return rest_is(v, 2, 0, args.budget); }
Answer divisible(const Value& v, const Bound& args) {
  INFER_ASSIGN(const std::int64_t divisor, integer_argument(args, 0, "num", 1));
  return rest_is(v, divisor, 0, args.budget);
}

template <std::size_t kLength>
struct Name {
  constexpr Name(const char (&text)[kLength]) {  // NOLINT: implicit on purpose
    for (std::size_t i = 0; i < kLength; ++i) characters[i] = text[i];
  }
  char characters[kLength] = {};
};
/// `x is eq y`: an operator by its name.
template <Name op>
Answer compared(const Value& v, const Bound& args) {
  INFER_ASSIGN(const bool holds, compare(op.characters, v, *args[0], args.budget));
  return Value(holds);
}

Answer same_as(const Value& v, const Bound& args) {
  if (v.kind() != args[0]->kind()) return Value(false);
  INFER_ASSIGN(const bool same, equals(v, *args[0], args.budget));
  return Value(same);
}

constexpr FunctionRow kRows[] = {
    {"defined", defined},
    {"undefined", undefined},
    {"none", none},
    {"string", string},
    {"number", number},
    {"integer", integer},
    {"float", real},
    {"boolean", boolean},
    {"true", is_true_itself},
    {"false", is_false_itself},
    {"mapping", mapping},
    {"sequence", sequence},
    {"iterable", iterable},
    {"callable", callable},
    {"escaped", escaped},
    {"filter", filter},
    {"test", test},
    {"upper", upper_case},
    {"lower", lower_case},
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible, "num", 1},
    {"sameas", same_as, "other", 1},
    {"in", compared<"in">, "seq", 1},
    {"eq", compared<"==">, "other", 1},
    {"equalto", compared<"==">, "other", 1},
    {"==", compared<"==">, "other", 1},
    {"ne", compared<"!=">, "other", 1},
    {"!=", compared<"!=">, "other", 1},
    {"lt", compared<"<">, "other", 1},
    {"lessthan", compared<"<">, "other", 1},
    {"<", compared<"<">, "other", 1},
    {"le", compared<"<=">, "other", 1},
    {"<=", compared<"<=">, "other", 1},
    {"gt", compared<">">, "other", 1},
    {"greaterthan", compared<">">, "other", 1},
    {">", compared<">">, "other", 1},
    {"ge", compared<">=">, "other", 1},
    {">=", compared<">=">, "other", 1},
};

}  // namespace

const FunctionRow* find_test(std::string_view name) noexcept {
  for (const FunctionRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace infer::chat
