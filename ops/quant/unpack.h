// SPDX-License-Identifier: MIT
// What the files of the quantised types share: reading a block, and the decoding that follows from its parts.
// Tested by tests/ops/quant_test.cpp and blocks_test.cpp.
#pragma once

#include <cstring>

#include "libinfer/kernels.h"

namespace infer {

template <class Block>
Block read_block(const std::byte* src) noexcept {
  Block b;
  std::memcpy(&b, src, sizeof b);
  return b;
}

/// weight = (d * scale) * code - m * min, in this order: the bits that the format's reference implementation gives.
template <DType kType, CodesFn kCodes, bool kHasMins = false>
void decode_codes(const std::byte* src, float* dst, std::int64_t n) noexcept {
  constexpr std::int64_t kCols = info(kType).block_elems;
  CodeBlock b;
  for (; n > 0; n -= kCols, src += info(kType).block_bytes) {
    kCodes(src, b);
    for (std::int64_t sub = 0; sub < kCols / kSubCols; ++sub) {
      const float scale = b.d * static_cast<float>(b.scales[sub]);
      const float min = kHasMins ? b.m * static_cast<float>(b.mins[sub]) : 0.0f;
      for (std::int64_t i = sub * kSubCols; i < (sub + 1) * kSubCols; ++i) {
        const float w = scale * static_cast<float>(b.codes[i]);
        dst[i] = kHasMins ? w - min : w;
      }
    }
    dst += kCols;
  }
}

/// All that reading and running a type takes, with `more`: what its file adds (encode, panels).
template <DType kType, CodesFn kCodes, bool kHasMins = false>
constexpr QuantFormat quant_of_codes(QuantFormat more = {}) noexcept {
  static_assert(info(kType).block_elems == kBlockCols || info(kType).block_elems == kSuperCols);
  more.dtype = kType;
  more.block_bytes = info(kType).block_bytes;
  more.input = info(kType).block_elems == kBlockCols ? InputForm::q8 : InputForm::q8_k;
  more.has_mins = kHasMins;
  more.decode = decode_codes<kType, kCodes, kHasMins>;
  more.codes = kCodes;
  return more;
}

/// One scale of 1 for the whole of a block of `cols`.
inline void unit_scales(CodeBlock& out, std::int64_t cols) noexcept {
  for (std::int64_t sub = 0; sub < cols / kSubCols; ++sub) out.scales[sub] = 1;
}

/// Sixteen scales 2 n + 1 of nibbles n, of sixteen columns each.
inline void set_odd_scales(CodeBlock& out, const std::uint8_t (&nibbles)[8]) noexcept {
  for (int j = 0; j < 16; ++j) out.scales[j] = static_cast<std::int16_t>(2 * (nibbles[j / 2] >> j % 2 * 4 & 15) + 1);
}

/// The same scale, and min, for both halves of 32 columns.
inline void set_scale(CodeBlock& out, int of_32, int scale, int min = 0) noexcept {
  out.scales[2 * of_32] = out.scales[2 * of_32 + 1] = static_cast<std::int16_t>(scale);
  out.mins[2 * of_32] = out.mins[2 * of_32 + 1] = static_cast<std::int16_t>(min);
}

}  // namespace infer
