// SPDX-License-Identifier: MIT
// UTF-8 checks and the quoting of foreign text; see text.h. Tested by tests/base/text_test.cpp.
#include "src/base/text.h"

#include <cstddef>

namespace infer {
namespace {

constexpr std::size_t kShownHead = 128;
constexpr std::size_t kShownTail = 64;

/// Bytes of the well-formed character that `text` begins with; 0 when it begins with none.
std::size_t character_bytes(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;

  // Only the second byte has a range of its own: it excludes overlong forms, surrogates and what is past U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;

  const std::size_t n = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  for (std::size_t i = 2; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return n;
}

bool is_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F;
}

void append_escaped(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  while (!text.empty()) {
    std::size_t n = character_bytes(text);
    if (n == 0 || is_control(text[0])) {
      const auto byte = static_cast<unsigned char>(text[0]);
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      n = 1;
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n);
  }
}

bool is_continuation(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t n = character_bytes(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

bool is_printable_utf8(std::string_view text) noexcept {
  for (const char c : text) {
    if (is_control(c)) return false;
  }
  return is_utf8(text);
}

std::string escaped(std::string_view text) {
  std::string out;
  if (text.size() <= kShownHead + kShownTail) {
    append_escaped(text, out);
  } else {
    // Cut between characters, so that the cut itself does not show up as escapes.
    std::size_t head = kShownHead;
    for (int i = 0; i < 3 && is_continuation(text[head]); ++i) --head;
    std::size_t tail = text.size() - kShownTail;
    for (int i = 0; i < 3 && is_continuation(text[tail]); ++i) ++tail;
    append_escaped(text.substr(0, head), out);
    out += "...";
    append_escaped(text.substr(tail), out);
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  out.append(escaped(text)).append("'");
  return out;
}

}  // namespace infer
