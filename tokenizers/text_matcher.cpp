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

TextMatcher::Match TextMatcher::match_at(std::string_view text, std::size_t begin) const noexcept {
  const auto first_byte = static_cast<unsigned char>(text[begin]);
  std::uint32_t low = first_[first_byte];
  std::uint32_t high = first_[first_byte + std::size_t{1}];
  Match best;
  for (std::size_t depth = 1; low < high; ++depth) {
    // All texts in [low, high) agree with the place in their first `depth` bytes; the shortest comes first.
    if (texts_[low].size() == depth) {
      best = {tokens_[low], begin, depth};
      if (++low == high) break;
    }
    if (begin + depth == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[begin + depth]);
    const auto byte_of = [&](std::uint32_t i) { return static_cast<unsigned char>(texts_[i][depth]); };
    const auto first_with = [&](unsigned bound) {  // the first text in [low, high) whose next byte is at least `bound`
      std::uint32_t from = low;
      std::uint32_t to = high;
      while (from < to) {
        const std::uint32_t middle = from + (to - from) / 2;
        if (byte_of(middle) < bound) {
          from = middle + 1;
        } else {
          to = middle;
        }
      }
      return from;
    };
    high = first_with(byte + 1U);
    low = first_with(byte);
  }
  return best;
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
