// SPDX-License-Identifier: MIT
// The table of sampler stages: to add one, write its file and name it twice here. Tested by
// tests/runtime/samplers_test.cpp.
#include "src/runtime/samplers/samplers.h"

#include <array>

#include <fmt/format.h>

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

template <class T>
Status check(std::string_view name, T value, T low, T high) {
  if (value >= low && value <= high) return {};
  return Status::error(Code::range, fmt::format("{} = {} is outside {}..{}", name, value, low, high)).about(name);
}

}  // namespace

std::span<const SamplerKind* const> builtin_samplers() noexcept { return kSamplers; }

Status check_range(std::string_view name, double value, double low, double high) {
  return check(name, value, low, high);
}

Status check_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high) {
  return check(name, value, low, high);
}

}  // namespace infer
