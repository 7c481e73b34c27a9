// SPDX-License-Identifier: MIT
// infer detokenize: token ids to the exact bytes they stand for. --jsonl answers one request a line.
// Tested by tests/tools/infer_program_test.cpp.
#include <cerrno>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
    R"(Without IDS they are read from stdin. The bytes are written as they are, with a newline after them
only on a terminal. --jsonl reads requests from stdin, one a line, and answers each on a line of its own:
  {"ids": [...], "remove_special", "unparse_special"}  {"hex": "..."}
  {"ids": [...], "stream": true}                       {"deltas": ["...", ...], "flush": "..."}
  {"ids": [id], "piece": true, "unparse_special"}      {"hex": "..."}: the token's own bytes
Flags are false unless given; a request that failed is answered by {"error": "..."}.)";

struct Arguments {
  ModelArguments model;
  std::vector<std::string> ids;
  bool special = false;
  bool jsonl = false;
};

std::vector<std::int32_t> ids_field(const Json& request) {
  const auto field = request.find("ids");
  if (field == request.end() || !field->is_array()) throw RequestError("ids: a list of numbers is needed");
  std::vector<std::int32_t> ids;
  ids.reserve(field->size());
  for (const auto& value : *field) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    const bool fits = value.is_number_unsigned() ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMost)
                                                 : value.is_number_integer() && value.get<std::int64_t>() >= -kMost;
    if (!fits) throw RequestError(fmt::format("ids[{}]: not a token id", ids.size()));
    ids.push_back(value.get<std::int32_t>());
  }
  return ids;
}

Json deltas(const libinfer::Model& model, const std::vector<std::int32_t>& ids, std::int32_t shown) {
  auto decoder = libinfer::Decoder::create(model, shown);
  if (!decoder) throw RequestError(decoder.error().message());
  Json texts = Json::array();
  for (const auto id : ids) {
    auto text = decoder->push(id);
    if (!text) throw RequestError(text.error().message());
    texts.push_back(*std::move(text));
  }
  auto rest = decoder->flush();
  if (!rest) throw RequestError(rest.error().message());
  return {{"deltas", std::move(texts)}, {"flush", *std::move(rest)}};
}

Json answer(const libinfer::Model& model, const Json& request) {
  const auto ids = ids_field(request);
  const std::int32_t shown = bool_field(request, "unparse_special") ? INFER_DETOKENIZE_RENDER_SPECIAL : 0;
  if (bool_field(request, "stream")) return deltas(model, ids, shown);
  if (bool_field(request, "piece")) {
    std::string all;
    for (const auto id : ids) {
      const auto bytes = model.token_bytes(id, shown);
      if (!bytes) throw RequestError(bytes.error().message());
      all += *bytes;
    }
    return {{"hex", to_hex(all)}};
  }
  const std::int32_t removed = bool_field(request, "remove_special") ? INFER_DETOKENIZE_REMOVE_SPECIAL : 0;
  const auto bytes = model.detokenize(ids, shown | removed);
  if (!bytes) throw RequestError(bytes.error().message());
  return {{"hex", to_hex(*bytes)}};
}

int print(const Arguments& arguments, const libinfer::Model& model) {
  std::optional<std::string> text =
      arguments.ids.empty() ? read_all(stdin) : fmt::format("{}", fmt::join(arguments.ids, " "));
  if (!text) return fail_errno("stdin", errno);
  std::string wrong;
  const auto ids = parse_ids(*text, wrong);
  if (!ids) return usage(fmt::format("token ids: {} is not a number", wrong));
  const auto bytes =
      model.detokenize(*ids, arguments.special ? INFER_DETOKENIZE_RENDER_SPECIAL : INFER_DETOKENIZE_REMOVE_SPECIAL);
  if (!bytes) return fail(bytes.error());
  return write_all(stdout, is_terminal(stdout) ? *bytes + "\n" : *bytes) ? kSuccess : stdout_failed();
}

int run(const Arguments& arguments) {
  const auto opened = open_vocabulary(arguments.model);
  if (!opened) return kFailure;
  if (!arguments.jsonl) return print(arguments, opened->model);
  return answer_lines([&](const Json& request) { return answer(opened->model, request); });
}

}  // namespace

Action setup_detokenize(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer(kFooter);
  a.model.add_to(app);
  auto* ids = app.add_option("ids", a.ids, "token ids, separated by commas or white space")->type_name("IDS");
  app.add_flag("--show-special,--special", a.special,
               "show control tokens as their text, also the BOS and EOS that are left out otherwise");
  app.add_flag("--jsonl", a.jsonl, "answer requests, see below")->excludes(ids);
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
