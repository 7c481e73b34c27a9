// SPDX-License-Identifier: MIT
// Min-p: keeps the tokens that are at least p times as likely as the likeliest (Nguyen et al., "Turning Up the Heat:
// Min-p Sampling", arXiv:2407.01082). Probabilities in proportion are logits apart by a logarithm: no softmax and no
// sort. Tested by tests/runtime/samplers_test.cpp.
#include <cmath>
#include <cstddef>
#include <string>

#include <fmt/format.h>

#include "libinfer/sampler.h"
#include "src/runtime/samplers/candidates.h"
#include "src/runtime/samplers/samplers.h"

namespace infer {

namespace {

Status check(const SamplerParams& params) { return check_range("min_p", params.min_p, 0.0, 1.0); }

std::string describe(const SamplerParams& params) {
  return params.min_p == 0.0 || params.greedy() ? std::string() : fmt::format("min_p({})", params.min_p);
}

void apply(const SampleContext& context, Candidates& candidates) noexcept {
  const double least = static_cast<double>(best(candidates).logit) + std::log(context.params.min_p);
  // In place and in order, so that what was sorted stays so.
  std::size_t n_kept = 0;
  for (const Candidate& candidate : candidates.list) {
    if (static_cast<double>(candidate.logit) >= least) candidates.list[n_kept++] = candidate;
  }
  keep_first(candidates, n_kept);
}

}  // namespace

extern constinit const SamplerKind min_p_sampler{
    .name = "min_p", .check = check, .describe = describe, .apply = apply};

}  // namespace infer
