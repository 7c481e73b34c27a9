// SPDX-License-Identifier: MIT
// The parser's two halves share this class: parser.cpp reads statements, parse_expressions.cpp what stands in them. The
// grammar is Jinja's, oddities included (-x|abs is (-x)|abs). Nesting is bounded by max_depth, also in C++'s stack: 256 KiB
// of it are enough, to parse and to render.
#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/chat/ast.h"

namespace infer::chat {

class Parser {
 public:
  Parser(Program& program, std::vector<Token> tokens, int max_depth)
      : program_(program), tokens_(std::move(tokens)), max_depth_(max_depth) {}

  Result<NodeId> parse_template();

 private:
  using Parsed = Result<NodeId>;

  // ---- parser.cpp
  Parsed parse_block(std::initializer_list<std::string_view> ends);
  Parsed parse_statement();
  Parsed parse_if();
  Parsed parse_for();
  Parsed parse_set();
  Parsed parse_macro();
  Parsed parse_call_block();
  Parsed parse_filter_block();
  Parsed parse_with();
  Parsed skip_unsupported(std::string_view tag);
  Parsed parse_target(bool may_be_attribute);
  Status parse_signature(Node& macro);
  Status parse_body(Node& macro, std::string_view end);

  // ---- parse_expressions.cpp
  /// How closely operators bind. (`not` stands before its operand, signs bind more closely than any of these.)
  enum Precedence : int { kOr, kAnd, kNot, kCompare, kSum, kConcat, kProduct, kPower, kLoosest = kOr };
  enum class Conditional : bool { no, yes };
  Parsed parse_expression(Conditional conditional = Conditional::yes);
  Parsed parse_tuple(Conditional conditional = Conditional::yes, bool may_be_empty = false);
  Parsed parse_conditional();
  Parsed parse_operators(int loosest);
  Parsed parse_not();
  Parsed parse_comparisons(NodeId first, std::uint32_t begin);
  Parsed parse_concat(NodeId first, std::uint32_t begin);
  Parsed parse_unary(bool with_filters = true);
  Parsed parse_sign();
  Parsed parse_primary();
  Parsed parse_constant();
  Parsed parse_list();
  Parsed parse_dict();
  Parsed parse_postfix(NodeId node);
  Parsed parse_call(NodeId node);
  Parsed parse_filters(NodeId node);
  Parsed parse_filter(NodeId node);
  Parsed parse_test(NodeId node);
  Parsed parse_subscript(NodeId node);
  Status parse_arguments(Node& call);
  NodeId add_binary(const Token& op, int level, NodeId left, NodeId right);
  int operator_level() const noexcept;

  // ---- tokens
  const Token& token() const noexcept { return tokens_[at_]; }
  const Token& ahead() const noexcept { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  void next() noexcept {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool is_op(std::string_view op) const noexcept { return token().kind == TokenKind::op && token().text == op; }
  bool is_name(std::string_view name) const noexcept { return token().kind == TokenKind::name && token().text == name; }
  bool skip_op(std::string_view op) noexcept;
  bool skip_name(std::string_view name) noexcept;
  Status expect_op(std::string_view op);
  Status expect_name(std::string_view name);
  Status expect(TokenKind kind, std::string_view what);
  Result<std::string> any_name();
  Status unexpected(std::string_view expected) const;
  Status fail(std::size_t offset, std::string message) const;

  // ---- nodes
  Node make(NodeKind kind) const { return {.kind = kind, .offset = token().offset}; }
  NodeId add(Node node);

  /// One level of the grammar's recursion, or more.
  class Level {
   public:
    explicit Level(Parser& parser, int n = 1) noexcept : parser_(parser), n_(n) { parser_.depth_ += n; }
    ~Level() { parser_.depth_ -= n_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
    const int n_;
  };
  Status check_depth() const;

  Program& program_;
  std::vector<Token> tokens_;
  const int max_depth_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int n_loops_ = 0;
  // What a macro has besides its parameters, if its body names it; and the node that did so last.
  static constexpr std::array<std::string_view, 3> kUnnamedParameters{"varargs", "kwargs", "caller"};
  std::array<NodeId, 3> last_named_{kNoNode, kNoNode, kNoNode};
};

}  // namespace infer::chat
