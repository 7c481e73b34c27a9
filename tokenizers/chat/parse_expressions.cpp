// SPDX-License-Identifier: MIT
// Expressions of templates, one function per level of precedence. See parser.h.
#include <charconv>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/numbers.h"
#include "tokenizers/chat/parser.h"

namespace infer::chat {
namespace {

Result<Value> number(const Token& token) {
  const char* const begin = token.text.data();
  const char* const end = begin + token.text.size();
  if (token.kind == TokenKind::real) return Value(read_real(token.text).value_or(0));
  const char letter = token.text.size() > 2 && begin[0] == '0' ? static_cast<char>(begin[1] | 0x20) : ' ';
  const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(base == 10 ? begin : begin + 2, end, value, base);
  if (error == std::errc() && stop == end) return Value(value);
  return chat_error(fmt::format("{} is not an integer of 64 bits", quoted(token.text)));
}

}  // namespace

Result<NodeId> Parser::parse_expression(Conditional conditional) {
  const Level level(*this);
  INFER_TRY(check_depth());
  return conditional == Conditional::yes ? parse_conditional() : parse_or();
}

/// One expression, or several with commas between them.
Result<NodeId> Parser::parse_tuple(Conditional conditional, bool may_be_empty) {
  Node tuple = make(NodeKind::tuple);
  bool is_tuple = false;
  for (;;) {
    const TokenKind kind = token().kind;
    if (kind == TokenKind::print_end || kind == TokenKind::block_end || is_op(")")) break;
    INFER_ASSIGN(const NodeId item, parse_expression(conditional));
    tuple.items.push_back(item);
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !tuple.items.empty()) return tuple.items[0];
  if (!is_tuple && !may_be_empty) return unexpected("an expression");
  return add(std::move(tuple));
}

Result<NodeId> Parser::parse_conditional() {
  INFER_ASSIGN(NodeId left, parse_or());
  while (is_name("if")) {
    Node node = make(NodeKind::conditional);
    next();
    node.a = left;
    INFER_ASSIGN(node.b, parse_or());
    if (skip_name("else")) {
      INFER_ASSIGN(node.c, parse_expression());
    }
    left = add(std::move(node));
  }
  return left;
}

Result<NodeId> Parser::parse_or() {
  INFER_ASSIGN(NodeId left, parse_and());
  while (is_name("or")) {
    Node node = make(NodeKind::logical_or);
    next();
    node.a = left;
    INFER_ASSIGN(node.b, parse_and());
    left = add(std::move(node));
  }
  return left;
}

Result<NodeId> Parser::parse_and() {
  INFER_ASSIGN(NodeId left, parse_not());
  while (is_name("and")) {
    Node node = make(NodeKind::logical_and);
    next();
    node.a = left;
    INFER_ASSIGN(node.b, parse_not());
    left = add(std::move(node));
  }
  return left;
}

Result<NodeId> Parser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Level level(*this);
  INFER_TRY(check_depth());
  Node node = make(NodeKind::logical_not);
  next();
  INFER_ASSIGN(node.a, parse_not());
  return add(std::move(node));
}

Result<NodeId> Parser::parse_compare() {
  Node node = make(NodeKind::compare);
  INFER_ASSIGN(node.a, parse_sum());
  for (;;) {
    std::string op = token().text;
    if (is_op("==") || is_op("!=") || is_op("<") || is_op("<=") || is_op(">") || is_op(">=") || is_name("in")) {
      next();
    } else if (is_name("not") && ahead().kind == TokenKind::name && ahead().text == "in") {
      next();
      next();
      op = "not in";
    } else {
      break;
    }
    INFER_ASSIGN(const NodeId operand, parse_sum());
    node.operators.push_back(std::move(op));
    node.items.push_back(operand);
  }
  if (node.items.empty()) return node.a;
  return add(std::move(node));
}

Result<NodeId> Parser::parse_left(std::initializer_list<std::string_view> operators, Parsed (Parser::*operand)()) {
  INFER_ASSIGN(NodeId left, (this->*operand)());
  for (;;) {
    std::string_view op;
    for (const std::string_view candidate : operators) {
      if (is_op(candidate)) op = candidate;
    }
    if (op.empty()) return left;
    Node node = make(NodeKind::binary);
    next();
    node.text = op;
    node.a = left;
    INFER_ASSIGN(node.b, (this->*operand)());
    left = add(std::move(node));
  }
}

