// SPDX-License-Identifier: MIT
// UTF-8 checks and the quoting of foreign text; see text.h. Tested by tests/base/text_test.cpp.
#include "libinfer/text.h"

#include <algorithm>
#include <cstddef>

#include "src/base/utf8.h"

namespace infer {
namespace {

constexpr std::size_t kShownHead = 128;
constexpr std::size_t kShownTail = 64;

/// Bytes of the well-formed character that `text` begins with; 0 when it begins with none.
std::size_t character_bytes(std::string_view text) noexcept {
  const Utf8Step step = utf8_step(text);
  return step.state == Utf8State::valid ? step.size : 0;
}

/// Whether the text begins with a control character: C0, DEL, or C1 (U+0080 to U+009F, which terminals obey too).
bool starts_with_control(std::string_view text) noexcept {
  const auto byte = static_cast<unsigned char>(text[0]);
  if (byte < 0x20 || byte == 0x7F) return true;
  return byte == 0xC2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xA0;
}

void append_escaped(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  while (!text.empty()) {
    std::size_t n = character_bytes(text);
    if (n == 0 || starts_with_control(text)) {
      n = std::max<std::size_t>(n, 1);
      for (const char c : text.substr(0, n)) {
        const auto byte = static_cast<unsigned char>(c);
        out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      }
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
  while (!text.empty()) {
    const std::size_t n = character_bytes(text);
    if (n == 0 || starts_with_control(text)) return false;
    text.remove_prefix(n);
  }
  return true;
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
