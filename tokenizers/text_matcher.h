// SPDX-License-Identifier: MIT
// TextMatcher: finds those of a set of texts that stand at a place, longest first: control and user-defined tokens in all
// kinds, the pieces of the unigram model and of WordPiece. Tested by tests/tokenizers/vocab_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libinfer/tokenizer.h"

namespace infer {

/// A set of texts, kept sorted so that one walk down the bytes of a place narrows the set to what stands there. A place
/// whose first byte begins none of the texts costs one table look-up.
class TextMatcher {
 public:
  struct Entry {
    std::string text;
    Token token;
  };
  struct Match {
    Token token = kNoToken;
    std::size_t begin = 0, size = 0;
    bool found() const noexcept { return token != kNoToken; }
  };

  TextMatcher() = default;
  /// Empty texts are left out; of entries with the same text the first one counts.
  explicit TextMatcher(std::vector<Entry> entries);

  /// The longest entry that stands at `begin`.
  Match match_at(std::string_view text, std::size_t begin) const noexcept;
  /// All entries that stand at `begin`, the shortest first.
  template <class Act>
  void for_each_at(std::string_view text, std::size_t begin, const Act& act) const;
  /// The leftmost match from `begin` on, and there the longest.
  Match find(std::string_view text, std::size_t begin) const noexcept;

  /// The same, of this set within the spans and of `elsewhere` at all other places. A text of this set must lie in a span as a
  /// whole, whatever follows it. The spans are ascending and apart.
  Match find_within(std::span<const TextSpan> spans, const TextMatcher& elsewhere, std::string_view text,
                    std::size_t begin) const noexcept;

  /// Whether an entry that stands somewhere in the text takes in a byte of [begin, end).
  bool touches(std::string_view text, std::size_t begin, std::size_t end) const noexcept;

  std::size_t longest() const noexcept { return longest_; }
  bool empty() const noexcept { return tokens_.empty(); }
  std::uint64_t memory() const noexcept;

 private:
  std::uint32_t first_with(std::uint32_t low, std::uint32_t high, std::size_t depth, unsigned byte) const noexcept;

  StringList texts_;                        // sorted by bytes
  std::vector<Token> tokens_;               // of each text
  std::array<std::uint32_t, 257> first_{};  // texts that begin with byte b: first_[b] up to first_[b + 1]
  std::size_t longest_ = 0;
};

template <class Act>
void TextMatcher::for_each_at(std::string_view text, std::size_t begin, const Act& act) const {
  const auto first_byte = static_cast<unsigned char>(text[begin]);
  std::uint32_t low = first_[first_byte];
  std::uint32_t high = first_[first_byte + std::size_t{1}];
  for (std::size_t depth = 1; low < high; ++depth) {
    // All texts in [low, high) agree with the place in their first `depth` bytes; the shortest comes first.
    if (high - low == 1) {
      const std::string_view last = texts_[low];
      if (text.substr(begin, last.size()) == last) act(Match{tokens_[low], begin, last.size()});
      return;
    }
    if (texts_[low].size() == depth) {
      act(Match{tokens_[low], begin, depth});
      if (++low == high) break;
    }
    if (begin + depth == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[begin + depth]);
    high = first_with(low, high, depth, byte + 1U);
    low = first_with(low, high, depth, byte);
  }
}

}  // namespace infer
