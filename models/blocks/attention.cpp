// SPDX-License-Identifier: MIT
// Grouped-query attention (arXiv:2305.13245) over the KV cache. Keys and values of all rows are stored first and read
// back from the cache, also those of the same batch: a token sees the same bits however the prompt was split. Work is
// split by KV heads and tiles of rows: the query heads of a KV head, and neighbouring rows, share what is read. Where threads
// would have nothing to do, they share a KV head.
// In the last layer keys and values are all that is wanted of most rows of a prompt: the others are left out from there on.
// Options (norms of queries and keys, window, scale, soft-cap, temperature) are data of the layer and the config. Tested by
// tests/models/families_test.cpp.
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

/// How many rows from i on, at most n, are consecutive tokens of one sequence with the same factor on their scores.
std::int64_t run_of(const Step& step, std::int64_t i, std::int64_t n) noexcept {
  const StepRow* const rows = &step.rows[static_cast<std::size_t>(i)];
  std::int64_t length = 1;
  while (length < n && rows[length].seq == rows[0].seq && rows[length].position == rows[0].position + length &&
         temperature(step.config, rows[length].position) == temperature(step.config, rows[0].position)) {
    ++length;
  }
  return length;
}

/// Heads of one KV head for rows that are a run; at long contexts some pages at a time, with a look at the cancel flag between.
void attend_run(Step& step, std::int64_t layer, const MatF32& q, const MatF32& out, std::int64_t i, std::int64_t n_rows,
                std::int64_t kv_head, std::int64_t head, std::int64_t n_heads) noexcept {
  const DecoderConfig& c = step.config;
  const StepRow& row = step.rows[static_cast<std::size_t>(i)];
  AttentionSum sums[kAttentionQueries];
  AttentionArgs args{};
  step.kv.describe(row.seq, layer, kv_head, args);
  args.q = q.row(i) + head * c.key_dim;
  args.q_stride = q.stride;
  args.tokens = n_rows;
  args.heads = n_heads;
  args.position = row.position;
  args.window = c.window(layer);
  args.key_dim = c.key_dim;
  args.value_dim = c.value_dim;
  args.scale = c.attention_scale * temperature(c, row.position);
  args.softcap = c.attention_softcap;
  args.sums = sums;
  args.out = out.row(i) + head * c.value_dim;
  args.out_stride = out.stride;
  const std::int64_t work_per_page = n_rows * n_heads * kKvPageTokens * (c.key_dim + c.value_dim);
  const std::int64_t at_once = std::max<std::int64_t>(1, step.work_per_look() / work_per_page);
  for (std::int64_t page = args.page_begin(); page < args.page_end() && !step.is_cancelled(); page += at_once) {
    args.first_page = page;
    args.end_page = std::min(page + at_once, args.page_end());
    step.kernels.attention[static_cast<std::size_t>(step.kv.type())](args);
  }
}

/// Heads head .. end_head - 1, of one KV head, for rows first .. end - 1, in calls that are as large as may be.
void attend(Step& step, std::int64_t layer, const MatF32& q, const MatF32& out, std::int64_t first, std::int64_t end,
            std::int64_t head, std::int64_t end_head) noexcept {
  const std::int64_t kv_head = head / (step.config.n_heads / step.config.n_kv_heads);
  for (std::int64_t i = first, n; i < end; i += n) {
    n = run_of(step, i, end - i);
    for (std::int64_t h = head, at_once; h < end_head; h += at_once) {
      at_once = std::min(end_head - h, kAttentionQueries);
      attend_run(step, layer, q, out, i, n, kv_head, h, at_once);
    }
  }
}

/// Positions that the furthest row sees.
std::int64_t longest(std::span<const StepRow> rows) noexcept {
  std::int64_t most = 1;
  for (const StepRow& row : rows) most = std::max(most, row.position + 1);
  return most;
}

/// Whether rows end here: behind the keys and values of the last layer nothing of them is wanted but logits. (An observer wants
/// to see what goes into all products.)
bool rows_end(const Step& step, std::int64_t layer) noexcept {
  return layer + 1 == step.config.n_layers && step.observer == nullptr &&
         std::any_of(step.rows.begin(), step.rows.end(), [](const StepRow& row) { return row.logits_row < 0; });
}

