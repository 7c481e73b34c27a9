// SPDX-License-Identifier: MIT
// F32: weights as they are. Tested by tests/ops/quant_test.cpp.
#include <cstring>

#include "ops/quant/pack.h"
#include "ops/quant/quants.h"

namespace infer {
namespace {

void decode(const std::byte* src, float* dst, std::int64_t n) noexcept {
  std::memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(float));
}

void encode(const float* src, const float*, std::byte* dst, std::int64_t n) noexcept {
  std::memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(float));
}

}  // namespace

constinit const QuantFormat quant_f32{.dtype = DType::f32,
                                    .block_bytes = 4,
                                    .input = InputForm::f32,
                                    .decode = decode,
                                    .encode = encode,
                                    .panel_bytes = plain_panel_bytes<4>,
                                    .pack = pack_plain<std::uint32_t>};

}  // namespace infer
