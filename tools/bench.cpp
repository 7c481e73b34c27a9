// SPDX-License-Identifier: MIT
// infer bench: tokens per second of feeding a prompt and of decoding one token at a time. The tokens are arbitrary but
// the same in every run: speed does not depend on them. Tested by tests/tools/infer_program_test.cpp.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

namespace tool {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  OptionSet session{INFER_OPTIONS_SESSION};
  std::vector<std::int64_t> threads;
  std::int64_t n_prompt = 512;
  std::int64_t n_gen = 64;
  std::int64_t depth = 0;
  int repetitions = 5;
  bool json = false;
};

struct Test {
  std::int64_t n_prompt = 0;
  std::int64_t n_gen = 0;
  std::int64_t n_threads = 0;
  std::vector<double> samples;  // tokens per second
};

double average(const std::vector<double>& samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double deviation(const std::vector<double>& samples) {
  if (samples.size() < 2) return 0;
  const double mean = average(samples);
  double sum = 0;
  for (const double sample : samples) sum += (sample - mean) * (sample - mean);
  return std::sqrt(sum / static_cast<double>(samples.size() - 1));
}

std::vector<std::int32_t> some_tokens(std::int64_t n, std::int64_t n_vocab) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(n));
  std::uint64_t state = 1;
  for (auto& token : tokens) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX generator
    token = static_cast<std::int32_t>((state >> 33) % static_cast<std::uint64_t>(n_vocab));
  }
  return tokens;
}

class Bench {
 public:
  Bench(const Arguments& arguments, libinfer::Session& session, std::int64_t n_vocab, const libinfer::Cancel* cancel)
      : arguments_(arguments),
        session_(session),
        cancel_(cancel),
        tokens_(some_tokens(arguments.depth + std::max(arguments.n_prompt, arguments.n_gen), n_vocab)) {}

  /// Repetitions of one test, after one that does not count: it brings the weights into memory.
  libinfer::Expected<void> measure(Test& test) {
    for (int i = -1; i < arguments_.repetitions; ++i) {
      if (auto cleared = session_.clear(); !cleared) return cleared;
      const auto depth = static_cast<std::size_t>(arguments_.depth);
      if (depth > 0) {
        if (auto fed = session_.feed({tokens_.data(), depth}, INFER_LOGITS_NONE, 0, cancel_); !fed) return fed;
      }
      const double start = now();
      if (auto done = test.n_prompt > 0 ? feed(test.n_prompt) : decode(i < 0 ? 1 : test.n_gen); !done) return done;
      const auto n = static_cast<double>(test.n_prompt > 0 ? test.n_prompt : test.n_gen);
      if (i >= 0) test.samples.push_back(n / (now() - start));
    }
    return {};
  }

 private:
  libinfer::Expected<void> feed(std::int64_t n) {
    return session_.feed({tokens_.data() + arguments_.depth, static_cast<std::size_t>(n)}, INFER_LOGITS_LAST, 0,
                         cancel_);
  }

  libinfer::Expected<void> decode(std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(arguments_.depth + i);
      if (auto stepped = session_.step(tokens_[at], 0, cancel_); !stepped) return stepped;
    }
    return {};
  }

  const Arguments& arguments_;
  libinfer::Session& session_;
  const libinfer::Cancel* cancel_;
  std::vector<std::int32_t> tokens_;
};

