// SPDX-License-Identifier: MIT
// UTF-8, one step at a time: how long a character is, whether it is well formed, and where an ill-formed part ends
// (Unicode 15, section 3.9, table 3-7 and "substitution of maximal subparts"). Shared by the tokenizers and the text
// streams. Tested by tests/runtime/text_stream_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace infer {

inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";  // U+FFFD

/// Length of a character by the high bits of its first byte alone: 1 to 4. Nothing is validated: a continuation byte
/// counts as 1, and 0xff as 4.
constexpr std::size_t utf8_length(char first) noexcept {
  const auto byte = static_cast<unsigned char>(first);
  if (byte < 0xc0) return 1;
  if (byte < 0xe0) return 2;
  return byte < 0xf0 ? 3 : 4;
}

enum class Utf8State : std::uint8_t {
  valid,       ///< a whole character
  ill_formed,  ///< bytes that no continuation can save
  incomplete,  ///< the beginning of a character, cut by the end of the text
};

struct Utf8Step {
  Utf8State state;
  std::uint8_t size;  ///< bytes it takes: of the character, of the maximal ill-formed part, or of all that is there
};

/// What the text begins with. The text must not be empty.
constexpr Utf8Step utf8_step(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {Utf8State::valid, 1};
  if (first < 0xc2 || first > 0xf4) return {Utf8State::ill_formed, 1};

  // The second byte is narrowed by some first bytes, so that surrogates, overlong forms and what lies beyond U+10FFFF
  // are found out as early as possible.
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;

  const std::size_t length = utf8_length(text[0]);
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Utf8State::incomplete, static_cast<std::uint8_t>(i)};
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < low || byte > high) return {Utf8State::ill_formed, static_cast<std::uint8_t>(i)};
    low = 0x80;
    high = 0xbf;
  }
  return {Utf8State::valid, static_cast<std::uint8_t>(length)};
}

}  // namespace infer
