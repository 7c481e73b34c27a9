// SPDX-License-Identifier: MIT
// infer bench: tokens per second of feeding a prompt and of decoding, one sequence or several in one step, beside what
// the machine can do at most. The tokens are arbitrary but the same in every run: speed does not depend on them. Tested
// by tests/tools/bench_test.cpp.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/arguments.h"
#include "tools/bench.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/output_file.h"

namespace tool {
namespace {

struct Arguments {
  ModelArguments model;
  OptionSet session{INFER_OPTIONS_SESSION};
  std::vector<std::int64_t> threads;
  std::vector<std::int64_t> batch{1};
  std::int64_t n_prompt = 512;
  std::int64_t n_gen = 64;
  std::int64_t depth = 0;
  int repetitions = 5;
  bool no_probe = false;
  bool json = false;
  std::string plot;  // empty: none

  std::int64_t most_sequences() const { return *std::max_element(batch.begin(), batch.end()); }
  std::int64_t longest() const { return depth + std::max(n_prompt, n_gen); }
};

std::vector<std::int32_t> some_tokens(std::int64_t n, std::int64_t n_vocab) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(n));
  std::uint64_t state = 1;
  for (auto& token : tokens) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX generator
    token = static_cast<std::int32_t>((state >> 33) % static_cast<std::uint64_t>(n_vocab));
  }
  return tokens;
}

/// Runs tests on a session. Its sequences hold the same tokens, each shifted by one against the last, so that in no
/// step two of them get the same (experts would be shared that otherwise are not).
class Bench {
 public:
  Bench(const Arguments& arguments, libinfer::Session& session, std::vector<std::int32_t> sequences,
        std::int64_t n_vocab, const libinfer::Cancel* cancel)
      : arguments_(arguments),
        session_(session),
        sequences_(std::move(sequences)),
        cancel_(cancel),
        tokens_(some_tokens(arguments.longest() + static_cast<std::int64_t>(sequences_.size()), n_vocab)) {}

  /// Repetitions of one test, after one that does not count: it brings the weights into memory.
  libinfer::Expected<void> measure(BenchTest& test) {
    for (int i = -1; i < arguments_.repetitions; ++i) {
      for (std::int64_t s = 0; s < test.n_seq; ++s) {
        if (auto ready = rewind(static_cast<std::size_t>(s)); !ready) return ready;
      }
      const double start = now();
      if (auto done = test.n_prompt > 0 ? feed(test.n_prompt) : decode(i < 0 ? 1 : test.n_gen, test.n_seq); !done)
        return done;
      if (i >= 0) test.samples.push_back(static_cast<double>(test.tokens()) / (now() - start));
    }
    return {};
  }

 private:
  /// The sequence holds `depth` tokens. Those that it has from before need not be fed again, where its window allows
  /// that.
  libinfer::Expected<void> rewind(std::size_t s) {
    const std::int32_t seq = sequences_[s];
    const auto length = session_.length(seq);
    if (length && *length >= arguments_.depth && session_.truncate(arguments_.depth, seq)) return {};
    if (auto cleared = session_.clear(seq); !cleared || arguments_.depth == 0) return cleared;
    return session_.feed({tokens_.data() + s, static_cast<std::size_t>(arguments_.depth)}, INFER_LOGITS_NONE, seq,
                         cancel_);
  }

  libinfer::Expected<void> feed(std::int64_t n) {
    return session_.feed({tokens_.data() + arguments_.depth, static_cast<std::size_t>(n)}, INFER_LOGITS_LAST,
                         sequences_[0], cancel_);
  }

  /// Sequence s gets the token at its place plus s: those of a step are neighbours in tokens_.
  libinfer::Expected<void> decode(std::int64_t n, std::int64_t n_seq) {
    const auto size = static_cast<std::size_t>(n_seq);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int32_t* const tokens = tokens_.data() + arguments_.depth + i;
      if (auto stepped = session_.step({sequences_.data(), size}, {tokens, size}, cancel_); !stepped) return stepped;
    }
    return {};
  }

  const Arguments& arguments_;
  libinfer::Session& session_;
  std::vector<std::int32_t> sequences_;
  const libinfer::Cancel* cancel_;
  std::vector<std::int32_t> tokens_;
};

