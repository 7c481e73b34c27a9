// SPDX-License-Identifier: MIT
// Mixture of experts (arXiv:1701.06538, 2401.04088): a router chooses a few feed-forward blocks for each token. The rows that
// chose an expert run through it together, so that its weights are read once per batch; a token's sum is made in the order
// of the experts, whatever other tokens chose. Tested by tests/models/families_test.cpp.
#include <algorithm>
#include <cmath>
#include <limits>

#include "models/blocks/blocks.h"

namespace infer {
namespace {

struct Routes {
  std::span<std::int32_t> chosen;
  std::span<float> weights;
};

/// Those of row i.
Routes routes_of(const Step& step, std::int64_t i) noexcept {
  const auto k = static_cast<std::size_t>(step.config.experts.n_used), begin = static_cast<std::size_t>(i) * k;
  return {step.act.chosen.subspan(begin, k), step.act.chosen_weights.subspan(begin, k)};
}

void choose(Step& step, const ExpertWeights& w, const MatF32& h) noexcept {
  const ExpertConfig& c = step.config.experts;
  const MatF32 router = step.act.router.first_rows(h.rows);
  linear(step, {{w.router, router}}, h);
  const std::int64_t grain = step.grain(h.rows, c.n * (32 + 4 * c.n_used));   // exponentials, and a pass for each chosen
  step.parallel_for(h.rows, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = first; i < last; ++i) {
      const Routes r = routes_of(step, i);
      c.route({router.row(i), static_cast<std::size_t>(c.n)}, r.chosen, r.weights);
      float sum = 0.0f;
      for (const float weight : r.weights) sum += weight;
      const float factor = c.renormalise ? c.scale / sum : c.scale;
      for (float& weight : r.weights) weight *= factor;
    }
  });
}

/// Calls fn(row, its place among them, its weight) for the rows that chose the expert, in order; answers how many they are.
template <class Fn>
std::int64_t for_each_row(const Step& step, std::int64_t n_rows, std::int32_t expert, const Fn& fn) noexcept {
  std::int64_t n = 0;
  for (std::int64_t i = 0; i < n_rows; ++i) {
    const Routes r = routes_of(step, i);
    const auto found = std::find(r.chosen.begin(), r.chosen.end(), expert);
    if (found == r.chosen.end()) continue;
    fn(i, n++, r.weights[static_cast<std::size_t>(found - r.chosen.begin())]);
  }
  return n;
}

float sigmoid(float x) noexcept { return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x)))); }

/// The expert that every token runs through.
void add_shared(Step& step, const ExpertWeights& w, const MatF32& h, const MatF32& out) noexcept {
  const MatF32 y = step.act.expert.first_rows(h.rows);
  const MatF32 gate = {step.act.router.data, h.rows, 1, step.act.router.stride};   // the routes are known by now
  linear(step, {{w.shared_gate, gate}}, h);
  ffn(step, w.shared, h, y);
  for (std::int64_t i = 0; i < h.rows; ++i) step.kernels.add_scaled(out.row(i), y.row(i), sigmoid(*gate.row(i)), h.cols);
}

}  // namespace

void experts(Step& step, const ExpertWeights& w, const MatF32& h, const MatF32& out) noexcept {
  choose(step, w, h);
  for (std::int64_t i = 0; i < out.rows; ++i) std::fill_n(out.row(i), out.cols, 0.0f);
  const MatF32& rows = step.act.expert;
  for (std::size_t e = 0; e < w.each.size() && !step.is_cancelled(); ++e) {
    const std::int32_t expert = static_cast<std::int32_t>(e);
    const std::int64_t n = for_each_row(step, h.rows, expert, [&](std::int64_t i, std::int64_t at, float) noexcept {
      std::copy_n(h.row(i), h.cols, rows.row(at));
    });
    if (n == 0) continue;
    ffn(step, w.each[e], rows.first_rows(n), rows.first_rows(n));
    for_each_row(step, h.rows, expert, [&](std::int64_t i, std::int64_t at, float weight) noexcept {
      step.kernels.add_scaled(out.row(i), rows.row(at), weight, out.cols);
    });
  }
  if (w.shared.up.present()) add_shared(step, w, h, out);
}

std::size_t next_best(std::span<const float> logits, std::size_t previous) noexcept {
  const auto value = [&](std::size_t e) { return std::isnan(logits[e]) ? -std::numeric_limits<float>::infinity() : logits[e]; };
  const auto comes_before = [&](std::size_t a, std::size_t b) { return value(a) > value(b) || (value(a) == value(b) && a < b); };
  std::size_t best = kNoExpert;
  for (std::size_t e = 0; e < logits.size(); ++e) {
    if (previous != kNoExpert && !comes_before(previous, e)) continue;
    if (best == kNoExpert || comes_before(e, best)) best = e;
  }
  return best;
}

void route_softmax(std::span<const float> logits, std::span<std::int32_t> chosen, std::span<float> weights) noexcept {
  const double largest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0.0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - largest);
  std::size_t best = kNoExpert;
  for (std::size_t k = 0; k < chosen.size(); ++k) {
    best = next_best(logits, best);
    chosen[k] = static_cast<std::int32_t>(best);
    weights[k] = static_cast<float>(std::exp(static_cast<double>(logits[best]) - largest) / sum);
  }
}

void feed_forward(Step& step, const Layer& layer, const MatF32& h, const MatF32& out, const MatF32* sum) noexcept {
  if (step.config.experts.n > 0) {
    experts(step, layer.experts, h, out);
    if (sum != nullptr) add(step, *sum, out);
  } else {
    ffn(step, layer.ffn, h, out, sum);
  }
}

}  // namespace infer
