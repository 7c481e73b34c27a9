// SPDX-License-Identifier: MIT
// The list of kernel tables in priority order. A table for an instruction set stands before the specification and is
// completed with its entries where it has none of its own.
#include "ops/ops.h"

namespace infer {
namespace {

#if defined(__x86_64__)
KernelTable complete(const KernelTable& table) noexcept {
  KernelTable t = table;
  for (int type = 0; type < kDTypeCount; ++type) {
    if (t.matmul[type].run == nullptr) t.matmul[type] = kernels_scalar.matmul[type];
  }
  t.matmul_rows = kernels_scalar.matmul_rows;
  return t;
}
#endif

}  // namespace

std::span<const KernelTable* const> builtin_kernels() noexcept {
#if defined(__x86_64__)
  static const KernelTable avx512vnni = complete(kernels_avx512vnni), avx2 = complete(kernels_avx2);
  static const KernelTable* const tables[] = {&avx512vnni, &avx2, &kernels_scalar};
#else
  static const KernelTable* const tables[] = {&kernels_scalar};
#endif
  return tables;
}

}  // namespace infer