/// Leaves the rows whose logits are wanted: of the step, of the residual, of h, of the rotations.
void keep_wanted(Step& step, const MatF32& h) noexcept {
  std::int64_t kept = 0;
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    if (step.rows[i].logits_row < 0) continue;
    step.rows[static_cast<std::size_t>(kept)] = step.rows[i];
    const auto move = [&](const MatF32& m) { std::copy_n(m.row(static_cast<std::int64_t>(i)), m.cols, m.row(kept)); };
    if (static_cast<std::int64_t>(i) != kept) {
      for (const MatF32& m : {step.act.x, h}) move(m);
      for (const Rotation* r : {&step.act.rope, &step.act.local_rope}) move(r->cos), move(r->sin);
    }
    ++kept;
  }
  step.rows = step.rows.first(static_cast<std::size_t>(kept));
}

}  // namespace

void attention(Step& step, const AttentionWeights& w, std::int64_t layer, const MatF32& input, const MatF32& output,
               const MatF32* residual) noexcept {
  const DecoderConfig& c = step.config;
  const MatF32 k = step.act.k.first_rows(input.rows), v = step.act.v.first_rows(input.rows);
  const auto turn_query = [&](std::int64_t i) noexcept {
    norm_heads(step, w.q_norm, step.act.q, c.n_heads, i);
    rope(step, layer, step.act.q, c.n_heads, i);
  };
  const auto store_key = [&](std::int64_t i) noexcept {
    norm_heads(step, w.k_norm, k, c.n_kv_heads, i);
    rope(step, layer, k, c.n_kv_heads, i);
    store(step, layer, k, v, i);
  };
  const auto each_row = [&](std::int64_t work, const auto& fn) noexcept {
    const auto n = static_cast<std::int64_t>(step.rows.size());
    step.parallel_for(n, step.grain(n, work), [&](int, std::int64_t first, std::int64_t last) noexcept {
      for (std::int64_t i = first; i < last; ++i) fn(i);
    });
  };
  const std::int64_t of_query = step.act.q.cols, of_key = 2 * (k.cols + v.cols);
  if (rows_end(step, layer)) {
    linear(step, {{w.k, k}, {w.v, v}}, input);
    each_row(of_key, store_key);
    keep_wanted(step, input);
    if (step.rows.empty() || step.is_cancelled()) return;
    linear(step, {{w.q, rows_of(step, step.act.q)}}, rows_of(step, input));
    each_row(of_query, turn_query);
  } else {
    linear(step, {{w.q, rows_of(step, step.act.q)}, {w.k, k}, {w.v, v}}, input);
    each_row(of_query + of_key, [&](std::int64_t i) noexcept {
      turn_query(i);
      store_key(i);
    });
  }
  const MatF32 q = rows_of(step, step.act.q), context = rows_of(step, step.act.attn), out = rows_of(step, output);
  // Rows that share what is read of the cache: as many as a call takes, fewer where a thread would have none; and then
  // fewer heads, which spreads the arithmetic: keys and values are read by each of those threads.
  const std::int64_t heads = c.n_heads / c.n_kv_heads, threads = step.pool.size();
  const std::int64_t a_share = q.rows * c.n_kv_heads / threads, a_call = kAttentionQueries / heads;
  const std::int64_t tile = std::max<std::int64_t>(1, std::min(a_share, a_call)), n_tiles = (q.rows + tile - 1) / tile;
  const std::int64_t parts = std::clamp<std::int64_t>(threads / (n_tiles * c.n_kv_heads), 1, heads);
  const std::int64_t items = n_tiles * c.n_kv_heads * parts, item_heads = (heads - 1) / parts + 1;
  const std::int64_t grain = step.grain(items, longest(step.rows) * tile * item_heads * (c.key_dim + c.value_dim));
  step.parallel_for(items, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t item = first; item < last; ++item) {
      const std::int64_t row = item / (c.n_kv_heads * parts) * tile, kv_head = item / parts % c.n_kv_heads;
      const std::int64_t head = kv_head * heads + item % parts * heads / parts;
      const std::int64_t end_head = kv_head * heads + (item % parts + 1) * heads / parts;
      attend(step, layer, q, context, row, std::min(row + tile, q.rows), head, end_head);
    }
  });
  if (residual == nullptr) return linear(step, {{w.output, out}}, context);
  add_linear(step, {w.output, out}, context, rows_of(step, *residual));
}

}  // namespace infer
