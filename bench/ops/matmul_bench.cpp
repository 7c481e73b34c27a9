// SPDX-License-Identifier: MIT
// Matrix products of every kernel table and every type that can be produced, for one token and for a few. Reports the
// bytes of weights per second, the honest unit of a memory-bound product.
#include <benchmark/benchmark.h>

#include <vector>

#include <fmt/format.h>

#include "ops/ops.h"
#include "ops/quant/quants.h"

namespace {

using namespace infer;

void matmul(benchmark::State& state, const KernelTable& table, const QuantFormat& format, std::int64_t n, std::int64_t tokens) {
  const DTypeInfo& type = info(format.dtype);
  const std::size_t row_bytes = static_cast<std::size_t>(n) / type.block_elems * type.block_bytes;
  std::vector<float> row(static_cast<std::size_t>(n)), x(static_cast<std::size_t>(n * tokens)), y(x.size());
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(static_cast<int>(i * 7919 % 201) - 100) / 100.0f;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(static_cast<int>(i * 104729 % 201) - 100) / 100.0f;
  std::vector<std::byte> weights(row_bytes * static_cast<std::size_t>(n));
  for (std::size_t r = 0; r < static_cast<std::size_t>(n); ++r) format.encode(row.data(), weights.data() + r * row_bytes, n);
  const MatmulArgs args{.weights = weights.data(), .row_bytes = row_bytes, .decode = format.decode, .bias = nullptr,
                        .rows = n, .cols = n, .tokens = tokens, .x = x.data(), .x_stride = n, .y = y.data(), .y_stride = n};
  for (auto _ : state) {
    table.matmul[static_cast<std::size_t>(format.dtype)](args);
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(weights.size()));
  state.counters["mul_adds"] = benchmark::Counter(static_cast<double>(n * n * tokens), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::int64_t n = 2048;
  for (const KernelTable* table : builtin_kernels()) {
    for (const QuantFormat* format : builtin_quants()) {
      if (format->encode == nullptr) continue;
      for (const std::int64_t tokens : {1, 16}) {
        const std::string name = fmt::format("matmul/{}/{}/{}x{}/t{}", info(format->dtype).name, table->name, n, n, tokens);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& s) { matmul(s, *table, *format, n, tokens); });
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
