// SPDX-License-Identifier: MIT
// What stands between products: norms, rotations, activations, on one row in the first cache. Bound: reading as many bytes
// as they read, once.
#include <fmt/format.h>

#include "bench/bench.h"
#include "ops/ops.h"
#include "tests/testing/kernel_tester.h"

namespace infer::bench {
namespace {

constexpr std::int64_t kCols = 2048, kHeadDim = 64;

/// Rows of ones: exact, and nothing grows however often it is repeated in place.
struct Rows {
  std::vector<float> x = std::vector<float>(kCols, 1.0f), y = x, out = x;
};

template <class Fn>
void elementwise(const KernelTable& table, const char* name, int n_read, Fn fn) {
  add(fmt::format("{}/{}", name, table.name), [=, &table](benchmark::State& state) {
    Rows rows;
    for (auto _ : state) {
      fn(table, rows);
      benchmark::ClobberMemory();
    }
    const auto bytes = static_cast<std::size_t>(n_read) * kCols * sizeof(float);
    report(state, "GB/s", static_cast<double>(bytes), read_rate(bytes));
  });
}

}  // namespace

void register_elementwise() {
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    elementwise(*table, "rms_norm", 3, [](const KernelTable& t, Rows& r) {   // twice over x
      t.rms_norm({.x = r.x.data(), .weight = r.y.data(), .out = r.out.data(), .n = kCols, .eps = 1e-5f});
    });
    elementwise(*table, "layer_norm", 4, [](const KernelTable& t, Rows& r) {
      t.layer_norm({.x = r.x.data(), .weight = r.y.data(), .bias = nullptr, .out = r.out.data(), .n = kCols, .eps = 1e-5f});
    });
    for (const auto& [name, style] : {std::pair("rope_interleaved", RopeStyle::interleaved), std::pair("rope_halves", RopeStyle::halves)}) {
      elementwise(*table, name, 1, [style = style](const KernelTable& t, Rows& r) {
        static const std::vector<float> cos(kHeadDim / 2, 1.0f), sin(kHeadDim / 2, 0.0f);
        t.rope[static_cast<int>(style)]({.x = r.x.data(), .heads = kCols / kHeadDim, .head_dim = kHeadDim, .n_pairs = kHeadDim / 2,
                                         .cos = cos.data(), .sin = sin.data()});
      });
    }
    for (const auto& [name, kind] : {std::pair("gated_silu", Activation::silu), std::pair("gated_gelu", Activation::gelu)}) {
      elementwise(*table, name, 2, [kind = kind](const KernelTable& t, Rows& r) {
        t.gated[static_cast<int>(kind)](r.x.data(), r.y.data(), r.out.data(), kCols);
      });
    }
    elementwise(*table, "add", 2, [](const KernelTable& t, Rows& r) { t.add(r.out.data(), r.y.data(), kCols); });
  }
}

}  // namespace infer::bench
