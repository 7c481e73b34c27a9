// SPDX-License-Identifier: MIT
// The table of sampler stages, and the check of parameters that their files share. A new stage is one file beside this
// one and its name in samplers.cpp. Tested by tests/runtime/samplers_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "libinfer/sampler.h"
#include "libinfer/status.h"

namespace infer {

/// The stages that come with the library, in the order of SamplerParams::order's default.
std::span<const SamplerKind* const> builtin_samplers() noexcept;

/// "top_p = 1.5 is outside 0..1", Code::range, about `name`. NaN is outside.
Status check_range(std::string_view name, double value, double low, double high);
Status check_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high);

}  // namespace infer
