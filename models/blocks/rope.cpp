// SPDX-License-Identifier: MIT
// Rotary positions: frequencies once per session, angles once per step, rotation once per layer.
//
//   plain   f[i] = base^(-2 i / n_rot)                            arXiv:2104.09864
//   linear  f[i] / factor                                         arXiv:2306.15595
//   YaRN    a blend of both over i, and a magnitude of 0.1 ln(factor) + 1   arXiv:2309.00071
//           (1 where nothing is stretched)
//
// Llama 3.1's rule is a tensor of divisors (rope_freqs). Everything is double until the angle's cosine and sine.
// Tested by tests/models/rope_test.cpp.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/blocks/blocks.h"

namespace infer {
namespace {

/// The index at which a wave makes `turns` turns over the original context.
double index_of_turns(const RopeConfig& r, double turns) noexcept {
  return static_cast<double>(r.n_rot) * std::log(static_cast<double>(r.original_context) / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(r.base));
}

}  // namespace

double rope_frequencies(const Decoder& decoder, std::int64_t /*context*/, std::span<double> frequencies) noexcept {
  const RopeConfig& r = decoder.config.rope;
  const double low = std::max(std::floor(index_of_turns(r, r.beta_fast)), 0.0);
  const double high = std::min(std::ceil(index_of_turns(r, r.beta_slow)), static_cast<double>(r.n_rot - 1));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double plain = std::pow(r.base, -2.0 * static_cast<double>(i) / static_cast<double>(r.n_rot));
    double f = plain;
    if (r.scaling == RopeScaling::linear) f = plain / r.factor;
    if (r.scaling == RopeScaling::yarn) {
      const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(high - low, 0.001), 0.0, 1.0);
      f = plain / r.factor * ramp + plain * (1.0 - ramp);
    }
    if (!decoder.rope_factors.empty()) f /= static_cast<double>(decoder.rope_factors[i]);
    frequencies[i] = f;
  }
  const bool stretched = r.scaling == RopeScaling::yarn && r.factor > 1.0;
  return stretched ? r.attn_factor * (0.1 * std::log(r.factor) + 1.0) : r.attn_factor;
}

void rope_angles(Step& step) noexcept {
  const Activations& a = step.act;
  const std::int64_t n = static_cast<std::int64_t>(step.rows.size());
  const std::int64_t grain = step.grain(n, 32 * a.rope_cos.cols);   // a cosine and a sine each
  step.parallel_for(n, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t row = first; row < last; ++row) {
      const double position = static_cast<double>(step.rows[static_cast<std::size_t>(row)].position);
      float* cosines = a.rope_cos.row(row);
      float* sines = a.rope_sin.row(row);
      for (std::size_t p = 0; p < a.rope_frequencies.size(); ++p) {
        const double angle = position * a.rope_frequencies[p];
        cosines[p] = static_cast<float>(std::cos(angle) * a.rope_magnitude);
        sines[p] = static_cast<float>(std::sin(angle) * a.rope_magnitude);
      }
    }
  });
}

void rope(const Step& step, const MatF32& x, std::int64_t heads, std::int64_t i) noexcept {
  step.kernels.rope[static_cast<std::size_t>(step.config.rope.style)]({.x = x.row(i),
                                                                       .heads = heads,
                                                                       .head_dim = x.cols / heads,
                                                                       .n_pairs = step.act.rope_cos.cols,
                                                                       .cos = step.act.rope_cos.row(i),
                                                                       .sin = step.act.rope_sin.row(i)});
}

}  // namespace infer
