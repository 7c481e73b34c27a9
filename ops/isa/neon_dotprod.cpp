// SPDX-License-Identifier: MIT
// NEON with the dot products of ARMv8.2: servers since Neoverse N1, telephones since Cortex-A76.
#include "ops/isa/neon.h"

#include "ops/cpu_features.h"
#include "ops/ops.h"

namespace infer {
namespace {

struct NeonDotprod : simd::Neon<NeonDotprod> {};

}  // namespace

constinit const KernelTable kernels_neon_dotprod = simd::make_table<NeonDotprod>("neon_dotprod", has_neon_dotprod);

}  // namespace infer
