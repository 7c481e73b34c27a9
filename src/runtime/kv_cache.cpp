// SPDX-License-Identifier: MIT
// Pages, their free list, and where things lie in them. Tested by tests/runtime/kv_cache_test.cpp.
#include "libinfer/kv_cache.h"

#include <initializer_list>
#include <string>

#include "src/base/checked.h"

namespace infer {
namespace {

constexpr std::int64_t kClosed = -1;

/// A product that is UINT64_MAX when it overflows, which no workspace has room for.
std::uint64_t product(std::initializer_list<std::int64_t> factors) noexcept {
  std::uint64_t p = 1;
  for (std::int64_t f : factors) p = checked_mul(p, static_cast<std::uint64_t>(f)).value_or(UINT64_MAX);
  return p;
}

std::size_t at(std::int64_t i) noexcept { return static_cast<std::size_t>(i); }

}  // namespace

KvCache KvCache::layout(Workspace& workspace, const KvShape& shape, const KvKind& kind) noexcept {
  KvCache c;
  c.shape_ = shape;
  c.kind_ = &kind;
  c.pages_per_sequence_ = (shape.context + kKvPageTokens - 1) / kKvPageTokens;
  c.n_pages_ = shape.n_sequences * c.pages_per_sequence_;
  const std::int64_t element = static_cast<std::int64_t>(kind.element_bytes);
  c.key_page_bytes_ = product({shape.n_kv_heads, kKvPageTokens, shape.key_dim, element});
  c.value_page_bytes_ = product({shape.n_kv_heads, kKvPageTokens, shape.value_dim, element});
  c.keys_ = workspace.take<std::byte>(
      MemoryClass::kv, product({shape.n_layers, c.n_pages_, static_cast<std::int64_t>(c.key_page_bytes_)}));
  c.values_ = workspace.take<std::byte>(
      MemoryClass::kv, product({shape.n_layers, c.n_pages_, static_cast<std::int64_t>(c.value_page_bytes_)}));
  c.pages_ = workspace.take<std::int32_t>(MemoryClass::kv, at(c.n_pages_));
  c.length_ = workspace.take<std::int64_t>(MemoryClass::kv, at(shape.n_sequences));
  c.free_ = workspace.take<std::int32_t>(MemoryClass::kv, at(c.n_pages_));
  if (workspace.planning() || workspace.overflow()) return c;

  for (std::int64_t& length : c.length_) length = kClosed;
  c.n_free_ = c.n_pages_;
  for (std::int64_t i = 0; i < c.n_pages_; ++i) c.free_[at(i)] = static_cast<std::int32_t>(c.n_pages_ - 1 - i);
  return c;
}

Result<SequenceId> KvCache::open() {
  for (std::int64_t s = 0; s < shape_.n_sequences; ++s) {
    if (length_[at(s)] != kClosed) continue;
    length_[at(s)] = 0;
    return static_cast<SequenceId>(s);
  }
  return Status::error(Code::sequence, "all " + std::to_string(shape_.n_sequences) +
                                           " sequences are open; close one or create the session with a larger n_seq");
}

void KvCache::close(SequenceId seq) noexcept {
  truncate(seq, 0);
  length_[at(seq)] = kClosed;
}

bool KvCache::is_open(SequenceId seq) const noexcept {
  return seq >= 0 && seq < shape_.n_sequences && length_[at(seq)] != kClosed;
}

bool KvCache::append(SequenceId seq, std::int64_t n) noexcept {
  const std::int64_t held = length_[at(seq)];
  if (n > shape_.context - held) return false;
  const std::int64_t first_page = (held + kKvPageTokens - 1) / kKvPageTokens;
  const std::int64_t end_page = (held + n + kKvPageTokens - 1) / kKvPageTokens;
  if (end_page - first_page > n_free_) return false;
  for (std::int64_t i = first_page; i < end_page; ++i) pages(seq)[at(i)] = free_[at(--n_free_)];
  length_[at(seq)] = held + n;
  return true;
}

void KvCache::truncate(SequenceId seq, std::int64_t length) noexcept {
  const std::int64_t first_page = (length + kKvPageTokens - 1) / kKvPageTokens;
  const std::int64_t end_page = (length_[at(seq)] + kKvPageTokens - 1) / kKvPageTokens;
  for (std::int64_t i = end_page - 1; i >= first_page; --i) free_[at(n_free_++)] = pages(seq)[at(i)];
  length_[at(seq)] = length;
}

void KvCache::describe(SequenceId seq, std::int64_t layer, std::int64_t head, std::int64_t pos,
                       KvStoreArgs& args) const noexcept {
  const std::int64_t page = layer * n_pages_ + pages(seq)[at(pos / kKvPageTokens)];
  const std::int64_t element = static_cast<std::int64_t>(kind_->element_bytes);
  args.keys = keys_.data() + at(page) * key_page_bytes_ + at(head * kKvPageTokens * shape_.key_dim * element);
  args.values = values_.data() + at(page) * value_page_bytes_ + at(head * kKvPageTokens * shape_.value_dim * element);
  args.slot = pos % kKvPageTokens;
  args.key_dim = shape_.key_dim;
  args.value_dim = shape_.value_dim;
}

void KvCache::describe(SequenceId seq, std::int64_t layer, std::int64_t head, AttentionArgs& args) const noexcept {
  const std::size_t e = kind_->element_bytes;
  args.keys = keys_.data() + at(layer * n_pages_) * key_page_bytes_ + at(head * kKvPageTokens * shape_.key_dim) * e;
  args.values = values_.data() + at(layer * n_pages_) * value_page_bytes_ + at(head * kKvPageTokens * shape_.value_dim) * e;
  args.key_page_bytes = key_page_bytes_;
  args.value_page_bytes = value_page_bytes_;
  args.pages = pages(seq).data();
}

}  // namespace infer
