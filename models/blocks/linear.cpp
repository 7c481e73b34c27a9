// SPDX-License-Identifier: MIT
// Matrix products and row look-ups. Rows of the weights are split over threads: one output element is computed by one
// thread, in one order, however many there are.
#include <algorithm>

#include "models/blocks/blocks.h"

namespace infer {

void linear(Step& step, const Linear& w, const MatF32& x, const MatF32& y) noexcept {
  // One look at the cancel flag per range of rows, and per piece of a batch that is too much work even for one row.
  const std::int64_t tokens_per_look = std::clamp<std::int64_t>(Step::kWorkPerLook / w.weight.cols, 1, x.rows);
  const std::int64_t grain = step.grain(w.weight.rows, w.weight.cols * tokens_per_look);
  step.parallel_for(w.weight.rows, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    const TensorView part = w.weight.slice(first, last - first);
    for (std::int64_t token = 0; token < x.rows && !step.is_cancelled(); token += tokens_per_look) {
      w.matmul({.weights = part.data,
                .row_bytes = part.row_bytes,
                .decode = w.decode,
                .bias = w.bias == nullptr ? nullptr : w.bias + first,
                .rows = part.rows,
                .cols = part.cols,
                .tokens = std::min(tokens_per_look, x.rows - token),
                .x = x.row(token),
                .x_stride = x.stride,
                .y = y.row(token) + first,
                .y_stride = y.stride});
    }
  });
}

void embed(Step& step, const Linear& embedding, const MatF32& x) noexcept {
  const std::int64_t n = static_cast<std::int64_t>(step.rows.size());
  step.parallel_for(n, step.grain(n, x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) {
      const TensorView row = embedding.weight.slice(step.rows[static_cast<std::size_t>(i)].token, 1);
      embedding.decode(row.data, x.row(i), row.cols);
    }
  });
}

}  // namespace infer