std::string as_json(const Arguments& arguments, const OpenedModel& opened, const std::vector<Test>& tests) {
  Json out = Json::array();
  for (const auto& test : tests) {
    out.push_back({{"model", opened.path},
                   {"architecture", opened.model.get_str("architecture").value_or("")},
                   {"kernels", opened.model.get_str("kernels").value_or("")},
                   {"tensor_bytes", opened.model.get_i64("tensor_bytes").value_or(0)},
                   {"n_params", opened.model.get_i64("n_params").value_or(0)},
                   {"version", infer_version_string()},
                   {"n_prompt", test.n_prompt},
                   {"n_gen", test.n_gen},
                   {"depth", arguments.depth},
                   {"n_threads", test.n_threads},
                   {"avg_ts", average(test.samples)},
                   {"stddev_ts", deviation(test.samples)},
                   {"samples_ts", test.samples}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_table(const Arguments& arguments, const OpenedModel& opened, const std::vector<Test>& tests) {
  std::string out = fmt::format("{}: {}, {} parameters, kernels {}\n",
                                printable(std::filesystem::path(opened.path).filename().string()),
                                bytes_text(static_cast<std::uint64_t>(opened.model.get_i64("tensor_bytes").value_or(0))),
                                count_text(static_cast<double>(opened.model.get_i64("n_params").value_or(0))),
                                opened.model.get_str("kernels").value_or("unknown"));
  out += fmt::format("{:<20} {:>7} {:>12} {:>10} {:>12}\n", "test", "threads", "tokens/s", "+-", "best");
  for (const auto& test : tests) {
    std::string name =
        test.n_prompt > 0 ? fmt::format("prompt {}", test.n_prompt) : fmt::format("decode {}", test.n_gen);
    if (arguments.depth > 0) name += fmt::format(" at {}", arguments.depth);
    out += fmt::format("{:<20} {:>7} {:>12.2f} {:>10.2f} {:>12.2f}\n", name, test.n_threads, average(test.samples),
                       deviation(test.samples), *std::max_element(test.samples.begin(), test.samples.end()));
  }
  return out;
}

libinfer::Expected<libinfer::Session> make_session(const Arguments& arguments, const libinfer::Model& model,
                                                   std::int64_t n_threads) {
  auto options = arguments.session.build();
  if (!options) return options.error();
  const std::int64_t needed = arguments.depth + std::max(arguments.n_prompt, arguments.n_gen);
  if (auto set = options->set("n_ctx", std::max<std::int64_t>(needed, 64)); !set) return set.error();
  if (auto set = options->set("n_threads", n_threads); !set) return set.error();
  return libinfer::Session::create(model, &*options);
}

int run(const Arguments& arguments) {
  if (arguments.n_prompt + arguments.n_gen == 0) return usage("-p 0 and -n 0: nothing is left to measure");
  const Interrupt interrupt;
  const auto opened = open_model(arguments.model, interrupt.cancel());
  if (!opened) return kFailure;
  const auto n_vocab = opened->model.get_i64("n_vocab");
  if (!n_vocab || *n_vocab <= 0) return fail("the model has no vocabulary to take tokens from");

  std::vector<Test> tests;
  const std::vector<std::int64_t> all_threads =
      arguments.threads.empty() ? std::vector<std::int64_t>{0} : arguments.threads;
  for (const auto n_threads : all_threads) {
    auto session = make_session(arguments, opened->model, n_threads);
    if (!session) return fail(session.error());
    Bench bench(arguments, *session, *n_vocab, interrupt.cancel());
    const std::int64_t used = session->get_i64("n_threads").value_or(n_threads);
    for (Test test : {Test{arguments.n_prompt, 0, used, {}}, Test{0, arguments.n_gen, used, {}}}) {
      if (test.n_prompt + test.n_gen == 0) continue;
      if (auto measured = bench.measure(test); !measured) return fail(measured.error());
      tests.push_back(std::move(test));
    }
  }
  const auto text = arguments.json ? as_json(arguments, *opened, tests) : as_table(arguments, *opened, tests);
  return write_all(stdout, text) ? kSuccess : stdout_failed();
}

}  // namespace

Action setup_bench(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  constexpr std::int64_t kMost = 1 << 24;
  app.footer("A test runs once without being counted, then -r times. The context is made as long as the tests need.");
  a.model.add_to(app);
  app.add_option("-p,--prompt", a.n_prompt, "tokens of the prompt test; 0 leaves it out")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, kMost));
  app.add_option("-n,--gen", a.n_gen, "tokens of the decode test; 0 leaves it out")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, kMost));
  app.add_option("-d,--depth", a.depth, "tokens that the context holds before")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, kMost));
  app.add_option("-r,--repetitions", a.repetitions, "how often")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("-t,--threads", a.threads, "threads; several numbers with commas measure each [all cores]")
      ->delimiter(',')
      ->allow_extra_args(false);
  a.session.add(app, "--batch", "n_batch");
  a.session.add(app, "--kv", "kv_type");
  a.session.add_flag(app, "--rope-ntk", "rope_ntk", true);
  app.add_flag("--json", a.json, "a list with one object per test");
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
