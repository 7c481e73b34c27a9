// SPDX-License-Identifier: MIT
// What the machine can run, asked once of the processor and the system (which must save the wide registers).
#pragma once

namespace infer {

#if defined(__x86_64__)
/// AVX2, FMA and F16C.
bool has_avx2() noexcept;
/// AVX-VNNI, and all of AVX2.
bool has_avxvnni() noexcept;
/// AVX-512 F, BW, CD, DQ, VL and VNNI, and all of AVX2.
bool has_avx512vnni() noexcept;
/// The same and BF16.
bool has_avx512bf16() noexcept;
#elif defined(__aarch64__)
/// The dot products of bytes of ARMv8.2 (FEAT_DotProd).
bool has_neon_dotprod() noexcept;
/// The products of matrices of bytes (FEAT_I8MM), and dot products.
bool has_neon_i8mm() noexcept;
#endif

/// Whether a pass straight through memory that computes as it goes should ask for what it will come to. An EPYC of AMD's family
/// 1Ah (Zen 5) reads half as fast otherwise, which is taken to hold for the whole family; one of Zen 4 is a third slower if it
/// does; of others nothing is known, and they do not.
bool reads_want_asking() noexcept;

}  // namespace infer
