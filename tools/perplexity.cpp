// SPDX-License-Identifier: MIT
// infer perplexity: how well a model foretells a text, and how far what it says is from what another said: the cost of a
// quantisation. docs/quantization.md has the definitions. Sums are in double, so the figures are the same for any number of
// threads. Tested by tests/tools/perplexity_test.cpp.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/arguments.h"
#include "tools/base_run.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/progress_bar.h"
#include "tools/windows.h"

namespace tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFooter =
    R"(The text is tokenised as a whole and cut into windows of --ctx tokens; a rest at the end is dropped. Each window begins
with an empty context; where the vocabulary adds BOS, its first token is BOS. Tokens of the second half are scored:
perplexity = exp(mean of -ln p(token)). A base run compares distributions at the same positions: KL = sum of
p_base (ln p_base - ln p) over the vocabulary. Errors (+-) are standard errors of the mean.)";

struct Arguments {
  ModelArguments model;
  OptionSet session{INFER_OPTIONS_SESSION};
  TextArguments text;
  std::int64_t window = 0;
  std::string base;
  std::string save_base;
  bool json = false;
};

/// Values, and their mean with its standard error.
class Sample {
 public:
  void add(double value) { values_.push_back(value); }
  std::size_t size() const { return values_.size(); }
  double mean() const {
    double sum = 0;
    for (const double v : values_) sum += v;
    return sum / static_cast<double>(values_.size());
  }
  double error() const {
    const double m = mean(), n = static_cast<double>(values_.size());
    double sum = 0;
    for (const double v : values_) sum += (v - m) * (v - m);
    return std::sqrt(sum / (n - 1) / n);
  }
  /// Linear between the neighbours in rank.
  double quantile(double q) const {
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const double at = q * static_cast<double>(sorted.size() - 1);
    const auto low = static_cast<std::size_t>(at);
    const std::size_t high = std::min(low + 1, sorted.size() - 1);
    return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
  }

 private:
  std::vector<double> values_;
};

/// What is measured at each scored position.
struct Measured {
  Sample loss;        // -ln p(token), in nats
  Sample base_loss;
  Sample difference;  // of both
  Sample kl;
  Sample same_top;    // 0 or 1
  double seconds = 0;
};

/// ln of the sum of exp(x - x[top]), plus x[top].
double log_total(libinfer::View<float> logits, std::size_t top) {
  const double most = static_cast<double>(logits[top]);
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - most);
  return most + std::log(sum);
}

/// Compares rows of logits with rows of codes.
class Comparison {
 public:
  Comparison() : weight_(std::size_t{1} << 16) {
    for (std::size_t code = 0; code < weight_.size(); ++code) {
      weight_[code] = std::exp(-static_cast<double>(code) / kCodeSteps);
    }
  }

  void add(const std::vector<std::uint16_t>& codes, libinfer::View<float> logits, std::size_t token, double loss,
           Measured& to) const {
    const std::size_t top = likeliest(logits);
    const double most = static_cast<double>(logits[top]), total = log_total(logits, top) - most;
    double sum = 0, weighted = 0;  // of the base's weights, and of them times what ln p loses from base to here
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const double weight = weight_[codes[i]];
      sum += weight;
      weighted += weight * (-static_cast<double>(codes[i]) / kCodeSteps - (static_cast<double>(logits[i]) - most));
    }
    const double base_loss = static_cast<double>(codes[token]) / kCodeSteps + std::log(sum);
    to.base_loss.add(base_loss);
    to.difference.add(loss - base_loss);
    to.kl.add(weighted / sum + total - std::log(sum));
    to.same_top.add(codes[top] == 0 ? 1 : 0);
  }

 private:
  std::vector<double> weight_;  // by code
};

/// Runs all windows. Reports its own failures.
class Run {
 public:
  Run(const Windows& windows, libinfer::Session& session, const libinfer::Cancel* cancel)
      : windows_(windows), session_(session), cancel_(cancel) {}

  /// Where rows come from or go to; both may be missing.
  BaseReader* base = nullptr;
  BaseWriter* save = nullptr;
  std::string save_path;

