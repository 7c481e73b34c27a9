// SPDX-License-Identifier: MIT
// Leftmost, longest search for a set of texts. See text_matcher.h.
#include "tokenizers/text_matcher.h"

#include <algorithm>

namespace infer {

TextMatcher::TextMatcher(std::vector<Entry> entries) {
  std::erase_if(entries, [](const Entry& e) { return e.text.empty(); });
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  const auto same_text = [](const Entry& a, const Entry& b) { return a.text == b.text; };
  entries.erase(std::unique(entries.begin(), entries.end(), same_text), entries.end());

  for (const Entry& entry : entries) {
    texts_.push_back(entry.text);
    tokens_.push_back(entry.token);
    longest_ = std::max(longest_, entry.text.size());
    ++first_[static_cast<unsigned char>(entry.text[0]) + std::size_t{1}];
  }
  for (std::size_t b = 1; b < first_.size(); ++b) first_[b] += first_[b - 1];
}

/// The first text in [low, high) whose byte at `depth` is at least this one.
std::uint32_t TextMatcher::first_with(std::uint32_t low, std::uint32_t high, std::size_t depth, unsigned byte) const noexcept {
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (static_cast<unsigned char>(texts_[middle][depth]) < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

TextMatcher::Match TextMatcher::match_at(std::string_view text, std::size_t begin) const noexcept {
  Match longest;
  for_each_at(text, begin, [&longest](const Match& match) { longest = match; });
  return longest;
}

TextMatcher::Match TextMatcher::find(std::string_view text, std::size_t begin) const noexcept {
  for (std::size_t i = begin; !empty() && i < text.size(); ++i) {
    if (const Match match = match_at(text, i); match.found()) return match;
  }
  return {};
}

TextMatcher::Match TextMatcher::find_within(std::span<const TextSpan> spans, const TextMatcher& elsewhere,
                                            std::string_view text, std::size_t begin) const noexcept {
  const auto ends_later = [](const TextSpan& span, std::size_t at) { return span.end <= at; };
  auto span = std::lower_bound(spans.begin(), spans.end(), begin, ends_later);
  for (std::size_t i = begin; i < text.size(); ++i) {
    while (span != spans.end() && span->end <= i) ++span;
    if (span != spans.end() && span->begin <= i) {
      if (const Match match = match_at(text.substr(0, span->end), i); match.found()) return match;
    }
    if (const Match match = elsewhere.match_at(text, i); match.found()) return match;
  }
  return {};
}

bool TextMatcher::touches(std::string_view text, std::size_t begin, std::size_t end) const noexcept {
  for (std::size_t i = begin - std::min(begin, longest_); i < end; ++i) {
    if (const Match match = match_at(text, i); match.found() && i + match.size > begin) return true;
  }
  return false;
}

std::uint64_t TextMatcher::memory() const noexcept {
  return sizeof(*this) + texts_.memory() + tokens_.capacity() * sizeof(Token);
}

}  // namespace infer
