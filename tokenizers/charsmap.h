// SPDX-License-Identifier: MIT
// Charsmap: the normaliser that SentencePiece compiles into a model (tokenizer.ggml.precompiled_charsmap). It maps strings
// to strings by a trie in a double array (Aoe 1989), as the library Darts-clone lays it out; equal ends are shared. Tested by
// tests/tokenizers/charsmap_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "libinfer/hooks.h"
#include "libinfer/status.h"

namespace infer {

/// Immutable; 4 bytes for each unit of the trie. The texts it maps to stay in the bytes it was built from, which must
/// outlive it.
class Charsmap {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
  static constexpr std::size_t kMaxKey = 256;
  static constexpr std::size_t kMaxReplacement = 256;

  Charsmap() = default;
  /// All of the trie is walked once, so that no text can be led out of it or round in it. No bytes: maps nothing.
  /// Errors: vocab (says what is wrong), limit, cancelled.
  static Result<Charsmap> build(std::string_view bytes, const CancelFlag* cancel);

  struct Match {
    std::size_t size = 0;          ///< bytes of the text; 0: nothing that the text begins with is mapped
    std::string_view replacement;
  };
  /// The longest mapped string that stands at the beginning of the text.
  Match match(std::string_view text) const noexcept;

  std::uint64_t memory() const noexcept { return units_.capacity() * sizeof(std::uint32_t); }

 private:
  Status check(const CancelFlag* cancel) const;
  Status check_unit(std::uint32_t at) const;
  std::string_view replacement(std::uint32_t value) const noexcept;

  std::vector<std::uint32_t> units_;
  std::string_view texts_;   // each ends with a NUL
};

}  // namespace infer
