// SPDX-License-Identifier: MIT
// The list of kernel tables in priority order: those for an instruction set stand before the specification.
#include "ops/ops.h"

namespace infer {
std::span<const KernelTable* const> builtin_kernels() noexcept {
#if defined(__x86_64__)
  static constexpr const KernelTable* tables[] = {&kernels_avx512bf16, &kernels_avx512vnni, &kernels_avxvnni, &kernels_avx2,
                                                 &kernels_scalar};
#elif defined(__aarch64__)
  static constexpr const KernelTable* tables[] = {&kernels_neon_i8mm, &kernels_neon_dotprod, &kernels_scalar};
#else
  static constexpr const KernelTable* tables[] = {&kernels_scalar};
#endif
  return tables;
}

}  // namespace infer
