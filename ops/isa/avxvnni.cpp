// SPDX-License-Identifier: MIT
// AVX-VNNI, which processors without AVX-512 have: AVX2 with VNNI, encoded as AVX2 is (VEX). tests/build/isa_objects.cmake
// sees that its object has no other encoding; tests/testing/ymm_vnni.cpp runs its primitives where AVX-512 is.
#include "ops/cpu_features.h"
#include "ops/isa/ymm_vnni.h"
#include "ops/ops.h"

namespace infer {
namespace {

struct AvxVnni : simd::YmmVnni<AvxVnni> {
  INFER_INLINE static __m256i dot_bytes(__m256i sum, __m256i a, __m256i b) noexcept { return _mm256_dpbusd_avx_epi32(sum, a, b); }
  INFER_INLINE static __m256i dot_pairs(__m256i sum, __m256i a, __m256i b) noexcept { return _mm256_dpwssd_avx_epi32(sum, a, b); }
};

}  // namespace

constinit const KernelTable kernels_avxvnni = simd::make_table<AvxVnni>("avxvnni", has_avxvnni);

}  // namespace infer
