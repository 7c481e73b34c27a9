// SPDX-License-Identifier: MIT
// The feed-forward block: gated (SwiGLU and GeGLU, arXiv:2002.05202), or plain where there is no gate (arXiv:1706.03762).
// Tested by tests/models/families_test.cpp.
#include "models/blocks/blocks.h"

namespace infer {

void ffn(Step& step, const FfnWeights& w, const MatF32& h, const MatF32& out, const MatF32* sum) noexcept {
  const std::int64_t width = w.up.weight.rows;
  const auto columns = [&](const MatF32& m) { return MatF32{m.data, h.rows, width, m.stride}; };
  const MatF32 gate = columns(step.act.gate), up = columns(step.act.up);
  const bool gated = w.gate.present();
  if (gated) {
    gated_linear(step, {w.gate, gate}, {w.up, up}, h);
  } else {
    linear(step, {{w.up, up}}, h);
    const std::int64_t grain = step.grain(h.rows, 8 * width);   // an exponential each
    step.parallel_for(h.rows, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
      const auto activation = step.kernels.activation[static_cast<std::size_t>(step.config.activation)];
      for (std::int64_t i = first; i < last; ++i) activation(up.row(i), width);
    });
  }
  const MatF32& inner = gated ? gate : up;
  sum == nullptr ? linear(step, {{w.down, out}}, inner) : add_linear(step, {w.down, out}, inner, *sum);
}

}  // namespace infer