libinfer::Expected<libinfer::Session> make_session(const Arguments& arguments, const libinfer::Model& model,
                                                   std::int64_t n_threads) {
  auto options = arguments.session.build();
  if (!options) return options.error();
  if (auto set = options->set("n_ctx", std::max<std::int64_t>(arguments.longest(), 64)); !set) return set.error();
  if (auto set = options->set("n_seq", arguments.most_sequences()); !set) return set.error();
  if (auto set = options->set("n_threads", n_threads); !set) return set.error();
  return libinfer::Session::create(model, &*options);
}

/// Bytes of the KV cache that a step of the test reads, on average.
libinfer::Expected<double> kv_bytes(const libinfer::Model& model, const libinfer::Session& session,
                                    const BenchTest& test) {
  const auto everywhere = session.get_i64("kv_position_bytes"), windowed = session.get_i64("kv_window_position_bytes");
  if (!everywhere) return everywhere.error();
  if (!windowed) return windowed.error();
  const std::int64_t window = model.get_i64("sliding_window").value_or(0);
  double sum = 0;
  for (std::int64_t i = 1; i <= test.n_gen; ++i) {
    const std::int64_t seen = test.depth + i;
    sum += static_cast<double>(*everywhere) * static_cast<double>(seen);
    sum += static_cast<double>(*windowed) * static_cast<double>(std::min(seen, window));
  }
  return sum / static_cast<double>(test.n_gen) * static_cast<double>(test.n_seq);
}

/// Fills in what the test asks of the machine.
libinfer::Expected<void> count_work(const libinfer::Model& model, const libinfer::Session& session, BenchTest& test) {
  const bool is_prompt = test.n_prompt > 0;
  const auto work = is_prompt ? model.work(test.n_prompt, 1) : model.work(test.n_seq, test.n_seq);
  if (!work) return work.error();
  test.work = *work;
  if (is_prompt) return {};
  const auto kv = kv_bytes(model, session, test);
  if (!kv) return kv.error();
  test.bytes = work->bytes + *kv;
  return {};
}

/// The limits swing with what else the machine does: they are the best of before and after the tests.
void raise(std::optional<infer_machine_limits>& limits, std::int64_t n_threads) {
  const auto seen = libinfer::machine_probe(static_cast<std::int32_t>(n_threads));
  if (!seen) {
    fail(seen.error(), "the limits of the machine stay unknown; --no-probe leaves them out");
    return;
  }
  if (!limits) limits = *seen;
  limits->read_bytes_per_second = std::max(limits->read_bytes_per_second, seen->read_bytes_per_second);
  limits->dot_mul_adds_per_second = std::max(limits->dot_mul_adds_per_second, seen->dot_mul_adds_per_second);
  limits->fma_mul_adds_per_second = std::max(limits->fma_mul_adds_per_second, seen->fma_mul_adds_per_second);
  limits->bf16_mul_adds_per_second = std::max(limits->bf16_mul_adds_per_second, seen->bf16_mul_adds_per_second);
}

/// All tests with one number of threads, added to `tests`.
libinfer::Expected<void> measure(const Arguments& arguments, const OpenedModel& opened, std::int64_t n_threads,
                                 const libinfer::Cancel* cancel, std::vector<BenchTest>& tests) {
  auto session = make_session(arguments, opened.model, n_threads);
  if (!session) return session.error();
  std::vector<std::int32_t> sequences{0};
  while (static_cast<std::int64_t>(sequences.size()) < arguments.most_sequences()) {
    const auto seq = session->open_sequence();
    if (!seq) return seq.error();
    sequences.push_back(*seq);
  }
  const auto n_vocab = opened.model.get_i64("n_vocab");
  if (!n_vocab) return n_vocab.error();
  const BenchTest blank{.depth = arguments.depth, .n_threads = session->get_i64("n_threads").value_or(n_threads)};
  std::vector<BenchTest> mine;
  if (arguments.n_prompt > 0) mine.emplace_back(blank).n_prompt = arguments.n_prompt;
  for (const std::int64_t n_seq : arguments.batch) {
    if (arguments.n_gen == 0) break;
    BenchTest& test = mine.emplace_back(blank);
    test.n_gen = arguments.n_gen;
    test.n_seq = n_seq;
  }

  std::optional<infer_machine_limits> limits;
  if (!arguments.no_probe) raise(limits, blank.n_threads);
  Bench bench(arguments, *session, std::move(sequences), *n_vocab, cancel);
  for (BenchTest& test : mine) {
    if (auto counted = count_work(opened.model, *session, test); !counted) return counted;
    if (auto measured = bench.measure(test); !measured) return measured;
  }
  if (limits) raise(limits, blank.n_threads);
  for (BenchTest& test : mine) {
    test.limits = limits;
    tests.push_back(std::move(test));
  }
  return {};
}

