// SPDX-License-Identifier: MIT
// The kernel table of an instruction set. `Isa` names its primitives and the sizes that suit its registers:
//
//   Arch                                     the xsimd architecture
//   kTilePanels, kTileTokens                 the register tile of products with kManyTokens or more, which strips pay for
//   kPairTokens                              in place of kTileTokens where weights are bfloat16
//   kFewTokens                               of fewer it is one panel by up to so many
//   kQueries, kKeyLanes                      that of scores: queries by sixteens of positions
//   kIntQueries                              queries of both where keys and values are integers
//   kGathered, kValueLanes                   that of weighted values: queries by sixteens of entries
//   fma(a, b, c)                             a * b + c of registers, rounded once
//   largest(v)                               of a register of numbers
//   total(v)                                 of a register, as a tree: its halves added, and so on
//   max(a, b)                                of registers, b where one is no number
//   nearest(a)                               whole numbers, ties to even
//   Pairs                                    sixteen pairs of int16: pairs(p), unaligned
//   add_products(ints, pairs, pair)          ints += the two products of each pair with those of the other
//   store_shorts(v, p)                       sixteen floats to int16, ties to even
//   load_halves(p), load_half(p), store_half(f, p)   half floats
//   dot_bf16(line, pair, sum)                of pairs of bfloat16: sum + line.second * pair.second, then + the first's
//   load_bf16(p)                             sixteen bfloat16
//   load_codes(p), load_nibbles(p, shift)    sixteen codes of 8 bits; of 4 bits, + 8, `shift` bits up in sixteen bytes
//   largest_magnitude(x, n)                  of n floats, a multiple of 32, as bits: ordered as integers, NaNs on top
//   round_block(x, inverse, codes)           32 floats times inverse to bytes, ties to even; answers the two SubSums
//
// and of integers (ops/simd/codes.h):
//
//   Ints                                     sixteen int32: ints(i), shift_left<n>(v), floats(v)
//   Line                                     64 bytes, four of each row: line(p), either(a, b),
//                                            bits<n, mask>(v): each byte moved n bits down (up where negative), masked,
//                                            store_line(v, p), less<n>(v): each byte minus n,
//                                            lookup(v, book): of sixteen signed codes, as signed_line(p) has them
//   kSignedOffset, signed_line(p)            codes stored + 128, as Dot<0> takes them: still too large by kSignedOffset
//   Dot<max>                                 the sum of products of up to kLines lines of codes 0..max with four codes of a token:
//                                            begin(ints), add(line, codes), then sum(ints): with the ints that it began
//                                            with; or, times a sub-scale, plus(ints, scale)
//   kSeeds                                   whether a dot may begin with a number, seed<n>(p): an int16 times 2^n, and then
//                                            be multiplied by a sub-scale
//   kFolds                                   whether Dot<255> takes any unsigned bytes and adds up any number of lines, and
//                                            scale(p) is sixteen int32
//   scale(p), scale_pairs(p, q)              sixteen int8 as Dot::plus takes them; two times sixteen as pairs of int16
//   min_pairs(p)                             pairs of unsigned bytes as pairs of int16
//   add_pairs(ints, pairs, sums)             ints + the products of pairs of int16
//   TwoTokens, two_lines(a, b)               only where matrices of bytes are multiplied: the dots of two tokens, and two lines as
//                                            they take them
#pragma once

#include "ops/simd/attention.h"
#include "ops/simd/elementwise.h"
#include "ops/simd/inputs.h"
#include "ops/simd/matmul.h"
#include "ops/simd/probes.h"
#include "ops/simd/rows.h"
#include "ops/simd/types.h"

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

template <class Isa, class Stored>
constexpr void set_kv(KernelTable& t, KvType type) noexcept {
  t.attention[static_cast<int>(type)] = attention<Isa, Stored>;
  if constexpr (Stored::kInts) t.kv_store[static_cast<int>(type)] = kv_store_ints<Isa>;
  if constexpr (!Stored::kInts) t.kv_store[static_cast<int>(type)] = kv_store<Isa, Stored>;
}

