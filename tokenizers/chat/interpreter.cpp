// SPDX-License-Identifier: MIT
// Statements. See interpreter.h.
#include "tokenizers/chat/interpreter.h"

#include <algorithm>

#include <fmt/format.h>

#include "tokenizers/chat/operators.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {

namespace {

Limits limits_of(const Inputs& inputs, Limits limits) noexcept {
  if (inputs.max_steps) limits.max_steps = std::min(limits.max_steps, *inputs.max_steps);
  return limits;
}

}  // namespace

Interpreter::Interpreter(const Program& program, const Inputs& inputs, const Limits& limits)
    : program_(program), inputs_(inputs), limits_(limits_of(inputs, limits)), budget_(limits_, inputs.cancel) {}

Result<Text> Interpreter::run() {
  Scope& globals = scopes_.emplace_back();
  constexpr std::pair<std::string_view, BuiltinFunction> kBuiltins[] = {
      {"raise_exception", BuiltinFunction::raise_exception},
      {"strftime_now", BuiltinFunction::strftime_now},
      {"namespace", BuiltinFunction::make_namespace},
      {"range", BuiltinFunction::range},
      {"dict", BuiltinFunction::dict},
  };
  for (const auto& [name, function] : kBuiltins) {
    builtins_.push_back({{Object::Kind::builtin}, name, function});
    globals.set(name, Value(&builtins_.back()));
  }
  // Templates that ask whether they can have the time (`strftime_now is defined`) have an answer of their own where they cannot.
  if (!inputs_.now) {
    globals.set("strftime_now", Value::undefined("strftime_now needs the time, and the caller set none: set it with "
                                                 "infer_messages_set_now, or as \"now\" of a request"));
  }
  for (const auto& [name, value] : inputs_.variables) globals.set(name, value);
  Scope& top = scopes_.emplace_back(Scope{.parent = &globals});
  INFER_TRY(execute(program_.root, top));
  return std::move(output_);
}

Status Interpreter::enter_level() {
  if (depth_ > limits_.max_depth)
    return limit_error(fmt::format("blocks, expressions and macros nested more than {} deep", limits_.max_depth));
  return budget_.charge(1);
}

Status Interpreter::execute(NodeId id, Scope& scope) {
  const Node& node = program_.nodes[id];
  const Level level(*this);
  Status status = enter_level();
  if (status.ok()) status = execute_node(node, scope);
  return status.ok() ? Status() : program_.source.locate(std::move(status), node.offset);
}

Status Interpreter::execute_node(const Node& node, Scope& scope) {
  switch (node.kind) {
    case NodeKind::data:
      return print(node.value.text());
    case NodeKind::print: {
      INFER_ASSIGN(const Value value, evaluate(node.a, scope));
      INFER_ASSIGN(const Text text, to_str(value, budget_));
      return print(text);
    }
    case NodeKind::block:
      for (const NodeId part : node.items) {
        INFER_TRY(execute(part, scope));
        if (flow_ != Flow::on) return {};
      }
      return {};
    case NodeKind::branch:
      return execute_branch(node, scope);
    case NodeKind::loop:
      return execute_loop(node, scope);
    case NodeKind::assign: {
      INFER_ASSIGN(Value value, evaluate(node.b, scope));
      return assign(node.a, std::move(value), scope);
    }
    case NodeKind::with:
      return execute_with(node, scope);
    case NodeKind::break_loop:
      flow_ = Flow::break_loop;
      return {};
    case NodeKind::continue_loop:
      flow_ = Flow::continue_loop;
      return {};
    case NodeKind::unsupported:
      return chat_error(fmt::format("{} is not supported", node.text));
    default:
      return Status::error(Code::internal, "an expression stands where a statement should");
  }
}

Status Interpreter::execute_branch(const Node& node, Scope& scope) {
  for (std::size_t i = 0; i < node.items.size(); i += 2) {
    INFER_ASSIGN(const Value condition, evaluate(node.items[i], scope));
    if (is_true(condition)) return execute(node.items[i + 1], scope);
  }
  return node.c == kNoNode ? Status() : execute(node.c, scope);
}

