// SPDX-License-Identifier: MIT
// Merges: which two tokens byte-pair encoding joins, and which pair goes first. Joiner: joins the tokens of a piece.
// Tested by tests/tokenizers/bpe_test.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libinfer/status.h"
#include "libinfer/tokenizer.h"
#include "tokenizers/vocab.h"

namespace infer {

/// Immutable; 16 bytes for each of at least 1.5 slots per merge.
class Merges {
 public:
  struct Pair {
    std::uint32_t rank = kNoRank;  ///< the lower goes first
    Token joined = kNoToken;
    bool found() const noexcept { return joined != kNoToken; }
  };
  static constexpr std::uint32_t kNoRank = UINT32_MAX;
  static constexpr std::size_t kMaxMerges = std::size_t{1} << 22;

  Merges() : slots_(1) {}
  /// A merge is "left right", two texts of the vocabulary whose concatenation is one, too, and no control token. Repeated
  /// pairs keep their first rank; that is told in `warnings`. Errors, naming the merge: vocab, limit, cancelled (looked at
  /// with every merge).
  static Result<Merges> build(const StringList& merges, const Vocab& vocab, const CancelFlag* cancel,
                              std::vector<std::string>& warnings);

  Pair find(Token left, Token right) const noexcept;

  std::uint64_t memory() const noexcept { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint64_t key = 0;  // left and right
    Pair pair;
  };
  std::size_t place(std::uint64_t key) const noexcept;

  std::vector<Slot> slots_;  // open addressing, a power of two, at most two thirds full
};

/// Working memory of a call. The merges must outlive it.
class Joiner {
 public:
  explicit Joiner(const Merges& merges) noexcept : merges_(merges) {}

  /// Of the piece at hand, from left to right.
  void add(Token token) { symbols_.push_back({token, {}}); }
  /// Joins of all neighbours those with the lowest rank, the leftmost first, until no merge is left; appends what
  /// remains and begins a new piece.
  void join(std::vector<Token>& out);

 private:
  struct Symbol {
    Token token;
    Merges::Pair pair;  // with its right neighbour
  };
  struct Link {
    std::int32_t previous, next;  // indices of symbols, -1 at the ends
  };
  // Out of date when the two tokens are no longer neighbours there.
  struct Candidate {
    Merges::Pair pair;
    std::int32_t left;
    Token left_token, right_token;
    /// Whether it is joined later than the other.
    bool operator<(const Candidate& other) const noexcept {
      return pair.rank != other.pair.rank ? pair.rank > other.pair.rank : left > other.left;
    }
  };
  void join_few();
  void join_many();
  void push(std::int32_t left);

  const Merges& merges_;
  std::vector<Symbol> symbols_;
  std::vector<Link> links_;            // for join_many
  std::vector<Candidate> candidates_;  // a heap
};

}  // namespace infer
