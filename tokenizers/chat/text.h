// SPDX-License-Identifier: MIT
// Text: UTF-8 bytes of which each knows where it came from. What a template says is trusted, what messages say is not,
// and no operation of the interpreter loses track: later, control tokens are looked for in trusted bytes only.
// Tested by tests/tokenizers/chat/segments_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/unicode.h"

namespace infer::chat {

enum class Origin : std::uint8_t { trusted, untrusted };

class Text {
 public:
  Text() = default;
  Text(std::string_view bytes, Origin origin) { append(bytes, origin); }

  const std::string& bytes() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return bytes_.size(); }
  bool empty() const noexcept { return bytes_.empty(); }
  /// What it takes, and budgets charge for: bytes, and the places where the origin changes.
  std::size_t memory() const noexcept { return bytes_.size() + edges_.size() * sizeof(std::size_t); }
  /// Gives back the room for growth.
  void shrink() {
    bytes_.shrink_to_fit();
    edges_.shrink_to_fit();
  }

  void append(std::string_view bytes, Origin origin);
  void append(const Text& other) { append(other, 0, other.size()); }
  /// A part of another text, with its origins.
  void append(const Text& other, std::size_t begin, std::size_t count);
  Text slice(std::size_t begin, std::size_t count) const {
    Text part;
    part.append(*this, begin, count);
    return part;
  }

  Origin origin_at(std::size_t index) const noexcept;
  /// The end of the run of one origin that `index` lies in.
  std::size_t run_end(std::size_t index) const noexcept;

 private:
  std::size_t edges_until(std::size_t index) const noexcept;
  static Origin origin_after(std::size_t n_edges) noexcept {
    return n_edges % 2 == 0 ? Origin::trusted : Origin::untrusted;
  }

  std::string bytes_;
  std::vector<std::size_t> edges_;  // where the origin changes, ascending; before the first of them bytes are trusted
};

/// Bytes of the character that begins at `index`. Texts of the interpreter are well-formed UTF-8.
std::size_t character_at(std::string_view text, std::size_t index) noexcept;
/// Where the character begins that ends before `index`.
std::size_t character_before(std::string_view text, std::size_t index) noexcept;
std::size_t count_characters(std::string_view text) noexcept;
/// The code point that begins at `index`.
inline char32_t code_point_at(std::string_view text, std::size_t index) noexcept {
  return unicode::code_of(text.substr(index));
}

/// What Python's str.isspace and str.strip take for white space: four separators more than Unicode.
inline bool is_space(char32_t c) noexcept {
  return (c >= 0x1c && c <= 0x1f) || (unicode::char_of(c, 0).set & unicode::kSpace) != 0;
}

/// Where Python's str.splitlines ends lines; \r\n is one end.
constexpr bool is_line_end(char32_t c) noexcept {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

/// What str.isalpha, isalnum and isdigit ask of each character.
inline bool is_letter(char32_t c) noexcept { return (unicode::char_of(c, 0).set & unicode::kLetter) != 0; }
inline bool is_letter_or_number(char32_t c) noexcept {
  return (unicode::char_of(c, 0).set & (unicode::kLetter | unicode::kNumber)) != 0;
}
bool is_digit(char32_t c) noexcept;
/// 0 to 9 for a digit of any decimal system.
std::optional<int> decimal_digit(char32_t c) noexcept;

/// Unicode's simple mappings for Latin, Greek, Cyrillic and Armenian; other letters stay as they are.
char32_t to_upper(char32_t c) noexcept;
char32_t to_lower(char32_t c) noexcept;
/// Whether the letter has a case.
inline bool is_cased(char32_t c) noexcept { return to_upper(c) != c || to_lower(c) != c || c == 0xdf; }

}  // namespace infer::chat
