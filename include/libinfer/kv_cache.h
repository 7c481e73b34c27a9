// SPDX-License-Identifier: MIT
// The KV cache: fixed-size pages in two pools; a sequence is a list of pages in each. Layers that see everything share one
// pool, layers with a sliding window the other, whose pages are given back when the window has passed them. A page holds
// the keys and values of kKvPageTokens consecutive positions in every layer of its pool, head by head, so that a page can
// one day be shared between sequences by counting its users. Appending is a transaction: until commit() a sequence can
// go back to where it was. All memory comes from the session's Workspace. Tested by tests/runtime/kv_cache_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "libinfer/kernels.h"
#include "libinfer/status.h"
#include "libinfer/workspace.h"

namespace infer {

/// A way to store keys and values; the table is src/runtime/kv_kinds.h.
struct KvKind {
  std::string_view name;        ///< "f16"
  KvType type;                  ///< index of its kernels in the KernelTable, and of its kKvBlocks
};

struct KvShape {
  std::int64_t n_layers = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t key_dim = 0;     ///< per head
  std::int64_t value_dim = 0;
  std::int64_t n_sequences = 0;
  std::int64_t context = 0;     ///< positions per sequence
  std::int64_t window = 0;      ///< how far back local layers see
  std::int64_t batch = 1;       ///< positions appended at once, at most
};

using SequenceId = std::int32_t;

class KvCache {
 public:
  /// Lays the cache out in `workspace`; with a planning workspace the result only has a size. `local`: (n_layers) which layers
  /// have the window, or empty for none. Keys and values are whole blocks of the kind.
  static KvCache layout(Workspace& workspace, const KvShape& shape, const std::vector<bool>& local, const KvKind& kind) noexcept;

  KvType type() const noexcept { return type_; }
  std::int64_t context() const noexcept { return shape_.context; }
  std::int64_t n_sequences() const noexcept { return shape_.n_sequences; }

  /// Bytes of one position in all layers that see everything, and in all that have a window.
  std::uint64_t position_bytes() const noexcept { return position_bytes(pools_[0]); }
  std::uint64_t window_position_bytes() const noexcept { return position_bytes(pools_[1]); }

  /// A free sequence, now empty and open; Code::sequence when all are open.
  Result<SequenceId> open();
  /// Gives its pages back. The id must be open.
  void close(SequenceId seq) noexcept;
  bool is_open(SequenceId seq) const noexcept;

  std::int64_t length(SequenceId seq) const noexcept { return sequences_[static_cast<std::size_t>(seq)].length; }
  /// Makes room for n more positions and counts them as held; their keys and values are stored by the next step. Pages that
  /// neither these nor a roll_back() will need are given back. False, and nothing is held that was not, when the context has
  /// no room.
  bool append(SequenceId seq, std::int64_t n) noexcept;
  /// What was appended stays.
  void commit(SequenceId seq) noexcept;
  /// Forgets what was appended since the last commit().
  void roll_back(SequenceId seq) noexcept;
  /// Forgets everything.
  void clear(SequenceId seq) noexcept;
  /// Forgets all positions from `length` on. False, and nothing is forgotten, when a window of the last one that stays reaches
  /// further back than what is still held.
  bool cut(SequenceId seq, std::int64_t length) noexcept;

  /// Fills in where position `pos` of one head is stored: keys, values, slot and dimensions of KvStoreArgs.
  void describe(SequenceId seq, std::int64_t layer, std::int64_t head, std::int64_t pos, KvStoreArgs& args) const noexcept;

  /// Fills in keys, values, page strides and the page list of AttentionArgs.
  void describe(SequenceId seq, std::int64_t layer, std::int64_t head, AttentionArgs& args) const noexcept;

 private:
  /// Pages for the layers of one kind.
  struct Pool {
    std::int64_t window = 0;            ///< 0: its layers see everything
    std::int64_t n_layers = 0;
    std::int64_t n_pages = 0;
    std::span<std::byte> keys;          ///< (n_layers, n_pages, n_kv_heads), each as KvStoreArgs says
    std::span<std::byte> values;        ///< (n_layers, n_pages, n_kv_heads)
    std::span<std::int32_t> pages;      ///< (n_sequences, pages_per_sequence), or kNone where no page is held
    std::span<std::int64_t> lowest;     ///< (n_sequences) no page below is held; only with a window
    std::span<std::int32_t> free;       ///< stack of free pages
    std::int64_t n_free = 0;
  };
  struct Sequence {
    std::int64_t length;                ///< or -1 when not open
    std::int64_t committed;             ///< what roll_back() goes back to
  };
  struct Place {
    std::int32_t pool;
    std::int32_t layer;                 ///< within the pool
  };

  void lay_out(Workspace& workspace, Pool& pool) noexcept;
  std::uint64_t position_bytes(const Pool& pool) const noexcept {
    return static_cast<std::uint64_t>(pool.n_layers) * (key_page_bytes_ + value_page_bytes_) / kKvPageTokens;
  }
  std::int64_t pages_needed(const Pool& pool) const noexcept;
  std::int32_t& page(const Pool& pool, SequenceId seq, std::int64_t i) const noexcept {
    return pool.pages[static_cast<std::size_t>(seq * pages_per_sequence_ + i)];
  }
  void give_back(Pool& pool, SequenceId seq, std::int64_t first, std::int64_t end) noexcept;
  void trim(SequenceId seq) noexcept;
  void truncate(SequenceId seq, std::int64_t length) noexcept;

  KvShape shape_{};
  KvType type_{};
  std::int64_t pages_per_sequence_ = 0;
  std::size_t key_page_bytes_ = 0;     ///< of one layer
  std::size_t value_page_bytes_ = 0;
  Pool pools_[2];                      ///< of layers that see everything, of local layers
  std::span<Place> places_;            ///< (n_layers)
  std::span<Sequence> sequences_;      ///< (n_sequences)
};

}  // namespace infer
