// SPDX-License-Identifier: MIT
// TextMap: from a text to its token, 8 bytes for each of at least two slots per text. The texts themselves stay where
// they are: a StringList that the caller hands in with every call. Tested by tests/tokenizers/vocab_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "libinfer/tokenizer.h"

namespace infer {

class TextMap {
 public:
  /// For at most that many texts, none of them empty.
  explicit TextMap(std::size_t n_texts);
  TextMap() : TextMap(0) {}

  /// Takes in the text of a token and returns the token that text has now: of equal texts the first stays. kNoToken:
  /// too many texts have the same hash (kMaxProbes), which does not happen by chance.
  Token add(Token token, const StringList& texts);
  /// The token with this text, or kNoToken.
  Token find(std::string_view text, const StringList& texts) const noexcept;

  /// A crafted vocabulary can make all its texts collide. Longer runs than this do not occur by chance in a table that
  /// is half empty, so they are refused and loading stays linear.
  static constexpr std::size_t kMaxProbes = 256;

  std::uint64_t memory() const noexcept { return slots_.capacity() * sizeof(Slot); }

 private:
  // `tag` is the upper half of the hash: nearly all texts that are absent are known to be so without touching a string.
  struct Slot {
    std::uint32_t tag;
    Token token;
  };

  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
};

}  // namespace infer
