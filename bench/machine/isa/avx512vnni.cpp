// SPDX-License-Identifier: MIT
// Loops of AVX-512 VNNI instructions, written out in assembly so that no compiler rearranges them. Registers start as they
// are: no instruction here is slower for some values, and float sums start at zero.
#include <cstdint>

namespace infer::bench::avx512vnni {

// Sums in zmm0..11, factors in zmm12..13, other results in zmm16..27.
#define CLOBBERS                                                                                                               \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm16", \
      "xmm17", "xmm18", "memory"
#define TWELVE(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)
#define ZERO(r) "vpxord %%zmm" #r ", %%zmm" #r ", %%zmm" #r "\n\t"

#define LOOP(body)                                                                                 \
  alignas(64) static const std::int32_t codes[16] = {};                                            \
  __asm__ volatile(TWELVE(ZERO) ZERO(12) ZERO(13) ZERO(16) ZERO(17) ZERO(18) "1:\n\t" body         \
                   "dec %0\n\tjnz 1b\n\tvzeroupper"                                                \
                   : "+r"(rounds)                                                                  \
                   : "r"(codes)                                                                    \
                   : CLOBBERS)

#define DPBUSD(r) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #r "\n\t"
#define DPBUSD_BROADCAST(r) "vpdpbusd (%1)%{1to16%}, %%zmm13, %%zmm" #r "\n\t"
#define MULLD(r) "vpmulld %%zmm12, %%zmm13, %%zmm" #r "\n\t"
#define FMA(r) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" #r "\n\t"

void dpbusd(std::int64_t rounds) noexcept { LOOP(TWELVE(DPBUSD)); }
void dpbusd_broadcast(std::int64_t rounds) noexcept { LOOP(TWELVE(DPBUSD_BROADCAST)); }
void dpbusd_mulld(std::int64_t rounds) noexcept { LOOP(TWELVE(DPBUSD) MULLD(16) MULLD(17) MULLD(18)); }
void mulld(std::int64_t rounds) noexcept { LOOP(TWELVE(MULLD)); }
void fma(std::int64_t rounds) noexcept { LOOP(TWELVE(FMA)); }

}  // namespace infer::bench::avx512vnni
