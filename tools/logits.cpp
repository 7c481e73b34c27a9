// SPDX-License-Identifier: MIT
// infer logits: feeds tokens and writes what the model says after each: little-endian float32 rows of n_vocab values.
// Shows the token tier. Tested by tests/tools/infer_program_test.cpp.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/output_file.h"

namespace tool {
namespace {

constexpr const char* kDefaultBatch = "64";  // rows of logits that are held at a time

struct Arguments {
  ModelArguments model;
  OptionSet session{INFER_OPTIONS_SESSION};
  std::string tokens;
  std::string tokens_file;
  std::string out;
  bool last = false;
};

/// Where the rows go: stdout for "-".
class RowFile {
 public:
  explicit RowFile(const std::string& path) {
    if (path != "-") file_.emplace(path);
  }

  bool is_open() const { return !file_ || file_->is_open(); }

  bool write(libinfer::View<float> row) {
    bytes_.resize(4 * row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(row[i]);
      for (unsigned byte = 0; byte < 4; ++byte) bytes_[4 * i + byte] = static_cast<char>(bits >> (8 * byte) & 0xFF);
    }
    return file_ ? file_->write(bytes_) : std::fwrite(bytes_.data(), 1, bytes_.size(), stdout) == bytes_.size();
  }

  bool finish() { return file_ ? file_->finish() : std::fflush(stdout) == 0; }

 private:
  std::optional<OutputFile> file_;
  std::string bytes_;
};

int write_rows(const Arguments& arguments, libinfer::Session& session, const std::vector<std::int32_t>& ids,
               const libinfer::Cancel* cancel) {
  const auto failed = [](const libinfer::Error& error) {
    return fail(error, error.code() == INFER_E_CONTEXT_FULL ? "a longer context is given by --ctx N" : "");
  };
  // The context is checked before the file is made, so that a hopeless call leaves nothing behind.
  const auto n_ctx = session.get_i64("n_ctx");
  const auto n_rows = session.get_i64("n_logits");
  if (!n_ctx || !n_rows) return fail(n_ctx ? n_rows.error() : n_ctx.error());
  if (static_cast<std::int64_t>(ids.size()) > *n_ctx) {
    return fail(fmt::format("{} tokens do not fit a context of {}", ids.size(), *n_ctx),
                "a longer one is given by --ctx N");
  }
  RowFile file(arguments.out);
  if (!file.is_open()) return fail_errno(arguments.out, errno);
  const std::size_t chunk = arguments.last ? ids.size() : static_cast<std::size_t>(*n_rows);
  for (std::size_t done = 0; done < ids.size(); done += chunk) {
    const std::size_t n = std::min(chunk, ids.size() - done);
    const std::int32_t want = arguments.last ? INFER_LOGITS_LAST : INFER_LOGITS_ALL;
    const auto fed = session.feed({ids.data() + done, n}, want, 0, cancel);
    if (!fed) return failed(fed.error());
    for (std::size_t row = 0; row < (arguments.last ? 1 : n); ++row) {
      const auto logits = session.logits(row);
      if (!logits) return fail(logits.error());
      if (!file.write(*logits)) return fail_errno(arguments.out, errno);
    }
  }
  return file.finish() ? kSuccess : fail_errno(arguments.out, errno);
}

int run(const Arguments& arguments) {
  std::optional<std::string> text = arguments.tokens_file.empty() ? arguments.tokens : read_file(arguments.tokens_file);
  if (!text) return fail_errno(arguments.tokens_file, errno);
  std::string wrong;
  const auto ids = parse_ids(*text, wrong);
  if (!ids) return usage(fmt::format("token ids: {} is not a number", wrong));
  if (ids->empty()) return usage("there are no tokens to feed");
  auto options = arguments.session.build();
  if (!options) return usage(options.error().message());
  const auto n_rows = arguments.last ? libinfer::Expected<std::int64_t>(1) : options->get_i64("n_batch");
  if (!n_rows) return fail(n_rows.error());
  if (auto set = options->set("n_logits", *n_rows); !set) return usage(set.error().message());

  const Interrupt interrupt;
  const auto opened = open_model(arguments.model, interrupt.cancel());
  if (!opened) return kFailure;
  if (is_input(arguments.out, {opened->path, arguments.tokens_file})) return kFailure;
  auto session = libinfer::Session::create(opened->model, &*options);
  if (!session) return fail(session.error());
  return write_rows(arguments, *session, *ids, interrupt.cancel());
}

}  // namespace

Action setup_logits(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer("Token ids are separated by commas or white space; BOS is not added.");
  a.model.add_to(app);
  auto* input = app.add_option_group("tokens");
  input->add_option("--tokens", a.tokens, "token ids")->type_name("IDS");
  input->add_option("--tokens-file", a.tokens_file, "a file of token ids; - is stdin")->type_name("FILE");
  input->require_option(1);
  app.add_option("--out", a.out, "the file to write; - is stdout")->type_name("FILE")->required();
  app.add_flag("--last", a.last, "the row after the last token only");
  a.session.add(app, "--ctx", "n_ctx");
  a.session.add(app, "--n-batch,--batch", "n_batch", kDefaultBatch);
  a.session.add(app, "-t,--threads", "n_threads");
  a.session.add(app, "--kv", "kv_type");
  a.session.add_flag(app, "--rope-ntk", "rope_ntk", true);
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