  std::optional<Measured> all() {
    Measured out;
    ProgressBar bar("perplexity");
    const double start = now();
    for (std::size_t i = 0; i < windows_.count(); ++i) {
      if (!window(windows_[i], out)) return std::nullopt;
      if (!bar.is_due()) continue;
      bar.update(i + 1, windows_.count(),
                 fmt::format("window {} of {}: {:.4f}", i + 1, windows_.count(), std::exp(out.loss.mean())));
    }
    out.seconds = now() - start;
    return out;
  }

 private:
  bool window(libinfer::Tokens tokens, Measured& out) {
    const std::size_t first = first_scored(tokens.size()), end = tokens.size() - 1;  // the last token is only foretold
    const auto failed = [](const libinfer::Error& error) { return fail(error), false; };
    if (auto cleared = session_.clear(); !cleared) return failed(cleared.error());
    auto fed = session_.feed({tokens.data(), first}, INFER_LOGITS_NONE, 0, cancel_);
    if (!fed) return failed(fed.error());
    const auto n_rows = session_.get_i64("n_logits");
    if (!n_rows) return failed(n_rows.error());
    for (std::size_t at = first; at < end;) {
      const std::size_t n = std::min(end - at, static_cast<std::size_t>(*n_rows));
      fed = session_.feed({tokens.data() + at, n}, INFER_LOGITS_ALL, 0, cancel_);
      if (!fed) return failed(fed.error());
      for (std::size_t row = 0; row < n; ++row, ++at) {
        const auto logits = session_.logits(row);
        if (!logits) return failed(logits.error());
        if (!score(*logits, static_cast<std::size_t>(tokens[at + 1]), out)) return false;
      }
    }
    return true;
  }

  bool score(libinfer::View<float> logits, std::size_t token, Measured& out) {
    const double loss = log_total(logits, likeliest(logits)) - static_cast<double>(logits[token]);
    out.loss.add(loss);
    if (save != nullptr && !save->add(logits)) return fail_errno(save_path, errno), false;
    if (base == nullptr) return true;
    std::string error;
    if (!base->next(codes_, error)) return fail(error), false;
    comparison_.add(codes_, logits, token, loss, out);
    return true;
  }

  const Windows& windows_;
  libinfer::Session& session_;
  const libinfer::Cancel* cancel_;
  Comparison comparison_;
  std::vector<std::uint16_t> codes_;
};

