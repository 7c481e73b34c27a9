// SPDX-License-Identifier: MIT
// Norms and residual sums, row by row.
#include "models/blocks/blocks.h"

namespace infer {

void rms_norm(Step& step, const Norm& norm, const MatF32& x, const MatF32& out) noexcept {
  step.parallel_for(x.rows, step.grain(x.rows, x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) {
      step.kernels.rms_norm({.x = x.row(i), .weight = norm.weight, .out = out.row(i), .n = x.cols, .eps = norm.eps});
    }
  });
}

void add(Step& step, const MatF32& x, const MatF32& y) noexcept {
  step.parallel_for(x.rows, step.grain(x.rows, x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) step.kernels.add(x.row(i), y.row(i), x.cols);
  });
}

}  // namespace infer
