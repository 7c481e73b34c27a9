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

/// A line for each two columns: both of row 0, both of row 1 ...
std::size_t bf16_panel_bytes(std::int64_t cols) noexcept { return static_cast<std::size_t>((cols + 1) / 2) * kLineBytes; }

void pack_bf16(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept {
  const std::size_t pairs = static_cast<std::size_t>(cols / 2);
  transpose<std::uint32_t>({rows, row_bytes}, pairs, panel);
  if (cols % 2 == 0) return;
  std::byte* const last = panel + pairs * kLineBytes;
  std::memset(last, 0, kLineBytes);
  for (std::size_t r = 0; r < kPanelRows; ++r) std::memcpy(last + 4 * r, rows + r * row_bytes + 4 * pairs, 2);
}

}  // namespace

constinit const QuantFormat quant_bf16{.dtype = DType::bf16,
                                    .block_bytes = 2,
                                    .input = InputForm::bf16,
                                    .decode = decode,
                                    .encode = encode,
                                    .panel_bytes = bf16_panel_bytes,
                                    .pack = pack_bf16};

}  // namespace infer
