// SPDX-License-Identifier: MIT
// The search for scales with registers of 32 bytes: the bits of the baseline, sooner. Tested by tests/ops/search_test.cpp.
#include "ops/cpu_features.h"
#include "ops/simd/search.h"

namespace infer {
namespace {

struct Avx2 {
  static constexpr int kRegBytes = 32;
};

}  // namespace

constinit const SearchBuild search_avx2 = {"avx2", simd::search<Avx2>, has_avx2};

}  // namespace infer
