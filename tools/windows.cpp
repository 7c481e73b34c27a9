// SPDX-License-Identifier: MIT
// A text as windows of tokens. Tested by tests/tools/perplexity_test.cpp and imatrix_test.cpp.
#include "tools/windows.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/common.h"

namespace tool {
namespace {

/// The BOS token where the vocabulary puts one in front of a text.
std::optional<std::int32_t> bos_of(const libinfer::Model& model) {
  const auto bos = model.special("bos");
  const auto nothing = model.tokenize("", INFER_TOKENIZE_ADD_SPECIAL);
  if (!bos || !nothing || nothing->empty() || nothing->front() != *bos) return std::nullopt;
  return *bos;
}

using Ids = std::vector<std::int32_t>;

std::optional<Ids> tokens_of(const libinfer::Model& model, const std::string& path, std::optional<std::int32_t> bos) {
  const auto text = read_file(path);
  if (!text) return fail_errno(path, errno), std::nullopt;
  auto tokens = model.tokenize(*text, 0);
  if (!tokens) return fail(tokens.error()), std::nullopt;
  if (bos) tokens->insert(tokens->begin(), *bos);
  return *std::move(tokens);
}

std::optional<Ids> read_ids(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return fail_errno(path, errno), std::nullopt;
  std::string wrong;
  auto ids = parse_ids(*text, wrong);
  if (!ids) fail(fmt::format("{}: {} is not a token id", path, wrong));
  return ids;
}

}  // namespace

std::size_t default_window(const libinfer::Model& model) {
  constexpr std::int64_t kMost = 512;
  const auto trained = model.get_i64("n_ctx_train");
  return static_cast<std::size_t>(std::clamp(trained ? *trained : kMost, kLeastWindow, kMost));
}

void TextArguments::add_to(CLI::App& app) {
  auto* input = app.add_option_group("text");
  input->add_option("-f,--file", text, "the text; - is stdin")->type_name("FILE");
  input->add_option("--tokens-file", ids, "token ids in the place of a text; - is stdin")->type_name("FILE");
  input->require_option(1);
  app.add_option("--windows,--chunks", limit, "run the first N windows only [all]")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()));
}

std::optional<Windows> cut_text(const libinfer::Model& model, const TextArguments& arguments, std::size_t size) {
  const auto bos = bos_of(model);
  auto tokens = arguments.ids.empty() ? tokens_of(model, arguments.text, bos) : read_ids(arguments.ids);
  if (!tokens) return std::nullopt;
  const std::int64_t n_vocab = model.get_i64("n_vocab").value_or(0);
  const auto wrong = std::find_if(tokens->begin(), tokens->end(), [&](auto id) { return id < 0 || id >= n_vocab; });
  if (wrong != tokens->end()) {
    fail(fmt::format("{}: token {} is outside the vocabulary 0..{}", arguments.path(), *wrong, n_vocab - 1));
    return std::nullopt;
  }
  const std::size_t count = tokens->size() / size, limit = static_cast<std::size_t>(arguments.limit);
  if (count == 0) {
    fail(fmt::format("{}: {} tokens are less than one window of {}", arguments.path(), tokens->size(), size),
         "give a longer text or a smaller --ctx");
    return std::nullopt;
  }
  tokens->resize((limit == 0 ? count : std::min(count, limit)) * size);
  Windows windows{size, bos.has_value(), *std::move(tokens)};
  for (std::size_t i = 0; bos && i < windows.count(); ++i) windows.tokens[i * size] = *bos;
  return windows;
}

libinfer::Expected<libinfer::Session> make_window_session(const libinfer::Model& model, libinfer::Options& options,
                                                          std::size_t size) {
  const auto n_batch = options.get_i64("n_batch");
  if (!n_batch) return n_batch.error();
  const auto n_ctx = static_cast<std::int64_t>(size);
  if (auto set = options.set("n_ctx", n_ctx); !set) return set.error();
  if (auto set = options.set("n_logits", std::min(*n_batch, n_ctx)); !set) return set.error();
  return libinfer::Session::create(model, &options);
}

}  // namespace tool
