// SPDX-License-Identifier: MIT
// Attention where keys and values are int16 with a scale per 32 entries: queries and weights are rounded to int16 as well, and pairs
// of products are summed as integers, twice as many per instruction as of floats. Scores and weighted values are the same product:
// the lines of a block, 32 times a pair each, with a pair of each query. Tested by tests/ops/attention_test.cpp.
#pragma once

#include "ops/simd/attention_tile.h"

namespace infer::simd {

/// Pairs of 32 codes.
inline constexpr int kCodePairs = static_cast<int>(kBlockCols) / 2;
/// A line of a block: a pair for each of 32.
inline constexpr std::size_t kPairLineBytes = 4 * kBlockCols;

/// What makes codes of a query: 0 where there is nothing, NaN where there is no number.
template <class Isa>
INFER_INLINE float inverse_of(const float* q, std::int64_t dim) noexcept {
  using L = Lanes<Isa>;
  const std::uint32_t bits = Isa::largest_magnitude(q, dim);
  float most = 0.0f;
  for (std::int64_t i = 0; i < dim; i += kBlockCols) {
    const float sum = total(abs(L::load(q + i)) + abs(L::load(q + i + kLanes)));
    most = most < sum ? sum : most;
  }
  if (bits >= 0x7f800000u || most == __builtin_inff()) return __builtin_nanf("");
  const float magnitude = __builtin_bit_cast(float, bits);
  if (magnitude < kLeastQ8) return 0.0f;
  const float by_most = kI16Factor / magnitude, by_sum = kI16FactorSum / most;
  return by_sum < by_most ? by_sum : by_most;
}

/// Before the first page.
template <class Isa>
void begin_queries(const AttentionArgs& a, QueryTile<Isa, StoredI16<Isa>>& t) noexcept {
  for (int k = 0; k < t.n; ++k) {
    const float inverse = inverse_of<Isa>(t.q[k], a.key_dim);
    t.scale[k] = inverse == 0.0f ? 0.0f : kI16Unit / inverse * (a.softcap > 0.0f ? a.scale : a.scale * kLog2E);
    t.inverse[k] = inverse == inverse ? inverse : 0.0f;
  }
}

/// Codes of entries first .. end - 1 of the queries: (blocks, n, 16) pairs.
template <class Isa>
void line_up(QueryTile<Isa, StoredI16<Isa>>& t, std::int64_t first, std::int64_t end) noexcept {
  std::int32_t* codes = t.entries;
  for (std::int64_t i = first; i < end; i += kBlockCols) {
    for (int k = 0; k < t.n; ++k, codes += kCodePairs) round_pairs<Isa>(t.q[k] + i, t.inverse[k], codes);
  }
}

/// Products of a block of a page with the codes of N queries, (N, 16) pairs: done(k, p, sums) gets those of query k with
/// sixteen p of the block, as floats.
template <class Isa, int N, class Done>
INFER_INLINE void block_products(const std::int32_t* codes, const PageData& page, const std::byte* block, const Done& done) noexcept {
  constexpr int kParts = Isa::kKeyLanes;
  page.ask_ahead(block, 2 * kBlockCols);
  for (int part = 0; part < kPageLanes; part += kParts) {
    typename Isa::Ints sum[N * kParts];   // queries by sixteens
    unroll<N * kParts>([&](auto i) INFER_INLINE_LAMBDA { sum[i.value] = Isa::ints(0); });
    const std::byte* line = block + 2 * kBlockCols;
    for (int j = 0; j < kCodePairs; ++j, line += kPairLineBytes) {
      typename Isa::Pairs pairs[kParts];
      unroll<kParts>([&](auto p) INFER_INLINE_LAMBDA { pairs[p.value] = Isa::pairs(line + (part + p.value) * 4 * kLanes); });
      page.ask_ahead(line + part * 4 * kLanes, kParts * 4 * kLanes);
      unroll<N * kParts>([&](auto i) INFER_INLINE_LAMBDA {
        Isa::add_products(sum[i.value], pairs[i.value % kParts], codes[i.value / kParts * kCodePairs + j]);
      });
    }
    unroll<N * kParts>([&](auto i) INFER_INLINE_LAMBDA {
      done(Constant<i.value / kParts>{}, part + i.value % kParts, Isa::floats(sum[i.value]));
    });
  }
}

/// Products of N queries with all keys of a page, entries first .. end - 1, added to those of the entries before.
template <class Isa, int N>
[[gnu::noinline]] void score_codes(const std::int32_t* codes, const PageData& keys, std::int64_t first, std::int64_t end,
                                   float (*scores)[kPageSlots]) noexcept {
  using L = Lanes<Isa>;
  for (std::int64_t i = first; i < end; i += kBlockCols, codes += N * kCodePairs) {
    const std::byte* const block = keys.data + kPageSlots * StoredI16<Isa>::bytes(i);
    const L scales[kPageLanes] = {Isa::load_halves(block), Isa::load_halves(block + 2 * kLanes)};
    block_products<Isa, N>(codes, keys, block, [&](auto k, int p, const L& sums) INFER_INLINE_LAMBDA {
      float* const score = scores[k.value] + p * kLanes;
      fma(sums, scales[p], i == 0 ? L::of(0.0f) : L::load(score)).store(score);
    });
  }
}

/// Scores of all keys of a page, entries first .. end - 1.
template <class Isa>
INFER_INLINE void score_page(const PageData& keys, QueryTile<Isa, StoredI16<Isa>>& t, std::int64_t, std::int64_t first, std::int64_t end) noexcept {
  with_tokens<Isa::kIntQueries>(t.n, [&](auto n) INFER_INLINE_LAMBDA {
    score_codes<Isa, n.value>(t.entries, keys, first, end, t.weights);
  });
}

/// The scales of the values of a page that are seen; 0 of the others.
template <class Isa>
INFER_INLINE void find_scales(const std::byte* block, int begin, int end, float (&scales)[kPageSlots]) noexcept {
  for (int p = 0; p < kPageLanes; ++p) Isa::load_halves(block + 2 * kLanes * p).store(scales + kLanes * p);
  for (int slot = 0; slot < begin; ++slot) scales[slot] = 0.0f;
  for (int slot = end; slot < kPageSlots; ++slot) scales[slot] = 0.0f;
}

/// For each query, what makes codes of its weights times scales, and the unit of their products.
template <class Isa>
struct WeightCodes {
  float most[kLanes] = {}, sums[kLanes] = {};   ///< of weights times scales
  float codes[kLanes], units[kLanes];

