// SPDX-License-Identifier: MIT
// infer bench: rates and shares of what was measured, as a table and as JSON. Tested by tests/tools/bench_test.cpp.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/bench.h"
#include "tools/common.h"

namespace tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kGiga = 1e9;

/// " 87 %", or the same width of nothing.
std::string percent(std::optional<double> share) {
  return share ? fmt::format("{:>4.0f} %", 100 * *share) : std::string(6, ' ');
}

/// The limits by number of threads, one line each.
std::string limits_text(const std::vector<BenchTest>& tests) {
  std::string out;
  std::int64_t told = -1;
  for (const BenchTest& test : tests) {
    if (!test.limits || test.n_threads == told) continue;
    told = test.n_threads;
    out += fmt::format("{:<24} {:>7} {:>35} {:>8.1f} {:>15.1f} codes, {:.1f} floats, {:.1f} bfloat16\n", "limits measured",
                       test.n_threads, "", test.limits->read_bytes_per_second / kGiga,
                       test.limits->dot_mul_adds_per_second / kGiga, test.limits->fma_mul_adds_per_second / kGiga,
                       test.limits->bf16_mul_adds_per_second / kGiga);
  }
  return out;
}

Json object(const BenchSubject& subject, const BenchTest& test) {
  Json o = {{"model", subject.path},
            {"architecture", subject.architecture},
            {"kernels", subject.kernels},
            {"tensor_bytes", subject.tensor_bytes},
            {"n_params", subject.n_params},
            {"version", infer_version_string()},
            {"n_prompt", test.n_prompt},
            {"n_gen", test.n_gen},
            {"n_seq", test.n_seq},
            {"depth", test.depth},
            {"n_threads", test.n_threads},
            {"avg_ts", test.average()},
            {"stddev_ts", test.deviation()},
            {"samples_ts", test.samples},
            {"mul_adds_per_second", test.mul_adds_per_second()}};
  if (test.bytes > 0) {
    o["bytes_per_step"] = test.bytes;
    o["bytes_per_second"] = test.bytes_per_second();
  }
  if (test.limits) {
    o["limits"] = {{"read_bytes_per_second", test.limits->read_bytes_per_second},
                   {"dot_mul_adds_per_second", test.limits->dot_mul_adds_per_second},
                   {"fma_mul_adds_per_second", test.limits->fma_mul_adds_per_second},
                   {"bf16_mul_adds_per_second", test.limits->bf16_mul_adds_per_second}};
    if (const auto share = test.read_share()) o["read_share"] = *share;
    if (const auto share = test.arithmetic_share()) o["arithmetic_share"] = *share;
  }
  return o;
}

}  // namespace

std::string BenchTest::name() const {
  std::string text = n_prompt > 0 ? fmt::format("prompt {}", n_prompt) : fmt::format("decode {}", n_gen);
  if (n_seq > 1) text += fmt::format(" x {}", n_seq);
  if (depth > 0) text += fmt::format(" at {}", depth);
  return text;
}

double BenchTest::average() const {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double BenchTest::deviation() const {
  if (samples.size() < 2) return 0;
  const double mean = average();
  double sum = 0;
  for (const double sample : samples) sum += (sample - mean) * (sample - mean);
  return std::sqrt(sum / static_cast<double>(samples.size() - 1));
}

double BenchTest::best() const { return *std::max_element(samples.begin(), samples.end()); }

std::optional<double> BenchTest::read_share() const {
  if (!limits || bytes == 0) return std::nullopt;
  return bytes_per_second() / limits->read_bytes_per_second;
}

std::optional<double> BenchTest::arithmetic_share() const {
  if (!limits) return std::nullopt;
  const double least = work.dot_mul_adds / limits->dot_mul_adds_per_second + work.fma_mul_adds / limits->fma_mul_adds_per_second +
                       work.bf16_mul_adds / limits->bf16_mul_adds_per_second;
  return least * passes_per_second();
}

std::optional<double> BenchTest::share() const {
  const auto arithmetic = arithmetic_share();
  return arithmetic ? std::max(*arithmetic, read_share().value_or(0)) : arithmetic;
}

std::string BenchSubject::name() const { return printable(std::filesystem::path(path).filename().string()); }

std::string BenchSubject::facts() const {
  return fmt::format("{}, {} parameters, kernels {}", bytes_text(static_cast<std::uint64_t>(tensor_bytes)),
                     count_text(static_cast<double>(n_params)), kernels);
}

std::string bench_json(const BenchSubject& subject, const std::vector<BenchTest>& tests) {
  Json out = Json::array();
  for (const BenchTest& test : tests) out.push_back(object(subject, test));
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string bench_table(const BenchSubject& subject, const std::vector<BenchTest>& tests) {
  std::string out = fmt::format("{}: {}\n", subject.name(), subject.facts());
  out += fmt::format("{:<24} {:>7} {:>12} {:>9} {:>12} {:>8} {:>6} {:>8} {:>6}\n", "test", "threads", "tokens/s", "+-",
                     "best", "GB/s", "share", "GMAC/s", "share");
  for (const BenchTest& test : tests) {
    const std::string read = test.bytes > 0 ? fmt::format("{:.1f}", test.bytes_per_second() / kGiga) : "";
    out += fmt::format("{:<24} {:>7} {:>12.2f} {:>9.2f} {:>12.2f} {:>8} {} {:>8.1f} {}\n", test.name(), test.n_threads,
                       test.average(), test.deviation(), test.best(), read, percent(test.read_share()),
                       test.mul_adds_per_second() / kGiga, percent(test.arithmetic_share()));
  }
  return out + limits_text(tests);
}

}  // namespace tool
