// SPDX-License-Identifier: MIT
// Pages, their free list, and where things lie in them. Tested by tests/runtime/kv_cache_test.cpp.
#include "libinfer/kv_cache.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "src/base/checked.h"

namespace infer {
namespace {

constexpr std::int64_t kClosed = -1;
constexpr std::int32_t kNone = -1;   // no page

/// A product that is UINT64_MAX when it overflows, which no workspace has room for.
std::uint64_t product(std::initializer_list<std::int64_t> factors) noexcept {
  std::uint64_t p = 1;
  for (std::int64_t f : factors) p = checked_mul(p, static_cast<std::uint64_t>(f)).value_or(UINT64_MAX);
  return p;
}

std::size_t at(std::int64_t i) noexcept { return static_cast<std::size_t>(i); }

/// Pages that begin before position n.
std::int64_t pages_to(std::int64_t n) noexcept { return (n + kKvPageTokens - 1) / kKvPageTokens; }

/// Pages that n consecutive positions touch, wherever they begin.
std::int64_t pages_of(std::int64_t n) noexcept { return n == 0 ? 0 : 1 + pages_to(n - 1); }

/// The first page that a query at `position` sees.
std::int64_t first_page(std::int64_t window, std::int64_t position) noexcept {
  return std::max<std::int64_t>(0, position - window + 1) / kKvPageTokens;
}

}  // namespace

/// So many that append() finds a free one whenever the context has room. With a window: what each sequence sees, and once more
/// for the one that is being fed, which must be able to go back.
std::int64_t KvCache::pages_needed(const Pool& pool) const noexcept {
  if (pool.n_layers == 0) return 0;
  const std::int64_t all = shape_.n_sequences * pages_per_sequence_;
  if (pool.window == 0) return all;
  return std::min(all, shape_.n_sequences * pages_of(pool.window) + pages_of(pool.window - 1 + shape_.batch));
}

void KvCache::lay_out(Workspace& workspace, Pool& pool) noexcept {
  pool.n_pages = pages_needed(pool);
  const auto bytes = [&](std::size_t page_bytes) {
    return product({pool.n_layers, pool.n_pages, static_cast<std::int64_t>(page_bytes)});
  };
  pool.keys = workspace.take<std::byte>(MemoryClass::kv, bytes(key_page_bytes_));
  pool.values = workspace.take<std::byte>(MemoryClass::kv, bytes(value_page_bytes_));
  if (pool.n_layers == 0) return;
  pool.pages = workspace.take<std::int32_t>(MemoryClass::kv, product({shape_.n_sequences, pages_per_sequence_}));
  if (pool.window > 0) pool.lowest = workspace.take<std::int64_t>(MemoryClass::kv, at(shape_.n_sequences));
  pool.free = workspace.take<std::int32_t>(MemoryClass::kv, at(pool.n_pages));
  if (workspace.planning() || workspace.overflow()) return;
  std::fill(pool.pages.begin(), pool.pages.end(), kNone);
  pool.n_free = pool.n_pages;
  for (std::int64_t i = 0; i < pool.n_pages; ++i) pool.free[at(i)] = static_cast<std::int32_t>(pool.n_pages - 1 - i);
}

KvCache KvCache::layout(Workspace& workspace, const KvShape& shape, const std::vector<bool>& local, const KvKind& kind) noexcept {
  KvCache c;
  c.shape_ = shape;
  c.type_ = kind.type;
  c.pages_per_sequence_ = pages_to(shape.context);
  const auto page_bytes = [&](std::int64_t dim) {
    return product({shape.n_kv_heads, static_cast<std::int64_t>(kv_bytes(kind.type, kKvPageTokens * dim))});
  };
  c.key_page_bytes_ = page_bytes(shape.key_dim);
  c.value_page_bytes_ = page_bytes(shape.value_dim);
  const bool has_window = shape.window > 0 && shape.window < shape.context && !local.empty();   // a wider one hides nothing
  const auto is_local = [&](std::int64_t layer) { return has_window && local[at(layer)]; };
  c.pools_[1].window = shape.window;
  for (std::int64_t layer = 0; layer < shape.n_layers; ++layer) ++c.pools_[is_local(layer) ? 1 : 0].n_layers;
  for (Pool& pool : c.pools_) c.lay_out(workspace, pool);
  c.places_ = workspace.take<Place>(MemoryClass::kv, at(shape.n_layers));
  c.sequences_ = workspace.take<Sequence>(MemoryClass::kv, at(shape.n_sequences));
  if (workspace.planning() || workspace.overflow()) return c;

  std::fill(c.sequences_.begin(), c.sequences_.end(), Sequence{.length = kClosed, .committed = 0});
  std::int32_t n_placed[2] = {};
  for (std::int64_t layer = 0; layer < shape.n_layers; ++layer) {
    const std::int32_t pool = is_local(layer) ? 1 : 0;
    c.places_[at(layer)] = {.pool = pool, .layer = n_placed[pool]++};
  }
  return c;
}

Result<SequenceId> KvCache::open() {
  for (std::int64_t s = 0; s < shape_.n_sequences; ++s) {
    if (sequences_[at(s)].length != kClosed) continue;
    sequences_[at(s)] = {.length = 0, .committed = 0};
    return static_cast<SequenceId>(s);
  }
  return Status::error(Code::sequence, "all " + std::to_string(shape_.n_sequences) +
                                           " sequences are open; close one or create the session with a larger n_seq");
}

void KvCache::close(SequenceId seq) noexcept {
  clear(seq);
  sequences_[at(seq)].length = kClosed;
}

bool KvCache::is_open(SequenceId seq) const noexcept {
  return seq >= 0 && seq < shape_.n_sequences && sequences_[at(seq)].length != kClosed;
}

bool KvCache::append(SequenceId seq, std::int64_t n) noexcept {
  const std::int64_t held = sequences_[at(seq)].length;
  if (n > shape_.context - held) return false;
  trim(seq);
  const std::int64_t begin = pages_to(held), end = pages_to(held + n);
  for (const Pool& pool : pools_) {
    if (pool.n_layers > 0 && end - begin > pool.n_free) return false;   // never: see pages_needed
  }
  for (Pool& pool : pools_) {
    for (std::int64_t i = begin; pool.n_layers > 0 && i < end; ++i) page(pool, seq, i) = pool.free[at(--pool.n_free)];
  }
  sequences_[at(seq)].length = held + n;
  return true;
}

void KvCache::commit(SequenceId seq) noexcept {
  sequences_[at(seq)].committed = sequences_[at(seq)].length;
  trim(seq);
}

void KvCache::roll_back(SequenceId seq) noexcept { truncate(seq, sequences_[at(seq)].committed); }

void KvCache::clear(SequenceId seq) noexcept {
  sequences_[at(seq)].committed = 0;
  truncate(seq, 0);
}

bool KvCache::cut(SequenceId seq, std::int64_t length) noexcept {
  for (const Pool& pool : pools_) {
    if (pool.window == 0 || pool.n_layers == 0 || length == 0) continue;
    // The next position sees `length` and what is before it within the window.
    if (first_page(pool.window, length) < pool.lowest[at(seq)]) return false;
  }
  truncate(seq, length);
  sequences_[at(seq)].committed = length;
  return true;
}

/// Those pages from first to before end that are held.
void KvCache::give_back(Pool& pool, SequenceId seq, std::int64_t first, std::int64_t end) noexcept {
  for (std::int64_t i = end - 1; i >= first; --i) {
    std::int32_t& p = page(pool, seq, i);
    if (p == kNone) continue;
    pool.free[at(pool.n_free++)] = p;
    p = kNone;
  }
}

/// Gives back what no window reaches any more, neither from the end nor from where a roll_back() would go.
void KvCache::trim(SequenceId seq) noexcept {
  for (Pool& pool : pools_) {
    if (pool.window == 0 || pool.n_layers == 0) continue;
    std::int64_t& lowest = pool.lowest[at(seq)];
    const Sequence& s = sequences_[at(seq)];
    const std::int64_t back = first_page(pool.window, s.committed), back_end = pages_to(s.committed);
    const std::int64_t now = first_page(pool.window, s.length);
    give_back(pool, seq, lowest, std::min(back, now));
    give_back(pool, seq, std::max(lowest, back_end), now);
    lowest = std::min(back, now);
  }
}

void KvCache::truncate(SequenceId seq, std::int64_t length) noexcept {
  for (Pool& pool : pools_) {
    if (pool.n_layers == 0) continue;
    const std::int64_t lowest = pool.window > 0 ? pool.lowest[at(seq)] : 0;
    give_back(pool, seq, std::max(pages_to(length), lowest), pages_to(sequences_[at(seq)].length));
    if (pool.window > 0 && length == 0) pool.lowest[at(seq)] = 0;
  }
  sequences_[at(seq)].length = length;
}

void KvCache::describe(SequenceId seq, std::int64_t layer, std::int64_t head, std::int64_t pos,
                       KvStoreArgs& args) const noexcept {
  const Place& place = places_[at(layer)];
  const Pool& pool = pools_[place.pool];
  const std::int64_t in_pool = place.layer * pool.n_pages + page(pool, seq, pos / kKvPageTokens);
  args.keys = pool.keys.data() + at(in_pool) * key_page_bytes_ + kv_bytes(type_, head * kKvPageTokens * shape_.key_dim);
  args.values = pool.values.data() + at(in_pool) * value_page_bytes_ + kv_bytes(type_, head * kKvPageTokens * shape_.value_dim);
  args.slot = pos % kKvPageTokens;
  args.key_dim = shape_.key_dim;
  args.value_dim = shape_.value_dim;
}

void KvCache::describe(SequenceId seq, std::int64_t layer, std::int64_t head, AttentionArgs& args) const noexcept {
  const Place& place = places_[at(layer)];
  const Pool& pool = pools_[place.pool];
  const std::size_t first = at(place.layer * pool.n_pages);
  args.keys = pool.keys.data() + first * key_page_bytes_ + kv_bytes(type_, head * kKvPageTokens * shape_.key_dim);
  args.values = pool.values.data() + first * value_page_bytes_ + kv_bytes(type_, head * kKvPageTokens * shape_.value_dim);
  args.key_page_bytes = key_page_bytes_;
  args.value_page_bytes = value_page_bytes_;
  args.pages = &page(pool, seq, 0);
}

}  // namespace infer
