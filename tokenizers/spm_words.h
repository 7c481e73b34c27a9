// SPDX-License-Identifier: MIT
// The two things that make spm.cpp quick: Neighbours says where text is cut into words, WordCache what became of them.
// Tested by tests/tokenizers/spm_test.cpp, which compares with the definition.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "libinfer/tokenizer.h"
#include "src/base/utf8.h"

namespace infer {

/// The character a text begins with, as long as its first byte says, but not longer than the text.
inline std::string_view first_character(std::string_view text) noexcept { return text.substr(0, utf8_length(text[0])); }

/// Which characters stand side by side inside some piece. A false "yes" (the set is a hash without chains) costs time,
/// never a wrong token.
class Neighbours {
 public:
  explicit Neighbours(std::size_t n_pieces) : words_(std::bit_ceil(n_pieces / 8 + 1), 0) {}

  void add(std::string_view piece) {
    std::string_view previous = first_character(piece);
    for (std::size_t i = previous.size(); i < piece.size();) {
      const std::string_view next = first_character(piece.substr(i));
      const std::uint64_t bit = place(previous, next);
      words_[bit >> 6] |= std::uint64_t{1} << (bit & 63);
      previous = next;
      i += next.size();
    }
  }

  bool contains(std::string_view a, std::string_view b) const noexcept {
    const std::uint64_t bit = place(a, b);
    return (words_[bit >> 6] >> (bit & 63) & 1) != 0;
  }

  std::uint64_t memory() const noexcept { return words_.capacity() * sizeof(std::uint64_t); }

 private:
  static std::uint64_t number(std::string_view character) noexcept {
    std::uint64_t n = 0;
    for (const char c : character) n = n << 8 | static_cast<unsigned char>(c);
    return n;
  }
  std::uint64_t place(std::string_view a, std::string_view b) const noexcept {
    const std::uint64_t hash = (number(a) << 32 | number(b)) * 0x9e3779b97f4a7c15U;
    return (hash >> 32) & (words_.size() * 64 - 1);
  }

  std::vector<std::uint64_t> words_;  // a power of two of them, at least 8 bits for each piece
};

/// What the last words became: short ones with few tokens, each in the one place that its hash allows.
class WordCache {
 public:
  using Key = std::array<std::uint64_t, 3>;
  struct Entry {
    Key key{};  // the bytes, then zeros
    std::uint16_t n_bytes = 0, n_tokens = 0;
    std::array<Token, 5> tokens{};
  };
  static constexpr std::size_t kMaxBytes = sizeof(Key);

  /// Makes room for the words of a text of that many bytes: short texts are not worth 192 KiB.
  void reserve(std::size_t n_bytes) {
    const std::size_t n_entries = std::min<std::size_t>(std::bit_ceil(n_bytes / 16 + 1), 4096);
    if (n_entries > entries_.size()) entries_.assign(n_entries, Entry{});
  }

  /// The entry that this word has or would have. It must not be longer than kMaxBytes.
  Entry& at(const Key& key) noexcept {
    std::uint64_t hash = (key[0] ^ key[1] * 0x9e3779b97f4a7c15U ^ key[2] * 0xc2b2ae3d27d4eb4fU) * 0x9e3779b97f4a7c15U;
    return entries_[(hash ^ hash >> 29) >> 32 & (entries_.size() - 1)];
  }

 private:
  std::vector<Entry> entries_;  // a power of two
};

}  // namespace infer