Status Interpreter::execute_loop(const Node& node, Scope& scope) {
  INFER_ASSIGN(const Value iterable, evaluate(node.items[0], scope));
  INFER_ASSIGN(Values items, iterate(iterable, budget_));
  INFER_ASSIGN(Scope * body, new_scope(&scope));
  if (node.items[1] != kNoNode) {
    Values chosen;
    for (Value& item : items) {
      INFER_TRY(assign(node.a, item, *body));
      INFER_ASSIGN(const Value keep, evaluate(node.items[1], *body));
      if (is_true(keep)) chosen.push_back(std::move(item));
    }
    items = std::move(chosen);
  }
  if (items.empty()) {
    reuse(body);
    return node.c == kNoNode ? Status() : execute(node.c, scope);
  }
  INFER_TRY(budget_.charge(4));
  Loop& loop = loops_.emplace_back(Loop{{Object::Kind::loop}, std::move(items)});
  for (; loop.index < loop.items.size() && flow_ != Flow::break_loop; ++loop.index) {
    flow_ = Flow::on;
    if (body->captured) {
      INFER_ASSIGN(body, new_scope(&scope));
    }
    body->variables.clear();
    body->set("loop", Value(&loop));
    INFER_TRY(assign(node.a, loop.items[loop.index], *body));
    INFER_TRY(execute(node.b, *body));
  }
  flow_ = Flow::on;
  loop.items = Values();
  reuse(body);
  return {};
}

Status Interpreter::execute_with(const Node& node, Scope& scope) {
  INFER_ASSIGN(Scope* const inner, new_scope(&scope));
  for (std::size_t i = 0; i < node.items.size(); i += 2) {
    INFER_ASSIGN(Value value, evaluate(node.items[i + 1], scope));
    INFER_TRY(assign(node.items[i], std::move(value), *inner));
  }
  INFER_TRY(execute(node.a, *inner));
  reuse(inner);
  return {};
}

Status Interpreter::assign(NodeId target, Value value, Scope& scope) {
  const Node& node = program_.nodes[target];
  INFER_TRY(budget_.charge(2));
  if (node.kind == NodeKind::name) {
    scope.set(node.text, std::move(value));
    return {};
  }
  if (node.kind == NodeKind::attribute) {
    INFER_ASSIGN(Value* const owner, find_variable(program_.nodes[node.a].text, scope));
    if (owner == nullptr || !owner->is(Value::Kind::object) || owner->object()->kind != Object::Kind::names) {
      return chat_error("attributes can be set of namespaces only");
    }
    return set_of(*static_cast<Namespace*>(owner->object()), node.text, std::move(value));
  }
  INFER_ASSIGN(Values parts, iterate(value, budget_));
  if (value.is_undefined()) return chat_error(std::string(value.what()));
  if (parts.size() != node.items.size()) {
    return chat_error(fmt::format("{} values cannot be assigned to {} names", parts.size(), node.items.size()));
  }
  for (std::size_t i = 0; i < parts.size(); ++i) INFER_TRY(assign(node.items[i], std::move(parts[i]), scope));
  return {};
}

Status Interpreter::print(const Text& text) {
  INFER_TRY(budget_.charge(text.memory() / 16));  // twice, for the room in which it grows: captures may be within each other
  if (out_->memory() + text.memory() > limits_.max_output_bytes) {
    return limit_error(fmt::format("more than {} bytes of output", limits_.max_output_bytes));
  }
  out_->append(text);
  return {};
}

Result<Text> Interpreter::capture(NodeId block, Scope& scope) {
  Text captured;
  Text* const outer = std::exchange(out_, &captured);
  const Status status = execute(block, scope);
  out_ = outer;
  if (!status.ok()) return status.clone();
  return captured;
}

Result<Scope*> Interpreter::new_scope(Scope* parent) {
  INFER_TRY(budget_.charge(4));
  if (free_scopes_.empty()) return &scopes_.emplace_back(Scope{.parent = parent});
  Scope* const scope = free_scopes_.back();
  free_scopes_.pop_back();
  scope->parent = parent;
  return scope;
}

Result<Value*> Interpreter::find_variable(std::string_view name, Scope& scope) {
  for (Scope* s = &scope; s != nullptr; s = s->parent) {
    INFER_TRY(budget_.charge(1));
    if (const auto found = s->variables.find(name); found != s->variables.end()) return &found->second;
  }
  return nullptr;
}

/// A scope that no macro holds on to serves again.
void Interpreter::reuse(Scope* scope) {
  if (scope->captured) return;
  scope->variables.clear();
  free_scopes_.push_back(scope);
}

}  // namespace infer::chat
