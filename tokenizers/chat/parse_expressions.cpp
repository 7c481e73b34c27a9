// SPDX-License-Identifier: MIT
// Expressions of templates. See parser.h.
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
  return conditional == Conditional::yes ? parse_conditional() : parse_operators(kLoosest);
}

/// One expression, or several with commas between them.
Result<NodeId> Parser::parse_tuple(Conditional conditional, bool may_be_empty) {
  const std::uint32_t begin = token().offset;
  std::vector<NodeId> items;
  bool is_tuple = false;
  for (;;) {
    const TokenKind kind = token().kind;
    if (kind == TokenKind::print_end || kind == TokenKind::block_end || is_op(")")) break;
    INFER_ASSIGN(const NodeId item, parse_expression(conditional));
    items.push_back(item);
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items[0];
  if (!is_tuple && !may_be_empty) return unexpected("an expression");
  return add({.kind = NodeKind::tuple, .offset = begin, .items = std::move(items)});
}

Result<NodeId> Parser::parse_conditional() {
  INFER_ASSIGN(NodeId left, parse_operators(kLoosest));
  while (is_name("if")) {
    const std::uint32_t offset = token().offset;
    NodeId otherwise = kNoNode;
    next();
    INFER_ASSIGN(const NodeId condition, parse_operators(kLoosest));
    if (skip_name("else")) {
      INFER_ASSIGN(otherwise, parse_expression());
    }
    left = add({.kind = NodeKind::conditional, .offset = offset, .a = left, .b = condition, .c = otherwise});
  }
  return left;
}

/// How closely the operator here binds what stands on either side of it; -1 for none.
int Parser::operator_level() const noexcept {
  if (token().kind == TokenKind::name) {
    if (is_name("or")) return kOr;
    if (is_name("and")) return kAnd;
    const bool is_not_in = is_name("not") && ahead().kind == TokenKind::name && ahead().text == "in";
    return is_name("in") || is_not_in ? kCompare : -1;
  }
  if (token().kind != TokenKind::op) return -1;
  for (const char* op : {"==", "!=", "<", "<=", ">", ">="}) {
    if (is_op(op)) return kCompare;
  }
  if (is_op("+") || is_op("-")) return kSum;
  if (is_op("~")) return kConcat;
  if (is_op("*") || is_op("/") || is_op("//") || is_op("%")) return kProduct;
  return is_op("**") ? kPower : -1;
}

/// An operand, and what operators make of it that bind at least as closely as `loosest`: by precedence climbing, one function
/// for all levels, so that a bracket within a bracket takes few frames of C++'s stack.
Result<NodeId> Parser::parse_operators(int loosest) {
  const std::uint32_t begin = token().offset;
  INFER_ASSIGN(NodeId left, loosest <= kNot && is_name("not") ? parse_not() : parse_unary());
  for (;;) {
    const int level = operator_level();
    if (level < loosest) return left;
    if (level == kCompare) {
      INFER_ASSIGN(left, parse_comparisons(left, begin));
    } else if (level == kConcat) {
      INFER_ASSIGN(left, parse_concat(left, begin));
    } else {
      const std::size_t at = at_;
      next();
      INFER_ASSIGN(const NodeId right, parse_operators(level + 1));
      left = add_binary(tokens_[at], level, left, right);
    }
  }
}

NodeId Parser::add_binary(const Token& op, int level, NodeId left, NodeId right) {
  const NodeKind kind = level == kOr ? NodeKind::logical_or : level == kAnd ? NodeKind::logical_and : NodeKind::binary;
  return add({.kind = kind, .offset = op.offset, .a = left, .b = right, .text = kind == NodeKind::binary ? op.text : ""});
}

Result<NodeId> Parser::parse_not() {
  const Level level(*this);
  INFER_TRY(check_depth());
  const std::uint32_t offset = token().offset;
  next();
  INFER_ASSIGN(const NodeId operand, parse_operators(kNot));
  return add({.kind = NodeKind::logical_not, .offset = offset, .a = operand});
}

Result<NodeId> Parser::parse_comparisons(NodeId first, std::uint32_t begin) {
  std::vector<NodeId> items;
  std::vector<std::string> operators;
  while (operator_level() == kCompare) {
    const bool is_not_in = is_name("not");
    operators.push_back(is_not_in ? "not in" : token().text);
    next();
    if (is_not_in) next();
    INFER_ASSIGN(const NodeId operand, parse_operators(kCompare + 1));
    items.push_back(operand);
  }
  return add({.kind = NodeKind::compare, .offset = begin, .a = first, .items = std::move(items), .operators = std::move(operators)});
}

Result<NodeId> Parser::parse_concat(NodeId first, std::uint32_t begin) {
  std::vector<NodeId> items{first};
  while (skip_op("~")) {
    INFER_ASSIGN(const NodeId part, parse_operators(kConcat + 1));
    items.push_back(part);
  }
  return add({.kind = NodeKind::concat, .offset = begin, .items = std::move(items)});
}

Result<NodeId> Parser::parse_unary(bool with_filters) {
  const Level level(*this);
  INFER_TRY(check_depth());
  const bool has_sign = is_op("-") || is_op("+");
  INFER_ASSIGN(NodeId id, has_sign ? parse_sign() : parse_primary());
  INFER_ASSIGN(id, parse_postfix(id));
  return with_filters ? parse_filters(id) : Parsed(id);
}

Result<NodeId> Parser::parse_sign() {
  const NodeKind kind = is_op("-") ? NodeKind::negate : NodeKind::plus;
  const std::uint32_t offset = token().offset;
  next();
  INFER_ASSIGN(const NodeId operand, parse_unary(false));
  return add({.kind = kind, .offset = offset, .a = operand});
}

Result<NodeId> Parser::parse_primary() {
  switch (token().kind) {
    case TokenKind::name:
    case TokenKind::string:
    case TokenKind::integer:
    case TokenKind::real:
      return parse_constant();
    default:
      break;
  }
  if (skip_op("(")) {
    INFER_ASSIGN(const NodeId tuple, parse_tuple(Conditional::yes, true));
    INFER_TRY(expect_op(")"));
    return tuple;
  }
  if (is_op("[")) return parse_list();
  if (is_op("{")) return parse_dict();
  return unexpected("an expression");
}

/// A constant or a name.
Result<NodeId> Parser::parse_constant() {
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
      break;
    }
    case TokenKind::string: {
      std::string text;
      for (; token().kind == TokenKind::string; next()) text += token().text;
      node.value = Value::string(text, Origin::trusted);
      break;
    }
    default: {
      Result<Value> value = number(token());
      if (!value.ok()) return program_.source.locate(std::move(value).status(), token().offset);
      node.value = std::move(value).value();
      next();
    }
  }
  return add(std::move(node));
}

