// SPDX-License-Identifier: MIT
// What encoders do before and after a search, and the build of the search for any machine (ops/isa has others).
#include "ops/quant/search.h"

#include <cmath>

#include "ops/cpu_features.h"
#include "ops/simd/search.h"

namespace infer {
namespace {

struct Baseline {
  static constexpr int kRegBytes = 16;
};

/// What a block of halves can hold: larger ones are cut, NaNs and what is nearer to 0 than to the least step are 0.
float searchable(float x) noexcept {
  const float magnitude = std::fabs(x);
  if (!(magnitude >= 0x1p-26f)) return 0.0f;
  return std::copysign(std::fmin(magnitude, 0x1p30f), x);
}

constexpr float kLeastWeight = 0x1p-20f;

/// Within what has an inverse, whatever the numbers.
float largest_of(const float* importance, int n) noexcept {
  float largest = 0x1p-126f;
  for (int i = 0; i < n; ++i) largest = std::fmax(largest, importance[i]);   // passes over NaN
  return std::fmin(largest, 0x1p126f);
}

}  // namespace

void fill_lanes(const SearchRule& rule, const float* x, const float* importance, std::int64_t n, SearchLanes& lanes) noexcept {
  const int block_cols = rule.subs * rule.cols;
  for (int lane = 0; lane < kSearchLanes; ++lane) {
    const int first = lane * rule.cols;
    if (first >= n) {
      for (int i = 0; i < rule.cols; ++i) lanes.x[i][lane] = 0.0f, lanes.weight[i][lane] = 1.0f;
      continue;
    }
    for (int i = 0; i < rule.cols; ++i) lanes.x[i][lane] = searchable(x[first + i]);
    const float factor = importance != nullptr ? 1.0f / largest_of(importance + first / block_cols * block_cols, block_cols) : 0.0f;
    for (int i = 0; i < rule.cols; ++i) {
      // A column without importance still has a say where it costs the others nothing.
      lanes.weight[i][lane] = importance != nullptr ? std::fmin(std::fmax(importance[first + i] * factor, kLeastWeight), 1.0f) : 1.0f;
    }
  }
}

void take_block(const SearchRule& rule, const SearchLanes& lanes, int block, CodeBlock& out) noexcept {
  const int first = block * rule.subs;
  out.d = lanes.d[first];
  out.m = lanes.m[first];
  for (int i = 0; i < rule.subs * rule.cols; ++i) {
    const int lane = first + i / rule.cols;
    out.codes[i] = static_cast<std::int8_t>(lanes.code[i % rule.cols][lane]);
    out.scales[i / kSubCols] = static_cast<std::int16_t>(lanes.scale[lane]);
    out.mins[i / kSubCols] = static_cast<std::int16_t>(lanes.min[lane]);
  }
}

constinit const SearchBuild search_baseline = {"baseline", simd::search<Baseline>, [] () noexcept { return true; }};

SearchFn best_search() noexcept {
#if defined(__x86_64__)
  static const SearchFn best = search_avx512.runs_here() ? search_avx512.run : search_avx2.runs_here() ? search_avx2.run : search_baseline.run;
  return best;
#else
  return search_baseline.run;
#endif
}

}  // namespace infer
