// SPDX-License-Identifier: MIT
// The compiler's feature test (cpuid and xgetbv), and cpuid itself for F16C and AVX-VNNI, which compilers have no name for; on
// ARM what the system says.
#include "ops/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace infer {

#if defined(__x86_64__)

bool has_avx2() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_F16C) == 0) return false;
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avxvnni() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1u << 4) != 0;
}

bool has_avx512vnni() noexcept {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

static bool is_amd_family_1a() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0 || b != signature_AMD_ebx || c != signature_AMD_ecx || d != signature_AMD_edx) return false;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  return (a >> 8 & 15) + (a >> 20 & 255) == 0x1a;   // family: the base, 15, and the extended one
}

bool reads_want_asking() noexcept {
  static const bool answer = is_amd_family_1a();
  return answer;
}

bool has_avx512bf16() noexcept { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }

#else

bool reads_want_asking() noexcept { return false; }

#endif

#if defined(__aarch64__) && defined(__linux__)

bool has_neon_dotprod() noexcept { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool has_neon_i8mm() noexcept { return has_neon_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }

#elif defined(__aarch64__)

bool has_neon_dotprod() noexcept { return false; }
bool has_neon_i8mm() noexcept { return false; }

#endif

}  // namespace infer
