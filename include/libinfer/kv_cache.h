// SPDX-License-Identifier: MIT
// The KV cache: a pool of fixed-size pages; a sequence is a list of pages. One sequence is the simple case of many.
// A page holds the keys and values of kKvPageTokens consecutive positions in every layer, head by head, so that a page
// can one day be shared between sequences by counting its users. All memory comes from the session's Workspace.
// Tested by tests/runtime/kv_cache_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "libinfer/kernels.h"
#include "libinfer/status.h"
#include "libinfer/workspace.h"

namespace infer {

/// A way to store keys and values; the table is src/runtime/kv_kinds.cpp.
struct KvKind {
  std::string_view name;        ///< "f16"
  KvType type;                  ///< index of its kernels in the KernelTable
  std::size_t element_bytes;
};

struct KvShape {
  std::int64_t n_layers = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t key_dim = 0;     ///< per head
  std::int64_t value_dim = 0;
  std::int64_t n_sequences = 0;
  std::int64_t context = 0;     ///< positions per sequence
};

using SequenceId = std::int32_t;

class KvCache {
 public:
  /// Lays the cache out in `workspace`; with a planning workspace the result only has a size.
  static KvCache layout(Workspace& workspace, const KvShape& shape, const KvKind& kind) noexcept;

  KvType type() const noexcept { return kind_->type; }
  std::int64_t context() const noexcept { return shape_.context; }
  std::int64_t n_sequences() const noexcept { return shape_.n_sequences; }

  /// A free sequence, now empty and open; Code::sequence when all are open.
  Result<SequenceId> open();
  /// Gives its pages back. The id must be open.
  void close(SequenceId seq) noexcept;
  bool is_open(SequenceId seq) const noexcept;

  std::int64_t length(SequenceId seq) const noexcept { return length_[static_cast<std::size_t>(seq)]; }
  /// Makes room for n more positions and counts them as held; their keys and values are stored by the next step.
  /// False, and nothing changes, when the context or the pool has no room.
  bool append(SequenceId seq, std::int64_t n) noexcept;
  /// Forgets positions from `length` on and gives their pages back.
  void truncate(SequenceId seq, std::int64_t length) noexcept;

  /// Fills in where position `pos` of one head is stored: keys, values, slot and dimensions of KvStoreArgs.
  void describe(SequenceId seq, std::int64_t layer, std::int64_t head, std::int64_t pos, KvStoreArgs& args) const noexcept;

  /// Fills in keys, values, page strides and the page list of AttentionArgs.
  void describe(SequenceId seq, std::int64_t layer, std::int64_t head, AttentionArgs& args) const noexcept;

 private:
  std::span<std::int32_t> pages(SequenceId seq) const noexcept {
    return pages_.subspan(static_cast<std::size_t>(seq * pages_per_sequence_), static_cast<std::size_t>(pages_per_sequence_));
  }

  KvShape shape_{};
  const KvKind* kind_ = nullptr;
  std::int64_t n_pages_ = 0;
  std::int64_t pages_per_sequence_ = 0;
  std::size_t key_page_bytes_ = 0;     ///< of one layer
  std::size_t value_page_bytes_ = 0;
  std::span<std::byte> keys_;          ///< (n_layers, n_pages, n_kv_heads), each as KvStoreArgs says
  std::span<std::byte> values_;        ///< (n_layers, n_pages, n_kv_heads)
  std::span<std::int32_t> pages_;      ///< (n_sequences, pages_per_sequence)
  std::span<std::int64_t> length_;     ///< (n_sequences), or -1 when not open
  std::span<std::int32_t> free_;       ///< stack of free pages
  std::int64_t n_free_ = 0;
};

}  // namespace infer
