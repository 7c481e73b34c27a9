// SPDX-License-Identifier: MIT
// Temperature: divides every logit; below 1 the likely become likelier. 0 is greedy, which the draw sees to
// (chain.cpp). Tested by tests/runtime/samplers_test.cpp.
#include <cmath>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "libinfer/sampler.h"
#include "src/runtime/samplers/candidates.h"
#include "src/runtime/samplers/samplers.h"

namespace infer {

namespace {

Status check(const SamplerParams& params) { return check_range("temperature", params.temperature, 0.0, 1000.0); }

std::string describe(const SamplerParams& params) {
  return params.temperature == 1.0 || params.greedy() ? std::string()
                                                      : fmt::format("temperature({})", params.temperature);
}

void apply(const SampleContext& context, Candidates& candidates) noexcept {
  // A tiny temperature would clamp all the best to one value. Moving the largest logit to 0 first gives the same
  // probabilities; it is done only then, because later penalties look at signs.
  const double temperature = context.params.temperature;
  const double largest = static_cast<double>(best(candidates).logit);
  const bool overflows = std::abs(largest) / temperature > static_cast<double>(std::numeric_limits<float>::max());
  const double shift = overflows ? largest : 0.0;
  for (Candidate& candidate : candidates.list) {
    candidate.logit = finite_logit((static_cast<double>(candidate.logit) - shift) / temperature);
  }
}

}  // namespace

extern constinit const SamplerKind temperature_sampler{
    .name = "temperature", .check = check, .describe = describe, .apply = apply};

}  // namespace infer
