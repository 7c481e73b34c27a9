// SPDX-License-Identifier: MIT
// How encoders of the grid types find points and scales: a type states a GridRule, the search finds for each block the
// points, signs, sub-scales and the scale d of least weighted squared error, and the type's file puts them into its bytes.
// The search itself is in ops/simd/grid_search.h, compiled for each instruction set and with the same bits on all.
// Tested by tests/ops/grid_search_test.cpp and tests/ops/quant_test.cpp.
#pragma once

#include "libinfer/kernels.h"

namespace infer {

/// What the groups of a sub-block have in common.
enum class GridKind : std::uint8_t {
  free_signs,     ///< magnitudes; a sign for each weight
  even_signs,     ///< magnitudes; an even number of minus signs in each eight weights
  shift,          ///< values, moved up or down for each group
  common_shift,   ///< values, moved up or down for all groups of 32
};

/// weight = d * unit * (2 scale + 1) * value.
struct GridRule {
  const std::uint16_t* points;   ///< of ops/quant/grids.h
  int n_points;
  int bits;                      ///< of the number of a level
  int group;                     ///< values of a point: 8, or 4
  float levels[2][8];            ///< by number; the second row: moved down (GridKind::shift, common_shift)
  GridKind kind;
  int sub_cols;                  ///< columns that share a scale: 16 or 32
  int n_scales;
  float unit;
};

extern constinit const GridRule grid_iq1_s, grid_iq1_m, grid_iq2_xxs, grid_iq2_xs, grid_iq2_s, grid_iq3_xxs, grid_iq3_s;

/// A block as the search found it.
struct GridBlock {
  float d;                                ///< a half float
  std::uint8_t scales[kSuperCols / 16];   ///< by sub-block
  std::uint16_t points[kSuperCols / 4];   ///< by group
  std::uint8_t signs[kSuperCols / 8];     ///< by eight weights, bit i: weight i is negative
  std::uint8_t down[kSuperCols / 8];      ///< by group of a shifted grid: 1: moved down
};

/// One block of `x`: numbers of magnitude 0, or 2^-26 to 2^30. `weight`: 2^-20 to 1.
using GridSearchFn = void (*)(const GridRule& rule, const float* x, const float* weight, GridBlock& out) noexcept;

struct GridSearchBuild {
  const char* name;
  GridSearchFn run;
  bool (*runs_here)() noexcept;
};

extern constinit const GridSearchBuild grid_search_baseline;
#if defined(__x86_64__)
extern constinit const GridSearchBuild grid_search_avx2, grid_search_avx512;   // ops/isa
#endif

/// What all searches may assume of their input: see GridSearchFn.
void prepare_grid_input(const float* x, const float* importance, float* clean, float* weight) noexcept;
GridSearchFn best_grid_search() noexcept;

template <DType kType, const GridRule& kRule, void (*kPut)(const GridBlock& block, std::byte* out) noexcept>
void encode_on_grid(const float* x, const float* importance, std::byte* out, std::int64_t n) noexcept {
  const GridSearchFn search = best_grid_search();
  for (; n > 0; n -= kSuperCols, x += kSuperCols, out += info(kType).block_bytes) {
    float clean[kSuperCols], weight[kSuperCols];
    prepare_grid_input(x, importance, clean, weight);
    GridBlock block;
    search(kRule, clean, weight, block);
    kPut(block, out);
    if (importance != nullptr) importance += kSuperCols;
  }
}

}  // namespace infer
