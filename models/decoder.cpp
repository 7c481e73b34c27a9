// SPDX-License-Identifier: MIT
// The skeleton of every decoder: embed, layers, final norm, head. Prompt and decode are the same call with many rows or
// one. Nothing is allocated and nothing can fail; a cancel is seen within the loops of the blocks (Step::parallel_for).
// Tested by tests/models/families_test.cpp.
#include <algorithm>

#include "libinfer/architecture.h"
#include "models/blocks/blocks.h"

namespace infer {

bool decoder_forward(const Decoder& decoder, Step& step) noexcept {
  embed(step, decoder, step.act.x);
  rope_angles(step);
  for (std::size_t i = 0; i < decoder.layers.size(); ++i) {
    if (step.is_cancelled()) return false;
    decoder.architecture->layer(step, decoder.layers[i], static_cast<std::int64_t>(i));
  }

  // Only rows whose logits are wanted go through the head; they are gathered at the top of h, in logits order.
  std::int64_t n_wanted = 0;
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    if (step.rows[i].logits_row < 0) continue;
    const float* const from = step.act.x.row(static_cast<std::int64_t>(i));
    norm_vector(step, decoder.output_norm, from, step.act.h.row(n_wanted++), step.act.x.cols);
  }
  if (n_wanted == 0) return !step.is_cancelled();
  std::int64_t first_row = step.act.logits.rows;
  for (const StepRow& r : step.rows) {
    if (r.logits_row >= 0 && r.logits_row < first_row) first_row = r.logits_row;
  }
  const MatF32 logits = {step.act.logits.row(first_row), n_wanted, step.act.logits.cols, step.act.logits.stride};
  linear(step, {{decoder.output, logits}}, step.act.h.first_rows(n_wanted));
  if (const float cap = decoder.config.final_softcap; cap > 0.0f) {
    constexpr std::int64_t kPiece = 4096;
    const std::int64_t pieces = (logits.cols + kPiece - 1) / kPiece;
    step.parallel_for(n_wanted * pieces, 1, [&](int, std::int64_t first, std::int64_t last) noexcept {
      for (std::int64_t item = first; item < last; ++item) {
        const std::int64_t begin = item % pieces * kPiece;
        step.kernels.softcap(logits.row(item / pieces) + begin, std::min(kPiece, logits.cols - begin), cap);
      }
    });
  }
  return !step.cancelled.load();   // only what was seen: a flag set after the last range comes too late
}

}  // namespace infer
