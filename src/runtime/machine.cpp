// SPDX-License-Identifier: MIT
// Measuring the machine with the probes of a kernel table, and counting what a pass asks of it. See libinfer/machine.h.
#include "libinfer/machine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "libinfer/thread_pool.h"
#include "src/base/range.h"

namespace infer {
namespace {

constexpr MemoryPurpose kPurpose{"the probe of the machine", "release a model or a session"};
constexpr std::int64_t kRange = std::int64_t{1} << 20;   // that a thread reads at a time, at least
constexpr double kPieceSeconds = 0.00025, kProbeSeconds = 0.04, kReadSeconds = 0.16;
constexpr int kPieces = 4;     // of each thread
constexpr int kAttempts = 5;   // at least
constexpr std::int64_t kMostRounds = std::int64_t{1} << 22;   // a clock may stand still

double seconds_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The least time that the work took, tried until `budget` seconds are over.
double least_seconds(double budget, const auto& work) {
  double spent = 0.0, least = 0.0;
  for (int i = 0; i < kAttempts || spent < budget; ++i) {
    const double seconds = std::max(seconds_of(work), 1e-9);
    spent += seconds;
    least = i == 0 ? seconds : std::min(least, seconds);
  }
  return least;
}

/// Multiply-adds per second of all threads. Each gets several pieces, so that one that loses its core for a while does not
/// keep all others waiting.
double rate(ThreadPool& pool, std::int64_t (*probe)(std::int64_t rounds) noexcept) {
  std::int64_t rounds = 1024;
  while (rounds < kMostRounds && seconds_of([&] { probe(rounds); }) < kPieceSeconds) rounds *= 2;
  const std::int64_t pieces = std::int64_t{kPieces} * pool.size();
  const double seconds = least_seconds(kProbeSeconds, [&] {
    pool.parallel_for(pieces, 1, [&](int, std::int64_t, std::int64_t) noexcept { probe(rounds); });
  });
  return static_cast<double>(probe(rounds)) * static_cast<double>(pieces) / seconds;
}

/// Those of products with activations of that form.
double& mul_adds_of(Work& work, InputForm form) noexcept {
  switch (form) {
    case InputForm::f32: return work.fma_mul_adds;
    case InputForm::bf16: return work.bf16_mul_adds;
    default: return work.dot_mul_adds;
  }
}

}  // namespace

Result<MachineLimits> probe_machine(const KernelTable& kernels, const MachineProbe& probe) {
  INFER_TRY(check_range("n_threads", std::int64_t{probe.n_threads}, 0, ThreadPool::kMaxThreads));
  const int n_threads = probe.n_threads == 0 ? default_threads(probe.executor) : probe.n_threads;
  INFER_ASSIGN(const std::unique_ptr<ThreadPool> pool, probe.executor ? ThreadPool::create(n_threads, probe.executor)
                                                                      : ThreadPool::create(n_threads));
  const std::shared_ptr<MemoryAccount> memory = probe.memory != nullptr ? probe.memory : MemoryAccount::create();
  INFER_ASSIGN(const Block block, memory->allocate(MemoryClass::scratch, kProbeBytes, kPurpose));

  // By ranges that are neighbours of each other, as products read their weights; each is first written by whoever comes by.
  const auto each_range = [&](const auto& fn) {
    const std::int64_t n = static_cast<std::int64_t>(block.size()) / kRange;
    pool->parallel_for(n, [&](int, std::int64_t first, std::int64_t last) noexcept {
      fn(block.data() + first * kRange, static_cast<std::size_t>((last - first) * kRange));
    });
  };
  each_range([](std::byte* bytes, std::size_t n) noexcept { std::memset(bytes, 1, n); });
  MachineLimits limits;
  limits.read_bytes = static_cast<double>(block.size()) / least_seconds(kReadSeconds, [&] {
    each_range([&](const std::byte* bytes, std::size_t n) noexcept { kernels.probes.read(bytes, n); });
  });
  limits.dot_mul_adds = rate(*pool, kernels.probes.dot);
  limits.fma_mul_adds = rate(*pool, kernels.probes.fma);
  limits.bf16_mul_adds = rate(*pool, kernels.probes.bf16);
  return limits;
}

Work work_of_pass(const Decoder& decoder, std::int64_t n_tokens, std::int64_t n_logits) noexcept {
  Work work;
  // Each of the products is read `times` times and computed for so many rows.
  const auto count = [&work](std::initializer_list<const Linear*> products, double times, double rows) {
    for (const Linear* p : products) {
      if (!p->present()) continue;
      const TensorView& w = p->weight;
      work.bytes += times * static_cast<double>(w.rows) * static_cast<double>(w.row_bytes);
      mul_adds_of(work, p->format->input) += rows * static_cast<double>(w.rows) * static_cast<double>(w.cols);
    }
  };
  const auto count_ffn = [&count](const FfnWeights& ffn, double times, double rows) {
    count({&ffn.gate, &ffn.up, &ffn.down}, times, rows);
  };
  const auto all = static_cast<double>(n_tokens), wanted = static_cast<double>(n_logits);
  const ExpertConfig& config = decoder.config.experts;
  const double share = config.n > 0 ? static_cast<double>(config.n_used) / static_cast<double>(config.n) : 0.0;
  for (const Layer& layer : decoder.layers) {
    count({&layer.attn.k, &layer.attn.v}, 1.0, all);
    const double tokens = &layer == &decoder.layers.back() ? wanted : all;
    if (tokens == 0.0) break;
    count({&layer.attn.q, &layer.attn.output}, 1.0, tokens);
    count_ffn(layer.ffn, 1.0, tokens);
    count({&layer.experts.router, &layer.experts.shared_gate}, 1.0, tokens);
    count_ffn(layer.experts.shared, 1.0, tokens);
    for (const FfnWeights& expert : layer.experts.each) count_ffn(expert, 1.0 - std::pow(1.0 - share, tokens), tokens * share);
  }
  if (n_logits > 0) count({&decoder.output}, 1.0, wanted);
  return work;
}

}  // namespace infer
