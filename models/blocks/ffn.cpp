// SPDX-License-Identifier: MIT
// The feed-forward block: gated (SwiGLU and GeGLU, arXiv:2002.05202), or plain where there is no gate (arXiv:1706.03762).
// Tested by tests/models/families_test.cpp.
#include "models/blocks/blocks.h"

namespace infer {

void ffn(Step& step, const FfnWeights& w, const MatF32& h, const MatF32& out) noexcept {
  const auto kind = static_cast<std::size_t>(step.config.activation);
  const bool gated = w.gate.present();
  const std::int64_t width = w.up.weight.rows;
  const auto columns = [&](const MatF32& m) { return MatF32{m.data, h.rows, width, m.stride}; };
  const MatF32 gate = columns(step.act.gate), up = columns(step.act.up);
  const MatF32& inner = gated ? gate : up;
  if (gated) {
    linear(step, {{w.gate, gate}, {w.up, up}}, h);
  } else {
    linear(step, {{w.up, up}}, h);
  }
  const std::int64_t grain = step.grain(h.rows, 8 * width);   // an exponential each
  step.parallel_for(h.rows, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) {
      if (gated) {
        step.kernels.gated[kind](gate.row(i), up.row(i), gate.row(i), width);
      } else {
        step.kernels.activation[kind](up.row(i), width);
      }
    }
  });
  linear(step, {{w.down, out}}, inner);
}

}  // namespace infer