Result<NodeId> Parser::parse_sum() { return parse_left({"+", "-"}, &Parser::parse_concat); }
Result<NodeId> Parser::parse_product() { return parse_left({"*", "/", "//", "%"}, &Parser::parse_power); }

Result<NodeId> Parser::parse_power() {
  INFER_ASSIGN(NodeId left, parse_unary());
  while (is_op("**")) {
    Node node = make(NodeKind::binary);
    next();
    node.text = "**";
    node.a = left;
    INFER_ASSIGN(node.b, parse_unary());
    left = add(std::move(node));
  }
  return left;
}

Result<NodeId> Parser::parse_concat() {
  Node node = make(NodeKind::concat);
  do {
    INFER_ASSIGN(const NodeId part, parse_product());
    node.items.push_back(part);
  } while (skip_op("~"));
  if (node.items.size() == 1) return node.items[0];
  return add(std::move(node));
}

Result<NodeId> Parser::parse_unary(bool with_filters) {
  const Level level(*this);
  INFER_TRY(check_depth());
  NodeId id = kNoNode;
  if (is_op("-") || is_op("+")) {
    Node node = make(is_op("-") ? NodeKind::negate : NodeKind::plus);
    next();
    INFER_ASSIGN(node.a, parse_unary(false));
    id = add(std::move(node));
  } else {
    INFER_ASSIGN(id, parse_primary());
  }
  INFER_ASSIGN(id, parse_postfix(id));
  return with_filters ? parse_filters(id) : Parsed(id);
}

Result<NodeId> Parser::parse_primary() {
  Node node = make(NodeKind::constant);
  switch (token().kind) {
    case TokenKind::name: {
      const std::string name = token().text;
      next();
      if (name == "true" || name == "True") {
        node.value = Value(true);
      } else if (name == "false" || name == "False") {
        node.value = Value(false);
      } else if (name == "none" || name == "None") {
        node.value = Value(None{});
      } else {
        node.kind = NodeKind::name;
        node.text = name;
        for (std::size_t i = 0; i < kUnnamedParameters.size(); ++i) {
          if (name == kUnnamedParameters[i]) last_named_[i] = static_cast<NodeId>(program_.nodes.size());
        }
      }
      return add(std::move(node));
    }
    case TokenKind::string: {
      std::string text;
      for (; token().kind == TokenKind::string; next()) text += token().text;
      node.value = Value::string(text, Origin::trusted);
      return add(std::move(node));
    }
    case TokenKind::integer:
    case TokenKind::real: {
      Result<Value> value = number(token());
      if (!value.ok()) return program_.source.locate(std::move(value).status(), token().offset);
      node.value = std::move(value).value();
      next();
      return add(std::move(node));
    }
    default:
      break;
  }
  if (skip_op("(")) {
    INFER_ASSIGN(const NodeId tuple, parse_tuple(Conditional::yes, true));
    INFER_TRY(expect_op(")"));
    return tuple;
  }
  if (skip_op("[")) {
    node.kind = NodeKind::list;
    while (!is_op("]")) {
      if (!node.items.empty()) INFER_TRY(expect_op(","));
      if (is_op("]")) break;
      INFER_ASSIGN(const NodeId item, parse_expression());
      node.items.push_back(item);
    }
    next();
    return add(std::move(node));
  }
  if (is_op("{")) return parse_dict();
  return unexpected("an expression");
}

Result<NodeId> Parser::parse_dict() {
  Node node = make(NodeKind::dict);
  next();
  while (!is_op("}")) {
    if (!node.items.empty()) INFER_TRY(expect_op(","));
    if (is_op("}")) break;
    INFER_ASSIGN(const NodeId key, parse_expression());
    INFER_TRY(expect_op(":"));
    INFER_ASSIGN(const NodeId value, parse_expression());
    node.items.insert(node.items.end(), {key, value});
  }
  next();
  return add(std::move(node));
}

