// SPDX-License-Identifier: MIT
// Every tensor element type that GGUF knows, and the one table of facts about them. Plain enough for files compiled for
// one instruction set: no containers, no functions that the linker could share. Block layouts are in ops/quant/blocks.h.
// Source of ids, block sizes and names: the GGUF specification (ggml-org/ggml, docs/gguf.md) and `enum ggml_type`.
#pragma once

#include <cstddef>
#include <cstdint>

namespace infer {

/// The values are the type ids of GGUF.
enum class DType : std::uint8_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
};

inline constexpr int kDTypeCount = 41;  ///< one past the largest id

enum class DTypeUse : std::uint8_t {
  removed,   ///< an id whose type was removed from GGUF
  weight,    ///< matrices of a model may have it
  other,     ///< integers, doubles and the types of intermediate results
};

struct DTypeInfo {
  const char* name;           ///< as the field writes it: "Q4_K"
  std::uint32_t block_elems;  ///< elements in a block; rows are whole blocks
  std::uint32_t block_bytes;
  DTypeUse use;
};

/// Indexed by GGUF id.
inline constexpr DTypeInfo kDTypes[kDTypeCount] = {
    {"F32", 1, 4, DTypeUse::weight},        {"F16", 1, 2, DTypeUse::weight},
    {"Q4_0", 32, 18, DTypeUse::weight},     {"Q4_1", 32, 20, DTypeUse::weight},
    {"Q4_2", 0, 0, DTypeUse::removed},      {"Q4_3", 0, 0, DTypeUse::removed},
    {"Q5_0", 32, 22, DTypeUse::weight},     {"Q5_1", 32, 24, DTypeUse::weight},
    {"Q8_0", 32, 34, DTypeUse::weight},     {"Q8_1", 32, 36, DTypeUse::other},
    {"Q2_K", 256, 84, DTypeUse::weight},    {"Q3_K", 256, 110, DTypeUse::weight},
    {"Q4_K", 256, 144, DTypeUse::weight},   {"Q5_K", 256, 176, DTypeUse::weight},
    {"Q6_K", 256, 210, DTypeUse::weight},   {"Q8_K", 256, 292, DTypeUse::other},
    {"IQ2_XXS", 256, 66, DTypeUse::weight}, {"IQ2_XS", 256, 74, DTypeUse::weight},
    {"IQ3_XXS", 256, 98, DTypeUse::weight}, {"IQ1_S", 256, 50, DTypeUse::weight},
    {"IQ4_NL", 32, 18, DTypeUse::weight},   {"IQ3_S", 256, 110, DTypeUse::weight},
    {"IQ2_S", 256, 82, DTypeUse::weight},   {"IQ4_XS", 256, 136, DTypeUse::weight},
    {"I8", 1, 1, DTypeUse::other},          {"I16", 1, 2, DTypeUse::other},
    {"I32", 1, 4, DTypeUse::other},         {"I64", 1, 8, DTypeUse::other},
    {"F64", 1, 8, DTypeUse::other},         {"IQ1_M", 256, 56, DTypeUse::weight},
    {"BF16", 1, 2, DTypeUse::weight},       {"Q4_0_4_4", 0, 0, DTypeUse::removed},
    {"Q4_0_4_8", 0, 0, DTypeUse::removed},  {"Q4_0_8_8", 0, 0, DTypeUse::removed},
    {"TQ1_0", 256, 54, DTypeUse::weight},   {"TQ2_0", 256, 66, DTypeUse::weight},
    {"IQ4_NL_4_4", 0, 0, DTypeUse::removed}, {"IQ4_NL_4_8", 0, 0, DTypeUse::removed},
    {"IQ4_NL_8_8", 0, 0, DTypeUse::removed}, {"MXFP4", 32, 17, DTypeUse::weight},
    {"NVFP4", 64, 36, DTypeUse::weight},
};

constexpr const DTypeInfo& info(DType type) { return kDTypes[static_cast<std::size_t>(type)]; }

}  // namespace infer
