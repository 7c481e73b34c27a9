// SPDX-License-Identifier: MIT
// Walking and checking a double array. See charsmap.h.
#include "tokenizers/charsmap.h"

#include <algorithm>

#include <fmt/format.h>

#include "tokenizers/vocab.h"

namespace infer {
namespace {

constexpr const char* kKey = "tokenizer.ggml.precompiled_charsmap";

// A unit of 32 bits: a byte of the key (bits 0 to 7), whether a value ends here (8), how far away the units of the next
// bytes are (10 to 30, in steps of 256 where bit 9 is set); or, with bit 31 set, a value. The unit for byte b is found at
// the place of its parent XOR the parent's offset XOR b, the value at the same place without b.
constexpr std::uint32_t label(std::uint32_t unit) noexcept { return unit & 0x800000ffU; }
constexpr bool has_value(std::uint32_t unit) noexcept { return (unit >> 8 & 1U) != 0; }
constexpr std::uint32_t value(std::uint32_t unit) noexcept { return unit & 0x7fffffffU; }
constexpr std::uint32_t offset(std::uint32_t unit) noexcept { return unit >> 10 << ((unit & 1U << 9) >> 6); }

std::uint32_t read_u32(std::string_view bytes, std::size_t at) noexcept {
  std::uint32_t number = 0;
  for (std::size_t i = 4; i > 0; --i) number = number << 8 | static_cast<unsigned char>(bytes[at + i - 1]);
  return number;
}

Status bad(std::string message) {
  return Status::error(Code::vocab, fmt::format("{} {}", kKey, message)).about(kKey);
}

}  // namespace

Result<Charsmap> Charsmap::build(std::string_view bytes, const CancelFlag* cancel) {
  Charsmap map;
  if (bytes.empty()) return map;
  if (bytes.size() > kMaxBytes) {
    return Status::error(Code::limit, fmt::format("{} has {} bytes; at most {} are supported", kKey, bytes.size(), kMaxBytes))
        .about(kKey);
  }
  if (bytes.size() < 4) return bad(fmt::format("has {} bytes; the size of its trie alone takes 4", bytes.size()));
  const std::uint32_t trie_bytes = read_u32(bytes, 0);
  bytes.remove_prefix(4);
  if (trie_bytes > bytes.size()) return bad(fmt::format("has a trie of {} bytes, and {} are there", trie_bytes, bytes.size()));
  if (trie_bytes == 0 || trie_bytes % 4 != 0) return bad(fmt::format("has a trie of {} bytes, not of whole units of 4", trie_bytes));
  for (std::size_t at = 0; at < trie_bytes; at += 4) map.units_.push_back(read_u32(bytes, at));
  map.texts_ = bytes.substr(trie_bytes);
  INFER_TRY(map.check(cancel));
  return map;
}

// Depth first from the root. Several ways may lead to a unit, because strings with the same end share it, but none back to
// one that it came from.
Status Charsmap::check(const CancelFlag* cancel) const {
  constexpr std::uint16_t kUnseen = 0, kOpen = 1;  // more: done, one more than the bytes that may follow plus kOpen
  std::vector<std::uint16_t> states(units_.size(), kUnseen);
  struct Visit {
    std::uint32_t unit, next_byte;
    std::uint16_t n_following;
  };
  std::vector<Visit> open;
  const auto enter = [&](std::uint32_t unit) -> Status {
    states[unit] = kOpen;
    open.push_back({unit, 0, 0});
    return check_unit(unit);
  };
  INFER_TRY(enter(0));
  while (!open.empty()) {
    Visit& visit = open.back();
    if (visit.next_byte == 256) {
      const auto n_bytes = static_cast<std::uint16_t>(visit.n_following + 1);
      states[visit.unit] = static_cast<std::uint16_t>(kOpen + n_bytes);
      open.pop_back();
      if (!open.empty()) open.back().n_following = std::max(open.back().n_following, n_bytes);
      continue;
    }
    if (is_cancelled(cancel)) return loading_cancelled(kKey);
    const std::uint32_t byte = visit.next_byte++;
    const std::uint32_t next = visit.unit ^ offset(units_[visit.unit]) ^ byte;
    if (next >= units_.size() || label(units_[next]) != byte) continue;
    if (states[next] == kOpen) return bad(fmt::format("leads round in a circle by unit {}", next));
    const std::size_t n_following = states[next] == kUnseen ? 0 : states[next] - kOpen;
    if (open.size() + n_following > kMaxKey) {
      return bad(fmt::format("maps strings of more than {} bytes (unit {})", kMaxKey, next));
    }
    if (states[next] == kUnseen) {
      INFER_TRY(enter(next));
    } else {
      visit.n_following = std::max(visit.n_following, static_cast<std::uint16_t>(n_following));
    }
  }
  return {};
}

/// Where a unit leads, and the text of a value that it has.
Status Charsmap::check_unit(std::uint32_t at) const {
  const std::uint32_t unit = units_[at];
  const std::uint32_t base = at ^ offset(unit);
  if (base >= units_.size()) return bad(fmt::format("leads from unit {} to {}, past its {} units", at, base, units_.size()));
  if (!has_value(unit)) return {};
  const std::uint32_t text_at = value(units_[base]);
  if (text_at >= texts_.size()) return bad(fmt::format("maps to the text at {} of {} bytes (unit {})", text_at, texts_.size(), base));
  if (texts_.substr(text_at, kMaxReplacement + 1).find('\0') == std::string_view::npos) {
    return bad(fmt::format("maps to the text at {}, which has no end within {} bytes", text_at, kMaxReplacement));
  }
  return {};
}

std::string_view Charsmap::replacement(std::uint32_t text_at) const noexcept {
  const std::string_view text = texts_.substr(text_at);
  return text.substr(0, text.find('\0'));
}

Charsmap::Match Charsmap::match(std::string_view text) const noexcept {
  Match found;
  if (units_.empty()) return found;
  std::uint32_t base = offset(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::uint32_t next = base ^ byte;
    if (next >= units_.size() || label(units_[next]) != byte) break;
    base = next ^ offset(units_[next]);
    if (has_value(units_[next])) found = {i + 1, replacement(value(units_[base]))};
  }
  return found;
}

}  // namespace infer
