// SPDX-License-Identifier: MIT
// A hash table of texts. See text_map.h.
#include "tokenizers/text_map.h"

#include <bit>
#include <cstring>

namespace infer {
namespace {

template <class Word>
std::uint64_t load(const char* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

// Eight bytes a round. Mixed well enough that the low bits choose the slot and the high ones serve as a tag.
std::uint64_t hash_text(std::string_view text) noexcept {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio
  const char* p = text.data();
  std::size_t n = text.size();
  std::uint64_t hash = n * kOdd;
  const auto mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 32;
  };
  for (; n >= 8; p += 8, n -= 8) mix(load<std::uint64_t>(p));
  if (n >= 4) {
    mix(load<std::uint32_t>(p) | load<std::uint32_t>(p + n - 4) << 32);  // the two overlap
  } else if (n > 0) {
    mix(load<std::uint8_t>(p) | load<std::uint8_t>(p + n / 2) << 8 | load<std::uint8_t>(p + n - 1) << 16);
  }
  hash *= kOdd;
  return hash ^ hash >> 32;  // texts that differ in their last bytes alone differ in high bits until here
}

}  // namespace

TextMap::TextMap(std::size_t n_texts) : slots_(std::bit_ceil(n_texts * 2), Slot{0, kNoToken}) {}

Token TextMap::add(Token token, const StringList& texts) {
  const std::string_view text = texts[static_cast<std::size_t>(token)];
  const std::uint64_t hash = hash_text(text);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (std::size_t n_probes = 1; slots_[slot].token != kNoToken; ++n_probes, slot = (slot + 1) & mask) {
    const Slot& s = slots_[slot];
    if (s.tag == tag && texts[static_cast<std::size_t>(s.token)] == text) return s.token;
    if (n_probes == kMaxProbes) return kNoToken;
  }
  slots_[slot] = {tag, token};
  return token;
}

Token TextMap::find(std::string_view text, const StringList& texts) const noexcept {
  const std::uint64_t hash = hash_text(text);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (std::size_t n_probes = 0; n_probes < kMaxProbes; ++n_probes, slot = (slot + 1) & mask) {   // none is further off
    const Slot& s = slots_[slot];
    if (s.token == kNoToken) return kNoToken;
    if (s.tag == tag && texts[static_cast<std::size_t>(s.token)] == text) return s.token;
  }
  return kNoToken;
}

}  // namespace infer
