// SPDX-License-Identifier: MIT
// Partial sorting and softmax weights of candidates; the header says what each is for. Tested by
// tests/runtime/samplers_test.cpp.
#include "src/runtime/samplers/candidates.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "src/runtime/samplers/exponential.h"

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

/// Of at least one logit, none of them NaN.
float largest_of(std::span<const float> logits) noexcept {
  constexpr std::size_t kLanes = kExpLanes<float>;
  ExpVector<float> largest = ExpVector<float>{} + logits[0];
  for (std::size_t i = 0; i + kLanes <= logits.size(); i += kLanes) {
    ExpVector<float> x;
    std::memcpy(&x, &logits[i], sizeof x);
    largest = x > largest ? x : largest;
  }
  float result = std::max(std::max(largest[0], largest[1]), std::max(largest[2], largest[3]));
  for (std::size_t i = logits.size() / kLanes * kLanes; i < logits.size(); ++i) result = std::max(result, logits[i]);
  return result;
}

struct WeightPair {
  std::uint64_t first, second;
};

[[gnu::always_inline]] inline WeightPair weights_of(float a, float b, double largest, double one) noexcept {
  const ExpVector<double> x = {static_cast<double>(a) - largest, static_cast<double>(b) - largest};
  const ExpVector<double> weight = exp_not_above_1<double>(x) * one + 0.5;
  const auto whole = [&](int i) noexcept {   // a logit that stages must not see weighs nothing
    return x[i] <= 0.0 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(weight[i])) : 0;
  };
  return {whole(0), whole(1)};
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
  const std::size_t n = candidates.list.size();
  for (std::size_t i = 0; i + 1 < n; i += 2) {
    const WeightPair pair = weights_of(candidates.list[i].logit, candidates.list[i + 1].logit, largest_, one_);
    total_ += pair.first + pair.second;
  }
  if (n % 2 != 0) total_ += of(candidates.list[n - 1].logit);
}

std::uint64_t Weights::of(float logit) const noexcept { return weights_of(logit, logit, largest_, one_).first; }

double log_sum_exp(std::span<const float> logits) noexcept {
  const float largest = largest_of(logits);
  double sum = 0.0;
  const auto add = [&](const std::array<ExpVector<float>, 4>& x) noexcept {
    ExpVector<float> e[4];
    for (std::size_t v = 0; v < 4; ++v) e[v] = exp_not_above_1<float>(x[v] - largest);
    const ExpVector<float> four = (e[0] + e[1]) + (e[2] + e[3]);
    sum += (static_cast<double>(four[0]) + static_cast<double>(four[1])) + (static_cast<double>(four[2]) + static_cast<double>(four[3]));
  };
  constexpr std::size_t kBlock = 4 * kExpLanes<float>;
  std::array<ExpVector<float>, 4> x;
  const std::size_t whole = logits.size() / kBlock * kBlock;
  for (std::size_t i = 0; i < whole; i += kBlock) {
    std::memcpy(x.data(), &logits[i], sizeof x);
    add(x);
  }
  x.fill(ExpVector<float>{} - std::numeric_limits<float>::infinity());   // past the end: nothing
  if (whole < logits.size()) std::memcpy(x.data(), &logits[whole], (logits.size() - whole) * sizeof(float));
  add(x);
  return static_cast<double>(largest) + std::log(sum);
}

}  // namespace infer
