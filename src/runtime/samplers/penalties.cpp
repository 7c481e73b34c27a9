// SPDX-License-Identifier: MIT
// Penalties on tokens that occur among the recent ones. Repetition: Keskar et al., "CTRL" (arXiv:1909.05858, section
// 4.1), with the usual repair that a negative logit is multiplied, so that it falls too. Presence and frequency: as the
// OpenAI API defines them, logit -= presence + frequency * count. Tested by tests/runtime/samplers_test.cpp.
#include <cstddef>
#include <string>

#include <fmt/format.h>

#include "libinfer/sampler.h"
#include "src/runtime/samplers/candidates.h"
#include "src/runtime/samplers/samplers.h"

namespace infer {

namespace {

Status check(const SamplerParams& params) {
  INFER_TRY(check_range("repetition_penalty", params.repetition_penalty, 0.001, 1000.0));
  INFER_TRY(check_range("presence_penalty", params.presence_penalty, -1000.0, 1000.0));
  return check_range("frequency_penalty", params.frequency_penalty, -1000.0, 1000.0);
}

std::string describe(const SamplerParams& params) {
  const bool off =
      params.repetition_penalty == 1.0 && params.presence_penalty == 0.0 && params.frequency_penalty == 0.0;
  if (off || params.penalty_window == 0) return {};
  return fmt::format("penalties(window {}, repetition {}, presence {}, frequency {})", params.penalty_window,
                     params.repetition_penalty, params.presence_penalty, params.frequency_penalty);
}

void apply(const SampleContext& context, Candidates& candidates) noexcept {
  if (context.recent.empty()) return;
  const SamplerParams& params = context.params;
  for (Candidate& candidate : candidates.list) {
    const std::int32_t count = context.counts[static_cast<std::size_t>(candidate.token)];
    if (count == 0) continue;
    double logit = static_cast<double>(candidate.logit);
    logit = logit > 0.0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    logit -= params.presence_penalty + params.frequency_penalty * count;
    candidate.logit = finite_logit(logit);
  }
  candidates.n_sorted = 0;
}

}  // namespace

extern constinit const SamplerKind penalties_sampler{
    .name = "penalties", .check = check, .describe = describe, .apply = apply};

}  // namespace infer
