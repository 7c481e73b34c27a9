// SPDX-License-Identifier: MIT
// Matrix products of every kernel table and every type, for one token and for a few. Reports the
// bytes of weights per second, the honest unit of a memory-bound product.
#include <benchmark/benchmark.h>

#include <vector>

#include <fmt/format.h>

#include "bench/bench.h"
#include "ops/ops.h"
#include "ops/quant/quants.h"
#include "tests/testing/kernel_tester.h"

namespace {

using namespace infer;

/// The product alone: the input is made and the weights are packed before.
void matmul(benchmark::State& state, const KernelTable& table, const QuantFormat& format, std::int64_t n, std::int64_t tokens) {
  testing::Random random(1);
  testing::Weights weights(format, n, n, random);
  testing::Matrix x(tokens, n, 0), y(tokens, n, 0);
  x.randomise(random);
  const auto input = testing::make_input(table, format.input, x, 0, tokens);
  const Matmul& kernel = table.matmul[static_cast<std::size_t>(format.dtype)];
  const std::size_t panel_bytes = kernel.packed ? format.panel_bytes(n) : 0;
  testing::AlignedBytes panels(static_cast<std::size_t>(n / kPanelRows) * panel_bytes);
  for (std::int64_t p = 0; kernel.packed && p < n / kPanelRows; ++p) {
    format.pack(weights.bytes.data() + static_cast<std::size_t>(p * kPanelRows) * weights.row_bytes, weights.row_bytes, n,
                panels.data + static_cast<std::size_t>(p) * panel_bytes);
  }
  const testing::AlignedBytes scratch(table.scratch_bytes);
  const MatmulArgs args{.weights = kernel.packed ? panels.data : weights.bytes.data(),
                        .stride = kernel.packed ? panel_bytes : weights.row_bytes,
                        .format = &format,
                        .bias = nullptr,
                        .rows = n,
                        .cols = n,
                        .tokens = tokens,
                        .input = input->data,
                        .tile_tokens = even_tile(tokens, table.tile_tokens),
                        .y = y.row(0),
                        .y_stride = n,
                        .scratch = scratch.data};
  for (auto _ : state) {
    kernel.run(args);
    benchmark::DoNotOptimize(y.values.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(weights.bytes.size()));
  state.counters["mul_adds"] = benchmark::Counter(static_cast<double>(n * n * tokens), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

namespace infer::bench {

void register_matmul() {
  constexpr std::int64_t n = 2048;
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    for (const QuantFormat* format : builtin_quants()) {
      for (const std::int64_t tokens : {1, 6, 48}) {
        const std::string name = fmt::format("matmul/{}/{}/{}x{}/t{}", info(format->dtype).name, table->name, n, n, tokens);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& s) { matmul(s, *table, *format, n, tokens); });
      }
    }
  }
}

}  // namespace infer::bench
