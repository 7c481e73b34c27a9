// SPDX-License-Identifier: MIT
// The element types that the library can run, one per file of this folder. A type listed in quants.cpp works everywhere:
// the products of ops/scalar.cpp and ops/simd/rows.h take any of them.
#pragma once

#include <span>

#include "libinfer/kernels.h"

namespace infer {

extern constinit const QuantFormat quant_f32, quant_f16, quant_bf16, quant_q4_0, quant_q4_1, quant_q5_0, quant_q5_1, quant_q8_0;
extern constinit const QuantFormat quant_q2_k, quant_q3_k, quant_q4_k, quant_q5_k, quant_q6_k, quant_iq4_nl, quant_iq4_xs;
extern constinit const QuantFormat quant_tq1_0, quant_tq2_0, quant_mxfp4;
extern constinit const QuantFormat quant_iq1_s, quant_iq1_m, quant_iq2_xxs, quant_iq2_xs, quant_iq2_s, quant_iq3_xxs, quant_iq3_s;

std::span<const QuantFormat* const> builtin_quants() noexcept;

}  // namespace infer
