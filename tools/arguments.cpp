// SPDX-License-Identifier: MIT
// From arguments to objects of the library. Tested by tests/tools/infer_program_test.cpp.
#include "tools/arguments.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include "tools/common.h"
#include "tools/progress_bar.h"

namespace tool {
namespace {

// ---- Ctrl-C. A signal handler has no other way to its object than a static variable.

std::atomic<infer_cancel*> on_interrupt{nullptr};
std::atomic<int> last_signal{0};
constexpr std::array kEndings = {SIGINT, SIGTERM, SIGHUP};   // Ctrl-C first; what asks a program to end; files that are half written go

extern "C" void handle_interrupt(int number) {
  last_signal.store(number);
  if (infer_cancel* cancel = on_interrupt.load()) infer_cancel_trigger(cancel);
}

// ---- Loading

/// The library's records through spdlog to stderr.
libinfer::Expected<libinfer::Env> logging_env() {
  auto env = libinfer::Env::create();
  if (!env) return env;
  auto logger = std::make_shared<spdlog::logger>("infer", std::make_shared<spdlog::sinks::stderr_color_sink_st>());
  logger->set_level(spdlog::level::debug);
  logger->set_pattern("%T.%e %^%l%$ %v");
  auto log = [logger](std::int32_t level, const char* component, const char* message) {
    constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                     spdlog::level::err};
    logger->log(kLevels[std::clamp<std::int32_t>(level, 0, 3)], "{}: {}", component, printable(message));
  };
  auto set = env->set_log(INFER_LOG_INFO, std::move(log));
  if (!set) return set.error();
  return env;
}

// ---- The default model

/// Where the bundled model may be: beside an installed program, and in the source tree of one that was just built.
std::vector<std::string> bundled_places() {
  std::vector<std::string> places;
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return places;
  for (const char* place : {INFER_BUNDLED_MODEL_INSTALL, INFER_BUNDLED_MODEL_BUILD}) {
    places.push_back((program.parent_path() / place).lexically_normal().string());
  }
  return places;
}

struct Place {
  std::string path;
  bool is_bundled = false;
};

/// Of -m, $INFER_MODEL and the bundled model the first there is; reports when there is none.
std::optional<Place> find_model(const ModelArguments& arguments) {
  if (!arguments.path.empty()) return Place{arguments.path};
  if (const char* path = std::getenv("INFER_MODEL"); path != nullptr && *path != '\0') return Place{path};
  const auto places = bundled_places();
  for (const auto& path : places) {
    std::error_code error;
    if (std::filesystem::exists(path, error)) return Place{path, true};
  }
  fail(fmt::format("no model given, and the bundled one is not there (looked for: {})",
                   places.empty() ? "nothing, this build has none" : fmt::format("{}", fmt::join(places, ", "))),
       "give one with -m FILE, or set INFER_MODEL to its path");
  return std::nullopt;
}

std::optional<OpenedModel> open_found(const ModelArguments& arguments, Weights weights, const libinfer::Cancel* cancel) {
  const auto place = find_model(arguments);
  if (!place) return std::nullopt;
  auto opened = open_path(arguments, place->path, weights, cancel);
  if (!opened) return fail(opened.error()), std::nullopt;
  opened->is_bundled = place->is_bundled;
  return *std::move(opened);
}

template <class T>
std::optional<T> number(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? std::optional<T>(value) : std::nullopt;
}

/// Of the seed also the upper half of 64 bits, as a bit pattern.
std::optional<std::int64_t> integer(const std::string& key, const std::string& text) {
  const auto value = number<std::int64_t>(text);
  if (value || key != "seed") return value;
  const auto bits = number<std::uint64_t>(text);
  return bits ? std::optional<std::int64_t>(static_cast<std::int64_t>(*bits)) : std::nullopt;
}

const char* type_name(std::int32_t type) {
  switch (type) {
    case INFER_TYPE_I64:
      return "INT";
    case INFER_TYPE_F64:
      return "NUMBER";
    default:
      return "TEXT";
  }
}

}  // namespace

OptionSet::OptionSet(std::int32_t kind) : kind_(kind), known_(libinfer::Options::describe(kind)) {}

const infer_option_info* OptionSet::find(const std::string& key) const {
  const auto info = std::find_if(known_.begin(), known_.end(), [&](const auto& known) { return key == known.key; });
  return info == known_.end() ? nullptr : &*info;
}

std::int32_t OptionSet::type_of(const std::string& key) const {
  const auto* info = find(key);
  return info == nullptr ? INFER_TYPE_STR : info->type;
}

