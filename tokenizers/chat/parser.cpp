// SPDX-License-Identifier: MIT
// Statements of templates. Tags that Jinja has and we do not are kept as nodes that fail when they are reached, so that
// check can list them all. See parser.h.
#include "tokenizers/chat/parser.h"

#include <algorithm>

#include <fmt/format.h>

#include "libinfer/text.h"

namespace infer::chat {

Result<Program> parse(std::string_view text, int max_depth) {
  Program program;
  program.source = Source(text);
  INFER_ASSIGN(std::vector<Token> tokens, tokenize(program.source));
  INFER_ASSIGN(program.root, Parser(program, std::move(tokens), max_depth).parse_template());
  return program;
}

Result<NodeId> Parser::parse_template() {
  INFER_ASSIGN(const NodeId root, parse_block({}));
  if (token().kind != TokenKind::end) return unexpected("the end of the template");
  return root;
}

/// Up to one of the tags in `ends`, whose name is the token that is left; without ends, to the end of the template.
Result<NodeId> Parser::parse_block(std::initializer_list<std::string_view> ends) {
  const Level level(*this, 2);   // the tag and its block, as when it is rendered
  INFER_TRY(check_depth());
  const std::size_t begin = token().offset;
  Node block = make(NodeKind::block);
  for (;;) {
    Node part = make(NodeKind::data);
    switch (token().kind) {
      case TokenKind::data: {
        part.value = Value::string(token().text, Origin::trusted);
        next();
        const NodeId id = add(std::move(part));
        block.items.push_back(id);
        break;
      }
      case TokenKind::print_begin: {
        next();
        part.kind = NodeKind::print;
        INFER_ASSIGN(part.a, parse_tuple());
        INFER_TRY(expect(TokenKind::print_end, "'}}'"));
        const NodeId id = add(std::move(part));
        block.items.push_back(id);
        break;
      }
      case TokenKind::block_begin: {
        next();
        if (std::any_of(ends.begin(), ends.end(), [this](auto end) { return is_name(end); }))
          return add(std::move(block));
        INFER_ASSIGN(const NodeId id, parse_statement());
        INFER_TRY(expect(TokenKind::block_end, "'%}'"));
        block.items.push_back(id);
        break;
      }
      default:
        if (ends.size() == 0) return add(std::move(block));
        return fail(begin, fmt::format("the block that begins here does not end: '{}' is missing", *(ends.end() - 1)));
    }
  }
}

Result<NodeId> Parser::parse_statement() {
  if (token().kind != TokenKind::name) return unexpected("the name of a tag");
  const std::string tag = token().text;
  if (tag == "if") return parse_if();
  if (tag == "for") return parse_for();
  if (tag == "set") return parse_set();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "break" || tag == "continue") {
    if (n_loops_ == 0) return fail(token().offset, fmt::format("'{}' outside of a loop", tag));
    Node node = make(tag == "break" ? NodeKind::break_loop : NodeKind::continue_loop);
    next();
    return add(std::move(node));
  }
  if (tag == "generation") {  // marks what the assistant says; it only matters for training
    next();
    INFER_TRY(expect(TokenKind::block_end, "'%}'"));
    INFER_ASSIGN(const NodeId block, parse_block({"endgeneration"}));
    next();
    return block;
  }
  for (const std::string_view known :
       {"autoescape", "block", "do", "extends", "from", "import", "include", "pluralize", "trans"}) {
    if (tag == known || (tag.starts_with("end") && std::string_view(tag).substr(3) == known))
      return skip_unsupported(tag);
  }
  return fail(token().offset, fmt::format("unknown tag {}", quoted(tag)));
}

Result<NodeId> Parser::skip_unsupported(std::string_view tag) {
  Node node = make(NodeKind::unsupported);
  node.text = fmt::format("tag '{}'", tag);
  while (token().kind != TokenKind::block_end && token().kind != TokenKind::end) next();
  return add(std::move(node));
}

Result<NodeId> Parser::parse_if() {
  Node node = make(NodeKind::branch);
  for (;;) {
    next();  // if or elif
    INFER_ASSIGN(const NodeId condition, parse_tuple(Conditional::no));
    INFER_TRY(expect(TokenKind::block_end, "'%}'"));
    INFER_ASSIGN(const NodeId body, parse_block({"elif", "else", "endif"}));
    node.items.insert(node.items.end(), {condition, body});
    if (is_name("elif")) continue;
    if (skip_name("else")) {
      INFER_TRY(expect(TokenKind::block_end, "'%}'"));
      INFER_ASSIGN(node.c, parse_block({"endif"}));
    }
    next();
    return add(std::move(node));
  }
}

