// SPDX-License-Identifier: MIT
// The table of architectures. See architectures.inc.
#include "models/architectures.h"

namespace infer {
namespace {

#define INFER_ARCHITECTURE(name, file) &architecture_##name,
constexpr const Architecture* kArchitectures[] = {
#include "models/architectures.inc"
};
#undef INFER_ARCHITECTURE

}  // namespace

std::span<const Architecture* const> builtin_architectures() noexcept { return kArchitectures; }

}  // namespace infer
