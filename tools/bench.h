// SPDX-License-Identifier: MIT
// What the parts of `infer bench` share: a test and what it showed. bench.cpp measures, bench_report.cpp and
// bench_plot.cpp tell. docs/performance.md says what each number means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer.hpp"

namespace tool {

/// What a share is of: the limit that is nearer.
enum class Limit { read, arithmetic };

/// A prompt, or steps of decoding.
struct BenchTest {
  std::int64_t n_prompt = 0;  // tokens; 0: decoding
  std::int64_t n_gen = 0;     // steps
  std::int64_t n_seq = 1;     // sequences, each of which gets a token in each step
  std::int64_t depth = 0;     // tokens that each sequence holds before
  std::int64_t n_threads = 0;

  std::vector<double> samples{};  // tokens per second, of all sequences together
  double bytes = 0;               // of weights and of the KV cache that a step reads; 0: of a prompt, that is not told
  infer_work work{};              // of a step, or of the whole prompt
  std::optional<infer_machine_limits> limits{};

  std::int64_t tokens() const { return n_prompt > 0 ? n_prompt : n_gen * n_seq; }
  /// "decode 64 x 8 at 4096"
  std::string name() const;
  double average() const;
  double deviation() const;
  double best() const;

  /// Rates and shares are of the best sample, as the limits are the best of several attempts.
  double bytes_per_second() const { return bytes * passes_per_second(); }
  double mul_adds_per_second() const { return (work.dot_mul_adds + work.fma_mul_adds + work.bf16_mul_adds) * passes_per_second(); }
  /// Of the time that the limits allow; nothing where they are not known.
  std::optional<double> read_share() const;
  std::optional<double> arithmetic_share() const;
  /// The larger of the two.
  std::optional<double> share() const;
  Limit nearer_limit() const {
    return read_share().value_or(0) > arithmetic_share().value_or(0) ? Limit::read : Limit::arithmetic;
  }

 private:
  /// Steps, or prompts.
  double passes_per_second() const { return best() / static_cast<double>(n_prompt > 0 ? n_prompt : n_seq); }
};

/// What all tests have in common.
struct BenchSubject {
  std::string path;
  std::string architecture;
  std::string kernels;
  std::int64_t tensor_bytes = 0;
  std::int64_t n_params = 0;

  /// "model.gguf"
  std::string name() const;
  /// "668 MiB, 1.10 B parameters, kernels avx512vnni"
  std::string facts() const;
};

std::string bench_json(const BenchSubject& subject, const std::vector<BenchTest>& tests);
std::string bench_table(const BenchSubject& subject, const std::vector<BenchTest>& tests);
/// A picture for people: bars of tokens per second, each within the frame that the limit leaves it.
std::string bench_svg(const BenchSubject& subject, const std::vector<BenchTest>& tests);

}  // namespace tool
