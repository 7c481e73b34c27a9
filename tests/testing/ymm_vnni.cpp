// SPDX-License-Identifier: MIT
// The table "avxvnni" in the other encoding of its two instructions, that of AVX-512, so that its primitives are tested on
// machines that have AVX-512 and no AVX-VNNI.
#include "ops/cpu_features.h"
#include "ops/isa/ymm_vnni.h"
#include "tests/testing/kernel_tables.h"

namespace infer::testing {
namespace {

struct EvexVnni : simd::YmmVnni<EvexVnni> {
  INFER_INLINE static __m256i dot_bytes(__m256i sum, __m256i a, __m256i b) noexcept { return _mm256_dpbusd_epi32(sum, a, b); }
  INFER_INLINE static __m256i dot_pairs(__m256i sum, __m256i a, __m256i b) noexcept { return _mm256_dpwssd_epi32(sum, a, b); }
};

}  // namespace

constinit const KernelTable kernels_ymm_vnni = simd::make_table<EvexVnni>("ymm_vnni", has_avx512vnni);

}  // namespace infer::testing
