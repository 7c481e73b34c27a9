// SPDX-License-Identifier: MIT
// The table of element types.
#include "ops/quant/quants.h"

namespace infer {
namespace {

constexpr const QuantFormat* kQuants[] = {&quant_f32, &quant_f16, &quant_bf16, &quant_q8_0, &quant_q4_0};

}  // namespace

std::span<const QuantFormat* const> builtin_quants() noexcept { return kQuants; }

}  // namespace infer
