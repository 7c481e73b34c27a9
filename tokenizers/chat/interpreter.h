// SPDX-License-Identifier: MIT
// One rendering of a program: walks its nodes, statements in interpreter.cpp, expressions in expressions.cpp, calls in
// calls.cpp. All that a template can make and refer to lives in this object and goes with it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/chat/ast.h"
#include "tokenizers/chat/budget.h"
#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/template.h"

namespace infer::chat {

/// Variables of a block: what is not here is looked for in the parent.
struct Scope {
  Scope* parent = nullptr;
  std::map<std::string_view, Value> variables = {};  // names belong to the program
  bool captured = false;                             // by a macro: must not be used again
  void set(std::string_view name, Value value) { variables.insert_or_assign(name, std::move(value)); }
};

/// What only a template can make; a Value points at it.
struct Object {
  enum class Kind : std::uint8_t { builtin, macro, names, loop };
  Kind kind;
};
enum class BuiltinFunction : std::uint8_t { raise_exception, strftime_now, make_namespace, range, dict };
struct Builtin : Object {
  std::string_view name;
  BuiltinFunction function;
};
struct Macro : Object {
  const Node* node;
  Scope* scope;  // where it was defined
};
struct Namespace : Object {
  std::map<std::string, Value, std::less<>> values;
};
struct Loop : Object {
  Values items = {};
  std::size_t index = 0;
  Value changed = {};  // what `loop.changed` saw last
};

class Interpreter {
 public:
  Interpreter(const Program& program, const Inputs& inputs, const Limits& limits);
  Result<Text> run();

 private:
  enum class Flow : std::uint8_t { on, break_loop, continue_loop };

  // ---- interpreter.cpp
  Status execute(NodeId id, Scope& scope);
  Status execute_node(const Node& node, Scope& scope);
  Status execute_branch(const Node& node, Scope& scope);
  Status execute_loop(const Node& node, Scope& scope);
  Status execute_with(const Node& node, Scope& scope);
  Status assign(NodeId target, Value value, Scope& scope);
  Status print(const Text& text);
  /// What a block prints, into a text of its own.
  Result<Text> capture(NodeId block, Scope& scope);
  Result<Scope*> new_scope(Scope* parent);
  void reuse(Scope* scope);
  /// Null where there is none of that name.
  Result<Value*> find_variable(std::string_view name, Scope& scope);

  // ---- expressions.cpp
  Result<Value> evaluate(NodeId id, Scope& scope);
  Result<Value> evaluate_node(const Node& node, Scope& scope);
  Result<Value> evaluate_name(const Node& node, Scope& scope);
  Result<Value> evaluate_list(const Node& node, Scope& scope);
  Result<Value> evaluate_dict(const Node& node, Scope& scope);
  Result<Value> evaluate_attribute(const Value& value, std::string_view name);
  Result<Value> evaluate_item(const Node& node, Scope& scope);
  Result<Value> evaluate_slice(const Node& node, Scope& scope);
  Result<Value> evaluate_binary(const Node& node, Scope& scope);
  Result<Value> evaluate_concat(const Node& node, Scope& scope);
  Result<Value> evaluate_compare(const Node& node, Scope& scope);
  Result<Value> evaluate_conditional(const Node& node, Scope& scope);

  // ---- calls.cpp
  Result<Arguments> evaluate_arguments(const Node& node, Scope& scope);
  Result<Value> evaluate_call(const Node& node, Scope& scope);
  Result<Value> evaluate_filter(const Node& node, Scope& scope);
  Result<Value> evaluate_test(const Node& node, Scope& scope);
  Result<Value> call_value(const Value& callee, const Arguments& arguments);
  Result<Value> call_macro(const Macro& macro, const Arguments& arguments);
  Result<Value> call_builtin(const Builtin& builtin, const Arguments& arguments);
  Result<Value> make_namespace(const Arguments& arguments);
  Status set_of(Namespace& names, std::string_view name, Value value);
  Result<Value> make_range(const Arguments& arguments);
  Result<Value> loop_attribute(const Loop& loop, std::string_view name);
  Result<Value> call_loop(Loop& loop, std::string_view name, const Arguments& arguments);

  /// One level of nesting, of which there are limits_.max_depth.
  class Level {
   public:
    explicit Level(Interpreter& interpreter) noexcept : interpreter_(interpreter) { ++interpreter_.depth_; }
    ~Level() { --interpreter_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Interpreter& interpreter_;
  };
  Status enter_level();

  const Program& program_;
  const Inputs& inputs_;
  const Limits limits_;
  Budget budget_;
  Text output_;
  Text* out_ = &output_;
  Flow flow_ = Flow::on;
  int depth_ = 0;
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  std::deque<Builtin> builtins_;
  std::deque<Macro> macros_;
  std::deque<Namespace> namespaces_;
  std::deque<Loop> loops_;
};

/// strftime of the C locale.
Result<std::string> format_time(std::string_view format, const CivilTime& time, Budget& budget);

}  // namespace infer::chat
