// SPDX-License-Identifier: MIT
// The entry point: compile, render, check, segments. See template.h.
#include "tokenizers/chat/template.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/ast.h"
#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/interpreter.h"

namespace infer::chat {

Result<Template> Template::compile(std::string_view text, const Limits& limits) {
  if (text.size() > limits.max_template_bytes) {
    return limit_error(fmt::format("template: {} bytes, more than {}", text.size(), limits.max_template_bytes));
  }
  if (!is_utf8(text)) return chat_error("template: not valid UTF-8");
  Result<Program> program = parse(text, limits.max_depth);
  if (!program.ok()) return std::move(program).status().with_context("template");
  return Template(std::make_shared<const Program>(std::move(program).value()), limits);
}

Result<Text> Template::render(const Inputs& inputs) const {
  Result<Text> text = Interpreter(*program_, inputs, limits_).run();
  if (!text.ok()) return std::move(text).status().with_context("template");
  return text;
}

std::vector<std::string> Template::unsupported() const {
  const std::vector<Node>& nodes = program_->nodes;
  std::set<std::string_view> assigned = {"raise_exception", "strftime_now", "namespace", "range", "dict", "caller"};
  for (const Node& node : nodes) {
    if (node.kind == NodeKind::assign && nodes[node.a].kind == NodeKind::name) assigned.insert(nodes[node.a].text);
    for (const auto& parameter : node.keywords) {
      if (node.kind == NodeKind::macro_value) assigned.insert(parameter.first);
    }
  }
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const Node& node : nodes) {
    std::string what;
    const auto names_one = [&](std::size_t i) {  // map("upper"): a filter by its name
      return node.items.size() > i && nodes[node.items[i]].kind == NodeKind::constant &&
             nodes[node.items[i]].value.is_string();
    };
    if (node.kind == NodeKind::unsupported) what = node.text;
    if (node.kind == NodeKind::filter) {
      const std::size_t test = node.text == "selectattr" || node.text == "rejectattr" ? 1 : 0;
      if (find_filter(node.text) == nullptr) {
        what = fmt::format("filter {}", quoted(node.text));
      } else if (node.text == "map" && names_one(0) && find_filter(nodes[node.items[0]].value.bytes()) == nullptr) {
        what = fmt::format("filter {}", quoted(nodes[node.items[0]].value.bytes()));
      } else if ((test == 1 || node.text == "select" || node.text == "reject") && names_one(test) &&
                 find_test(nodes[node.items[test]].value.bytes()) == nullptr) {
        what = fmt::format("test {}", quoted(nodes[node.items[test]].value.bytes()));
      }
    }
    if (node.kind == NodeKind::test && find_test(node.text) == nullptr)
      what = fmt::format("test {}", quoted(node.text));
    if (node.kind == NodeKind::call) {
      const Node& callee = nodes[node.a];
      if (callee.kind == NodeKind::name && !assigned.contains(callee.text))
        what = fmt::format("function {}", quoted(callee.text));
      const bool of_loop = callee.text == "cycle" || callee.text == "changed";
      if (callee.kind == NodeKind::attribute && !is_method(callee.text) && !of_loop)
        what = fmt::format("method {}", quoted(callee.text));
    }
    if (!what.empty()) found.emplace_back(node.offset, std::move(what));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> lines;
  Position place;
  std::size_t at = 0;
  for (const auto& [offset, what] : found) {   // counted on: findings may be as many as the template has bytes
    place = program_->source.position(offset, at, place);
    at = offset;
    lines.push_back(fmt::format("line {}, column {}: {}", place.line, place.column, what));
  }
  return lines;
}

std::vector<Segment> segments(const Text& text) {
  std::vector<Segment> all;
  for (std::size_t i = 0; i < text.size(); i = text.run_end(i)) {
    all.push_back({text.bytes().substr(i, text.run_end(i) - i), text.origin_at(i)});
  }
  return all;
}

Result<Value> trust_roles(const Value& messages) {
  if (!messages.is_list()) return messages;
  Values trusted;
  for (const Value& message : messages.list().items) {
    const Value* const role = message.is_dict() ? message.dict().find("role") : nullptr;
    const bool is_word =
        role != nullptr && role->is_string() && role->text().size() <= 64 &&
        std::all_of(role->bytes().begin(), role->bytes().end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        });
    if (!is_word) {
      trusted.push_back(message);
      continue;
    }
    Dict dict = message.dict();
    dict.set(Value::string("role", Origin::trusted), Value::string(role->bytes(), Origin::trusted));
    INFER_ASSIGN(Value made, make_dict(std::move(dict)));
    trusted.push_back(std::move(made));
  }
  INFER_ASSIGN(Value list, make_list(std::move(trusted)));
  list.list().frozen = true;
  return list;
}

}  // namespace infer::chat
