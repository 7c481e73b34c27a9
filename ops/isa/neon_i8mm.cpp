// SPDX-License-Identifier: MIT
// NEON with the products of matrices of bytes (FEAT_I8MM): servers since Neoverse V1. One instruction multiplies eight
// columns of two rows with those of two tokens; a token alone has dot products.
#include "ops/isa/neon.h"

#include "ops/cpu_features.h"
#include "ops/ops.h"

namespace infer {
namespace {

struct NeonI8mm : simd::Neon<NeonI8mm> {
  /// Eight columns, two rows to a register.
  struct TwoLines {
    int8x16_t v[8];
  };
  INFER_INLINE static TwoLines two_lines(Line first, Line second) noexcept {
    TwoLines both;
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t a = vreinterpretq_u32_u8(first.v[i]), b = vreinterpretq_u32_u8(second.v[i]);
      both.v[2 * i] = vreinterpretq_s8_u32(vzip1q_u32(a, b));
      both.v[2 * i + 1] = vreinterpretq_s8_u32(vzip2q_u32(a, b));
    }
    return both;
  }

  /// The sums of two tokens: a register has those of a row with both, then those of the next row.
  struct TwoTokens {
    int32x4_t v[8];

    INFER_INLINE void begin(Ints a, Ints b) noexcept {
      for (int i = 0; i < 4; ++i) {
        v[2 * i] = vzip1q_s32(a.v[i], b.v[i]);
        v[2 * i + 1] = vzip2q_s32(a.v[i], b.v[i]);
      }
    }

    /// Each token's codes of the first line and of the second.
    INFER_INLINE void add(const TwoLines& lines, std::int32_t first_a, std::int32_t first_b, std::int32_t second_a,
                          std::int32_t second_b) noexcept {
      const int8x16_t codes = vreinterpretq_s8_s32(int32x4_t{first_a, first_b, second_a, second_b});
      for (int i = 0; i < 8; ++i) v[i] = vmmlaq_s32(v[i], lines.v[i], codes);
    }
    INFER_INLINE Ints of(int token) const noexcept {
      return four<Ints>([&](int i) noexcept {
        return token == 0 ? vuzp1q_s32(v[2 * i], v[2 * i + 1]) : vuzp2q_s32(v[2 * i], v[2 * i + 1]);
      });
    }
  };
};

}  // namespace

constinit const KernelTable kernels_neon_i8mm = simd::make_table<NeonI8mm>("neon_i8mm", has_neon_i8mm);

}  // namespace infer
