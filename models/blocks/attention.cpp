// SPDX-License-Identifier: MIT
// Grouped-query attention (arXiv:2305.13245) over the KV cache. Keys and values of all rows are stored first and read
// back from the cache, also those of the same batch: a token sees the same bits however the prompt was split. Work is
// split by (token, KV head): the query heads of a KV head share what is read. Options (norms of queries and keys, window,
// scale, soft-cap, temperature) are data of the layer and the config. Tested by tests/models/families_test.cpp.
#include <algorithm>
#include <cmath>

#include "models/blocks/blocks.h"

namespace infer {
namespace {

/// Each head by itself, where the layer has such a norm.
void norm_heads(const Step& step, const Norm& norm, const MatF32& x, std::int64_t heads, std::int64_t i) noexcept {
  if (!norm.present()) return;
  const std::int64_t dim = x.cols / heads;
  for (std::int64_t head = 0; head < heads; ++head) {
    norm_vector(step, norm, x.row(i) + head * dim, x.row(i) + head * dim, dim);
  }
}

/// The factor on scores of queries at this position: they grow with the logarithm of it, in steps.
float temperature(const DecoderConfig& c, std::int64_t position) noexcept {
  if (c.temperature_scale == 0.0f) return 1.0f;
  const double turns = static_cast<double>(position / c.temperature_length);
  return static_cast<float>(1.0 + static_cast<double>(c.temperature_scale) * std::log1p(turns));
}

/// Stores keys and values of row i.
void store(const Step& step, std::int64_t layer, const MatF32& k, const MatF32& v, std::int64_t i) noexcept {
  const StepRow& row = step.rows[static_cast<std::size_t>(i)];
  for (std::int64_t head = 0; head < step.config.n_kv_heads; ++head) {
    KvStoreArgs args{};
    step.kv.describe(row.seq, layer, head, row.position, args);
    args.key = k.row(i) + head * args.key_dim;
    args.value = v.row(i) + head * args.value_dim;
    step.kernels.kv_store[static_cast<std::size_t>(step.kv.type())](args);
  }
}

/// The query heads of one KV head of row i; at long contexts a few at a time, with a look at the cancel flag between.
void attend(Step& step, std::int64_t layer, const MatF32& q, const MatF32& out, std::int64_t i,
            std::int64_t kv_head) noexcept {
  const DecoderConfig& c = step.config;
  const StepRow& row = step.rows[static_cast<std::size_t>(i)];
  const std::int64_t heads = c.n_heads / c.n_kv_heads;
  AttentionArgs args{};
  step.kv.describe(row.seq, layer, kv_head, args);
  args.q = q.row(i) + kv_head * heads * c.key_dim;
  const std::int64_t window = c.window(layer);
  args.last = row.position;
  args.first = window > 0 ? std::max<std::int64_t>(0, row.position - window + 1) : 0;
  args.key_dim = c.key_dim;
  args.value_dim = c.value_dim;
  args.scale = c.attention_scale * temperature(c, row.position);
  args.softcap = c.attention_softcap;
  args.out = out.row(i) + kv_head * heads * c.value_dim;
  const std::int64_t work_per_head = (args.last - args.first + 1) * (c.key_dim + c.value_dim);
  const std::int64_t at_once = std::clamp<std::int64_t>(step.work_per_look() / work_per_head, 1, heads);
  for (std::int64_t head = 0; head < heads && !step.is_cancelled(); head += at_once) {
    args.heads = std::min(at_once, heads - head);
    step.kernels.attention[static_cast<std::size_t>(step.kv.type())](args);
    args.q += at_once * c.key_dim;
    args.out += at_once * c.value_dim;
  }
}

/// Positions that the furthest row sees.
std::int64_t longest(std::span<const StepRow> rows) noexcept {
  std::int64_t most = 1;
  for (const StepRow& row : rows) most = std::max(most, row.position + 1);
  return most;
}

}  // namespace

void attention(Step& step, const AttentionWeights& w, std::int64_t layer, const MatF32& h, const MatF32& out,
               const MatF32* sum) noexcept {
  const DecoderConfig& c = step.config;
  const MatF32 q = step.act.q.first_rows(h.rows), k = step.act.k.first_rows(h.rows), v = step.act.v.first_rows(h.rows);
  const MatF32 context = step.act.attn.first_rows(h.rows);
  linear(step, {{w.q, q}, {w.k, k}, {w.v, v}}, h);
  const std::int64_t rows_grain = step.grain(h.rows, q.cols + 2 * (k.cols + v.cols));
  step.parallel_for(h.rows, rows_grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) {
      norm_heads(step, w.q_norm, q, c.n_heads, i);
      norm_heads(step, w.k_norm, k, c.n_kv_heads, i);
      rope(step, layer, q, c.n_heads, i);
      rope(step, layer, k, c.n_kv_heads, i);
      store(step, layer, k, v, i);
    }
  });
  const std::int64_t items = h.rows * c.n_kv_heads, heads = c.n_heads / c.n_kv_heads;
  const std::int64_t grain = step.grain(items, longest(step.rows) * heads * (c.key_dim + c.value_dim));
  step.parallel_for(items, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t item = first; item < last; ++item) {
      attend(step, layer, q, context, item / c.n_kv_heads, item % c.n_kv_heads);
    }
  });
  sum == nullptr ? linear(step, {{w.output, out}}, context) : add_linear(step, {w.output, out}, context, *sum);
}

}  // namespace infer
