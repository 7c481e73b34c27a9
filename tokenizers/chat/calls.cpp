// SPDX-License-Identifier: MIT
// Calls: filters, tests, methods, macros, the global functions, and what a loop can be asked. See interpreter.h.
#include <algorithm>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/interpreter.h"
#include "tokenizers/chat/operators.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {

Result<Arguments> Interpreter::evaluate_arguments(const Node& node, Scope& scope) {
  // Paid for before there is room: an argument may be a call that needs as many.
  INFER_TRY(budget_.charge(node.items.size() + 2 * node.keywords.size()));
  Arguments arguments;
  arguments.positional.reserve(node.items.size());
  arguments.named.reserve(node.keywords.size());
  for (const NodeId id : node.items) {
    INFER_ASSIGN(Value value, evaluate(id, scope));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, id] : node.keywords) {
    INFER_ASSIGN(Value value, evaluate(id, scope));
    arguments.named.emplace_back(name, std::move(value));
  }
  return arguments;
}

Result<Value> Interpreter::evaluate_filter(const Node& node, Scope& scope) {
  const FunctionRow* const filter = find_filter(node.text);
  if (filter == nullptr) return chat_error(fmt::format("unknown filter {}", quoted(node.text)));
  INFER_ASSIGN(const Value self, evaluate(node.a, scope));
  INFER_ASSIGN(const Arguments arguments, evaluate_arguments(node, scope));
  return call(*filter, self, arguments, budget_);
}

Result<Value> Interpreter::evaluate_test(const Node& node, Scope& scope) {
  const FunctionRow* const test = find_test(node.text);
  if (test == nullptr) return chat_error(fmt::format("unknown test {}", quoted(node.text)));
  INFER_ASSIGN(const Value self, evaluate(node.a, scope));
  INFER_ASSIGN(const Arguments arguments, evaluate_arguments(node, scope));
  return call(*test, self, arguments, budget_);
}

Result<Value> Interpreter::evaluate_call(const Node& node, Scope& scope) {
  const Node& callee = program_.nodes[node.a];
  if (callee.kind != NodeKind::attribute) {
    INFER_ASSIGN(const Value function, evaluate(node.a, scope));
    INFER_ASSIGN(const Arguments arguments, evaluate_arguments(node, scope));
    return call_value(function, arguments);
  }
  // A method goes the short way, without a value of its own.
  INFER_ASSIGN(const Value self, evaluate(callee.a, scope));
  if (const FunctionRow* const method = find_method(self, callee.text)) {
    INFER_ASSIGN(const Arguments arguments, evaluate_arguments(node, scope));
    return call(*method, self, arguments, budget_);
  }
  if (self.is(Value::Kind::object) && self.object()->kind == Object::Kind::loop) {
    INFER_ASSIGN(const Arguments arguments, evaluate_arguments(node, scope));
    return call_loop(*static_cast<Loop*>(self.object()), callee.text, arguments);
  }
  INFER_ASSIGN(const Value function, evaluate_attribute(self, callee.text));
  INFER_ASSIGN(const Arguments arguments, evaluate_arguments(node, scope));
  return call_value(function, arguments);
}

Result<Value> Interpreter::call_value(const Value& callee, const Arguments& arguments) {
  if (callee.is(Value::Kind::method)) {
    const Method& method = callee.method();
    return call(*find_method(method.self, method.name), method.self, arguments, budget_);
  }
  if (callee.is(Value::Kind::object)) {
    if (callee.object()->kind == Object::Kind::macro)
      return call_macro(*static_cast<Macro*>(callee.object()), arguments);
    if (callee.object()->kind == Object::Kind::builtin)
      return call_builtin(*static_cast<Builtin*>(callee.object()), arguments);
  }
  if (callee.is_undefined()) return chat_error(std::string(callee.what()));
  return chat_error(fmt::format("{} cannot be called", type_name(callee)));
}

