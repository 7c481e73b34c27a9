// SPDX-License-Identifier: MIT
// Texts with origins, and what little of Unicode the interpreter needs. See text.h.
#include "tokenizers/chat/text.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "src/base/utf8.h"

namespace infer::chat {

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  if (origin_after(edges_.size()) != origin) edges_.push_back(bytes_.size());
  bytes_ += bytes;
}

void Text::append(const Text& other, std::size_t begin, std::size_t count) {
  const std::string_view all = other.bytes_;
  const std::size_t end = begin + std::min(count, all.size() - begin);
  std::size_t edge = other.edges_until(begin);
  for (std::size_t i = begin; i < end; ++edge) {
    const std::size_t stop = edge < other.edges_.size() ? std::min(end, other.edges_[edge]) : end;
    append(all.substr(i, stop - i), origin_after(edge));
    i = stop;
  }
}

std::size_t Text::edges_until(std::size_t index) const noexcept {
  return static_cast<std::size_t>(std::upper_bound(edges_.begin(), edges_.end(), index) - edges_.begin());
}

Origin Text::origin_at(std::size_t index) const noexcept { return origin_after(edges_until(index)); }

std::size_t Text::run_end(std::size_t index) const noexcept {
  const std::size_t edge = edges_until(index);
  return edge == edges_.size() ? bytes_.size() : edges_[edge];
}

std::size_t character_at(std::string_view text, std::size_t index) noexcept {
  return std::min(utf8_length(text[index]), text.size() - index);
}

std::size_t character_before(std::string_view text, std::size_t index) noexcept {
  do --index;
  while (index > 0 && (static_cast<unsigned char>(text[index]) & 0xc0) == 0x80);
  return index;
}

std::size_t count_characters(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

namespace {

/// A block of letters beyond ASCII whose upper and lower case are a fixed distance apart, or alternate (distance 1).
struct CaseRange {
  char32_t first_upper, last_upper;
  char32_t distance;
};
constexpr CaseRange kCaseRanges[] = {
    {0xc0, 0xd6, 32},   {0xd8, 0xde, 32},   {0x391, 0x3a1, 32}, {0x3a3, 0x3ab, 32}, {0x410, 0x42f, 32},   {0x400, 0x40f, 80},
    {0x531, 0x556, 48}, {0x388, 0x38a, 37}, {0x386, 0x386, 38}, {0x38c, 0x38c, 64}, {0x38e, 0x38f, 63}, {0xff21, 0xff3a, 32},
};
constexpr CaseRange kAlternating[] = {
    {0x100, 0x12e, 1}, {0x132, 0x136, 1},   {0x139, 0x147, 1},   {0x14a, 0x176, 1}, {0x179, 0x17d, 1},
    {0x370, 0x372, 1}, {0x3d8, 0x3ee, 1},   {0x460, 0x480, 1},   {0x48a, 0x4be, 1}, {0x4c1, 0x4cd, 1},
    {0x4d0, 0x52e, 1}, {0x1e00, 0x1e94, 1}, {0x1ea0, 0x1efe, 1},
};

/// The zeros of Unicode 14's decimal digits (Nd): each has the other nine behind it.
constexpr char32_t kZeros[] = {
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900,
    0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0,
    0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8,
    0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
};

/// What are digits, but of no decimal system (Numeric_Type=Digit): superscripts, circled ones ...
constexpr std::pair<char32_t, char32_t> kOtherDigits[] = {
    {0xb2, 0xb3}, {0xb9, 0xb9}, {0x1369, 0x1371}, {0x19da, 0x19da}, {0x2070, 0x2070}, {0x2074, 0x2079}, {0x2080, 0x2089},
    {0x2460, 0x2468}, {0x2474, 0x247c}, {0x2488, 0x2490}, {0x24ea, 0x24ea}, {0x24f5, 0x24fd}, {0x24ff, 0x24ff},
    {0x2776, 0x277e}, {0x2780, 0x2788}, {0x278a, 0x2792}, {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a},
    {0x1f100, 0x1f10a},
};

}  // namespace

std::optional<int> decimal_digit(char32_t c) noexcept {
  const auto* const above = std::upper_bound(std::begin(kZeros), std::end(kZeros), c);
  if (above == std::begin(kZeros) || c - above[-1] > 9) return std::nullopt;
  return static_cast<int>(c - above[-1]);
}

bool is_digit(char32_t c) noexcept {
  return decimal_digit(c) || std::any_of(std::begin(kOtherDigits), std::end(kOtherDigits),
                                         [c](const auto& range) { return c >= range.first && c <= range.second; });
}

char32_t to_lower(char32_t c) noexcept {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c == 0x178) return 0xff;
  for (const CaseRange& r : kCaseRanges) {
    if (c >= r.first_upper && c <= r.last_upper) return c + r.distance;
  }
  for (const CaseRange& r : kAlternating) {
    if (c >= r.first_upper && c <= r.last_upper && (c - r.first_upper) % 2 == 0) return c + 1;
  }
  return c;
}

char32_t to_upper(char32_t c) noexcept {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  switch (c) {
    case 0xff:
      return 0x178;
    case 0xb5:
      return 0x39c;
    case 0x131:
      return 'I';
    case 0x17f:
      return 'S';
    case 0x3c2:
      return 0x3a3;
    default:
      break;
  }
  for (const CaseRange& r : kCaseRanges) {
    if (c >= r.first_upper + r.distance && c <= r.last_upper + r.distance) return c - r.distance;
  }
  for (const CaseRange& r : kAlternating) {
    if (c > r.first_upper && c <= r.last_upper + 1 && (c - r.first_upper) % 2 == 1) return c - 1;
  }
  return c;
}

}  // namespace infer::chat
