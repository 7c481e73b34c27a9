// SPDX-License-Identifier: MIT
// Expressions. Chains of operators (a + b + c ...) take no nesting, however long. See interpreter.h.
#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/interpreter.h"
#include "tokenizers/chat/operators.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {

Result<Value> Interpreter::evaluate(NodeId id, Scope& scope) {
  const Node& node = program_.nodes[id];
  const Level level(*this);
  if (Status status = enter_level(); !status.ok()) return program_.source.locate(std::move(status), node.offset);
  Result<Value> value = evaluate_node(node, scope);
  if (!value.ok()) return program_.source.locate(std::move(value).status(), node.offset);
  return value;
}

Result<Value> Interpreter::evaluate_node(const Node& node, Scope& scope) {
  switch (node.kind) {
    case NodeKind::constant:
      return node.value;
    case NodeKind::name:
      return evaluate_name(node, scope);
    case NodeKind::list:
    case NodeKind::tuple:
      return evaluate_list(node, scope);
    case NodeKind::dict:
      return evaluate_dict(node, scope);
    case NodeKind::attribute: {
      INFER_ASSIGN(const Value value, evaluate(node.a, scope));
      return evaluate_attribute(value, node.text);
    }
    case NodeKind::item:
      return evaluate_item(node, scope);
    case NodeKind::slice:
      return evaluate_slice(node, scope);
    case NodeKind::call:
      return evaluate_call(node, scope);
    case NodeKind::filter:
      return evaluate_filter(node, scope);
    case NodeKind::test:
      return evaluate_test(node, scope);
    case NodeKind::negate: {
      INFER_ASSIGN(const Value value, evaluate(node.a, scope));
      return negate(value);
    }
    case NodeKind::plus: {
      INFER_ASSIGN(const Value value, evaluate(node.a, scope));
      if (value.is_number()) return value;
      return chat_error(fmt::format("'+' does not go with {}", type_name(value)));
    }
    case NodeKind::logical_not: {
      INFER_ASSIGN(const Value value, evaluate(node.a, scope));
      return Value(!is_true(value));
    }
    case NodeKind::binary:
      return evaluate_binary(node, scope);
    case NodeKind::concat:
      return evaluate_concat(node, scope);
    case NodeKind::compare:
      return evaluate_compare(node, scope);
    case NodeKind::logical_and:
    case NodeKind::logical_or: {
      INFER_ASSIGN(Value left, evaluate(node.a, scope));
      if (is_true(left) == (node.kind == NodeKind::logical_or)) return left;
      return evaluate(node.b, scope);
    }
    case NodeKind::conditional:
      return evaluate_conditional(node, scope);
    case NodeKind::capture: {
      INFER_ASSIGN(Scope* const inner, new_scope(&scope));
      INFER_ASSIGN(Text text, capture(node.a, *inner));
      reuse(inner);
      return Value(std::move(text));
    }
    case NodeKind::macro_value: {
      INFER_TRY(budget_.charge(4));
      for (Scope* s = &scope; s != nullptr; s = s->parent) s->captured = true;
      return Value(&macros_.emplace_back(Macro{{Object::Kind::macro}, &node, &scope}));
    }
    default:
      return Status::error(Code::internal, "a statement stands where an expression should");
  }
}

Result<Value> Interpreter::evaluate_name(const Node& node, Scope& scope) {
  INFER_ASSIGN(const Value* const found, find_variable(node.text, scope));
  if (found != nullptr) return *found;
  return absent(fmt::format("{} is undefined", quoted(node.text)), budget_);
}

Result<Value> Interpreter::evaluate_list(const Node& node, Scope& scope) {
  INFER_TRY(budget_.charge_elements(1 + node.items.size()));
  Values items;
  items.reserve(node.items.size());
  for (const NodeId id : node.items) {
    INFER_ASSIGN(Value item, evaluate(id, scope));
    items.push_back(std::move(item));
  }
  return make_list(std::move(items), node.kind == NodeKind::list ? List::Kind::list : List::Kind::tuple);
}

