// SPDX-License-Identifier: MIT
// infer imatrix: runs a text through a model and writes how large the activations are that meet each column of its matrices:
// what a quantiser needs to know which errors cost. Tested by tests/tools/imatrix_test.cpp.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/output_file.h"
#include "tools/progress_bar.h"
#include "tools/windows.h"

namespace tool {
namespace {

constexpr const char* kFooter =
    R"(The text is cut into windows as by infer perplexity; each runs with an empty context. Use text of the kind that the model
will meet, some hundred windows of it, and not the text that the result is measured with. The output has sums and counts, so
files of several runs add up: --in-file.)";

struct Arguments {
  ModelArguments model;
  OptionSet session{INFER_OPTIONS_SESSION};
  TextArguments text;
  std::int64_t window = 0;
  std::vector<std::string> in_files;
  std::string out = "imatrix.gguf";
};

/// What the file says of where it comes from: the name of the text, without its folders.
std::string dataset_of(const std::string& path) {
  return path == "-" ? "stdin" : std::filesystem::path(path).filename().string();
}

libinfer::Expected<void> run_window(libinfer::Session& session, libinfer::Tokens tokens, std::size_t n_rows,
                                    const libinfer::Cancel* cancel) {
  if (auto cleared = session.clear(); !cleared) return cleared;
  for (std::size_t at = 0; at < tokens.size(); at += n_rows) {
    const std::size_t n = std::min(n_rows, tokens.size() - at);
    // All logits: the head meets what its rows are wanted for.
    if (auto fed = session.feed({tokens.data() + at, n}, INFER_LOGITS_ALL, 0, cancel); !fed) return fed;
  }
  return {};
}

int run(const Arguments& arguments) {
  auto options = arguments.session.build();
  if (!options) return usage(options.error().message());
  if (arguments.out.empty()) return usage("--out: the name is empty");
  std::error_code error;   // told before the work, not after it
  const auto before = std::filesystem::status(arguments.out, error);
  if (std::filesystem::exists(before) && !std::filesystem::is_regular_file(before)) {
    return fail(fmt::format("{} is {}", printable(arguments.out),
                            std::filesystem::is_directory(before) ? "a folder" : "not a regular file"));
  }
  const auto folder = std::filesystem::absolute(arguments.out, error).parent_path();
  if (error || !std::filesystem::is_directory(folder, error)) {
    return fail(fmt::format("{}: the folder {} does not exist", printable(arguments.out), printable(folder.string())));
  }
  if (access(folder.c_str(), W_OK) != 0) {
    return fail(fmt::format("{}: no file can be made in the folder {}", printable(arguments.out), printable(folder.string())));
  }
  const Interrupt interrupt;
  const auto opened = open_model(arguments.model, interrupt.cancel());
  if (!opened) return kFailure;
  if (is_input(arguments.out, {opened->path, arguments.text.path()})) return kFailure;
  auto imatrix = libinfer::Imatrix::create(opened->model);
  if (!imatrix) return fail(imatrix.error());
  for (const auto& path : arguments.in_files) {
    const auto source = libinfer::Source::path(path);
    if (!source) return fail(source.error());
    if (auto added = imatrix->add(*source); !added) return fail(added.error());
  }
  const std::size_t window =
      arguments.window != 0 ? static_cast<std::size_t>(arguments.window) : default_window(opened->model);
  const auto windows = cut_text(opened->model, arguments.text, window);
  if (!windows) return kFailure;
  auto session = make_window_session(opened->model, *options, window);
  if (!session) return fail(session.error());
  const auto n_rows = session->get_i64("n_logits");
  if (!n_rows) return fail(n_rows.error());
  if (auto attached = imatrix->attach(*session); !attached) return fail(attached.error());

  const double start = now();
  {
    ProgressBar bar("imatrix");
    for (std::size_t i = 0; i < windows->count(); ++i) {
      const auto done = run_window(*session, (*windows)[i], static_cast<std::size_t>(*n_rows), interrupt.cancel());
      if (!done) return fail(done.error());
      bar.update(i + 1, windows->count(), fmt::format("window {} of {}", i + 1, windows->count()));
    }
  }
  const double seconds = now() - start;
  auto saved = imatrix->save(arguments.out, dataset_of(arguments.text.path()), static_cast<std::int64_t>(window));
  if (!saved) return fail(saved.error());
  const auto text = fmt::format("{}: {} tokens in {} windows of {}, {:.1f} tokens/s\n", printable(arguments.out),
                                windows->tokens.size(), windows->count(), window,
                                static_cast<double>(windows->tokens.size()) / seconds);
  return write_all(stdout, text) ? kSuccess : stdout_failed();
}

}  // namespace

Action setup_imatrix(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer(kFooter);
  a.model.add_to(app);
  a.text.add_to(app);
  app.add_option("-o,--out", a.out, "the file to write [imatrix.gguf]")->type_name("FILE");
  app.add_option("--ctx", a.window, "tokens of a window [the model's context, at most 512]")
      ->check(CLI::Range(kLeastWindow, kMostWindow));
  app.add_option("--in-file", a.in_files, "add what an earlier run wrote; may be given several times")->type_name("FILE");
  a.session.add(app, "--n-batch,--batch", "n_batch");
  a.session.add(app, "-t,--threads", "n_threads");
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
