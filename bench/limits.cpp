// SPDX-License-Identifier: MIT
// The bounds that benchmarks are held against, measured when they are first asked for.
#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "bench/bench.h"
#include "ops/ops.h"

namespace infer::bench {

const MachineLimits& limits_of(const KernelTable& table, int n_threads) {
  static std::map<std::pair<const KernelTable*, int>, MachineLimits> known;
  const auto [entry, is_new] = known.try_emplace({&table, n_threads});
  if (is_new) entry->second = probe_machine(table, {.n_threads = n_threads}).value();
  return entry->second;
}

double read_rate(std::size_t bytes) {
  static std::map<std::size_t, double> known;
  const auto [entry, is_new] = known.try_emplace(bytes);
  if (!is_new) return entry->second;
  constexpr int kAttempts = 20;
  constexpr std::size_t kLeastBytes = std::size_t{1} << 20;   // in one attempt, so that it takes longer than the clock does
  const auto tables = builtin_kernels();
  const KernelTable& table = **std::find_if(tables.begin(), tables.end(), [](const KernelTable* t) { return t->runs_here(); });
  const std::size_t size = std::max(bytes, Probes::kReadStep) / Probes::kReadStep * Probes::kReadStep;
  const std::size_t times = std::max<std::size_t>(1, kLeastBytes / size);
  const Block block = MemoryAccount::create()->allocate(MemoryClass::other, size, {}, true).value();
  for (int i = 0; i < kAttempts; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t n = 0; n < times; ++n) table.probes.read(block.data(), size);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    entry->second = std::max(entry->second, static_cast<double>(size * times) / seconds.count());
  }
  return entry->second;
}

void report(benchmark::State& state, const char* unit, double amount, double bound) {
  constexpr double kGiga = 1e9;
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters[unit] = benchmark::Counter(amount / kGiga, rate);
  state.counters["bound"] = bound / kGiga;
  state.counters["share"] = benchmark::Counter(amount / bound, rate);
}

}  // namespace infer::bench
