// SPDX-License-Identifier: MIT
// The layer of most families, pre-norm (arXiv:2002.04745). Tested by tests/models/families_test.cpp.
#include "models/blocks/blocks.h"

namespace infer {

void pre_norm_layer(Step& step, const Layer& layer, std::int64_t index) noexcept {
  const std::int64_t n = static_cast<std::int64_t>(step.rows.size());
  const MatF32 x = step.act.x.first_rows(n), h = step.act.h.first_rows(n), y = step.act.branch.first_rows(n);
  norm(step, layer.attn_norm, x, h);
  attention(step, layer.attn, index, h, y, &x);
  norm(step, layer.ffn_norm, x, h);
  feed_forward(step, layer, h, y, &x);
}

}  // namespace infer
