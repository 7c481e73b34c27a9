// SPDX-License-Identifier: MIT
// The block layouts of the quantised types, as they lie in a GGUF file, little-endian and packed. Each type's own file
// draws its block and gives the formula.
#pragma once

#include <cstdint>

#include "libinfer/dtype.h"

namespace infer {

/// 32 weights: w[i] = d * q[i].
struct BlockQ8_0 {
  std::uint16_t d;        ///< half float
  std::int8_t q[32];
};
static_assert(sizeof(BlockQ8_0) == info(DType::q8_0).block_bytes);

/// 32 weights: w[i] = d * (low nibble of q[i] - 8), w[i + 16] = d * (high nibble of q[i] - 8).
struct BlockQ4_0 {
  std::uint16_t d;        ///< half float
  std::uint8_t q[16];
};
static_assert(sizeof(BlockQ4_0) == info(DType::q4_0).block_bytes);

}  // namespace infer
