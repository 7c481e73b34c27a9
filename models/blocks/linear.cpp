// SPDX-License-Identifier: MIT
// Matrix products and row look-ups. Rows of the weights are split over threads: one output element is computed by one
// thread, in one order, however many there are. Tested by tests/models/families_test.cpp.
#include <algorithm>

#include "models/blocks/blocks.h"

namespace infer {
namespace {

std::byte* input_of(const Step& step, InputForm form) noexcept { return step.act.input[static_cast<std::size_t>(form)]; }

/// x in the form that kernels take, tile by tile.
void make_input(Step& step, InputForm form, const MatF32& x) noexcept {
  const std::int64_t tile = step.kernels.tile_tokens, n_tiles = (x.rows + tile - 1) / tile;
  step.parallel_for(n_tiles, step.grain(n_tiles, tile * x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
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

/// Some units times some tokens of x, starting with a tile.
void run_units(const Step& step, int worker, const Product& product, const MatF32& x, std::int64_t token, std::int64_t tokens,
               std::int64_t first, std::int64_t last) noexcept {
  const Linear& w = product.weights;
  const auto run = [&](MatmulFn matmul, const std::byte* weights, std::size_t stride, std::int64_t row,
                       std::int64_t end) noexcept {
    if (row >= end) return;
    matmul({.weights = weights + static_cast<std::size_t>(row) / (matmul == w.matmul_rows ? 1 : kPanelRows) * stride,
            .stride = stride,
            .format = w.format,
            .bias = w.bias == nullptr ? nullptr : w.bias + row,
            .rows = end - row,
            .cols = x.cols,
            .tokens = tokens,
            .input = input_of(step, w.format->input) + token * input_bytes(w.format->input, x.cols),
            .tile_tokens = step.kernels.tile_tokens,
            .y = product.out.row(token) + row,
            .y_stride = product.out.stride,
            .scratch = step.scratch(worker)});
  };
  run(w.matmul.run, w.panels, w.panel_bytes, first * kPanelRows, std::min(last, w.n_panels) * kPanelRows);
  run(w.matmul_rows, w.weight.data, w.weight.row_bytes, std::max(first, w.n_panels) * kPanelRows,
      std::min(last * kPanelRows, w.weight.rows));
}

}  // namespace

void linear(Step& step, std::initializer_list<Product> products, const MatF32& x) noexcept {
  bool made[kInputFormCount] = {};
  std::int64_t n = 0;
  for (const Product& p : products) {
    if (step.observer != nullptr) step.observer->see(step.observer->user, step, p.weights, x);
    const InputForm form = p.weights.format->input;
    if (!made[static_cast<std::size_t>(form)]) make_input(step, form, x);
    made[static_cast<std::size_t>(form)] = true;
    n += n_units(p.weights);
  }
  // One look at the cancel flag per range of units, and per piece of a batch that is too much work even for one unit.
  constexpr std::int64_t kUnits = 2;   // of a range: kernels take up to two panels at a time
  const std::int64_t tile = step.kernels.tile_tokens, work_per_token = kUnits * kPanelRows * x.cols;
  const std::int64_t tiles_per_look = std::max<std::int64_t>(1, step.work_per_look() / (work_per_token * tile));
  const std::int64_t tokens_per_look = std::min(tiles_per_look * tile, x.rows);
  const std::int64_t ranges = (n + kUnits - 1) / kUnits;
  const std::int64_t grain = kUnits * step.grain(ranges, work_per_token * tokens_per_look);
  step.parallel_for(n, grain, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
    std::int64_t begin = 0;   // of the product's units among all
    for (const Product& p : products) {
      const std::int64_t units = n_units(p.weights);
      const std::int64_t from = std::max(first - begin, std::int64_t{0}), to = std::min(last - begin, units);
      for (std::int64_t token = 0; from < to && token < x.rows && !step.is_cancelled(); token += tokens_per_look) {
        run_units(step, worker, p, x, token, std::min(tokens_per_look, x.rows - token), from, to);
      }
      begin += units;
    }
  });
}

void embed(Step& step, const Decoder& decoder, const MatF32& x) noexcept {
  const std::int64_t n = static_cast<std::int64_t>(step.rows.size());
  const auto look_up = [](const Linear& table, std::int64_t row, float* out) noexcept {
    table.format->decode(table.weight.slice(row, 1).data, out, table.weight.cols);
  };
  const MatF32& positions = step.act.branch;
  step.parallel_for(n, step.grain(n, x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) {
      const StepRow& row = step.rows[static_cast<std::size_t>(i)];
      look_up(decoder.embedding, row.token, x.row(i));
      for (std::int64_t c = 0; c < x.cols; ++c) x.row(i)[c] *= decoder.config.embedding_scale;
      if (!decoder.positions.present()) continue;
      look_up(decoder.positions, row.position, positions.row(i));
      step.kernels.add(x.row(i), positions.row(i), x.cols);
    }
  });
}

}  // namespace infer
