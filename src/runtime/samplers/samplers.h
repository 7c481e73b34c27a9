// SPDX-License-Identifier: MIT
// The table of sampler stages. A new stage is one file beside this one and its name in samplers.cpp.
// Tested by tests/runtime/samplers_test.cpp.
#pragma once

#include <span>

#include "libinfer/sampler.h"
#include "src/base/range.h"

namespace infer {

/// The stages that come with the library, in the order of SamplerParams::order's default.
std::span<const SamplerKind* const> builtin_samplers() noexcept;

}  // namespace infer
