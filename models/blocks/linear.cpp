// SPDX-License-Identifier: MIT
// Matrix products and row look-ups. Rows of the weights are split over threads: one output element is computed by one
// thread, in one order, however many there are.
#include "models/blocks/blocks.h"

namespace infer {

void linear(Step& step, const Linear& w, const MatF32& x, const MatF32& y) noexcept {
  if (step.is_cancelled()) return;   // the long part of a step; decoder_forward tells that it did not finish
  step.pool.parallel_for(w.weight.rows, [&](int, std::int64_t first, std::int64_t last) noexcept {
    const TensorView part = w.weight.slice(first, last - first);
    w.matmul({.weights = part.data,
              .row_bytes = part.row_bytes,
              .decode = w.decode,
              .bias = w.bias == nullptr ? nullptr : w.bias + first,
              .rows = part.rows,
              .cols = part.cols,
              .tokens = x.rows,
              .x = x.data,
              .x_stride = x.stride,
              .y = y.data + first,
              .y_stride = y.stride});
  });
}

void embed(Step& step, const Linear& embedding, const MatF32& x) noexcept {
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    const TensorView row = embedding.weight.slice(step.rows[i].token, 1);
    embedding.decode(row.data, x.row(static_cast<std::int64_t>(i)), row.cols);
  }
}

}  // namespace infer
