// SPDX-License-Identifier: MIT
// The gated feed-forward block (SwiGLU, arXiv:2002.05202).
#include "models/blocks/blocks.h"

namespace infer {

void gated_ffn(Step& step, const FfnWeights& w, const MatF32& h, const MatF32& out) noexcept {
  const MatF32 gate = step.act.gate.first_rows(h.rows), up = step.act.up.first_rows(h.rows);
  linear(step, {{w.gate, gate}, {w.up, up}}, h);
  const std::int64_t grain = step.grain(h.rows, 8 * gate.cols);   // an exponential each
  step.parallel_for(h.rows, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) step.kernels.gated[0](gate.row(i), up.row(i), gate.row(i), gate.cols);
  });
  linear(step, {{w.down, out}}, gate);
}

}  // namespace infer