Result<NodeId> Parser::parse_postfix(NodeId id) {
  for (;;) {
    if (is_op(".") || is_op("[")) {
      INFER_ASSIGN(id, parse_subscript(id));
    } else if (is_op("(")) {
      Node call = make(NodeKind::call);
      call.a = id;
      INFER_TRY(parse_arguments(call));
      id = add(std::move(call));
    } else {
      return id;
    }
  }
}

Result<NodeId> Parser::parse_filters(NodeId id) {
  for (;;) {
    if (skip_op("|")) {
      INFER_ASSIGN(id, parse_filter(id));
    } else if (is_name("is")) {
      INFER_ASSIGN(id, parse_test(id));
    } else if (is_op("(")) {
      INFER_ASSIGN(id, parse_postfix(id));
    } else {
      return id;
    }
  }
}

Result<NodeId> Parser::parse_filter(NodeId id) {
  Node filter = make(NodeKind::filter);
  filter.a = id;
  INFER_ASSIGN(filter.text, any_name());
  if (is_op("(")) INFER_TRY(parse_arguments(filter));
  return add(std::move(filter));
}

Result<NodeId> Parser::parse_test(NodeId id) {
  Node test = make(NodeKind::test);
  next();
  const bool negated = skip_name("not");
  test.a = id;
  INFER_ASSIGN(test.text, any_name());
  const TokenKind kind = token().kind;
  if (is_op("(")) {
    INFER_TRY(parse_arguments(test));
    if (!test.keywords.empty()) return fail(test.offset, "tests take no named arguments");
  } else if ((kind == TokenKind::name && !is_name("else") && !is_name("or") && !is_name("and") && !is_name("if") &&
              !is_name("not") && !is_name("in") && !is_name("recursive")) ||
             kind == TokenKind::string || kind == TokenKind::integer || kind == TokenKind::real || is_op("[") ||
             is_op("{")) {
    if (is_name("is")) return fail(token().offset, "tests cannot be chained with 'is'");
    INFER_ASSIGN(const NodeId primary, parse_primary());
    INFER_ASSIGN(const NodeId argument, parse_postfix(primary));
    test.items.push_back(argument);
  }
  Node logical_not = make(NodeKind::logical_not);
  const NodeId result = add(std::move(test));
  if (!negated) return result;
  logical_not.a = result;
  return add(std::move(logical_not));
}

Result<NodeId> Parser::parse_subscript(NodeId id) {
  Node node = make(NodeKind::attribute);
  node.a = id;
  if (skip_op(".")) {
    if (token().kind == TokenKind::integer) {  // a.0 is a[0]
      node.kind = NodeKind::item;
      INFER_ASSIGN(node.b, parse_primary());
    } else {
      INFER_ASSIGN(node.text, any_name());
    }
    return add(std::move(node));
  }
  next();
  node.kind = NodeKind::slice;
  node.items.assign(3, kNoNode);
  std::size_t n_colons = 0;
  for (; n_colons < 3; ++n_colons) {
    if (!is_op(":") && !is_op("]")) {
      INFER_ASSIGN(node.items[n_colons], parse_expression());
    }
    if (n_colons == 2 || !skip_op(":")) break;
  }
  INFER_TRY(expect_op("]"));
  if (n_colons == 0) {
    node.kind = NodeKind::item;
    node.b = node.items[0];
    node.items.clear();
    if (node.b == kNoNode) return fail(node.offset, "an index is missing");
  }
  return add(std::move(node));
}

Status Parser::parse_arguments(Node& call) {
  INFER_TRY(expect_op("("));
  while (!is_op(")")) {
    if (!call.items.empty() || !call.keywords.empty()) INFER_TRY(expect_op(","));
    if (is_op(")")) break;
    if (is_op("*") || is_op("**")) return fail(token().offset, "'*' and '**' in calls are not supported");
    if (token().kind == TokenKind::name && ahead().kind == TokenKind::op && ahead().text == "=") {
      std::string keyword = token().text;
      next();
      next();
      INFER_ASSIGN(const NodeId value, parse_expression());
      call.keywords.emplace_back(std::move(keyword), value);
    } else {
      if (!call.keywords.empty()) return fail(token().offset, "an argument without a name follows one with a name");
      INFER_ASSIGN(const NodeId value, parse_expression());
      call.items.push_back(value);
    }
  }
  return expect_op(")");
}

}  // namespace infer::chat
