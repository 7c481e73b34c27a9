// SPDX-License-Identifier: MIT
// The block layouts of the quantised types, as they lie in a GGUF file, little-endian and packed. Each type's own file
// draws its block and gives the formula. Source: the GGUF specification and the block structs of ggml-common.h (ggml-org/ggml).
// Tested by tests/ops/quant_test.cpp and blocks_test.cpp.
#pragma once

#include <cstdint>

#include "libinfer/dtype.h"

namespace infer {

using Half = std::uint16_t;   ///< the bits of a half float (ops/quant/half.h)

#define INFER_BLOCK(Type, dtype, ...) \
  struct Type {                       \
    __VA_ARGS__                       \
  };                                  \
  static_assert(sizeof(Type) == info(DType::dtype).block_bytes)

// ---- blocks of 32
INFER_BLOCK(BlockQ4_0, q4_0, Half d; std::uint8_t q[16];);
INFER_BLOCK(BlockQ4_1, q4_1, Half d; Half m; std::uint8_t q[16];);
INFER_BLOCK(BlockQ5_0, q5_0, Half d; std::uint8_t high[4]; std::uint8_t q[16];);
INFER_BLOCK(BlockQ5_1, q5_1, Half d; Half m; std::uint8_t high[4]; std::uint8_t q[16];);
INFER_BLOCK(BlockQ8_0, q8_0, Half d; std::int8_t q[32];);
INFER_BLOCK(BlockIq4Nl, iq4_nl, Half d; std::uint8_t q[16];);
INFER_BLOCK(BlockMxfp4, mxfp4, std::uint8_t e; std::uint8_t q[16];);

// ---- super-blocks of 256
INFER_BLOCK(BlockQ2_K, q2_k, std::uint8_t scales[16]; std::uint8_t q[64]; Half d; Half m;);
INFER_BLOCK(BlockQ3_K, q3_k, std::uint8_t high[32]; std::uint8_t q[64]; std::uint8_t scales[12]; Half d;);
INFER_BLOCK(BlockQ4_K, q4_k, Half d; Half m; std::uint8_t scales[12]; std::uint8_t q[128];);
INFER_BLOCK(BlockQ5_K, q5_k, Half d; Half m; std::uint8_t scales[12]; std::uint8_t high[32]; std::uint8_t q[128];);
INFER_BLOCK(BlockQ6_K, q6_k, std::uint8_t q[128]; std::uint8_t high[64]; std::int8_t scales[16]; Half d;);
INFER_BLOCK(BlockIq4Xs, iq4_xs, Half d; std::uint16_t scales_high; std::uint8_t scales_low[4]; std::uint8_t q[128];);
INFER_BLOCK(BlockIq1S, iq1_s, Half d; std::uint8_t q[32]; std::uint16_t high[8];);
INFER_BLOCK(BlockIq1M, iq1_m, std::uint8_t q[32]; std::uint8_t high[16]; std::uint16_t scales[4];);
struct PartIq2Xxs {   // of 32 weights
  std::uint8_t point[4];
  std::uint8_t signs_scale[4];   // a word of 32 bits that is not aligned
};
INFER_BLOCK(BlockIq2Xxs, iq2_xxs, Half d; PartIq2Xxs parts[8];);
INFER_BLOCK(BlockIq2Xs, iq2_xs, Half d; std::uint16_t q[32]; std::uint8_t scales[8];);
INFER_BLOCK(BlockIq2S, iq2_s, Half d; std::uint8_t q[32]; std::uint8_t signs[32]; std::uint8_t high[8];
            std::uint8_t scales[8];);
INFER_BLOCK(BlockIq3Xxs, iq3_xxs, Half d; std::uint8_t q[64]; std::uint8_t signs_scale[8][4];);   // words, not aligned
INFER_BLOCK(BlockIq3S, iq3_s, Half d; std::uint8_t q[64]; std::uint8_t high[8]; std::uint8_t signs[32];
            std::uint8_t scales[4];);
INFER_BLOCK(BlockTq1_0, tq1_0, std::uint8_t q[48]; std::uint8_t rest[4]; Half d;);
INFER_BLOCK(BlockTq2_0, tq2_0, std::uint8_t q[64]; Half d;);

#undef INFER_BLOCK

}  // namespace infer