Result<Value> Interpreter::call_macro(const Macro& macro, const Arguments& arguments) {
  const Node& node = *macro.node;
  // Each parameter is looked for among the named arguments. Parameters become variables, the rest elements and entries.
  INFER_TRY(budget_.charge(node.keywords.size() * (1 + arguments.named.size() / 4)));
  INFER_TRY(budget_.charge_elements(2 + node.keywords.size() + arguments.positional.size() + 4 * arguments.named.size()));
  INFER_ASSIGN(Scope* const scope, new_scope(macro.scope));
  std::size_t n = 0;
  for (const auto& [name, default_value] : node.keywords) {
    const Value* given = n < arguments.positional.size() ? &arguments.positional[n] : arguments.find(name);
    ++n;
    if (given != nullptr) {
      scope->set(name, *given);
    } else if (default_value != kNoNode) {
      INFER_ASSIGN(Value value, evaluate(default_value, *scope));
      scope->set(name, std::move(value));
    } else {
      INFER_ASSIGN(Value missing, absent(fmt::format("parameter {} was not provided", quoted(name)), budget_));
      scope->set(name, std::move(missing));
    }
  }
  // What is left over goes where the body asks for it, and is a mistake elsewhere. `caller` comes with a call block.
  const auto asks_for = [&node](std::string_view name) {
    return std::find(node.operators.begin(), node.operators.end(), name) != node.operators.end();
  };
  Values rest;
  for (; n < arguments.positional.size(); ++n) rest.push_back(arguments.positional[n]);
  if (!rest.empty() && !asks_for("varargs"))
    return chat_error(fmt::format("macro {} takes at most {} arguments", quoted(node.text), node.keywords.size()));
  Dict named;
  const Value* caller = nullptr;
  std::vector<bool> is_given(node.keywords.size());
  for (const auto& [name, value] : arguments.named) {
    const auto parameter = std::find_if(node.keywords.begin(), node.keywords.end(), [&](const auto& p) { return p.first == name; });
    const auto place = static_cast<std::size_t>(parameter - node.keywords.begin());
    bool is_twice = false;
    if (parameter != node.keywords.end() && place >= arguments.positional.size()) {
      is_twice = is_given[place];
      is_given[place] = true;
    } else if (name == "caller" && asks_for(name)) {
      caller = &value;
    } else if (asks_for("kwargs")) {
      is_twice = named.find(name) != nullptr;
      named.set(Value::string(name, Origin::trusted), value);
    } else if (parameter == node.keywords.end()) {
      return chat_error(fmt::format("macro {} has no parameter {}", quoted(node.text), quoted(name)));
    } else {
      is_twice = true;
    }
    if (is_twice) return chat_error(fmt::format("macro {} is given {} twice", quoted(node.text), quoted(name)));
  }
  if (asks_for("varargs")) {
    INFER_ASSIGN(Value varargs, make_list(std::move(rest), List::Kind::tuple));
    scope->set("varargs", std::move(varargs));
  }
  if (asks_for("kwargs")) {
    INFER_ASSIGN(Value kwargs, make_dict(std::move(named)));
    scope->set("kwargs", std::move(kwargs));
  }
  if (asks_for("caller") && scope->variables.find("caller") == scope->variables.end()) {
    scope->set("caller", caller != nullptr ? *caller : Value::undefined("no caller: the macro is not called by a call block"));
  }
  INFER_ASSIGN(Text text, capture(node.a, *scope));
  reuse(scope);
  return Value(std::move(text));
}

Result<Value> Interpreter::call_builtin(const Builtin& builtin, const Arguments& arguments) {
  const Values& given = arguments.positional;
  switch (builtin.function) {
    case BuiltinFunction::raise_exception: {
      const Value* message = !given.empty() ? &given[0] : arguments.find("message");
      if (message == nullptr) return chat_error("raise_exception needs a message");
      INFER_ASSIGN(const Text text, to_str(*message, budget_));
      return chat_error(escaped(text.bytes())).about("raise_exception");
    }
    case BuiltinFunction::strftime_now: {
      if (given.size() != 1 || !given[0].is_string()) return chat_error("strftime_now needs a format");
      const Text& format = given[0].text();
      const bool trusted = format.run_end(0) == format.size() && format.origin_at(0) == Origin::trusted;
      INFER_ASSIGN(const std::string text, format_time(format.bytes(), *inputs_.now, budget_));
      return Value::string(text, trusted ? Origin::trusted : Origin::untrusted);
    }
    case BuiltinFunction::make_namespace:
      return make_namespace(arguments);
    case BuiltinFunction::range:
      return make_range(arguments);
    case BuiltinFunction::dict: {
      Dict dict;
      if (!given.empty() && given[0].is_dict()) {
        INFER_TRY(budget_.charge_elements(2 * given[0].dict().size()));
        dict = given[0].dict();
      } else if (!given.empty()) {
        INFER_ASSIGN(const Values pairs, iterate(given[0], budget_));
        INFER_TRY(budget_.charge_elements(2 * pairs.size()));
        for (const Value& pair : pairs) {
          if (!pair.is_list() || pair.list().items.size() != 2)
            return chat_error("dict needs pairs of keys and values");
          if (!pair.list().items[0].is_string()) return chat_error("the keys that dict is given must be texts");
          INFER_TRY(charge_key(pair.list().items[0], budget_));
          dict.set(pair.list().items[0], pair.list().items[1]);
        }
      }
      INFER_TRY(budget_.charge_elements(4 * arguments.named.size()));
      for (const auto& [name, value] : arguments.named) dict.set(Value::string(name, Origin::trusted), value);
      return make_dict(std::move(dict));
    }
  }
  return Status::error(Code::internal, "a function that is not known");
}

