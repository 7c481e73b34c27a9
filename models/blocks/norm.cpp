// SPDX-License-Identifier: MIT
// Norms and residual sums, row by row.
// Tested by tests/models/families_test.cpp.
#include "models/blocks/blocks.h"

namespace infer {

void norm_vector(const Step& step, const Norm& norm, const float* x, float* out, std::int64_t n) noexcept {
  if (norm.kind == NormKind::rms) {
    step.kernels.rms_norm({.x = x, .weight = norm.weight, .out = out, .n = n, .eps = norm.eps});
  } else {
    step.kernels.layer_norm({.x = x, .weight = norm.weight, .bias = norm.bias, .out = out, .n = n, .eps = norm.eps});
  }
}

void norm(Step& step, const Norm& norm, const MatF32& x, const MatF32& out) noexcept {
  step.parallel_for(x.rows, step.grain(x.rows, x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) norm_vector(step, norm, x.row(i), out.row(i), x.cols);
  });
}

void add(Step& step, const MatF32& x, const MatF32& y) noexcept {
  step.parallel_for(x.rows, step.grain(x.rows, x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) step.kernels.add(x.row(i), y.row(i), x.cols);
  });
}

}  // namespace infer
