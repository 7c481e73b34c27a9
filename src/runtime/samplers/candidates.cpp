// SPDX-License-Identifier: MIT
// Partial sorting and softmax weights of candidates; the header says what each is for. Tested by
// tests/runtime/samplers_test.cpp.
#include "src/runtime/samplers/candidates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace infer {

namespace {

// A first prefix of 64 holds the whole of most draws after top-p; fourfold growth keeps the passes over a large
// vocabulary few.
constexpr std::size_t kFirstPrefix = 64;
constexpr std::size_t kPrefixGrowth = 4;

// Below one candidate in 64, a heap of the best (one compare per other candidate, nearly always the same way) is
// faster than partitioning.
constexpr std::size_t kHeapShare = 64;

void sort_prefix(Candidates& candidates, std::size_t n) noexcept {
  const auto first = candidates.list.begin() + static_cast<std::ptrdiff_t>(candidates.n_sorted);
  const auto middle = candidates.list.begin() + static_cast<std::ptrdiff_t>(n);
  const auto last = candidates.list.end();
  if (n < candidates.list.size() / kHeapShare) {
    std::partial_sort(first, middle, last, better);
  } else {
    if (middle != last) std::nth_element(first, middle, last, better);
    std::sort(first, middle, better);
  }
  candidates.n_sorted = n;
}

}  // namespace

Candidate best(const Candidates& candidates) noexcept {
  Candidate found = candidates.list.front();
  if (candidates.n_sorted > 0) return found;
  for (const Candidate& candidate : candidates.list) {
    if (better(candidate, found)) found = candidate;
  }
  return found;
}

const Candidate& nth_best(Candidates& candidates, std::size_t i) noexcept {
  if (i >= candidates.n_sorted) {
    const std::size_t grown = std::max({kFirstPrefix, candidates.n_sorted * kPrefixGrowth, i + 1});
    sort_prefix(candidates, std::min(grown, candidates.list.size()));
  }
  return candidates.list[i];
}

void keep_best(Candidates& candidates, std::size_t n) noexcept {
  if (n >= candidates.list.size()) return;
  if (n < candidates.list.size() / kHeapShare) {
    nth_best(candidates, n - 1);
  } else if (n > candidates.n_sorted) {
    const auto begin = candidates.list.begin();
    std::nth_element(begin + static_cast<std::ptrdiff_t>(candidates.n_sorted), begin + static_cast<std::ptrdiff_t>(n),
                     candidates.list.end(), better);
  }
  keep_first(candidates, n);
}

void keep_first(Candidates& candidates, std::size_t n) noexcept {
  candidates.list = candidates.list.first(n);
  candidates.n_sorted = std::min(candidates.n_sorted, n);
}

float finite_logit(double value) noexcept {
  using Limits = std::numeric_limits<float>;
  return static_cast<float>(
      std::clamp(value, static_cast<double>(Limits::lowest()), static_cast<double>(Limits::max())));
}

Weights::Weights(const Candidates& candidates) noexcept {
  if (candidates.list.empty()) return;
  largest_ = static_cast<double>(best(candidates).logit);
  one_ = std::ldexp(1.0, 63 - static_cast<int>(std::bit_width(candidates.list.size())));
  for (const Candidate& candidate : candidates.list) total_ += of(candidate.logit);
}

std::uint64_t Weights::of(float logit) const noexcept {
  const double weight = std::exp(static_cast<double>(logit) - largest_) * one_;
  return weight >= 0.0 && weight <= one_ ? static_cast<std::uint64_t>(weight + 0.5) : 0;
}

double log_sum_exp(std::span<const float> logits) noexcept {
  const double largest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

}  // namespace infer
