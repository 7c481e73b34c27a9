// SPDX-License-Identifier: MIT
// Entry point of the folder: the kernel tables, best first.
#pragma once

#include <span>

#include "libinfer/kernels.h"

namespace infer {

/// The specification of every kernel (ops/scalar.cpp).
extern constinit const KernelTable kernels_scalar;

std::span<const KernelTable* const> builtin_kernels() noexcept;

}  // namespace infer
