// SPDX-License-Identifier: MIT
// Attention of one KV head over a full cache, as stored in each type: attention/TYPE/TABLE/decode (one token) and prefill (the
// tokens of the last page), by context and by query heads that share the KV head. Bound of the arithmetic: multiply-adds of
// floats. "cache_GB/s": keys and values read, each once per token.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "bench/bench.h"
#include "ops/ops.h"
#include "src/runtime/kv_kinds.h"
#include "tests/testing/kernel_tester.h"

namespace infer::bench {
namespace {

constexpr std::int64_t kDim = 64;

void attention(benchmark::State& state, const KernelTable& table, const KvKind& kind, std::int64_t context, std::int64_t heads,
               std::int64_t tokens) {
  const std::size_t page_bytes = kv_bytes(kind.type, kKvPageTokens * kDim);
  const std::int64_t n_pages = context / kKvPageTokens;
  testing::Random random(1);
  testing::Matrix q(tokens, heads * kDim, 0), out(tokens, heads * kDim, 0), entry(2, kDim, 0);
  q.randomise(random);
  testing::AlignedBytes keys(static_cast<std::size_t>(n_pages) * page_bytes), values(static_cast<std::size_t>(n_pages) * page_bytes);
  std::vector<std::int32_t> pages(static_cast<std::size_t>(n_pages));
  for (std::int64_t position = 0; position < context; ++position) {
    const auto page = static_cast<std::size_t>(position / kKvPageTokens);
    pages[page] = static_cast<std::int32_t>(page);
    entry.randomise(random);
    table.kv_store[static_cast<std::size_t>(kind.type)]({.key = entry.row(0),
                                                         .value = entry.row(1),
                                                         .keys = keys.data + page * page_bytes,
                                                         .values = values.data + page * page_bytes,
                                                         .slot = position % kKvPageTokens,
                                                         .key_dim = kDim,
                                                         .value_dim = kDim});
  }
  std::vector<AttentionSum> sums(static_cast<std::size_t>(kAttentionQueries));
  for (auto _ : state) {
    const std::int64_t at_once = kAttentionQueries / heads;
    for (std::int64_t t = 0; t < tokens; t += at_once) {
      AttentionArgs args{.q = q.row(t),
                         .q_stride = q.stride,
                         .tokens = std::min(at_once, tokens - t),
                         .heads = heads,
                         .keys = keys.data,
                         .values = values.data,
                         .key_page_bytes = page_bytes,
                         .value_page_bytes = page_bytes,
                         .pages = pages.data(),
                         .position = context - tokens + t,
                         .window = 0,
                         .first_page = 0,
                         .end_page = 0,
                         .key_dim = kDim,
                         .value_dim = kDim,
                         .scale = 0.125f,
                         .softcap = 0.0f,
                         .sums = sums.data(),
                         .out = out.row(t),
                         .out_stride = out.stride};
      args.end_page = args.page_end();
      table.attention[static_cast<std::size_t>(kind.type)](args);
    }
    benchmark::ClobberMemory();
  }
  const double positions = static_cast<double>(tokens) * (static_cast<double>(context) - static_cast<double>(tokens - 1) / 2);
  report(state, "GMAC/s", positions * static_cast<double>(heads * 2 * kDim), limits_of(table).fma_mul_adds);
  using benchmark::Counter;
  const double bytes = positions * static_cast<double>(2 * kv_bytes(kind.type, kDim));
  state.counters["cache_GB/s"] = Counter(bytes / 1e9, Counter::kIsIterationInvariantRate);
}

}  // namespace

void register_attention() {
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    for (const KvKind* kind : builtin_kv_kinds()) {
      for (const std::int64_t context : {512, 4096}) {
        for (const std::int64_t heads : {1, 4, 8}) {
          for (const auto& [name, tokens] : {std::pair("decode", std::int64_t{1}), std::pair("prefill", kKvPageTokens)}) {
            add(fmt::format("attention/{}/{}/{}/{}/heads:{}", kind->name, table->name, name, context, heads),
                [=, tokens = tokens](benchmark::State& s) { attention(s, *table, *kind, context, heads, tokens); });
          }
        }
      }
    }
  }
}

}  // namespace infer::bench
