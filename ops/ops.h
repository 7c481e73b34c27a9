// SPDX-License-Identifier: MIT
// Entry point of the folder: the kernel tables, best first.
#pragma once

#include <span>

#include "libinfer/kernels.h"

namespace infer {

/// The specification of every kernel (ops/scalar.cpp).
extern constinit const KernelTable kernels_scalar;

#if defined(__x86_64__)
extern constinit const KernelTable kernels_avx2, kernels_avxvnni, kernels_avx512vnni, kernels_avx512bf16;   // ops/isa
#elif defined(__aarch64__)
extern constinit const KernelTable kernels_neon_dotprod, kernels_neon_i8mm;
#endif

/// Every table that is built in, best first, each complete. Whether it can run here: KernelTable::runs_here.
std::span<const KernelTable* const> builtin_kernels() noexcept;

}  // namespace infer
