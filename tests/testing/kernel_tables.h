// SPDX-License-Identifier: MIT
// Which kernel tables the tests go through: those of the library, and one that only tests have.
#pragma once

#include <vector>

#include "ops/ops.h"

namespace infer::testing {

#if defined(__x86_64__)
extern constinit const KernelTable kernels_ymm_vnni;   // tests/testing/ymm_vnni.cpp
#endif

inline std::vector<const KernelTable*> tested_kernels() {
  std::vector<const KernelTable*> tables(builtin_kernels().begin(), builtin_kernels().end());
#if defined(__x86_64__)
  tables.push_back(&kernels_ymm_vnni);
#endif
  return tables;
}

}  // namespace infer::testing