  INFER_INLINE void find(const float (&fresh)[kLanes]) noexcept {
    using L = Lanes<Isa>;
    const L largest = L::load(most), all = L::load(sums), minus = L::of(-0.0f);
    // The lesser of both is minus the larger of what is minus them.
    L code = minus - max(L::of(-kI16FactorSum) / all, L::of(-kI16Factor) / largest);
    L unit = L::load(fresh) * L::of(kI16Unit) / code;
    for (int i = 0; i < L::kRegs; ++i) {
      using Reg = typename L::Reg;
      const auto nothing = largest.reg[i] < Reg(kLeastQ8);
      code.reg[i] = xsimd::select(nothing, Reg(0.0f), code.reg[i]);
      unit.reg[i] = xsimd::select(nothing, Reg(0.0f), unit.reg[i]);
    }
    code.store(codes);
    (unit + (all - all)).store(units);   // NaN where the sum is
  }
};

/// out = shrink * out + unit * products, for N queries and all entries.
template <class Isa, int N>
[[gnu::noinline]] void gather_codes(const std::int32_t* codes, const PageData& values, std::int64_t value_dim, const float* shrink,
                                    const float* units, float* const* out) noexcept {
  using L = Lanes<Isa>;
  for (std::int64_t i = 0; i < value_dim; i += kBlockCols) {
    const std::byte* const block = values.data + kPageSlots * StoredI16<Isa>::bytes(i);
    block_products<Isa, N>(codes, values, block, [&](auto k, int p, const L& sums) INFER_INLINE_LAMBDA {
      float* const entries = out[k.value] + i + p * kLanes;
      fma(sums, L::of(units[k.value]), L::load(entries) * L::of(shrink[k.value])).store(entries);
    });
  }
}

/// What was summed before to the new maximum, and the weighted values of a page.
template <class Isa>
void gather_page(const PageData& values, std::int64_t value_dim, QueryTile<Isa, StoredI16<Isa>>& t) noexcept {
  using L = Lanes<Isa>;
  alignas(64) std::int32_t pairs[Isa::kIntQueries * kCodePairs];
  alignas(64) float scales[kPageSlots];
  WeightCodes<Isa> w;
  for (int k = t.from; k < t.to; ++k) {
    const bool first = k == t.from, others = !t.whole && (first || t.begin[k] != t.begin[k - 1] || t.end[k] != t.end[k - 1]);
    if (first || others) find_scales<Isa>(values.data, t.whole ? 0 : t.begin[k], t.whole ? kPageSlots : t.end[k], scales);
    const L low = L::load(t.weights[k]) * L::load(scales), high = L::load(t.weights[k] + kLanes) * L::load(scales + kLanes);
    low.store(t.weights[k]);
    high.store(t.weights[k] + kLanes);
    w.most[k] = largest(max(low, high));
    w.sums[k] = total(low + high);
  }
  w.find(t.fresh);
  for (int k = t.from; k < t.to; ++k) {
    round_pairs<Isa>(t.weights[k], w.codes[k], pairs + (k - t.from) * kCodePairs);
  }
  with_tokens<Isa::kIntQueries>(t.to - t.from, [&](auto n) INFER_INLINE_LAMBDA {
    gather_codes<Isa, n.value>(pairs, values, value_dim, t.shrink + t.from, w.units + t.from, t.out + t.from);
  });
}

}  // namespace infer::simd