Result<NodeId> Parser::parse_for() {
  Node node = make(NodeKind::loop);
  next();
  INFER_ASSIGN(node.a, parse_target(false));
  INFER_TRY(expect_name("in"));
  INFER_ASSIGN(const NodeId iterable, parse_tuple(Conditional::no));
  NodeId filter = kNoNode;
  if (skip_name("if")) {
    INFER_ASSIGN(filter, parse_expression());
  }
  node.items = {iterable, filter};
  Node recursive = make(NodeKind::unsupported);
  const bool is_recursive = skip_name("recursive");
  INFER_TRY(expect(TokenKind::block_end, "'%}'"));
  ++n_loops_;
  INFER_ASSIGN(node.b, parse_block({"else", "endfor"}));
  --n_loops_;
  if (skip_name("else")) {
    INFER_TRY(expect(TokenKind::block_end, "'%}'"));
    INFER_ASSIGN(node.c, parse_block({"endfor"}));
  }
  next();
  if (!is_recursive) return add(std::move(node));
  recursive.text = "recursive loop";
  return add(std::move(recursive));
}

Result<NodeId> Parser::parse_set() {
  Node node = make(NodeKind::assign);
  next();
  INFER_ASSIGN(node.a, parse_target(true));
  if (skip_op("=")) {
    INFER_ASSIGN(node.b, parse_tuple());
    return add(std::move(node));
  }
  // {% set x | filter %} ... {% endset %}: the filters are applied to what the block prints.
  Node capture = make(NodeKind::capture);
  const NodeId captured = add(std::move(capture));
  INFER_ASSIGN(node.b, parse_filters(captured));
  INFER_TRY(expect(TokenKind::block_end, "'%}'"));
  INFER_ASSIGN(const NodeId body, parse_block({"endset"}));
  program_.nodes[captured].a = body;
  next();
  return add(std::move(node));
}

Result<NodeId> Parser::parse_filter_block() {
  Node node = make(NodeKind::print);
  next();
  const NodeId captured = add(make(NodeKind::capture));
  INFER_ASSIGN(const NodeId first, parse_filter(captured));
  INFER_ASSIGN(node.a, parse_filters(first));
  INFER_TRY(expect(TokenKind::block_end, "'%}'"));
  INFER_ASSIGN(const NodeId body, parse_block({"endfilter"}));
  program_.nodes[captured].a = body;
  next();
  return add(std::move(node));
}

Status Parser::parse_signature(Node& macro) {
  INFER_TRY(expect_op("("));
  while (!is_op(")")) {
    if (!macro.keywords.empty()) INFER_TRY(expect_op(","));
    INFER_ASSIGN(std::string parameter, any_name());
    NodeId default_value = kNoNode;
    if (skip_op("=")) {
      INFER_ASSIGN(default_value, parse_expression());
    } else if (!macro.keywords.empty() && macro.keywords.back().second != kNoNode) {
      return fail(token().offset, "a parameter without a default follows one with a default");
    }
    macro.keywords.emplace_back(std::move(parameter), default_value);
  }
  return expect_op(")");
}

Status Parser::parse_body(Node& macro, std::string_view end) {
  const auto first = static_cast<NodeId>(program_.nodes.size());
  const int n_loops = std::exchange(n_loops_, 0);
  INFER_ASSIGN(macro.a, parse_block({end}));
  n_loops_ = n_loops;
  next();
  for (std::size_t i = 0; i < kUnnamedParameters.size(); ++i) {
    if (last_named_[i] != kNoNode && last_named_[i] >= first) macro.operators.emplace_back(kUnnamedParameters[i]);
  }
  return {};
}

Result<NodeId> Parser::parse_macro() {
  Node node = make(NodeKind::assign);
  Node target = make(NodeKind::name);
  Node macro = make(NodeKind::macro_value);
  next();
  INFER_ASSIGN(target.text, any_name());
  macro.text = target.text;
  INFER_TRY(parse_signature(macro));
  INFER_TRY(expect(TokenKind::block_end, "'%}'"));
  INFER_TRY(parse_body(macro, "endmacro"));
  node.a = add(std::move(target));
  node.b = add(std::move(macro));
  return add(std::move(node));
}

