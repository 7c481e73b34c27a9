// SPDX-License-Identifier: MIT
// The layer of most families, pre-norm (arXiv:2002.04745). Tested by tests/models/families_test.cpp.
#include "models/blocks/blocks.h"

namespace infer {

void pre_norm_layer(Step& step, const Layer& layer, std::int64_t index) noexcept {
  MatF32 x = rows_of(step, step.act.x), h = rows_of(step, step.act.h), y = rows_of(step, step.act.branch);
  norm(step, layer.attn_norm, x, h);
  attention(step, layer.attn, index, h, y, &x);
  x = rows_of(step, x), h = rows_of(step, h), y = rows_of(step, y);
  norm(step, layer.ffn_norm, x, h);
  feed_forward(step, layer, h, y, &x);
}

}  // namespace infer
