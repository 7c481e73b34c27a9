// SPDX-License-Identifier: MIT
// What the stages and the draw do to a list of candidates: order it as far as needed, weigh it, shorten it. Nothing
// here allocates. Tested by tests/runtime/samplers_test.cpp against full sorts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libinfer/sampler.h"

namespace infer {

/// Descending logit, ties by lower id. Total on finite logits, so the best n of a list are one set in one order,
/// whichever algorithm of whichever standard library picks them.
inline constexpr auto better = [](const Candidate& a, const Candidate& b) noexcept {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

/// The best candidate without sorting. The list must not be empty.
Candidate best(const Candidates& candidates) noexcept;

/// The i-th best (i < list.size()), which is then also at list[i]. Sorts as little as it can: prefixes that grow.
const Candidate& nth_best(Candidates& candidates, std::size_t i) noexcept;

/// Drops all but the n best (1 <= n), in linear time and in no order.
void keep_best(Candidates& candidates, std::size_t n) noexcept;

/// Drops all but the first n of the list as it stands.
void keep_first(Candidates& candidates, std::size_t n) noexcept;

/// The nearest finite float, so that an extreme parameter cannot make a logit that stages must not see.
float finite_logit(double value) noexcept;

/// The softmax of a list as integers: weight = round(exp(logit - largest) * 2^e), with e so large that the total stays
/// just below 2^63 (for 128 thousand candidates e is 46). Integer sums are exact, hence the same in every order: a
/// total needs no sort. The exponential is our own (exponential.h), so that weights are the same on every machine.
class Weights {
 public:
  explicit Weights(const Candidates& candidates) noexcept;

  std::uint64_t of(float logit) const noexcept;
  /// Sum over the list given at construction. 0 only if that list is empty or has a NaN.
  std::uint64_t total() const noexcept { return total_; }

 private:
  double largest_ = 0.0;
  double one_ = 0.0;   // 2^e
  std::uint64_t total_ = 0;
};

/// log(sum(exp(logits))), to seven digits or so of what the others add to the largest; -inf entries count nothing. Some logit
/// must be finite, and none NaN or +inf.
double log_sum_exp(std::span<const float> logits) noexcept;

}  // namespace infer
