// SPDX-License-Identifier: MIT
// Normal form C (Unicode Standard Annex 15): decompose, sort marks by combining class, compose. Lower case. See unicode.h. Tested
// by tests/tokenizers/unicode_test.cpp.
#include "tokenizers/unicode.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <vector>

namespace infer::unicode {
namespace {

// Hangul syllables are computed (The Unicode Standard, section 3.12).
constexpr char32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11a7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

struct Point {
  char32_t code;
  std::uint8_t combining_class;
};

std::uint8_t combining_class(char32_t code) noexcept {
  const std::span all(kCombining, kCombiningCount);
  const auto at =
      std::lower_bound(all.begin(), all.end(), code, [](const Combining& c, char32_t x) { return c.last < x; });
  return at != all.end() && at->first <= code ? at->combining_class : std::uint8_t{0};
}

void decompose(char32_t code, std::vector<Point>& out) {
  if (code >= kSyllables && code < kSyllables + kSyllableCount) {
    const char32_t index = code - kSyllables;
    out.push_back({kLeads + index / (kVowelCount * kTailCount), 0});
    out.push_back({kVowels + index / kTailCount % kVowelCount, 0});
    if (index % kTailCount != 0) out.push_back({kTails + index % kTailCount, 0});
    return;
  }
  const std::span all(kDecompositions, kDecompositionCount);
  const auto at =
      std::lower_bound(all.begin(), all.end(), code, [](const Decomposition& d, char32_t x) { return d.code < x; });
  if (at == all.end() || at->code != code) {
    out.push_back({code, combining_class(code)});
    return;
  }
  decompose(at->first, out);  // a few levels deep: the table is ours
  if (at->second != 0) decompose(at->second, out);
}

/// What two characters compose to, or 0.
char32_t compose(char32_t first, char32_t second) noexcept {
  const char32_t lead = first - kLeads;  // wraps around to a large number below
  const char32_t vowel = second - kVowels;
  if (lead < kLeadCount && vowel < kVowelCount) return kSyllables + (lead * kVowelCount + vowel) * kTailCount;
  const char32_t syllable = first - kSyllables;
  const char32_t tail = second - kTails;
  if (syllable < kSyllableCount && syllable % kTailCount == 0 && tail > 0 && tail < kTailCount) return first + tail;

  const std::span all(kCompositions, kCompositionCount);
  const auto at = std::lower_bound(all.begin(), all.end(), std::tie(first, second),
                                   [](const Composition& c, const auto& x) { return std::tie(c.first, c.second) < x; });
  return at != all.end() && at->first == first && at->second == second ? at->code : 0;
}

bool contains(std::span<const Range> ranges, char32_t code) noexcept {
  const auto at = std::lower_bound(ranges.begin(), ranges.end(), code, [](const Range& r, char32_t x) { return r.last < x; });
  return at != ranges.end() && at->first <= code;
}

void sort_marks(std::vector<Point>& points) {
  for (auto begin = points.begin(); begin != points.end();) {
    const auto is_starter = [](const Point& p) { return p.combining_class == 0; };
    begin = std::find_if_not(begin, points.end(), is_starter);
    const auto end = std::find_if(begin, points.end(), is_starter);
    std::stable_sort(begin, end, [](const Point& a, const Point& b) { return a.combining_class < b.combining_class; });
    begin = end;
  }
}

/// In place. A mark joins the last starter unless one of its own class, or a starter, stands between them.
void compose_all(std::vector<Point>& points) noexcept {
  std::size_t n = 0;                    // points kept
  std::size_t starter = points.size();  // index of the last one, none yet
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point point = points[i];
    const bool reaches = starter < n && (starter + 1 == n || points[n - 1].combining_class < point.combining_class);
    if (const char32_t joined = reaches ? compose(points[starter].code, point.code) : 0; joined != 0) {
      points[starter].code = joined;
      continue;
    }
    if (point.combining_class == 0) starter = n;
    points[n++] = point;
  }
  points.resize(n, Point{});
}

}  // namespace

void append(char32_t code, std::string& out) {
  const auto push = [&out](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) return push(code);
  if (code < 0x800) {
    push(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      push(0xe0 | code >> 12);
    } else {
      push(0xf0 | code >> 18);
      push(0x80 | (code >> 12 & 0x3f));
    }
    push(0x80 | (code >> 6 & 0x3f));
  }
  push(0x80 | (code & 0x3f));
}

std::string_view to_nfc(std::string_view text, std::string& storage, std::vector<Change>* changes) {
  storage.clear();
  std::size_t n_copied = 0;
  std::vector<Point> points;
  // Only a run of unsettled characters and the settled one in front of it can change, and nothing around it.
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      begin = i++;
      continue;
    }
    Char c = wide_char(text.substr(i));
    if (!c.unsettled) {
      const bool is_well_formed = utf8_step(text.substr(i)).state == Utf8State::valid;
      begin = is_well_formed ? i : i + c.size;  // bytes that are no character stay as they are
      i += c.size;
      continue;
    }
    points.clear();
    std::size_t end = i + c.size;
    while ((c = char_at(text, end)).unsettled) end += c.size;
    for (std::size_t k = begin; k < end; k += char_at(text, k).size) decompose(code_of(text.substr(k)), points);
    sort_marks(points);
    compose_all(points);
    storage += text.substr(n_copied, begin - n_copied);
    const std::size_t n_before = storage.size();
    for (const Point& point : points) append(point.code, storage);
    if (changes != nullptr) changes->push_back({begin, end, storage.size() - n_before});
    n_copied = begin = i = end;
  }
  if (n_copied == 0) return text;
  storage += text.substr(n_copied);
  return storage;
}

std::size_t decompose_at(std::string_view text, std::size_t at, std::u32string& out) {
  std::vector<Point> points;
  do {
    decompose(code_of(text.substr(at)), points);
    at += char_at(text, at).size;
  } while (at < text.size() && char_at(text, at).unsettled && combining_class(code_of(text.substr(at))) != 0);
  sort_marks(points);
  for (const Point& point : points) out += point.code;
  return at;
}

bool is_nonspacing(char32_t code) noexcept { return contains({kNonspacing, kNonspacingCount}, code); }

bool is_control(char32_t code) noexcept {
  const bool is_private = (code >= 0xe000 && code <= 0xf8ff) || (code >= 0xf0000 && (code & 0xffff) <= 0xfffd);
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || is_private || contains({kFormat, kFormatCount}, code);
}

void append_lower(char32_t code, std::u32string& out) {
  if (code == 0x130) {  // the only one that becomes two
    out += U"i\u0307";
    return;
  }
  const std::span all(kLowerings, kLoweringCount);
  const auto at = std::lower_bound(all.begin(), all.end(), code, [](const Lowering& l, char32_t x) { return l.last < x; });
  const bool is_mapped = at != all.end() && at->first <= code && (code - at->first) % at->step == 0;
  out += is_mapped ? static_cast<char32_t>(static_cast<std::int32_t>(code) + at->distance) : code;
}

}  // namespace infer::unicode
