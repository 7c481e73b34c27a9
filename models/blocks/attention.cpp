// SPDX-License-Identifier: MIT
// Grouped-query attention (arXiv:2305.13245) over the KV cache. Keys and values of all rows are stored first and read
// back from the cache, also those of the same batch: a token sees the same bits however the prompt was split. Work is
// split by (token, head). Tested by tests/models/llama_test.cpp.
#include <algorithm>

#include "models/blocks/blocks.h"

namespace infer {
namespace {

void store(Step& step, std::int64_t layer, const MatF32& k, const MatF32& v) noexcept {
  const DecoderConfig& c = step.config;
  const KvStoreFn store_row = step.kernels.kv_store[static_cast<std::size_t>(step.kv.type())];
  step.parallel_for(k.rows, step.grain(k.rows, k.cols + v.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) {
      const StepRow& row = step.rows[static_cast<std::size_t>(i)];
      for (std::int64_t head = 0; head < c.n_kv_heads; ++head) {
        store_row(k.row(i) + head * c.key_dim, step.kv.key(row.seq, layer, head, row.position), c.key_dim);
        store_row(v.row(i) + head * c.value_dim, step.kv.value(row.seq, layer, head, row.position), c.value_dim);
      }
    }
  });
}

/// Positions that the furthest row sees.
std::int64_t longest(std::span<const StepRow> rows) noexcept {
  std::int64_t most = 1;
  for (const StepRow& row : rows) most = std::max(most, row.position + 1);
  return most;
}

}  // namespace

void attention(Step& step, const AttentionWeights& w, std::int64_t layer, const MatF32& h, const MatF32& out) noexcept {
  const DecoderConfig& c = step.config;
  const MatF32 q = step.act.q.first_rows(h.rows), k = step.act.k.first_rows(h.rows), v = step.act.v.first_rows(h.rows);
  const MatF32 context = step.act.attn.first_rows(h.rows);
  linear(step, w.q, h, q);
  linear(step, w.k, h, k);
  linear(step, w.v, h, v);
  rope(step, q, c.n_heads);
  rope(step, k, c.n_kv_heads);
  store(step, layer, k, v);

  const AttentionFn attend = step.kernels.attention[static_cast<std::size_t>(step.kv.type())];
  const std::int64_t heads_per_kv = c.n_heads / c.n_kv_heads;
  const std::int64_t items = h.rows * c.n_heads, most_keys = longest(step.rows);
  const std::int64_t grain = step.grain(items, most_keys * (c.key_dim + c.value_dim));
  step.parallel_for(items, grain, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t item = first; item < last; ++item) {
      const std::int64_t i = item / c.n_heads, head = item % c.n_heads;
      const StepRow& row = step.rows[static_cast<std::size_t>(i)];
      AttentionArgs args{};
      step.kv.describe(row.seq, layer, head / heads_per_kv, args);
      args.q = q.row(i) + head * c.key_dim;
      args.last = row.position;
      args.first = c.sliding_window > 0 ? std::max<std::int64_t>(0, row.position - c.sliding_window + 1) : 0;
      args.key_dim = c.key_dim;
      args.value_dim = c.value_dim;
      args.scale = c.attention_scale;
      args.scores = step.act.scores.row(worker);
      args.out = context.row(i) + head * c.value_dim;
      attend(args);
    }
  });
  linear(step, w.output, context, out);
}

}  // namespace infer