Result<Value> Interpreter::evaluate_dict(const Node& node, Scope& scope) {
  INFER_TRY(budget_.charge_elements(2 + node.items.size()));
  Dict dict;
  for (std::size_t i = 0; i < node.items.size(); i += 2) {
    INFER_ASSIGN(Value key, evaluate(node.items[i], scope));
    INFER_ASSIGN(Value value, evaluate(node.items[i + 1], scope));
    if (!key.is_string() && !key.is_number() && !key.is_none()) {
      return chat_error(fmt::format("keys of dicts are texts or numbers, not {}", type_name(key)));
    }
    INFER_TRY(charge_key(key, budget_));
    dict.set(std::move(key), std::move(value));
  }
  return make_dict(std::move(dict));
}

Result<Value> Interpreter::evaluate_attribute(const Value& value, std::string_view name) {
  if (!value.is(Value::Kind::object)) return get_attribute(value, name, budget_);
  if (value.object()->kind == Object::Kind::loop) return loop_attribute(*static_cast<Loop*>(value.object()), name);
  if (value.object()->kind == Object::Kind::names) {
    const auto& values = static_cast<Namespace*>(value.object())->values;
    if (const auto found = values.find(name); found != values.end()) return found->second;
  }
  return get_attribute(value, name, budget_);
}

Result<Value> Interpreter::evaluate_item(const Node& node, Scope& scope) {
  INFER_ASSIGN(const Value value, evaluate(node.a, scope));
  INFER_ASSIGN(const Value key, evaluate(node.b, scope));
  if (key.is_string() && !value.is_undefined()) {
    INFER_TRY(charge_key(key, budget_));
    if (value.is_dict()) {
      if (const Value* const found = value.dict().find(key)) return *found;
    }
    // As Jinja: what is no element may be an attribute.
    return evaluate_attribute(value, key.bytes());
  }
  return subscript(value, key, budget_);
}

Result<Value> Interpreter::evaluate_slice(const Node& node, Scope& scope) {
  INFER_ASSIGN(const Value value, evaluate(node.a, scope));
  std::optional<std::int64_t> bounds[3];
  for (std::size_t i = 0; i < 3; ++i) {
    if (node.items[i] == kNoNode) continue;
    INFER_ASSIGN(const Value bound, evaluate(node.items[i], scope));
    if (bound.is_none()) continue;
    if (!bound.is_integer())
      return chat_error(fmt::format("the bounds of a slice are integers, not {}", type_name(bound)));
    bounds[i] = bound.integer();
  }
  return slice(value, bounds[0], bounds[1], bounds[2], budget_);
}

Result<Value> Interpreter::evaluate_binary(const Node& node, Scope& scope) {
  std::vector<const Node*> chain = {&node};
  while (program_.nodes[chain.back()->a].kind == NodeKind::binary) chain.push_back(&program_.nodes[chain.back()->a]);
  INFER_TRY(budget_.charge(chain.size()));
  INFER_ASSIGN(Value left, evaluate(chain.back()->a, scope));
  for (; !chain.empty(); chain.pop_back()) {
    INFER_ASSIGN(const Value right, evaluate(chain.back()->b, scope));
    Result<Value> result = arithmetic(chain.back()->text, left, right, budget_);
    if (!result.ok()) return program_.source.locate(std::move(result).status(), chain.back()->offset);
    left = std::move(result).value();
  }
  return left;
}

Result<Value> Interpreter::evaluate_concat(const Node& node, Scope& scope) {
  INFER_TRY(budget_.charge(node.items.size()));
  Values parts;
  parts.reserve(node.items.size());
  for (const NodeId id : node.items) {
    INFER_ASSIGN(Value part, evaluate(id, scope));
    parts.push_back(std::move(part));
  }
  Text out;  // not before: a part may be such a chain, too
  for (const Value& part : parts) {
    INFER_ASSIGN(const Text text, to_str(part, budget_));
    INFER_TRY(append(out, text, budget_));
  }
  return Value(std::move(out));
}

Result<Value> Interpreter::evaluate_compare(const Node& node, Scope& scope) {
  INFER_ASSIGN(Value left, evaluate(node.a, scope));
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    INFER_ASSIGN(Value right, evaluate(node.items[i], scope));
    INFER_ASSIGN(const bool holds, compare(node.operators[i], left, right, budget_));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::evaluate_conditional(const Node& node, Scope& scope) {
  INFER_ASSIGN(const Value condition, evaluate(node.b, scope));
  if (is_true(condition)) return evaluate(node.a, scope);
  if (node.c != kNoNode) return evaluate(node.c, scope);
  return Value::undefined("the inline if is false and has no else");
}

}  // namespace infer::chat
