// SPDX-License-Identifier: MIT
// What the machine can run, asked once of the processor and the system (which must save the wide registers).
#pragma once

namespace infer {

/// AVX2, FMA and F16C.
bool has_avx2() noexcept;
/// AVX-512 F, BW, CD, DQ, VL and VNNI, and all of AVX2.
bool has_avx512vnni() noexcept;
/// The same and BF16.
bool has_avx512bf16() noexcept;

}  // namespace infer
