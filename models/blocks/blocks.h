// SPDX-License-Identifier: MIT
// The building blocks of layers: free functions over a Step, one file each. Blocks split work over threads and call
// kernels; they know nothing of architectures. In and out may be the same matrix where it says so.
#pragma once

#include <initializer_list>

#include "libinfer/architecture.h"

namespace infer {

/// The step's rows of a buffer. They become fewer in the attention of the last layer, so layers ask again behind it.
inline MatF32 rows_of(const Step& step, const MatF32& buffer) noexcept {
  return buffer.first_rows(static_cast<std::int64_t>(step.rows.size()));
}

/// x[i] = embedding row of the i-th token, times its factor, plus the row of its position where positions are learned.
void embed(Step& step, const Decoder& decoder, const MatF32& x) noexcept;

/// Fills the cosines and sines of each row's position.
void rope_angles(Step& step) noexcept;
/// Rotates `heads` vectors of row i, in place, as the layer does.
void rope(const Step& step, std::int64_t layer, const MatF32& x, std::int64_t heads, std::int64_t i) noexcept;

/// A product with some weights, and where it goes: (n, rows).
struct Product {
  const Linear& weights;
  MatF32 out;
};

/// out = x W^T (+ bias) for each product. x: (n, cols), none of the outs. Products of one x belong in one call: x is
/// brought into the form that kernels take once, and threads meet once.
void linear(Step& step, std::initializer_list<Product> products, const MatF32& x) noexcept;

/// The same of one product, and sum += product.out: a thread adds what it has just made. sum: (n, rows). x, product.out and sum
/// are three matrices.
void add_linear(Step& step, const Product& product, const MatF32& x, const MatF32& sum) noexcept;

/// gate.out = activation(gate.out) * up.out of two products with as many rows.
void gated_linear(Step& step, const Product& gate, const Product& up, const MatF32& x) noexcept;

/// out = norm(x), row by row. May be in place.
void norm(Step& step, const Norm& norm, const MatF32& x, const MatF32& out) noexcept;
/// Of one vector of n.
void norm_vector(const Step& step, const Norm& norm, const float* x, float* out, std::int64_t n) noexcept;

/// x += y, for what no product has just made.
void add(Step& step, const MatF32& x, const MatF32& y) noexcept;

/// Projects the input to queries, keys and values, rotates, stores keys and values, attends, projects back into the output.
/// input, output: (n, n_embd), may be the same. Where there is a residual, which is act.x, it += output as well.
/// In the last layer rows whose logits nobody wants end behind their keys and values: step.rows are the others from then on, and
/// theirs are the first rows of act.x, of the input and of the output. There may be none.
void attention(Step& step, const AttentionWeights& w, std::int64_t layer, const MatF32& input, const MatF32& output,
               const MatF32* residual = nullptr) noexcept;

/// out = down(activation(gate(h)) * up(h)), or down(activation(up(h))). h and out may be the same. Where there is a sum,
/// sum += out as well.
void ffn(Step& step, const FfnWeights& w, const MatF32& h, const MatF32& out, const MatF32* sum = nullptr) noexcept;

/// out = the weighted sum of the experts that each row of h is routed to. h and out: two matrices.
void experts(Step& step, const ExpertWeights& w, const MatF32& h, const MatF32& out) noexcept;
/// The likeliest experts with their softmax over all.
void route_softmax(std::span<const float> logits, std::span<std::int32_t> chosen, std::span<float> weights) noexcept;
/// The expert that comes after `previous` when they are sorted by their logits, falling, and then by their numbers; the first
/// after kNoExpert. What is no number comes last.
std::size_t next_best(std::span<const float> logits, std::size_t previous) noexcept;
inline constexpr std::size_t kNoExpert = static_cast<std::size_t>(-1);

/// ffn, or experts where the model has them. h and out: two matrices. Where there is a sum, sum += out as well.
void feed_forward(Step& step, const Layer& layer, const MatF32& h, const MatF32& out, const MatF32* sum = nullptr) noexcept;

/// The layer that most families share: x += attention(norm(x)); x += feed_forward(norm(x)).
void pre_norm_layer(Step& step, const Layer& layer, std::int64_t index) noexcept;

}  // namespace infer
