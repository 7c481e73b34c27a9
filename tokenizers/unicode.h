// SPDX-License-Identifier: MIT
// What the tokenizers need of Unicode: the class of each character, as the splitting rules ask for it, and normal form
// C. Text is UTF-8; bytes that are not count as U+FFFD and are kept as they are. Tested by
// tests/tokenizers/unicode_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/utf8.h"
#include "tokenizers/unicode_tables.h"

namespace infer::unicode {

/// Sets of characters, each one bit: a character is in exactly one of these. General categories in brackets.
using Set = std::uint16_t;
inline constexpr Set kOther = 1;             // Cc Cf Cn Co Cs
inline constexpr Set kUpper = 1 << 1;        // Lu Lt
inline constexpr Set kLower = 1 << 2;        // Ll
inline constexpr Set kCaseless = 1 << 3;     // Lm Lo
inline constexpr Set kMark = 1 << 4;         // M
inline constexpr Set kNumber = 1 << 5;       // N
inline constexpr Set kPunctuation = 1 << 6;  // P
inline constexpr Set kSymbol = 1 << 7;       // S
inline constexpr Set kSpace = 1 << 8;        // White_Space, whatever the category

inline constexpr Set kLetter = kUpper | kLower | kCaseless;
inline constexpr Set kAll = (1 << 9) - 1;

/// A character of a text. Past the end: nothing of no bytes, which is in no set.
struct Char {
  Set set = 0;
  bool unsettled = false;  ///< NFC may change it, or join it to what stands before it
  std::uint8_t size = 0;
};

/// The code point of a well-formed character.
constexpr char32_t decode(std::string_view character) noexcept {
  const auto byte = [character](std::size_t i) -> char32_t { return static_cast<unsigned char>(character[i]); };
  const auto tail = [&byte](std::size_t i) -> char32_t { return byte(i) & 0x3f; };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1f) << 6 | tail(1);
    case 3:
      return (byte(0) & 0x0f) << 12 | tail(1) << 6 | tail(2);
    default:
      return (byte(0) & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3);
  }
}

/// The code point that the text begins with; U+FFFD for an ill-formed part. The text must not be empty.
constexpr char32_t code_of(std::string_view text) noexcept {
  const Utf8Step step = utf8_step(text);
  return step.state == Utf8State::valid ? decode(text.substr(0, step.size)) : char32_t{0xfffd};
}

inline Char make_char(char leaf, std::uint8_t size) noexcept {
  const auto value = static_cast<unsigned char>(leaf - '0');
  return {static_cast<Set>(1U << (value & (kUnsettled - 1U))), (value & kUnsettled) != 0, size};
}

/// Of a code point, which takes `size` bytes.
inline Char char_of(char32_t code, std::uint8_t size) noexcept {
  const std::size_t middle = kTop[code >> 12] * std::size_t{64} + (code >> 6 & 63);
  return make_char(kLeaves[kMiddle[middle] * std::size_t{64} + (code & 63)], size);
}

/// Other than ASCII. The text must not be empty.
inline Char wide_char(std::string_view text) noexcept {
  const Utf8Step step = utf8_step(text);
  return char_of(step.state == Utf8State::valid ? decode(text.substr(0, step.size)) : char32_t{0xfffd}, step.size);
}

/// The character at `at`, which is at most the size of the text.
inline Char char_at(std::string_view text, std::size_t at) noexcept {
  if (at == text.size()) return {};
  const auto byte = static_cast<unsigned char>(text[at]);
  return byte < 0x80 ? make_char(kLeaves[byte], 1) : wide_char(text.substr(at));
}

/// Appends a code point as UTF-8.
void append(char32_t code, std::string& out);

/// A stretch of a text that a normal form writes in another way.
struct Change {
  std::size_t begin, end;  ///< in the text
  std::size_t n_normal;    ///< bytes it became
};

/// The text in normal form C: the text itself where it is so already, which takes no memory, else what `storage` then
/// holds. Linear but for runs of combining marks, which are sorted. `changes` (null: not asked for) receives, in order,
/// the stretches that may differ.
std::string_view to_nfc(std::string_view text, std::string& storage, std::vector<Change>* changes = nullptr);

/// Appends the canonical decomposition of the character at `at` together with the combining marks behind it, in canonical
/// order, and returns where these end.
std::size_t decompose_at(std::string_view text, std::size_t at, std::u32string& out);

/// General category Mn.
bool is_nonspacing(char32_t code) noexcept;
/// General categories Cc, Cf and Co: controls, formats and private use, but not what is unassigned.
bool is_control(char32_t code) noexcept;
/// Appends the character in lower case, as Unicode maps it without looking at what stands around it.
void append_lower(char32_t code, std::u32string& out);

}  // namespace infer::unicode
