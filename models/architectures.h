// SPDX-License-Identifier: MIT
// Entry point of the folder: the table of architectures. The list is models/architectures.inc: one line each.
#pragma once

#include <span>

#include "libinfer/architecture.h"

namespace infer {

#define INFER_ARCHITECTURE(name, file) extern constinit const Architecture architecture_##name;
#include "models/architectures.inc"
#undef INFER_ARCHITECTURE

std::span<const Architecture* const> builtin_architectures() noexcept;

}  // namespace infer
