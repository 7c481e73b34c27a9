// SPDX-License-Identifier: MIT
// Loops of AVX2 instructions, written out in assembly so that no compiler rearranges them. All values are zero.
#include <cstdint>

namespace infer::bench::avx2 {

// Sums in ymm0..11, factors in ymm12..13, products in ymm14..15 (renamed by the machine: they are no bottleneck).
#define CLOBBERS                                                                                                          \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14"
#define TWELVE(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)
#define ZERO(r) "vpxor %%ymm" #r ", %%ymm" #r ", %%ymm" #r "\n\t"

#define LOOP(body)                                                                                             \
  __asm__ volatile(TWELVE(ZERO) ZERO(12) ZERO(13) "1:\n\t" body "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(rounds) : : CLOBBERS)

#define MADDUBS(r) "vpmaddubsw %%ymm12, %%ymm13, %%ymm" #r "\n\t"
#define MADDUBS_ADD(r) "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n\tvpaddw %%ymm14, %%ymm" #r ", %%ymm" #r "\n\t"
#define FMA(r) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #r "\n\t"

void maddubs(std::int64_t rounds) noexcept { LOOP(TWELVE(MADDUBS)); }
void maddubs_add(std::int64_t rounds) noexcept { LOOP(TWELVE(MADDUBS_ADD)); }
void fma(std::int64_t rounds) noexcept { LOOP(TWELVE(FMA)); }

}  // namespace infer::bench::avx2
