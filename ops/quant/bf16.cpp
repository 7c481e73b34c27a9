// SPDX-License-Identifier: MIT
// BF16: the upper half of a float, little-endian. Tested by tests/ops/quant_test.cpp.
#include <cstring>

#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"

namespace infer {
namespace {

void decode(const std::byte* src, float* dst, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint16_t b;
    std::memcpy(&b, src + 2 * i, 2);
    dst[i] = bf16_to_float(b);
  }
}

void encode(const float* src, const float*, std::byte* dst, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint16_t b = float_to_bf16(src[i]);
    std::memcpy(dst + 2 * i, &b, 2);
  }
}

}  // namespace

constinit const QuantFormat quant_bf16{.dtype = DType::bf16,
                                    .block_bytes = 2,
                                    .input = InputForm::f32,
                                    .decode = decode,
                                    .encode = encode,
                                    .panel_bytes = plain_panel_bytes<2>,
                                    .pack = pack_plain<std::uint16_t>};

}  // namespace infer
