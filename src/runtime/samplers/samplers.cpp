// SPDX-License-Identifier: MIT
// The table of sampler stages: to add one, write its file and name it twice here. Tested by
// tests/runtime/samplers_test.cpp.
#include "src/runtime/samplers/samplers.h"

#include <array>

namespace infer {

extern const SamplerKind penalties_sampler;
extern const SamplerKind top_k_sampler;
extern const SamplerKind top_p_sampler;
extern const SamplerKind min_p_sampler;
extern const SamplerKind temperature_sampler;

namespace {

constexpr std::array kSamplers{
    &penalties_sampler, &top_k_sampler, &top_p_sampler, &min_p_sampler, &temperature_sampler,
};

}  // namespace

std::span<const SamplerKind* const> builtin_samplers() noexcept { return kSamplers; }

}  // namespace infer