void OptionSet::add(CLI::App& app, const std::string& names, const std::string& key, const std::string& preset) {
  const auto* info = find(key);
  const std::int32_t type = type_of(key);
  std::string doc = info == nullptr ? "" : info->doc;
  const std::string shown = preset.empty() && info != nullptr ? info->default_text : preset;
  if (type == INFER_TYPE_STR_LIST) doc += " (\\n, \\t, \\xNN and the like are understood)";
  if (!shown.empty()) doc += fmt::format(" [{}]", shown);
  if (!preset.empty()) given_.emplace_back(key, preset);

  const auto take = [this, key, type](const CLI::results_t& texts) {
    for (const auto& text : texts) {
      const auto meant = type == INFER_TYPE_STR_LIST ? unescape(text) : text;
      const bool is_valid = type == INFER_TYPE_I64   ? integer(key, text).has_value()
                            : type == INFER_TYPE_F64 ? number<double>(text).has_value()
                                                     : meant.has_value();
      if (!is_valid) return false;
      given_.emplace_back(key, *meant);
    }
    return true;
  };
  app.add_option(names, take, doc)
      ->type_name(type_name(type))
      ->multi_option_policy(type == INFER_TYPE_STR_LIST ? CLI::MultiOptionPolicy::TakeAll
                                                        : CLI::MultiOptionPolicy::TakeLast);
}

void OptionSet::add_flag(CLI::App& app, const std::string& names, const std::string& key, bool value,
                         const std::string& doc) {
  const auto* info = find(key);
  const std::string shown = doc.empty() && info != nullptr ? info->doc : doc;
  app.add_flag_callback(
      names, [this, key, value] { given_.emplace_back(key, value ? "1" : "0"); }, shown);
}

libinfer::Expected<libinfer::Options> OptionSet::build() const {
  auto options = libinfer::Options::create(kind_);
  if (!options) return options;
  for (const auto& [key, text] : given_) {
    const std::int32_t type = type_of(key);
    auto set = type == INFER_TYPE_STR || type == INFER_TYPE_STR_LIST ? options->set(key.c_str(), text)
               : type == INFER_TYPE_F64                              ? options->set(key.c_str(), *number<double>(text))
                                                                     : options->set(key.c_str(), *integer(key, text));
    if (!set) return set.error();
  }
  return options;
}

void add_generate_options(CLI::App& app, OptionSet& options, const std::string& max_tokens) {
  options.add(app, "-n,--max-tokens", "max_tokens", max_tokens);
  options.add(app, "--temp,--temperature", "temperature");
  options.add(app, "--top-k", "top_k");
  options.add(app, "--top-p", "top_p");
  options.add(app, "--min-p", "min_p");
  options.add(app, "--repeat-penalty", "repetition_penalty");
  options.add(app, "--presence-penalty", "presence_penalty");
  options.add(app, "--frequency-penalty", "frequency_penalty");
  options.add(app, "--penalty-window", "penalty_window");
  options.add(app, "--samplers", "samplers");
  options.add(app, "--seed", "seed");
  options.add(app, "--stop", "stop");
}

void add_session_options(CLI::App& app, OptionSet& options) {
  options.add(app, "--ctx", "n_ctx");
  options.add(app, "--n-batch,--batch", "n_batch");
  options.add(app, "-t,--threads", "n_threads");
  options.add(app, "--kv", "kv_type");
  options.add_flag(app, "--rope-ntk", "rope_ntk", true);
}

Interrupt::Interrupt(Signals signals) : n_signals_(signals == Signals::ctrl_c ? 1 : kEndings.size()) {
  auto cancel = libinfer::Cancel::create();
  if (!cancel) return;
  cancel_ = *std::move(cancel);
  on_interrupt.store(cancel_->get());
  struct sigaction action = {};
  action.sa_handler = handle_interrupt;
  // The second press does what it does everywhere; a write to stdout that was under way goes on.
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  for (std::size_t i = 0; i < n_signals_; ++i) sigaction(kEndings[i], &action, &before_[i]);
}

bool Interrupt::asked_to_end() noexcept {
  const int number = last_signal.load();
  return number != 0 && number != SIGINT;
}

Interrupt::~Interrupt() {
  if (!cancel_) return;
  for (std::size_t i = 0; i < n_signals_; ++i) sigaction(kEndings[i], &before_[i], nullptr);
  on_interrupt.store(nullptr);
}