std::string as_json(const Arguments& arguments, const OpenedModel& opened, const Windows& windows, const Measured& m) {
  const double perplexity = std::exp(m.loss.mean());
  Json out = {{"model", opened.path},
              {"text", arguments.text.path()},
              {"kernels", opened.model.get_str("kernels").value_or("")},
              {"window", windows.size},
              {"windows", windows.count()},
              {"bos", windows.begins_with_bos},
              {"scored_tokens", m.loss.size()},
              {"perplexity", perplexity},
              {"perplexity_error", perplexity * m.loss.error()},
              {"cross_entropy", m.loss.mean()},
              {"cross_entropy_error", m.loss.error()},
              {"seconds", m.seconds},
              {"tokens_per_second", static_cast<double>(windows.tokens.size()) / m.seconds}};
  if (m.kl.size() > 0) {
    const double ratio = std::exp(m.difference.mean());
    out["base"] = {{"path", arguments.base},
                   {"perplexity", std::exp(m.base_loss.mean())},
                   {"perplexity_ratio", ratio},
                   {"perplexity_ratio_error", ratio * m.difference.error()},
                   {"kl_divergence", m.kl.mean()},
                   {"kl_divergence_error", m.kl.error()},
                   {"kl_median", m.kl.quantile(0.5)},
                   {"kl_99_percent", m.kl.quantile(0.99)},
                   {"kl_max", m.kl.quantile(1)},
                   {"same_top_percent", 100 * m.same_top.mean()},
                   {"same_top_percent_error", 100 * m.same_top.error()}};
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_text(const Arguments& arguments, const Windows& windows, const Measured& m) {
  const auto line = [](const char* label, const std::string& text) { return fmt::format("{:<18}{}\n", label, text); };
  const double perplexity = std::exp(m.loss.mean());
  std::string out = line("perplexity", fmt::format("{:.4f} +- {:.4f}", perplexity, perplexity * m.loss.error()));
  out += line("scored", fmt::format("{} tokens in {} windows of {}{}", m.loss.size(), windows.count(), windows.size,
                                    windows.begins_with_bos ? ", each behind BOS" : ""));
  out += line("speed", fmt::format("{:.1f} tokens/s", static_cast<double>(windows.tokens.size()) / m.seconds));
  if (m.kl.size() == 0) return out;
  const double ratio = std::exp(m.difference.mean());
  out += line("base", fmt::format("{}, perplexity {:.4f}", printable(arguments.base), std::exp(m.base_loss.mean())));
  out += line("perplexity ratio", fmt::format("{:.6f} +- {:.6f}", ratio, ratio * m.difference.error()));
  out += line("KL divergence", fmt::format("{:.6f} +- {:.6f}; median {:.6f}, 99 % {:.6f}, max {:.6f}", m.kl.mean(),
                                           m.kl.error(), m.kl.quantile(0.5), m.kl.quantile(0.99), m.kl.quantile(1)));
  out += line("same top token", fmt::format("{:.3f} +- {:.3f} %", 100 * m.same_top.mean(), 100 * m.same_top.error()));
  return out;
}

int run(const Arguments& arguments) {
  const Interrupt interrupt;
  auto options = arguments.session.build();
  if (!options) return usage(options.error().message());
  const auto opened = open_model(arguments.model, interrupt.cancel());
  if (!opened) return kFailure;
  if (!arguments.save_base.empty() && is_input(arguments.save_base, {opened->path, arguments.text.path()})) return kFailure;
  const auto n_vocab = opened->model.get_i64("n_vocab");
  if (!n_vocab) return fail(n_vocab.error());

  BaseReader base;
  if (!arguments.base.empty()) {
    if (auto wrong = base.open(arguments.base, static_cast<std::size_t>(*n_vocab)); !wrong.empty()) return fail(wrong);
  }
  const std::size_t window = arguments.window != 0       ? static_cast<std::size_t>(arguments.window)
                             : !arguments.base.empty() ? base.window()
                                                       : default_window(opened->model);
  const auto windows = cut_text(opened->model, arguments.text, window);
  if (!windows) return kFailure;
  if (!arguments.base.empty()) {
    if (auto wrong = base.check_text(*windows); !wrong.empty()) return fail(wrong);
  }
  auto session = make_window_session(opened->model, *options, window);
  if (!session) return fail(session.error());

  Run all(*windows, *session, interrupt.cancel());
  std::optional<BaseWriter> save;
  if (!arguments.save_base.empty()) {
    if (windows->count() > kMostWindows) return fail("too many windows for one file; use --windows or a larger --ctx");
    save.emplace(arguments.save_base);
    if (!save->is_open() || !save->begin(static_cast<std::uint32_t>(*n_vocab), *windows)) {
      return fail_errno(arguments.save_base, errno);
    }
    all.save = &*save;
    all.save_path = arguments.save_base;
  }
  if (!arguments.base.empty()) all.base = &base;
  const auto measured = all.all();
  if (!measured) return kFailure;
  if (save && !save->finish()) return fail_errno(arguments.save_base, errno);
  const auto text = arguments.json ? as_json(arguments, *opened, *windows, *measured)
                                   : as_text(arguments, *windows, *measured);
  return write_all(stdout, text) ? kSuccess : stdout_failed();
}

}  // namespace

Action setup_perplexity(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer(kFooter);
  a.model.add_to(app);
  a.text.add_to(app);
  app.add_option("--ctx", a.window, "tokens of a window [the base run's, else the model's context, at most 512]")
      ->check(CLI::Range(kLeastWindow, kMostWindow));
  auto* base = app.add_option("--kl-base", a.base, "compare with the base run in this file")->type_name("FILE");
  app.add_option("--save-kl-base", a.save_base, "write this run to a file, for --kl-base of other models")
      ->type_name("FILE")
      ->excludes(base);
  a.session.add(app, "--n-batch,--batch", "n_batch");
  a.session.add(app, "-t,--threads", "n_threads");
  a.session.add(app, "--kv", "kv_type");
  a.session.add_flag(app, "--rope-ntk", "rope_ntk", true);
  app.add_flag("--json", a.json, "one JSON object");
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
