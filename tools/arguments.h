// SPDX-License-Identifier: MIT
// From arguments to objects of the library: options by key, the model to use, Ctrl-C. What an option is, its default
// and its limits come from the library (infer_option_describe); the program only gives it a spelling.
#pragma once

#include <signal.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libinfer.hpp"

namespace CLI {
class App;
}

namespace tool {

/// Options of one kind, as the command line has them. Stays where it is: the parser points at it.
class OptionSet {
 public:
  explicit OptionSet(std::int32_t kind);
  OptionSet(const OptionSet&) = delete;
  OptionSet& operator=(const OptionSet&) = delete;

  /// An option with a value: names "-t,--threads" for the library's `key`. `preset` is the program's own default.
  void add(CLI::App& app, const std::string& names, const std::string& key, const std::string& preset = {});
  /// A flag that sets `key` to `value`. `doc` takes the place of the library's words.
  void add_flag(CLI::App& app, const std::string& names, const std::string& key, bool value,
                const std::string& doc = {});
  /// What was given; a failure is the user's.
  libinfer::Expected<libinfer::Options> build() const;

 private:
  const infer_option_info* find(const std::string& key) const;
  std::int32_t type_of(const std::string& key) const;

  std::int32_t kind_;
  std::vector<infer_option_info> known_;
  std::vector<std::pair<std::string, std::string>> given_;  // key, text that has been seen to be of its type
};

/// What the commands that generate text take.
void add_generate_options(CLI::App& app, OptionSet& options, const std::string& max_tokens);
void add_session_options(CLI::App& app, OptionSet& options);

/// Ctrl-C as a cancel object, while it lives: the first press triggers it, a second one ends the program at once.
class Interrupt {
 public:
  enum class Signals { all, ctrl_c };  // SIGTERM and SIGHUP too, or not

  explicit Interrupt(Signals signals = Signals::all);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// SIGTERM or SIGHUP came: what was done so far is not what was asked for.
  static bool asked_to_end() noexcept;
  /// NULL when there is no memory for one.
  const libinfer::Cancel* cancel() const noexcept { return cancel_ ? &*cancel_ : nullptr; }

 private:
  std::optional<libinfer::Cancel> cancel_;
  std::size_t n_signals_;
  std::array<struct sigaction, 3> before_{};  // what the signals did
};

struct ModelArguments {
  std::string path;  // empty: $INFER_MODEL, or the bundled model
  bool verbose = false;
  OptionSet options{INFER_OPTIONS_MODEL};

  void add_to(CLI::App& app);
};

struct OpenedModel {
  libinfer::Model model;
  std::string path;
  bool is_bundled = false;
  double seconds = 0;
};

/// Loads, with a progress bar when it takes long and somebody looks. Reports its own failures, then has no value.
std::optional<OpenedModel> open_model(const ModelArguments& arguments, const libinfer::Cancel* cancel = nullptr);
/// The same for the vocabulary and the facts alone, without weights.
std::optional<OpenedModel> open_vocabulary(const ModelArguments& arguments);
/// What of the weights is needed: nothing; to look at them, in the file; to compute with them.
enum class Weights { none, in_file, ready };
/// A model at a path; its failures are the caller's to report.
libinfer::Expected<OpenedModel> open_path(const ModelArguments& arguments, const std::string& path, Weights weights,
                                          const libinfer::Cancel* cancel = nullptr);

/// A chat template, and what it is told beside the messages.
struct TemplateArguments {
  std::string name;                    // of a built-in one, model:NAME, or @FILE; empty: the model's default one
  std::string tools;                   // path of a JSON list
  std::vector<std::string> variables;  // NAME=JSON

  void add_to(CLI::App& app);
  /// Both report their own failures.
  std::optional<libinfer::Template> open(const libinfer::Model& model) const;
  bool apply(libinfer::Messages& messages) const;  // the local time, too
};

}  // namespace tool
