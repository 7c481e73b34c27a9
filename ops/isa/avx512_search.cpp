// SPDX-License-Identifier: MIT
// The search for scales with registers of 64 bytes: the bits of the baseline, sooner. Tested by tests/ops/search_test.cpp.
#include "ops/cpu_features.h"
#include "ops/simd/search.h"

namespace infer {
namespace {

struct Avx512 {
  static constexpr int kRegBytes = 64;
};

}  // namespace

constinit const SearchBuild search_avx512 = {"avx512", simd::search<Avx512>, has_avx512vnni};

}  // namespace infer
