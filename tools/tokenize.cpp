// SPDX-License-Identifier: MIT
// infer tokenize: text to token ids, also with vocabulary-only files. --jsonl answers one request a line.
// Tested by tests/tools/infer_program_test.cpp.
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/jsonl.h"

namespace tool {
namespace {

constexpr const char* kFooter =
    R"(Without TEXT it is read from stdin, as it is. --jsonl reads requests from stdin, one a line:
  {"text": "..."} or {"hex": "..."}, with "add_special", "parse_special", "pieces" and "offsets" (false unless given)
and answers each on a line of its own: {"ids": [...]}, or {"error": "..."} for a request that failed. --json answers in
the same form with all there is: "pieces", the text of each token (hex, as {"hex": "..."}, where it is no UTF-8), and
"offsets", [begin, end] in bytes of the input for each token. What was added (BOS, EOS, a space in front) is empty; what
was left out belongs to no token, but may lie inside a span; where a normal form changed a stretch as a whole, each of
its tokens has all of it.)";

struct Arguments {
  ModelArguments model;
  std::optional<std::string> text;
  bool no_special = false;
  bool parse_special = false;
  bool pieces = false;
  bool json = false;
  bool jsonl = false;
};

std::int32_t flags(bool add_special, bool parse_special) {
  return (add_special ? INFER_TOKENIZE_ADD_SPECIAL : 0) | (parse_special ? INFER_TOKENIZE_PARSE_SPECIAL : 0);
}

/// {"hex": "..."} where it is only a part of a character.
Json piece_json(std::string_view piece) {
  try {
    static_cast<void>(Json(piece).dump());
    return piece;
  } catch (const Json::type_error&) {
    return {{"hex", to_hex(piece)}};
  }
}

/// A piece as JSON text; as hex where that is not possible.
std::string shown(std::string_view piece) {
  const Json json = piece_json(piece);
  return json.is_string() ? json.dump() : "0x" + to_hex(piece);
}

/// What an answer has beside the ids.
struct Wanted {
  bool pieces = false;
  bool offsets = false;
};

libinfer::Expected<Json> to_json(const libinfer::Model& model, std::string_view text, std::int32_t how, Wanted wanted) {
  libinfer::Model::Spans spans;
  if (wanted.offsets) {
    auto found = model.tokenize_spans(text, how);
    if (!found) return found.error();
    spans = *std::move(found);
  } else {
    auto ids = model.tokenize(text, how);
    if (!ids) return ids.error();
    spans.tokens = *std::move(ids);
  }
  Json json = {{"ids", spans.tokens}};
  if (wanted.pieces) {
    Json& pieces = json["pieces"] = Json::array();
    for (const auto id : spans.tokens) {
      const auto bytes = model.token_bytes(id, INFER_DETOKENIZE_RENDER_SPECIAL);
      if (!bytes) return bytes.error();
      pieces.push_back(piece_json(*bytes));
    }
  }
  if (wanted.offsets) {
    Json& offsets = json["offsets"] = Json::array();
    for (std::size_t i = 0; i < spans.tokens.size(); ++i) offsets.push_back({spans.begins[i], spans.ends[i]});
  }
  return json;
}

Json answer(const libinfer::Model& model, const Json& request) {
  std::string text;
  if (request.contains("hex")) {
    auto bytes = from_hex(string_field(request, "hex"));
    if (!bytes) throw RequestError("hex: an even number of digits 0-9, a-f is needed");
    text = *std::move(bytes);
  } else {
    text = string_field(request, "text");
  }
  auto json = to_json(model, text, flags(bool_field(request, "add_special"), bool_field(request, "parse_special")),
                      {.pieces = bool_field(request, "pieces"), .offsets = bool_field(request, "offsets")});
  if (!json) throw RequestError(json.error().message());
  return *std::move(json);
}

int print(const Arguments& arguments, const libinfer::Model& model) {
  std::optional<std::string> text = arguments.text ? arguments.text : read_all(stdin);
  if (!text) return fail_errno("stdin", errno);
  const std::int32_t how = flags(!arguments.no_special, arguments.parse_special);
  if (arguments.json) {
    const auto json = to_json(model, *text, how, {.pieces = true, .offsets = true});
    if (!json) return fail(json.error());
    return write_all(stdout, to_json_text(*json) + "\n") ? kSuccess : stdout_failed();
  }
  const auto ids = model.tokenize(*text, how);
  if (!ids) return fail(ids.error());
  std::string out;
  if (arguments.pieces) {
    for (const auto id : *ids) {
      const auto bytes = model.token_bytes(id, INFER_DETOKENIZE_RENDER_SPECIAL);
      if (!bytes) return fail(bytes.error());
      out += fmt::format("{:>8}  {}\n", id, shown(*bytes));
    }
  } else {
    out = fmt::format("{}\n", fmt::join(*ids, " "));
  }
  return write_all(stdout, out) ? kSuccess : stdout_failed();
}

int run(const Arguments& arguments) {
  const auto opened = open_vocabulary(arguments.model);
  if (!opened) return kFailure;
  if (!arguments.jsonl) return print(arguments, opened->model);
  return answer_lines([&](const Json& request) { return answer(opened->model, request); });
}

}  // namespace

Action setup_tokenize(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer(kFooter);
  a.model.add_to(app);
  auto* text = app.add_option("text", a.text, "what to tokenize")->type_name("TEXT");
  app.add_flag("--no-special", a.no_special, "do not add BOS and EOS where the vocabulary says so");
  app.add_flag("--parse-special", a.parse_special, "texts of control tokens become these tokens");
  auto* pieces = app.add_flag("--pieces", a.pieces, "one token a line: its id, and its text as JSON or hex");
  auto* json = app.add_flag("--json", a.json, "ids, pieces and offsets as one JSON object, see below")->excludes(pieces);
  app.add_flag("--jsonl", a.jsonl, "answer requests, see below")->excludes(text)->excludes(pieces)->excludes(json);
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
