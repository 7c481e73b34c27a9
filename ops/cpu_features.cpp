// SPDX-License-Identifier: MIT
// The compiler's feature test (cpuid and xgetbv), and cpuid itself for F16C, which clang 16 has no name for.
#include "ops/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace infer {

#if defined(__x86_64__)

bool has_avx2() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_F16C) == 0) return false;
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx512vnni() noexcept {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

bool has_avx512bf16() noexcept { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }

#else

bool has_avx2() noexcept { return false; }
bool has_avx512vnni() noexcept { return false; }
bool has_avx512bf16() noexcept { return false; }

#endif

}  // namespace infer
