// SPDX-License-Identifier: MIT
// F16: IEEE 754 binary16, little-endian. Tested by tests/ops/quant_test.cpp.
#include <cstring>

#include "ops/quant/half.h"
#include "ops/quant/pack.h"
#include "ops/quant/quants.h"

namespace infer {
namespace {

void decode(const std::byte* src, float* dst, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    dst[i] = half_to_float(h);
  }
}

void encode(const float* src, const float*, std::byte* dst, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint16_t h = float_to_half(src[i]);
    std::memcpy(dst + 2 * i, &h, 2);
  }
}

}  // namespace

constinit const QuantFormat quant_f16{.dtype = DType::f16,
                                    .block_bytes = 2,
                                    .input = InputForm::f32,
                                    .decode = decode,
                                    .encode = encode,
                                    .panel_bytes = plain_panel_bytes<2>,
                                    .pack = pack_plain<std::uint16_t>};

}  // namespace infer