/// Types without panels are taken apart row by row.
template <class Isa>
constexpr KernelTable make_table(const char* name, bool (*runs_here)() noexcept) noexcept {
  KernelTable t{};
  t.name = name;
  t.runs_here = runs_here;
  t.tile = tile_of<Isa>;
  t.scratch_bytes = sizeof(Strip<Isa>);
  t.work_per_look = std::int64_t{1} << 25;
  t.input[static_cast<int>(InputForm::f32)] = input_f32<Isa>;
  t.input[static_cast<int>(InputForm::bf16)] = input_bf16<Isa>;
  t.input[static_cast<int>(InputForm::q8)] = input_codes<Isa, InputForm::q8>;
  t.input[static_cast<int>(InputForm::q8_k)] = input_codes<Isa, InputForm::q8_k>;
  t.matmul[static_cast<int>(DType::f32)] = {matmul<Isa, FloatTiles<ColumnF32<Isa>>>, true};
  t.matmul[static_cast<int>(DType::f16)] = {matmul<Isa, FloatTiles<ColumnF16<Isa>>>, true};
  t.matmul[static_cast<int>(DType::bf16)] = {matmul<Isa, PairTiles>, true};
  t.matmul[static_cast<int>(DType::q4_0)] = {matmul<Isa, BlockTiles<Q4_0>, BlockStrips<Q4_0>>, true};
  t.matmul[static_cast<int>(DType::q4_1)] = {matmul<Isa, BlockTiles<Q4_1>, BlockStrips<Q4_1>>, true};
  t.matmul[static_cast<int>(DType::q5_0)] = {matmul<Isa, BlockTiles<Q5_0>, BlockStrips<Q5_0>>, true};
  t.matmul[static_cast<int>(DType::q5_1)] = {matmul<Isa, BlockTiles<Q5_1>, BlockStrips<Q5_1>>, true};
  t.matmul[static_cast<int>(DType::q8_0)] = {matmul<Isa, BlockTiles<Q8_0>>, true};
  t.matmul[static_cast<int>(DType::iq4_nl)] = {matmul<Isa, BlockTiles<Iq4Nl>, BlockStrips<Iq4Nl>>, true};
  t.matmul[static_cast<int>(DType::q2_k)] = {matmul<Isa, SuperTiles<Q2_K>, SuperStrips<Q2_K>>, true};
  t.matmul[static_cast<int>(DType::q3_k)] = {matmul<Isa, SuperTiles<Q3_K>, SuperStrips<Q3_K>>, true};
  t.matmul[static_cast<int>(DType::q4_k)] = {matmul<Isa, SuperTiles<Q4_K>, SuperStrips<Q4_K>>, true};
  t.matmul[static_cast<int>(DType::q5_k)] = {matmul<Isa, SuperTiles<Q5_K>, SuperStrips<Q5_K>>, true};
  t.matmul[static_cast<int>(DType::q6_k)] = {matmul<Isa, SuperTiles<Q6_K>, SuperStrips<Q6_K>>, true};
  t.matmul[static_cast<int>(DType::iq4_xs)] = {matmul<Isa, SuperTiles<Iq4Xs>, SuperStrips<Iq4Xs>>, true};
  t.matmul_rows = matmul_rows<Isa>;
  for (Matmul& m : t.matmul) {
    if (m.run == nullptr) m = {.run = matmul_rows<Isa>, .packed = false};
  }
  set_kv<Isa, StoredF32<Isa>>(t, KvType::f32);
  set_kv<Isa, StoredF16<Isa>>(t, KvType::f16);
  set_kv<Isa, StoredBf16<Isa>>(t, KvType::bf16);
  set_kv<Isa, StoredI16<Isa>>(t, KvType::i16);
  set_kv<Isa, StoredQ8_0<Isa>>(t, KvType::q8_0);
  set_kv<Isa, StoredQ4_0<Isa>>(t, KvType::q4_0);
  t.rms_norm = rms_norm<Isa>;
  t.layer_norm = layer_norm<Isa>;
  t.rope[static_cast<int>(RopeStyle::interleaved)] = rope_interleaved<Isa>;
  t.rope[static_cast<int>(RopeStyle::halves)] = rope_halves<Isa>;
  t.activation[static_cast<int>(Activation::silu)] = activation<Isa, Activation::silu>;
  t.activation[static_cast<int>(Activation::gelu)] = activation<Isa, Activation::gelu>;
  t.gated[static_cast<int>(Activation::silu)] = gated<Isa, Activation::silu>;
  t.gated[static_cast<int>(Activation::gelu)] = gated<Isa, Activation::gelu>;
  t.softcap = softcap<Isa>;
  t.add = add<Isa>;
  t.add_scaled = add_scaled<Isa>;
  t.probes = {.read = probe_read<Isa>, .dot = probe_dot<Isa>, .fma = probe_fma<Isa>, .bf16 = probe_bf16<Isa>};
  return t;
}

}  // namespace infer::simd
