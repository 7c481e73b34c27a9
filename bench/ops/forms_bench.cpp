// SPDX-License-Identifier: MIT
// Bringing things into the form that products take: activations (input/FORM/TABLE, bytes of floats), weights
// (pack/TYPE, bytes of the file). Bound: reading as many bytes of such a buffer.
#include <fmt/format.h>

#include "bench/bench.h"
#include "ops/ops.h"
#include "ops/quant/quants.h"
#include "tests/testing/kernel_tester.h"

namespace infer::bench {
namespace {

constexpr std::int64_t kCols = 4096;

void input(benchmark::State& state, const KernelTable& table, InputForm form, std::int64_t tokens) {
  testing::Random random(1);
  testing::Matrix x(tokens, kCols, 0);
  x.randomise(random);
  testing::AlignedBytes out(static_cast<std::size_t>(tokens * input_bytes(form, kCols)));
  const InputArgs args{.x = x.row(0),
                       .stride = x.stride,
                       .tokens = tokens,
                       .tile_tokens = table.tile(form, tokens),
                       .cols = kCols,
                       .out = out.data};
  for (auto _ : state) {
    table.input[static_cast<std::size_t>(form)](args);
    benchmark::ClobberMemory();
  }
  const auto bytes = static_cast<std::size_t>(tokens * kCols) * sizeof(float);
  report(state, "GB/s", static_cast<double>(bytes), read_rate(bytes));
}

void pack(benchmark::State& state, const QuantFormat& format) {
  testing::Random random(1);
  testing::Weights weights(format, kPanelRows, kCols, random);
  testing::AlignedBytes panel(format.panel_bytes(kCols));
  for (auto _ : state) {
    format.pack(weights.bytes.data(), weights.row_bytes, kCols, panel.data);
    benchmark::ClobberMemory();
  }
  report(state, "GB/s", static_cast<double>(weights.bytes.size()), read_rate(weights.bytes.size()));
}

}  // namespace

void register_forms() {
  using Form = std::pair<const char*, InputForm>;
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    for (const auto& [name, form] : {Form("f32", InputForm::f32), Form("q8", InputForm::q8), Form("q8_k", InputForm::q8_k)}) {
      for (const std::int64_t tokens : {1, 48}) {
        add(fmt::format("input/{}/{}/{}", name, table->name, tokens),
            [=, form = form](benchmark::State& s) { input(s, *table, form, tokens); });
      }
    }
  }
  for (const QuantFormat* format : builtin_quants()) {
    if (format->pack == nullptr) continue;
    add(fmt::format("pack/{}", info(format->dtype).name), [=](benchmark::State& s) { pack(s, *format); });
  }
}

}  // namespace infer::bench