int run(const Arguments& arguments) {
  if (arguments.n_prompt + arguments.n_gen == 0) return usage("-p 0 and -n 0: nothing is left to measure");
  auto options = arguments.session.build();
  if (!options) return usage(options.error().message());
  for (const std::int64_t n : arguments.threads) {
    if (auto set = options->set("n_threads", n); !set) return usage(set.error().message());
  }
  const std::int64_t n_batch = options->get_i64("n_batch").value_or(0), n_seq = arguments.most_sequences();
  if (n_seq > n_batch) {
    return usage(
        fmt::format("--batch {}: a step has room for {} tokens; --n-batch {} makes more", n_seq, n_batch, n_seq));
  }
  std::optional<OutputFile> plot;
  if (!arguments.plot.empty()) {
    plot.emplace(arguments.plot);
    if (!plot->is_open()) return fail_errno(arguments.plot, errno);
  }
  const Interrupt interrupt;
  const auto opened = open_model(arguments.model, interrupt.cancel());
  if (!opened) return kFailure;
  if (plot && is_input(arguments.plot, {opened->path})) return kFailure;
  const libinfer::Model& model = opened->model;
  if (model.get_i64("n_vocab").value_or(0) <= 0) return fail("the model has no vocabulary to take tokens from");

  std::vector<BenchTest> tests;
  const std::vector<std::int64_t> all_threads =
      arguments.threads.empty() ? std::vector<std::int64_t>{0} : arguments.threads;
  for (const auto n_threads : all_threads) {
    if (auto measured = measure(arguments, *opened, n_threads, interrupt.cancel(), tests); !measured)
      return fail(measured.error());
  }
  const BenchSubject subject{.path = opened->path,
                             .architecture = model.get_str("architecture").value_or(""),
                             .kernels = model.get_str("kernels").value_or("unknown"),
                             .tensor_bytes = model.get_i64("tensor_bytes").value_or(0),
                             .n_params = model.get_i64("n_params").value_or(0)};
  if (plot && !(plot->write(bench_svg(subject, tests)) && plot->finish())) return fail_errno(arguments.plot, errno);
  return write_all(stdout, arguments.json ? bench_json(subject, tests) : bench_table(subject, tests)) ? kSuccess
                                                                                                      : stdout_failed();
}

}  // namespace

Action setup_bench(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  constexpr std::int64_t kMost = 1 << 24, kMostSequences = 4096;
  app.footer(
      "A test runs once without being counted, then -r times. The context is made as long as the tests need. Tokens "
      "per second are of all "
      "sequences together; GB/s: weights (as in the file) and KV cache that a step reads; GMAC/s: multiply-adds of the "
      "matrix products, "
      "attention apart; share: of what the machine was measured to do at most. GB/s, GMAC/s and shares are of the best "
      "run.");
  a.model.add_to(app);
  app.add_option("-p,--prompt", a.n_prompt, "tokens of the prompt test; 0 leaves it out")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, kMost));
  app.add_option("-n,--gen", a.n_gen, "steps of the decode test; 0 leaves it out")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, kMost));
  app.add_option("--batch", a.batch,
                 "sequences decoded together in one step; several numbers with commas measure each [1]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(std::int64_t{1}, kMostSequences));
  app.add_option("-d,--depth", a.depth, "tokens that the context of each sequence holds before")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, kMost));
  app.add_option("-r,--repetitions", a.repetitions, "how often")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("-t,--threads", a.threads, "threads; several numbers with commas measure each [all cores]")
      ->delimiter(',')
      ->allow_extra_args(false);
  a.session.add(app, "--n-batch", "n_batch");
  a.session.add(app, "--kv", "kv_type");
  a.session.add_flag(app, "--rope-ntk", "rope_ntk", true);
  app.add_flag("--no-probe", a.no_probe, "do not measure what the machine can do at most");
  app.add_flag("--json", a.json, "a list with one object per test");
  app.add_option("--plot", a.plot, "also draw the results to a file, as SVG")->type_name("FILE");
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