void ModelArguments::add_to(CLI::App& app) {
  app.add_option("-m,--model", path, "GGUF file [$INFER_MODEL, else the bundled model]")->type_name("FILE");
  options.add(app, "--arch", "architecture");
  options.add_flag(app, "--allow-default-pretokenizer", "allow_default_pretokenizer", true);
  options.add_flag(app, "--no-mmap", "use_mmap", false, "read the file into memory instead of mapping it");
  options.add_flag(app, "--no-pack", "pack", false,
                   "compute with the weights as they lie in the file: slower, and processes share its pages");
  app.add_flag("-v,--verbose", verbose, "the library's log on stderr");
}

libinfer::Expected<OpenedModel> open_path(const ModelArguments& arguments, const std::string& path, Weights weights,
                                          const libinfer::Cancel* cancel) {
  auto options = arguments.options.build();
  if (!options) return options.error();
  if (weights == Weights::none) {
    if (auto set = options->set("vocab_only", true); !set) return set.error();
  }
  if (weights == Weights::in_file) {
    if (auto set = options->set("pack", false); !set) return set.error();
  }
  std::optional<libinfer::Env> env;
  if (arguments.verbose) {
    auto created = logging_env();
    if (!created) return created.error();
    env = *std::move(created);
  }
  ProgressBar bar("loading");
  libinfer::Load how;
  how.options = &*options;
  how.env = env ? &*env : nullptr;
  how.cancel = cancel;
  how.progress = [&bar](std::uint64_t done, std::uint64_t total) {
    if (bar.is_due()) bar.update(done, total, fmt::format("{} of {}", bytes_text(done), bytes_text(total)));
    return true;
  };
  const double start = now();
  auto model = libinfer::Model::load(path, how);
  if (!model) return model.error();
  return OpenedModel{*std::move(model), path, false, now() - start};
}

std::optional<OpenedModel> open_model(const ModelArguments& arguments, const libinfer::Cancel* cancel) {
  return open_found(arguments, Weights::ready, cancel);
}

std::optional<OpenedModel> open_vocabulary(const ModelArguments& arguments) {
  return open_found(arguments, Weights::none, nullptr);
}

void TemplateArguments::add_to(CLI::App& app) {
  app.add_option("--template", name, "a built-in chat template by name, model:NAME for another one of the model, @FILE [the model's]")
      ->type_name("NAME");
  app.add_option("--tools", tools, "a JSON list of tool definitions")->type_name("FILE");
  app.add_option("--set", variables, "a variable of the template, as in enable_thinking=false")->type_name("NAME=JSON");
}

constexpr std::string_view kOfModel = "model:";

std::optional<libinfer::Template> TemplateArguments::open(const libinfer::Model& model) const {
  auto opened = [&]() -> std::optional<libinfer::Expected<libinfer::Template>> {
    if (name.empty()) return libinfer::Template::of(model);
    if (name.starts_with(kOfModel)) return libinfer::Template::of(model, name.substr(kOfModel.size()).c_str());
    if (name.front() != '@') return libinfer::Template::builtin(name.c_str());
    const auto text = read_file(name.substr(1));
    if (!text) return fail_errno(name.substr(1), errno), std::nullopt;
    return libinfer::Template::compile(*text);
  }();
  if (!opened) return std::nullopt;
  if (!*opened) {
    fail(opened->error(), opened->error().code() == INFER_E_NOTFOUND ? "choose one with --template NAME" : "");
    return std::nullopt;
  }
  // What the model did not say itself is told, always.
  if ((*opened)->is_chosen_by_rule()) tell(fmt::format("infer: template: {}\n", printable((*opened)->origin().value_or(""))));
  return **std::move(opened);
}

bool TemplateArguments::apply(libinfer::Messages& messages) const {
  const std::time_t clock = std::time(nullptr);
  std::tm local = {};
  if (localtime_r(&clock, &local) != nullptr) {
    static_cast<void>(messages.set_now(fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", local.tm_year + 1900, local.tm_mon + 1,
                                                   local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec)
                                           .c_str()));
  }
  if (!tools.empty()) {
    const auto text = read_file(tools);
    if (!text) return fail_errno(tools, errno), false;
    if (const auto set = messages.set_tools(*text); !set) return fail(set.error()), false;
  }
  for (const std::string& variable : variables) {
    const std::size_t equals = variable.find('=');
    if (equals == std::string::npos) return fail(fmt::format("--set {}: NAME=JSON is needed", variable)), false;
    const auto set = messages.set_variable(variable.substr(0, equals).c_str(), variable.substr(equals + 1));
    if (!set) return fail(set.error(), fmt::format("in --set {}", variable)), false;
  }
  return true;
}

}  // namespace tool
