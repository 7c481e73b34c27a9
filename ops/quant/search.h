// SPDX-License-Identifier: MIT
// How encoders find scales: a type states a SearchRule, the search finds codes, scales and mins of least weighted squared error,
// and the type's file puts them into its bytes (encode_searched). Sixteen sub-blocks are searched side by side, one to a lane, so that
// the order of every sum is that of one sub-block alone and every instruction set gives the same bits (ops/simd/search.h has the
// search itself, docs/quantization.md the formulas). Tested by tests/ops/search_test.cpp and tests/ops/quant_test.cpp.
#pragma once

#include "libinfer/kernels.h"

namespace infer {

/// Candidates for a scale: those that make the extreme value `from` ... `to` times the outermost code. Above 1 it is clipped.
struct Reach {
  float from, to;
  int steps;
};

/// The search of one type. A block has `subs` sub-blocks of `cols` columns; weight = (d * scale) * code - m * min.
struct SearchRule {
  int subs;                 ///< a divisor of 16; 1: no sub-scales, and so no sub-mins
  int cols;                 ///< at most kSuperCols
  float least, most;        ///< codes
  Reach reach;
  const std::int8_t* book = nullptr;   ///< codes are its 16 entries, ascending; null: whole numbers
  float least_scale = 1, most_scale = 1;
  Reach scale_reach = {1, 1, 1};
  bool has_mins = false;    ///< then least is 0, and 0 <= scale
  float most_min = 0;       ///< 0: m is the block's alone, and may have either sign
};

inline constexpr int kSearchLanes = 16;

/// Sixteen sub-blocks: entry i of that in lane l is at [i][l]. What a lane has of its whole block is repeated in all its lanes.
struct SearchLanes {
  alignas(64) float x[kSuperCols][kSearchLanes];         ///< numbers of magnitude 0, or 2^-26 to 2^30
  alignas(64) float weight[kSuperCols][kSearchLanes];    ///< 2^-20 to 1
  alignas(64) float code[kSuperCols][kSearchLanes];      ///< found, from here on
  alignas(64) float scale[kSearchLanes], min[kSearchLanes], d[kSearchLanes], m[kSearchLanes];   ///< d, m: half floats
};

using SearchFn = void (*)(const SearchRule& rule, SearchLanes& lanes) noexcept;

/// The search, once for every instruction set that it is compiled for; the first that runs here is used.
struct SearchBuild {
  const char* name;
  SearchFn run;
  bool (*runs_here)() noexcept;
};
extern constinit const SearchBuild search_baseline;
#if defined(__x86_64__)
extern constinit const SearchBuild search_avx2, search_avx512;   // ops/isa
#endif
SearchFn best_search() noexcept;

/// Block number `block` of those that lie in the lanes, and which of its parts it has.
void take_block(const SearchRule& rule, const SearchLanes& lanes, int block, CodeBlock& out) noexcept;
/// Up to sixteen sub-blocks, n columns in all, into the lanes; the other lanes get zeros.
void fill_lanes(const SearchRule& rule, const float* x, const float* importance, std::int64_t n, SearchLanes& lanes) noexcept;

/// The encoder of a type: its rule, and what turns a block in parts into bytes.
template <DType kType, const SearchRule& kRule, void (*kPut)(const CodeBlock& block, std::byte* out) noexcept>
void encode_searched(const float* x, const float* importance, std::byte* out, std::int64_t n) noexcept {
  constexpr std::int64_t kCols = info(kType).block_elems;
  constexpr std::int64_t kBlocks = kSearchLanes / kRule.subs;   // at once
  static_assert(kRule.subs * kRule.cols == kCols);
  const SearchFn search = best_search();
  SearchLanes lanes;
  CodeBlock block;
  for (std::int64_t first = 0; first < n; first += kBlocks * kCols) {
    const std::int64_t here = n - first < kBlocks * kCols ? n - first : kBlocks * kCols;
    fill_lanes(kRule, x + first, importance != nullptr ? importance + first : nullptr, here, lanes);
    search(kRule, lanes);
    for (int b = 0; b < here / kCols; ++b, out += info(kType).block_bytes) {
      take_block(kRule, lanes, b, block);
      kPut(block, out);
    }
  }
}

}  // namespace infer
