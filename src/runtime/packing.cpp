// SPDX-License-Identifier: MIT
// Plans, allocates and fills the panels. See packing.h.
#include "src/runtime/packing.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "libinfer/thread_pool.h"
#include "src/base/checked.h"

namespace infer {
namespace {

std::int64_t whole_panels(const Linear& w) noexcept {
  return w.matmul.packed && w.format->pack != nullptr ? w.weight.rows / kPanelRows : 0;
}

void set_shape(Linear& w) noexcept {
  w.n_panels = whole_panels(w);
  w.panel_bytes = w.n_panels == 0 ? 0 : w.format->panel_bytes(w.weight.cols);
}

/// Where the panels of each product will be.
void place_panels(std::span<Linear* const> products, std::byte* panels) noexcept {
  for (Linear* w : products) {
    set_shape(*w);
    if (w->n_panels == 0) continue;
    w->panels = panels;
    panels += static_cast<std::size_t>(w->n_panels) * w->panel_bytes;
  }
}

}  // namespace

std::size_t leave_unpacked(std::span<Linear* const> products) noexcept {
  std::size_t most = 0;
  for (Linear* w : products) {
    set_shape(*w);
    most = std::max(most, static_cast<std::size_t>(kPanelsAtOnce) * w->panel_bytes);
  }
  return most;
}

namespace {

/// Some panels of a product.
struct Piece {
  const Linear* product;
  std::int64_t first, n;

  TensorView rows() const noexcept { return product->weight.slice(first * kPanelRows, n * kPanelRows); }

  void pack(std::int64_t panel) const noexcept {
    const TensorView rows = product->weight.slice(panel * kPanelRows, kPanelRows);
    // The library's own block (place_panels); sessions, which come later, only read it.
    std::byte* const to = const_cast<std::byte*>(product->panels) + static_cast<std::size_t>(panel) * product->panel_bytes;
    product->format->pack(rows.data, rows.row_bytes, rows.cols, to);
  }
};

/// What all threads pack together: many small matrices or a part of a large one, so that none of them waits at the end of each
/// matrix. Between stretches pages are let go of and progress is reported: 16 MiB take a few milliseconds.
constexpr std::uint64_t kStretchBytes = std::uint64_t{1} << 24;
/// What a thread takes at a time.
constexpr std::uint64_t kGrainBytes = std::uint64_t{1} << 17;

struct Stretch {
  std::vector<Piece> pieces;
  std::int64_t panels = 0;
  std::uint64_t bytes = 0;   ///< of the panels
};

struct Position {
  std::size_t product = 0;
  std::int64_t panel = 0;
};

/// The next stretch, empty at the end.
Stretch next_stretch(std::span<Linear* const> products, Position& at) {
  Stretch s;
  while (at.product < products.size() && s.bytes < kStretchBytes) {
    const Linear& w = *products[at.product];
    if (at.panel == w.n_panels) {
      at = {at.product + 1, 0};
      continue;
    }
    const auto room = static_cast<std::int64_t>((kStretchBytes - s.bytes - 1) / w.panel_bytes + 1);
    const std::int64_t n = std::min(room, w.n_panels - at.panel);
    s.pieces.push_back({&w, at.panel, n});
    s.panels += n;
    s.bytes += static_cast<std::uint64_t>(n) * w.panel_bytes;
    at.panel += n;
  }
  return s;
}

void pack_stretch(const Stretch& s, ThreadPool& pool, const CancelFlag* cancel) noexcept {
  const auto grain = static_cast<std::int64_t>(kGrainBytes * static_cast<std::uint64_t>(s.panels) / s.bytes);
  pool.parallel_for(s.panels, std::max<std::int64_t>(grain, 1), [&](int, std::int64_t first, std::int64_t last) noexcept {
    std::int64_t begin = 0;   // of the piece's panels among all
    for (const Piece& p : s.pieces) {
      const std::int64_t end = std::min(last - begin, p.n);
      for (std::int64_t i = std::max(first - begin, std::int64_t{0}); i < end && !is_cancelled(cancel); ++i) p.pack(p.first + i);
      begin += p.n;
    }
  });
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
  place_panels(products, block.data());
  weights.keep(std::move(block));
  INFER_ASSIGN(const std::unique_ptr<ThreadPool> pool, make_pool(options.executor));

  std::uint64_t done = 0;
  Position at;
  for (Stretch s = next_stretch(products, at); s.bytes > 0; s = next_stretch(products, at)) {
    pack_stretch(s, *pool, options.cancel);
    if (is_cancelled(options.cancel)) return stopped.clone();
    for (const Piece& p : s.pieces) weights.let_go(p.rows());
    done += s.bytes;
    const std::uint64_t mapped = weights.mapped_bytes();
    const double share = static_cast<double>(done) / static_cast<double>(bytes);
    const auto reached = std::min(mapped, static_cast<std::uint64_t>(static_cast<double>(mapped) * share));
    if (mapped > 0 && !options.progress(reached, mapped)) return stopped.clone();
  }
  return {};
}

}  // namespace infer