/// {% call(x) f(y) %} ... {% endcall %} is {{ f(y, caller = a macro with the parameter x and the block) }}.
Result<NodeId> Parser::parse_call_block() {
  Node node = make(NodeKind::print);
  Node macro = make(NodeKind::macro_value);
  macro.text = "caller";
  next();
  if (is_op("(")) INFER_TRY(parse_signature(macro));
  INFER_ASSIGN(node.a, parse_expression());
  if (program_.nodes[node.a].kind != NodeKind::call) return fail(node.offset, "a call is needed here");
  INFER_TRY(expect(TokenKind::block_end, "'%}'"));
  for (const auto& keyword : program_.nodes[node.a].keywords) {
    if (keyword.first == "caller") return fail(node.offset, "'caller' is what the call block gives");
  }
  INFER_TRY(parse_body(macro, "endcall"));
  const NodeId caller = add(std::move(macro));
  program_.nodes[node.a].keywords.emplace_back("caller", caller);
  return add(std::move(node));
}

Result<NodeId> Parser::parse_with() {
  Node node = make(NodeKind::with);
  next();
  while (token().kind != TokenKind::block_end) {
    if (!node.items.empty()) INFER_TRY(expect_op(","));
    INFER_ASSIGN(const NodeId target, parse_target(false));
    INFER_TRY(expect_op("="));
    INFER_ASSIGN(const NodeId value, parse_expression());
    node.items.insert(node.items.end(), {target, value});
  }
  next();
  INFER_ASSIGN(node.a, parse_block({"endwith"}));
  next();
  return add(std::move(node));
}

/// x; x, y; (x, y); and x.y where a namespace may be written to.
Result<NodeId> Parser::parse_target(bool may_be_attribute) {
  const Level level(*this);
  INFER_TRY(check_depth());
  Node tuple = make(NodeKind::tuple);
  bool is_tuple = false;
  for (;;) {
    NodeId part = kNoNode;
    if (skip_op("(")) {
      INFER_ASSIGN(part, parse_target(may_be_attribute));
      INFER_TRY(expect_op(")"));
    } else {
      Node name = make(NodeKind::name);
      INFER_ASSIGN(name.text, any_name());
      for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
        if (name.text == constant) return fail(name.offset, fmt::format("'{}' cannot be assigned to", constant));
      }
      if (may_be_attribute && is_op(".")) {
        Node attribute = make(NodeKind::attribute);
        next();
        INFER_ASSIGN(attribute.text, any_name());
        attribute.a = add(std::move(name));
        part = add(std::move(attribute));
      } else {
        part = add(std::move(name));
      }
    }
    tuple.items.push_back(part);
    if (!skip_op(",")) break;
    is_tuple = true;
    if (is_name("in") || is_op("=") || is_op(")")) break;
  }
  if (!is_tuple) return tuple.items[0];
  return add(std::move(tuple));
}

// ---- tokens

bool Parser::skip_op(std::string_view op) noexcept {
  if (!is_op(op)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) noexcept {
  if (!is_name(name)) return false;
  next();
  return true;
}

Status Parser::expect_op(std::string_view op) {
  if (!is_op(op)) return unexpected(fmt::format("'{}'", op));
  next();
  return {};
}

Status Parser::expect_name(std::string_view name) {
  if (!is_name(name)) return unexpected(fmt::format("'{}'", name));
  next();
  return {};
}

Status Parser::expect(TokenKind kind, std::string_view what) {
  if (token().kind != kind) return unexpected(what);
  next();
  return {};
}

Result<std::string> Parser::any_name() {
  if (token().kind != TokenKind::name) return unexpected("a name");
  std::string name = token().text;
  next();
  return name;
}

Status Parser::unexpected(std::string_view expected) const {
  std::string found;
  switch (token().kind) {
    case TokenKind::end:
      found = "the end of the template";
      break;
    case TokenKind::block_end:
      found = "'%}'";
      break;
    case TokenKind::print_end:
      found = "'}}'";
      break;
    case TokenKind::block_begin:
      found = "'{%'";
      break;
    case TokenKind::print_begin:
      found = "'{{'";
      break;
    case TokenKind::string:
      found = "a string";
      break;
    default:
      found = quoted(token().text);
      break;
  }
  return fail(token().offset, fmt::format("expected {}, found {}", expected, found));
}

Status Parser::fail(std::size_t offset, std::string message) const {
  return program_.source.locate(chat_error(std::move(message)), offset);
}

Status Parser::check_depth() const {
  if (depth_ <= max_depth_) return {};
  return program_.source.locate(limit_error(fmt::format("blocks and expressions nested more than {} deep", max_depth_)),
                                token().offset);
}

NodeId Parser::add(Node node) {
  program_.nodes.push_back(std::move(node));
  return static_cast<NodeId>(program_.nodes.size() - 1);
}

}  // namespace infer::chat
