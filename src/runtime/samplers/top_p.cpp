// SPDX-License-Identifier: MIT
// Top-p (nucleus): keeps the fewest likeliest tokens whose probabilities add up to at least p; always one (Holtzman et
// al., "The Curious Case of Neural Text Degeneration", arXiv:1904.09751). Sorts no more than about what it keeps.
// Tested by tests/runtime/samplers_test.cpp.
#include <cstddef>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "libinfer/sampler.h"
#include "src/runtime/samplers/candidates.h"
#include "src/runtime/samplers/samplers.h"

namespace infer {

namespace {

Status check(const SamplerParams& params) { return check_range("top_p", params.top_p, 0.0, 1.0); }

std::string describe(const SamplerParams& params) {
  return params.top_p == 1.0 || params.greedy() ? std::string() : fmt::format("top_p({})", params.top_p);
}

void apply(const SampleContext& context, Candidates& candidates) noexcept {
  const Weights weights(candidates);
  const double wanted = context.params.top_p * static_cast<double>(weights.total());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < candidates.list.size(); ++i) {
    sum += weights.of(nth_best(candidates, i).logit);
    if (static_cast<double>(sum) >= wanted) return keep_first(candidates, i + 1);
  }
}

}  // namespace

extern constinit const SamplerKind top_p_sampler{
    .name = "top_p", .check = check, .describe = describe, .apply = apply};

}  // namespace infer