Result<NodeId> Parser::parse_list() {
  const std::uint32_t begin = token().offset;
  std::vector<NodeId> items;
  next();
  while (!is_op("]")) {
    if (!items.empty()) INFER_TRY(expect_op(","));
    if (is_op("]")) break;
    INFER_ASSIGN(const NodeId item, parse_expression());
    items.push_back(item);
  }
  next();
  return add({.kind = NodeKind::list, .offset = begin, .items = std::move(items)});
}

Result<NodeId> Parser::parse_dict() {
  const std::uint32_t begin = token().offset;
  std::vector<NodeId> items;
  next();
  while (!is_op("}")) {
    if (!items.empty()) INFER_TRY(expect_op(","));
    if (is_op("}")) break;
    INFER_ASSIGN(const NodeId key, parse_expression());
    INFER_TRY(expect_op(":"));
    INFER_ASSIGN(const NodeId value, parse_expression());
    items.insert(items.end(), {key, value});
  }
  next();
  return add({.kind = NodeKind::dict, .offset = begin, .items = std::move(items)});
}

Result<NodeId> Parser::parse_postfix(NodeId id) {
  for (;;) {
    if (is_op(".") || is_op("[")) {
      INFER_ASSIGN(id, parse_subscript(id));
    } else if (is_op("(")) {
      INFER_ASSIGN(id, parse_call(id));
    } else {
      return id;
    }
  }
}

Result<NodeId> Parser::parse_call(NodeId id) {
  Node call = make(NodeKind::call);
  call.a = id;
  INFER_TRY(parse_arguments(call));
  return add(std::move(call));
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
