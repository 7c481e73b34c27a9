// SPDX-License-Identifier: MIT
// A parsed template: nodes that name each other by index, so that neither making nor destroying them recurses.
// Made by parser.cpp, walked by interpreter.cpp and expressions.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tokenizers/chat/lexer.h"
#include "tokenizers/chat/value.h"

namespace infer::chat {

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = ~NodeId{0};

/// What a node is, and which of its fields it uses.
enum class NodeKind : std::uint8_t {
  // expressions
  constant,  // value
  name,      // text
  list,
  tuple,      // items
  dict,       // items: key, value, key, value ...
  attribute,  // a.text
  item,       // a[b]
  slice,      // a[items[0]:items[1]:items[2]], each may be kNoNode
  call,       // a(items, keywords)
  filter,     // a | text(items, keywords)
  test,       // a is text(items)
  negate,
  plus,
  logical_not,  // a
  binary,       // a text b
  concat,       // items with ~ between them
  compare,      // a, then operators with the operands items
  logical_and,
  logical_or,   // a, b
  conditional,  // a if b else c; c may be kNoNode
  capture,      // what block a prints
  macro_value,  // the macro with parameters `keywords` (kNoNode: no default) and body a; text is its name, and operators
                // which of varargs, kwargs and caller the body names

  // statements
  data,    // value
  print,   // a
  block,   // items
  branch,  // if: items are condition, block, condition, block ...; c is the else block or kNoNode
  loop,    // for a in items[0] if items[1]: b, else c; a is a target, the last two may be kNoNode
  assign,  // set a = b
  with,    // items: target, value, target, value ...; block a
  break_loop,
  continue_loop,
  unsupported,  // text says what it is
};

struct Node {
  NodeKind kind;
  std::uint32_t offset = 0;
  NodeId a = kNoNode, b = kNoNode, c = kNoNode;
  std::string text = {};
  Value value = {};
  std::vector<NodeId> items = {};
  std::vector<std::pair<std::string, NodeId>> keywords = {};
  std::vector<std::string> operators = {};
};

struct Program {
  Source source;
  std::vector<Node> nodes;
  NodeId root = kNoNode;
};

/// Code::chat_template with a place, Code::template_limit when it is nested deeper than `max_depth`.
Result<Program> parse(std::string_view text, int max_depth);

}  // namespace infer::chat
