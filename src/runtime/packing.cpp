// SPDX-License-Identifier: MIT
// Plans, allocates and fills the panels. See packing.h.
#include "src/runtime/packing.h"

#include <algorithm>
#include <limits>

#include "src/base/checked.h"

namespace infer {
namespace {

std::int64_t whole_panels(const Linear& w) noexcept {
  return w.matmul.packed && w.format->pack != nullptr ? w.weight.rows / kPanelRows : 0;
}

}  // namespace

Result<std::uint64_t> plan_panels(std::span<Linear* const> products) {
  std::uint64_t sum = 0;
  for (const Linear* w : products) {
    const std::optional<std::uint64_t> bytes =
        checked_mul(static_cast<std::uint64_t>(whole_panels(*w)), w->format->panel_bytes(w->weight.cols));
    const std::optional<std::uint64_t> total = bytes ? checked_add(sum, *bytes) : std::nullopt;
    if (!total || *total > static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
      return Status::error(Code::limit, "the packed weights do not fit in the address space");
    }
    sum = *total;
  }
  return sum;
}

Status pack_weights(std::span<Linear* const> products, WeightStore& weights, MemoryAccount& account, ThreadPool& pool,
                    const CancelFlag* cancel) {
  INFER_ASSIGN(const std::uint64_t bytes, plan_panels(products));
  if (is_cancelled(cancel)) return Status::error(Code::cancelled, "the load was cancelled");
  if (bytes == 0) return {};
  INFER_ASSIGN(Block block, account.allocate(MemoryClass::weights, bytes, {"the packed weights", "use a smaller model"}));
  std::byte* panels = block.data();
  weights.keep(std::move(block));
  for (Linear* w : products) {
    w->n_panels = whole_panels(*w);
    w->panel_bytes = w->format->panel_bytes(w->weight.cols);
    w->panels = panels;
    pool.parallel_for(w->n_panels, [&](int, std::int64_t first, std::int64_t last) noexcept {
      for (std::int64_t p = first; p < last && !is_cancelled(cancel); ++p) {
        const TensorView rows = w->weight.slice(p * kPanelRows, kPanelRows);
        w->format->pack(rows.data, rows.row_bytes, rows.cols, panels + static_cast<std::size_t>(p) * w->panel_bytes);
      }
    });
    if (is_cancelled(cancel)) return Status::error(Code::cancelled, "the load was cancelled");
    panels += static_cast<std::size_t>(w->n_panels) * w->panel_bytes;
    if (w->n_panels > 0) weights.let_go(w->weight);
  }
  return {};
}

}  // namespace infer
