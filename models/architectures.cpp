// SPDX-License-Identifier: MIT
// The table of architectures: one line each.
#include "models/architectures.h"

namespace infer {
namespace {

constexpr const Architecture* kArchitectures[] = {&architecture_llama};

}  // namespace

std::span<const Architecture* const> builtin_architectures() noexcept { return kArchitectures; }

}  // namespace infer
