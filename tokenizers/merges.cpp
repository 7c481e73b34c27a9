// SPDX-License-Identifier: MIT
// Byte-pair encoding (Sennrich et al. 2016) over the ids of tokens. Words are short: their pairs are searched one by
// one. Long pieces, such as a megabyte of one letter, go through a heap. See merges.h.
#include "tokenizers/merges.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "libinfer/text.h"

namespace infer {
namespace {

constexpr std::size_t kFew = 48;         // symbols, from where on the heap is quicker
constexpr std::size_t kMaxProbes = 256;  // see TextMap
constexpr const char* kKey = "tokenizer.ggml.merges";

std::uint64_t key_of(Token left, Token right) noexcept {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

Status merge_error(std::size_t rank, std::string_view text, std::string_view what) {
  return Status::error(Code::vocab, fmt::format("{}: merge {} ({}) {}", kKey, rank, quoted(text), what)).about(kKey);
}

}  // namespace

Result<Merges> Merges::build(const StringList& merges, const Vocab& vocab, const CancelFlag* cancel,
                             std::vector<std::string>& warnings) {
  if (merges.size() > kMaxMerges) {
    return Status::error(Code::limit,
                         fmt::format("{} has {} entries; at most {} are supported", kKey, merges.size(), kMaxMerges))
        .about(kKey);
  }
  Merges built;
  built.slots_.resize(std::bit_ceil(merges.size() + merges.size() / 2 + 1));
  const std::size_t mask = built.slots_.size() - 1;
  std::size_t n_repeated = 0;
  std::size_t first_repeated = 0;
  std::string joined_text;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    if (is_cancelled(cancel)) return loading_cancelled(kKey);
    const std::string_view merge = merges[rank];
    const std::size_t space = merge.find(' ');
    if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
      return merge_error(rank, merge, "is not two texts with one space between them");
    }
    const std::string_view left_text = merge.substr(0, space);
    const std::string_view right_text = merge.substr(space + 1);
    if (left_text.empty() || right_text.empty()) return merge_error(rank, merge, "has an empty half");
    const Token left = vocab.find(left_text);
    const Token right = vocab.find(right_text);
    if (left == kNoToken || right == kNoToken) {
      return merge_error(rank, merge,
                         fmt::format("has a {} half that is no token", left == kNoToken ? "left" : "right"));
    }
    joined_text.assign(left_text).append(right_text);
    const Token joined = vocab.find(joined_text);
    if (joined == kNoToken) return merge_error(rank, merge, "gives a text that is no token");
    const TokenType kind = vocab.type(joined);
    if (kind == TokenType::control || kind == TokenType::unknown ||
        (kind == TokenType::user_defined && vocab.looks_like_control(joined))) {
      return merge_error(rank, merge, fmt::format("gives token {}, which plain text must not become", joined));
    }

    const std::uint64_t key = key_of(left, right);
    std::size_t slot = built.place(key);
    for (std::size_t n_probes = 1; built.slots_[slot].pair.found() && built.slots_[slot].key != key; ++n_probes) {
      if (n_probes == kMaxProbes) return merge_error(rank, merge, "is one of too many with the same hash");
      slot = (slot + 1) & mask;
    }
    if (!built.slots_[slot].pair.found()) {
      built.slots_[slot] = {key, {static_cast<std::uint32_t>(rank), joined}};
    } else if (n_repeated++ == 0) {
      first_repeated = rank;
    }
  }
  if (n_repeated > 0) {
    warnings.push_back(
        fmt::format("{}: {} of {} merges repeat an earlier one, {} the first of them; the earlier ones count", kKey,
                    n_repeated, merges.size(), first_repeated));
  }
  return built;
}

std::size_t Merges::place(std::uint64_t key) const noexcept {
  const std::uint64_t hash = key * 0x9e3779b97f4a7c15U;
  return (hash ^ hash >> 32) & (slots_.size() - 1);
}

Merges::Pair Merges::find(Token left, Token right) const noexcept {
  const std::uint64_t key = key_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = place(key);
  for (std::size_t n_probes = 0; n_probes < kMaxProbes; ++n_probes, slot = (slot + 1) & mask) {   // none is further off
    const Slot& s = slots_[slot];
    if (!s.pair.found() || s.key == key) return s.pair;
  }
  return {};
}

void Joiner::join(std::vector<Token>& out) {
  if (symbols_.size() <= kFew) {
    join_few();
  } else {
    join_many();
  }
  for (const Symbol& symbol : symbols_) {
    if (symbol.token != kNoToken) out.push_back(symbol.token);
  }
  symbols_.clear();
}

void Joiner::join_few() {
  const auto look_up = [this](std::size_t i) {
    symbols_[i].pair =
        i + 1 < symbols_.size() ? merges_.find(symbols_[i].token, symbols_[i + 1].token) : Merges::Pair{};
  };
  for (std::size_t i = 0; i < symbols_.size(); ++i) look_up(i);
  while (symbols_.size() > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < symbols_.size(); ++i) {
      if (symbols_[i].pair.rank < symbols_[best].pair.rank) best = i;
    }
    if (!symbols_[best].pair.found()) return;
    symbols_[best].token = symbols_[best].pair.joined;
    symbols_.erase(symbols_.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
}

void Joiner::push(std::int32_t left) {
  const std::int32_t right = links_[static_cast<std::size_t>(left)].next;
  if (right < 0) return;
  const Token left_token = symbols_[static_cast<std::size_t>(left)].token;
  const Token right_token = symbols_[static_cast<std::size_t>(right)].token;
  const Merges::Pair pair = merges_.find(left_token, right_token);
  if (pair.found()) candidates_.push_back({pair, left, left_token, right_token});
}

// Joining two gives the left symbol the new token and takes the right one out of the links, with kNoToken as its token.
void Joiner::join_many() {
  const auto n = static_cast<std::int32_t>(symbols_.size());
  links_.clear();
  candidates_.clear();
  for (std::int32_t i = 0; i < n; ++i) links_.push_back({i - 1, i + 1 < n ? i + 1 : -1});
  for (std::int32_t i = 0; i < n; ++i) push(i);
  std::make_heap(candidates_.begin(), candidates_.end());
  const auto push_to_heap = [this](std::int32_t left) {
    const std::size_t n_before = candidates_.size();
    push(left);
    if (candidates_.size() > n_before) std::push_heap(candidates_.begin(), candidates_.end());
  };
  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end());
    const Candidate best = candidates_.back();
    candidates_.pop_back();

    Symbol& left = symbols_[static_cast<std::size_t>(best.left)];
    Link& link = links_[static_cast<std::size_t>(best.left)];
    if (left.token != best.left_token || link.next < 0) continue;
    const auto next = static_cast<std::size_t>(link.next);
    if (symbols_[next].token != best.right_token) continue;

    left.token = best.pair.joined;
    symbols_[next].token = kNoToken;
    link.next = links_[next].next;
    if (link.next >= 0) links_[static_cast<std::size_t>(link.next)].previous = best.left;
    if (link.previous >= 0) push_to_heap(link.previous);
    push_to_heap(best.left);
  }
}

}  // namespace infer
