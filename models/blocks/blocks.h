// SPDX-License-Identifier: MIT
// The building blocks of layers: free functions over a Step, one file each. Blocks split work over threads and call
// kernels; they know nothing of architectures. In and out may be the same matrix where it says so.
#pragma once

#include <initializer_list>

#include "libinfer/architecture.h"

namespace infer {

/// x[i] = embedding row of the i-th token, as floats.
void embed(Step& step, const Linear& embedding, const MatF32& x) noexcept;

/// Fills act.rope_cos and act.rope_sin with the angles of each row's position.
void rope_angles(Step& step) noexcept;
/// Rotates `heads` vectors of row i, in place.
void rope(const Step& step, const MatF32& x, std::int64_t heads, std::int64_t i) noexcept;

/// A product with some weights, and where it goes: (n, rows).
struct Product {
  const Linear& weights;
  MatF32 out;
};

/// out = x W^T (+ bias) for each product. x: (n, cols), none of the outs. Products of one x belong in one call: x is
/// brought into the form that kernels take once, and threads meet once.
void linear(Step& step, std::initializer_list<Product> products, const MatF32& x) noexcept;

/// out = norm(x), row by row. May be in place.
void rms_norm(Step& step, const Norm& norm, const MatF32& x, const MatF32& out) noexcept;

/// x += y
void add(Step& step, const MatF32& x, const MatF32& y) noexcept;

/// Projects h to queries, keys and values, rotates, stores keys and values, attends, projects back into out.
/// h, out: (n, n_embd), may be the same.
void attention(Step& step, const AttentionWeights& w, std::int64_t layer, const MatF32& h, const MatF32& out) noexcept;

/// out = down(silu(gate(h)) * up(h)). h and out may be the same.
void gated_ffn(Step& step, const FfnWeights& w, const MatF32& h, const MatF32& out) noexcept;

}  // namespace infer
