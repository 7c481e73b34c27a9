// SPDX-License-Identifier: MIT
// Top-k: keeps the k likeliest tokens, ties by lower id (Fan et al., "Hierarchical Neural Story Generation",
// arXiv:1805.04833). Selects, does not sort. Tested by tests/runtime/samplers_test.cpp.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "libinfer/sampler.h"
#include "src/runtime/samplers/candidates.h"
#include "src/runtime/samplers/samplers.h"

namespace infer {

namespace {

Status check(const SamplerParams& params) {
  return check_range("top_k", params.top_k, std::int64_t{0}, std::int64_t{std::numeric_limits<std::int32_t>::max()});
}

std::string describe(const SamplerParams& params) {
  return params.top_k == 0 || params.greedy() ? std::string() : fmt::format("top_k({})", params.top_k);
}

void apply(const SampleContext& context, Candidates& candidates) noexcept {
  keep_best(candidates, static_cast<std::size_t>(context.params.top_k));
}

}  // namespace

extern constinit const SamplerKind top_k_sampler{
    .name = "top_k", .check = check, .describe = describe, .apply = apply};

}  // namespace infer
