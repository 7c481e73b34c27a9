// SPDX-License-Identifier: MIT
// Matrix products and row look-ups. Rows of the weights are split over threads: one output element is computed by one
// thread, in one order, however many there are.
#include <algorithm>

#include "models/blocks/blocks.h"

namespace infer {
namespace {

std::byte* input_of(const Step& step, InputForm form) noexcept { return step.act.input[static_cast<std::size_t>(form)]; }

/// x in the form that kernels take, tile by tile.
void make_input(Step& step, InputForm form, const MatF32& x) noexcept {
  const std::int64_t tile = step.kernels.tile_tokens;
  step.pool.parallel_for((x.rows + tile - 1) / tile, [&](int, std::int64_t first, std::int64_t last) noexcept {
    const std::int64_t begin = first * tile, end = std::min(last * tile, x.rows);
    step.kernels.input[static_cast<std::size_t>(form)]({.x = x.row(begin),
                                                        .stride = x.stride,
                                                        .tokens = end - begin,
                                                        .cols = x.cols,
                                                        .out = input_of(step, form) + begin * input_bytes(form, x.cols)});
  });
}

/// Work is handed out in units of kPanelRows rows: the panels first, then rows that are in none.
std::int64_t n_units(const Linear& w) noexcept { return (w.weight.rows + kPanelRows - 1) / kPanelRows; }

void run_units(const Step& step, const Product& product, const MatF32& x, std::int64_t first, std::int64_t last) noexcept {
  const Linear& w = product.weights;
  const auto run = [&](MatmulFn matmul, const std::byte* weights, std::size_t stride, std::int64_t row, std::int64_t end) noexcept {
    if (row >= end) return;
    matmul({.weights = weights,
            .stride = stride,
            .format = w.format,
            .bias = w.bias == nullptr ? nullptr : w.bias + row,
            .rows = end - row,
            .cols = x.cols,
            .tokens = x.rows,
            .input = input_of(step, w.format->input),
            .tile_tokens = step.kernels.tile_tokens,
            .y = product.out.data + row,
            .y_stride = product.out.stride});
  };
  const std::int64_t panels_end = std::min(last, w.n_panels);
  run(w.matmul.run, w.panels + static_cast<std::size_t>(first) * w.panel_bytes, w.panel_bytes, first * kPanelRows,
      panels_end * kPanelRows);
  const std::int64_t row = std::max(first, w.n_panels) * kPanelRows, end = std::min(last * kPanelRows, w.weight.rows);
  run(w.matmul_rows, w.weight.data + static_cast<std::size_t>(row) * w.weight.row_bytes, w.weight.row_bytes, row, end);
}

}  // namespace

void linear(Step& step, std::initializer_list<Product> products, const MatF32& x) noexcept {
  if (step.is_cancelled()) return;   // the long part of a step; decoder_forward tells that it did not finish
  bool made[kInputFormCount] = {};
  std::int64_t n = 0;
  for (const Product& p : products) {
    const InputForm form = p.weights.format->input;
    if (!made[static_cast<std::size_t>(form)]) make_input(step, form, x);
    made[static_cast<std::size_t>(form)] = true;
    n += n_units(p.weights);
  }
  step.pool.parallel_for(n, [&](int, std::int64_t first, std::int64_t last) noexcept {
    std::int64_t begin = 0;   // of the product's units among all
    for (const Product& p : products) {
      const std::int64_t units = n_units(p.weights);
      const std::int64_t from = std::max(first - begin, std::int64_t{0}), to = std::min(last - begin, units);
      if (from < to) run_units(step, p, x, from, to);
      begin += units;
    }
  });
}

void embed(Step& step, const Linear& embedding, const MatF32& x) noexcept {
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    const TensorView row = embedding.weight.slice(step.rows[i].token, 1);
    embedding.format->decode(row.data, x.row(static_cast<std::int64_t>(i)), row.cols);
  }
}

}  // namespace infer
