// SPDX-License-Identifier: MIT
// Entry point of the folder: the table of architectures. Each is one file beside this one.
#pragma once

#include <span>

#include "libinfer/architecture.h"

namespace infer {

extern constinit const Architecture architecture_llama;

std::span<const Architecture* const> builtin_architectures() noexcept;

}  // namespace infer
