// SPDX-License-Identifier: MIT
// What the encoders of the grid types do before a search, and the build of the search for any machine (ops/isa has others).
#include "ops/quant/grid_search.h"

#include <cmath>

#include "ops/simd/grid_search.h"

namespace infer {
namespace {

struct Baseline {
  static constexpr int kRegBytes = 16;
};

}  // namespace

void prepare_grid_input(const float* x, const float* importance, float* clean, float* weight) noexcept {
  float largest = 0.0f;
  for (int i = 0; importance != nullptr && i < kSuperCols; ++i) largest = std::fmax(largest, importance[i]);   // passes over NaN
  largest = std::fmin(largest, 0x1p126f);
  const float factor = largest >= 0x1p-126f ? 1.0f / largest : 0.0f;
  for (int i = 0; i < kSuperCols; ++i) {
    // What halves can hold: larger numbers are cut, NaNs and what is nearer to 0 than to the least step are 0.
    const float magnitude = std::fabs(x[i]);
    clean[i] = magnitude >= 0x1p-26f ? std::copysign(std::fmin(magnitude, 0x1p30f), x[i]) : 0.0f;
    // A column without importance still has a say where it costs the others nothing.
    weight[i] = importance != nullptr ? std::fmin(std::fmax(importance[i] * factor, 0x1p-20f), 1.0f) : 1.0f;
  }
}

constinit const GridSearchBuild grid_search_baseline = {"baseline", simd::grid_search<Baseline>, []() noexcept { return true; }};

GridSearchFn best_grid_search() noexcept {
#if defined(__x86_64__)
  static const GridSearchFn best = grid_search_avx512.runs_here() ? grid_search_avx512.run
                                   : grid_search_avx2.runs_here() ? grid_search_avx2.run
                                                                  : grid_search_baseline.run;
  return best;
#else
  return grid_search_baseline.run;
#endif
}

}  // namespace infer
