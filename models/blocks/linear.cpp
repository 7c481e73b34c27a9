// SPDX-License-Identifier: MIT
// Matrix products and row look-ups. Rows of the weights are split over threads: one output element is computed by one
// thread, in one order, however many there are. Tested by tests/models/families_test.cpp.
#include <algorithm>
#include <numeric>

#include "models/blocks/blocks.h"

namespace infer {
namespace {

std::byte* input_of(const Step& step, InputForm form) noexcept { return step.act.input[static_cast<std::size_t>(form)]; }

std::int64_t tile_of(const Step& step, InputForm form, const MatF32& x) noexcept { return step.kernels.tile(form, x.rows); }

/// x in the form that kernels take, tile by tile.
void make_input(Step& step, InputForm form, const MatF32& x) noexcept {
  const std::int64_t tile = tile_of(step, form, x), n_tiles = (x.rows + tile - 1) / tile;
  step.parallel_for(n_tiles, step.grain(n_tiles, tile * x.cols), [&](int, std::int64_t first, std::int64_t last) noexcept {
    const std::int64_t begin = first * tile, end = std::min(last * tile, x.rows);
    step.kernels.input[static_cast<std::size_t>(form)]({.x = x.row(begin),
                                                        .stride = x.stride,
                                                        .tokens = end - begin,
                                                        .tile_tokens = tile,
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
    matmul({.weights = weights,
            .stride = stride,
            .format = w.format,
            .bias = w.bias == nullptr ? nullptr : w.bias + row,
            .rows = end - row,
            .cols = x.cols,
            .tokens = tokens,
            .input = input_of(step, w.format->input) + token * input_bytes(w.format->input, x.cols),
            .tile_tokens = tile_of(step, w.format->input, x),
            .y = product.out.row(token) + row,
            .y_stride = product.out.stride,
            .scratch = step.scratch(worker)});
  };
  const std::int64_t panels_end = std::min(last, w.n_panels);
  if (w.panels != nullptr) {
    const std::byte* const panels = w.panels + static_cast<std::size_t>(first) * w.panel_bytes;
    run(w.matmul.run, panels, w.panel_bytes, first * kPanelRows, panels_end * kPanelRows);
  } else {
    std::byte* const panels = step.scratch(worker) + step.kernels.scratch_bytes;
    for (std::int64_t unit = first; unit < panels_end; unit += kPanelsAtOnce) {
      const std::int64_t n = std::min(kPanelsAtOnce, panels_end - unit);
      for (std::int64_t i = 0; i < n; ++i) {
        const TensorView rows = w.weight.slice((unit + i) * kPanelRows, kPanelRows);
        w.format->pack(rows.data, rows.row_bytes, rows.cols, panels + static_cast<std::size_t>(i) * w.panel_bytes);
      }
      run(w.matmul.run, panels, w.panel_bytes, unit * kPanelRows, (unit + n) * kPanelRows);
    }
  }
  const std::int64_t row = std::max(first, w.n_panels) * kPanelRows;
  const std::byte* const rows = w.weight.data + static_cast<std::size_t>(row) * w.weight.row_bytes;
  run(w.matmul_rows, rows, w.weight.row_bytes, row, std::min(last * kPanelRows, w.weight.rows));
}

/// What a thread has just made: these rows of these tokens, of the only product or, side by side, of all.
struct Piece {
  std::int64_t row, row_end;
  std::int64_t token, token_end;
};

/// The products of one x. Side by side: all have as many rows, and a thread makes the same rows of each. `done` is told of
/// each piece by the thread that made it, while it is near.
template <class Done>
void multiply(Step& step, std::initializer_list<Product> products, const MatF32& x, bool side_by_side, const Done& done) noexcept {
  if (x.rows == 0) return;
  bool made[kInputFormCount] = {};
  std::int64_t n = 0, tile = 1;   // whole tiles of every form
  for (const Product& p : products) {
    if (step.observer != nullptr) step.observer->see(step.observer->user, step, p.weights, x);
    const InputForm form = p.weights.format->input;
    if (!made[static_cast<std::size_t>(form)]) make_input(step, form, x);
    made[static_cast<std::size_t>(form)] = true;
    tile = std::lcm(tile, tile_of(step, form, x));
    n = side_by_side ? n_units(p.weights) : n + n_units(p.weights);
  }
  // One look at the cancel flag per range of units, and per piece of a batch that is too much work even for one unit.
  constexpr std::int64_t kUnits = 2;   // of a range: kernels take up to two panels at a time
  const std::int64_t at_once = side_by_side ? static_cast<std::int64_t>(products.size()) : 1;
  const std::int64_t work_per_token = kUnits * kPanelRows * x.cols * at_once;
  const std::int64_t tiles_per_look = std::max<std::int64_t>(1, step.work_per_look() / (work_per_token * tile));
  // Pieces of like size, one and a half times as much at most: a remainder of few tokens would be slow.
  const std::int64_t tiles = (x.rows - 1) / tile + 1, pieces = std::max<std::int64_t>(1, (tiles + tiles_per_look / 2) / tiles_per_look);
  const std::int64_t tokens_per_look = std::min((tiles - 1) / pieces * tile + tile, x.rows);
  const std::int64_t ranges = (n + kUnits - 1) / kUnits;
  const std::int64_t work = work_per_token * tokens_per_look, grain = step.grain(ranges, work);
  const std::int64_t least = std::clamp<std::int64_t>(Step::kLeastWork / work, 1, grain);
  step.parallel_for(n, {kUnits * grain, kUnits * least}, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t token = 0; token < x.rows && !step.is_cancelled(); token += tokens_per_look) {
      const std::int64_t tokens = std::min(tokens_per_look, x.rows - token);
      std::int64_t begin = 0;   // of the product's units among all
      for (const Product& p : products) {
        const std::int64_t units = n_units(p.weights);
        const std::int64_t from = std::max(first - begin, std::int64_t{0}), to = std::min(last - begin, units);
        if (from < to) run_units(step, worker, p, x, token, tokens, from, to);
        if (!side_by_side) begin += units;
      }
      const std::int64_t rows = products.begin()->weights.weight.rows;
      done({first * kPanelRows, std::min(last * kPanelRows, rows), token, token + tokens});
    }
  });
}

}  // namespace

void linear(Step& step, std::initializer_list<Product> products, const MatF32& x) noexcept {
  multiply(step, products, x, false, [](const Piece&) noexcept {});
}

void add_linear(Step& step, const Product& product, const MatF32& x, const MatF32& sum) noexcept {
  multiply(step, {product}, x, false, [&](const Piece& p) noexcept {
    for (std::int64_t t = p.token; t < p.token_end; ++t) {
      step.kernels.add(sum.row(t) + p.row, product.out.row(t) + p.row, p.row_end - p.row);
    }
  });
}

void gated_linear(Step& step, const Product& gate, const Product& up, const MatF32& x) noexcept {
  const auto gated = step.kernels.gated[static_cast<std::size_t>(step.config.activation)];
  multiply(step, {gate, up}, x, true, [&](const Piece& p) noexcept {
    for (std::int64_t t = p.token; t < p.token_end; ++t) {
      gated(gate.out.row(t) + p.row, up.out.row(t) + p.row, gate.out.row(t) + p.row, p.row_end - p.row);
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
