// SPDX-License-Identifier: MIT
// The table of element types.
#include "ops/quant/quants.h"

namespace infer {
namespace {

constexpr const QuantFormat* kQuants[] = {
    &quant_f32,  &quant_f16,  &quant_bf16,                             // floats
    &quant_q4_0, &quant_q4_1, &quant_q5_0,   &quant_q5_1, &quant_q8_0,   // blocks of 32
    &quant_iq4_nl, &quant_mxfp4,
    &quant_q2_k, &quant_q3_k, &quant_q4_k,   &quant_q5_k, &quant_q6_k,   // blocks of 256
    &quant_iq4_xs, &quant_tq1_0, &quant_tq2_0,
    &quant_iq1_s, &quant_iq1_m, &quant_iq2_xxs, &quant_iq2_xs, &quant_iq2_s,   // points of grids
    &quant_iq3_xxs, &quant_iq3_s,
};

}  // namespace

std::span<const QuantFormat* const> builtin_quants() noexcept { return kQuants; }

}  // namespace infer