Result<Value> Interpreter::make_namespace(const Arguments& arguments) {
  INFER_TRY(budget_.charge(4));
  Namespace& made = namespaces_.emplace_back(Namespace{{Object::Kind::names}, {}});
  for (const Value& given : arguments.positional) {
    if (!given.is_dict()) return chat_error("namespace takes named values and dicts");
    for (const auto& [key, value] : given.dict().entries()) {
      if (key.is_string()) INFER_TRY(set_of(made, key.bytes(), value));
    }
  }
  for (const auto& [name, value] : arguments.named) INFER_TRY(set_of(made, name, value));
  return Value(&made);
}

/// Namespaces stay until the end, with copies of their keys.
Status Interpreter::set_of(Namespace& names, std::string_view name, Value value) {
  INFER_TRY(budget_.charge_elements(1));
  INFER_TRY(budget_.charge_bytes(name.size()));
  names.values.insert_or_assign(std::string(name), std::move(value));
  return {};
}

Result<Value> Interpreter::make_range(const Arguments& arguments) {
  const Values& given = arguments.positional;
  if (given.empty() || given.size() > 3) return chat_error("range takes one to three integers");
  for (const Value& bound : given) {
    if (bound.is_undefined()) return chat_error(std::string(bound.what()));
    if (!bound.is_integer()) return chat_error(fmt::format("range takes integers, not {}", type_name(bound)));
  }
  const std::int64_t begin = given.size() == 1 ? 0 : given[0].integer();
  const std::int64_t end = given.size() == 1 ? given[0].integer() : given[1].integer();
  const std::int64_t step = given.size() == 3 ? given[2].integer() : 1;
  if (step == 0) return chat_error("the step of range is zero");
  // Unsigned differences hold what signed ones may not.
  const auto low = static_cast<std::uint64_t>(step > 0 ? begin : end);
  const auto high = static_cast<std::uint64_t>(step > 0 ? end : begin);
  const std::uint64_t stride = step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  const bool empty = step > 0 ? begin >= end : begin <= end;
  const std::uint64_t count = empty ? 0 : (high - low - 1) / stride + 1;
  INFER_TRY(budget_.charge_elements(count));
  Values items;
  items.reserve(count);
  for (std::int64_t i = begin; step > 0 ? i < end : i > end;) {
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_list(std::move(items));
}

Result<Value> Interpreter::loop_attribute(const Loop& loop, std::string_view name) {
  const auto n = static_cast<std::int64_t>(loop.items.size());
  const auto index = static_cast<std::int64_t>(loop.index);
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(n - index);
  if (name == "revindex0") return Value(n - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == n);
  if (name == "length") return Value(n);
  if (name == "depth") return Value(std::int64_t{1});  // only recursive loops count deeper
  if (name == "depth0") return Value(std::int64_t{0});
  if (name == "previtem")
    return index > 0 && index <= n ? loop.items[loop.index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem") return index + 1 < n ? loop.items[loop.index + 1] : Value::undefined("there is no next item");
  if (name.starts_with("__")) return chat_error(fmt::format("unknown attribute {}", quoted(name)));
  return absent(fmt::format("'loop' has no attribute {}", quoted(name)), budget_);
}

Result<Value> Interpreter::call_loop(Loop& loop, std::string_view name, const Arguments& arguments) {
  const Values& given = arguments.positional;
  if (name == "cycle") {
    if (given.empty()) return chat_error("cycle needs values");
    return given[loop.index % given.size()];
  }
  if (name == "changed") {
    INFER_ASSIGN(Value now, make_list(given, List::Kind::tuple));
    INFER_ASSIGN(const bool same, equals(now, loop.changed, budget_));
    loop.changed = std::move(now);
    return Value(!same);
  }
  return chat_error(fmt::format("'loop' has no method {}", quoted(name)));
}

}  // namespace infer::chat
