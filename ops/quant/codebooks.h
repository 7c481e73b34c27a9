// SPDX-License-Identifier: MIT
// Codebooks of the IQ4 types: facts of the format. Source: kvalues_iq4nl of ggml-common.h (ggml-org/ggml).
// Tested by tests/ops/quant_test.cpp and blocks_test.cpp.
#pragma once

#include <cstdint>

namespace infer {

inline constexpr std::int8_t kIq4Codebook[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// Where in the codebook an entry of it stands.
inline int iq4_index(int entry) noexcept {
  int index = 0;
  while (kIq4Codebook[index] < entry) ++index;
  return index;
}

}  // namespace infer
