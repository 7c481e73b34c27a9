// SPDX-License-Identifier: MIT
// The search for points of grids with registers of 32 bytes: the bits of the baseline, sooner.
// Tested by tests/ops/grid_search_test.cpp.
#include "ops/cpu_features.h"
#include "ops/simd/grid_search.h"

namespace infer {
namespace {

struct Avx2 {
  static constexpr int kRegBytes = 32;
};

}  // namespace

constinit const GridSearchBuild grid_search_avx2 = {"avx2", simd::grid_search<Avx2>, has_avx2};

}  // namespace infer
