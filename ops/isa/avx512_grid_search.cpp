// SPDX-License-Identifier: MIT
// The search for points of grids with registers of 64 bytes: the bits of the baseline, sooner.
// Tested by tests/ops/grid_search_test.cpp.
#include "ops/cpu_features.h"
#include "ops/simd/grid_search.h"

namespace infer {
namespace {

struct Avx512 {
  static constexpr int kRegBytes = 64;
};

}  // namespace

constinit const GridSearchBuild grid_search_avx512 = {"avx512", simd::grid_search<Avx512>, has_avx512vnni};

}  // namespace infer
