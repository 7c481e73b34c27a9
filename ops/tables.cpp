// SPDX-License-Identifier: MIT
// The list of kernel tables in priority order. Tables for instruction sets will stand before the specification, completed
// with its entries where they have none of their own.
#include "ops/ops.h"

namespace infer {
namespace {

constexpr const KernelTable* kTables[] = {&kernels_scalar};

}  // namespace

std::span<const KernelTable* const> builtin_kernels() noexcept { return kTables; }

}  // namespace infer
