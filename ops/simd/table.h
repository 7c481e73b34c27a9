// SPDX-License-Identifier: MIT
// The kernel table of an instruction set. `Isa` names its primitives and the sizes that suit its registers:
//
//   Arch                                     the xsimd architecture
//   kTilePanels, kTileTokens                 the register tile of products
//   kHeads                                   query heads that attention takes at once: 4 or 8
//   fma(a, b, c)                             a * b + c of registers, rounded once
//   load_halves(p), load_half(p), store_half(f, p)   half floats
//   load_bf16(p)                             sixteen bfloat16
//   largest_magnitude(x)                     of 32 floats, as bits: ordered as integers, NaNs on top
//   round_block(x, inverse, codes)           32 floats times inverse to bytes, ties to even; answers the two SubSums
//   DotQ8_0, DotQ4_0                         block<M, N>(lines, panel stride, codes, sums): the dot products of a block
#pragma once

#include "ops/simd/attention.h"
#include "ops/simd/elementwise.h"
#include "ops/simd/matmul.h"

namespace infer::simd {

template <class Isa>
struct ColumnF32 {
  static constexpr std::size_t kBytes = 64;
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Lanes<Isa>::load(reinterpret_cast<const float*>(p)); }
};
template <class Isa>
struct ColumnF16 {
  static constexpr std::size_t kBytes = 32;
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Isa::load_halves(p); }
};
template <class Isa>
struct ColumnBf16 {
  static constexpr std::size_t kBytes = 32;
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Isa::load_bf16(p); }
};

/// Types without kernels of their own stay empty: ops/tables.cpp fills in the specification's.
template <class Isa>
constexpr KernelTable make_table(const char* name, bool (*runs_here)() noexcept) noexcept {
  KernelTable t{};
  t.name = name;
  t.runs_here = runs_here;
  t.tile_tokens = Isa::kTileTokens;
  t.input[static_cast<int>(InputForm::f32)] = input_f32<Isa>;
  t.input[static_cast<int>(InputForm::q8)] = input_codes<Isa, InputForm::q8>;
  t.input[static_cast<int>(InputForm::q8_k)] = input_codes<Isa, InputForm::q8_k>;
  t.matmul[static_cast<int>(DType::f32)] = {matmul_f32<Isa, ColumnF32<Isa>>, true};
  t.matmul[static_cast<int>(DType::f16)] = {matmul_f32<Isa, ColumnF16<Isa>>, true};
  t.matmul[static_cast<int>(DType::bf16)] = {matmul_f32<Isa, ColumnBf16<Isa>>, true};
  t.matmul[static_cast<int>(DType::q8_0)] = {matmul_q8<Isa, typename Isa::DotQ8_0>, true};
  t.matmul[static_cast<int>(DType::q4_0)] = {matmul_q8<Isa, typename Isa::DotQ4_0>, true};
  t.attention[static_cast<int>(KvType::f32)] = attention<Isa, StoredF32<Isa>>;
  t.attention[static_cast<int>(KvType::f16)] = attention<Isa, StoredF16<Isa>>;
  t.kv_store[static_cast<int>(KvType::f32)] = kv_store<Isa, StoredF32<Isa>>;
  t.kv_store[static_cast<int>(KvType::f16)] = kv_store<Isa, StoredF16<Isa>>;
  t.rms_norm = rms_norm<Isa>;
  t.rope[static_cast<int>(RopeStyle::interleaved)] = rope_interleaved<Isa>;
  t.rope[static_cast<int>(RopeStyle::halves)] = rope_halves<Isa>;
  t.silu_mul = silu_mul<Isa>;
  t.add = add<Isa>;
  return t;
}

}  // namespace infer::simd
