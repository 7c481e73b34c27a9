// SPDX-License-Identifier: MIT
// Plans, allocates and fills the panels. See packing.h.
#include "src/runtime/packing.h"

#include <algorithm>
#include <limits>

#include "libinfer/thread_pool.h"
#include "src/base/checked.h"

namespace infer {
namespace {

std::int64_t whole_panels(const Linear& w) noexcept {
  return w.matmul.packed && w.format->pack != nullptr ? w.weight.rows / kPanelRows : 0;
}

/// Threads for the time of packing; where the system has none to give, the caller alone.
Result<std::unique_ptr<ThreadPool>> make_pool(const Executor& executor) {
  if (executor) return ThreadPool::create(default_threads(executor), executor);
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(default_threads({}));
  return pool.ok() ? std::move(pool) : ThreadPool::create(1);
}

}  // namespace

Result<std::uint64_t> plan_panels(std::span<Linear* const> products) {
  std::uint64_t sum = 0;
  for (const Linear* w : products) {
    const std::int64_t panels = whole_panels(*w);
    if (panels == 0) continue;
    const std::size_t panel_bytes = w->format->panel_bytes(w->weight.cols);
    const std::optional<std::uint64_t> bytes = checked_mul(static_cast<std::uint64_t>(panels), panel_bytes);
    const std::optional<std::uint64_t> total = bytes ? checked_add(sum, *bytes) : std::nullopt;
    if (!total || *total > static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
      return Status::error(Code::limit, "the packed weights do not fit in the address space");
    }
    sum = *total;
  }
  return sum;
}

Status pack_weights(std::span<Linear* const> products, WeightStore& weights, MemoryAccount& account,
                    const ModelOptions& options) {
  const Status stopped = Status::error(Code::cancelled, "the load was cancelled");
  INFER_ASSIGN(const std::uint64_t bytes, plan_panels(products));
  if (is_cancelled(options.cancel)) return stopped.clone();
  if (bytes == 0) return {};
  INFER_ASSIGN(Block block, account.allocate(MemoryClass::weights, bytes, {"the packed weights", "use a smaller model"}));
  std::byte* const begin = block.data();
  weights.keep(std::move(block));
  INFER_ASSIGN(const std::unique_ptr<ThreadPool> pool, make_pool(options.executor));

  std::byte* panels = begin;
  for (Linear* w : products) {
    w->n_panels = whole_panels(*w);
    if (w->n_panels == 0) continue;
    w->panel_bytes = w->format->panel_bytes(w->weight.cols);
    w->panels = panels;
    pool->parallel_for(w->n_panels, [&](int, std::int64_t first, std::int64_t last) noexcept {
      for (std::int64_t p = first; p < last && !is_cancelled(options.cancel); ++p) {
        const TensorView rows = w->weight.slice(p * kPanelRows, kPanelRows);
        w->format->pack(rows.data, rows.row_bytes, rows.cols, panels + static_cast<std::size_t>(p) * w->panel_bytes);
      }
    });
    if (is_cancelled(options.cancel)) return stopped.clone();
    panels += static_cast<std::size_t>(w->n_panels) * w->panel_bytes;
    weights.let_go(w->weight);
    const std::uint64_t mapped = weights.mapped_bytes();
    const double share = static_cast<double>(panels - begin) / static_cast<double>(bytes);
    const auto done = std::min(mapped, static_cast<std::uint64_t>(static_cast<double>(mapped) * share));
    if (mapped > 0 && !options.progress(done, mapped)) return stopped.clone();
  }
  return {};
}

}  // namespace infer
