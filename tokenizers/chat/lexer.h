// SPDX-License-Identifier: MIT
// A template's text to tokens, with Jinja's white-space control as transformers sets it up: trim_blocks, lstrip_blocks,
// and one newline at the end dropped. Tested by tests/tokenizers/chat/jinja_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/chat/budget.h"

namespace infer::chat {

enum class TokenKind : std::uint8_t {
  data,
  block_begin,
  block_end,
  print_begin,
  print_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Token {
  TokenKind kind;
  std::uint32_t offset;  ///< in the Source's text
  std::string text;      ///< of data and strings: what they mean
};

struct Position {
  std::size_t line = 1, column = 1;  ///< from 1; the column counts characters
};

/// The text as templates are read: every kind of line end is one \n, and one at the end of the text is gone.
class Source {
 public:
  Source() = default;
  explicit Source(std::string_view original);
  std::string_view text() const noexcept { return text_; }
  /// Counted on from byte `from`, whose position is `start`.
  Position position(std::size_t offset, std::size_t from = 0, Position start = {}) const noexcept;
  /// Says where: puts "line 3, column 5: " in front of a message that has no place yet, and notes the byte of the
  /// original text that it is about.
  Status locate(Status status, std::size_t offset) const;

 private:
  std::string text_;
  std::vector<std::size_t> dropped_;  // offsets in text_ before which a \r was left out
};

Result<std::vector<Token>> tokenize(const Source& source);

}  // namespace infer::chat
