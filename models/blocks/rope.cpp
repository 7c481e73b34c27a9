// SPDX-License-Identifier: MIT
// Rotary positions: frequencies once per session, angles once per step, rotation once per layer.
//
//   plain     f[i] = base^(-2 i / n_rot)                            arXiv:2104.09864
//   linear    f[i] / factor                                         arXiv:2306.15595
//   YaRN      a blend of both over i                                arXiv:2309.00071
//   LongRoPE  f[i] / short[i], or f[i] / long[i] where the session has more positions than the original context  2402.13753
//   NTK       base * s^(n_rot / (n_rot - 2)), s = the session's positions / the original context: a session's choice  2309.00071
//
// The rotated vectors of YaRN are times m(1) / m(log_multiplier), m(a) = 0.1 a ln(factor) + 1 (1 where nothing is stretched), or
// times what the file has in place of that; all are times attn_factor. Llama 3.1's rule is a tensor of divisors. Everything is
// double until the angle's cosine and sine. Tested by tests/models/rope_test.cpp.
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

/// The base for a context that is stretched so that the slowest wave makes as many turns as before.
double ntk_base(const RopeConfig& r, std::int64_t context) noexcept {
  const double stretch = static_cast<double>(context) / static_cast<double>(r.original_context);
  if (stretch <= 1.0 || r.n_rot <= 2) return r.base;
  return r.base * std::pow(stretch, static_cast<double>(r.n_rot) / static_cast<double>(r.n_rot - 2));
}

double magnitude(const RopeConfig& r) noexcept {
  if (r.scaling == RopeScaling::yarn && r.yarn_magnitude) return r.attn_factor * *r.yarn_magnitude;
  if (r.scaling != RopeScaling::yarn || r.factor <= 1.0) return r.attn_factor;
  const auto m = [&](double a) { return 0.1 * a * std::log(r.factor) + 1.0; };
  return r.attn_factor * m(1.0) / m(r.log_multiplier);
}

void set_frequencies(const RopeConfig& r, std::span<const float> factors, Rotation& rotation) noexcept {
  const double low = std::max(std::floor(index_of_turns(r, r.beta_fast)), 0.0);
  const double high = std::min(std::ceil(index_of_turns(r, r.beta_slow)), static_cast<double>(r.n_rot - 1));
  for (std::size_t i = 0; i < rotation.frequencies.size(); ++i) {
    const double plain = std::pow(r.base, -2.0 * static_cast<double>(i) / static_cast<double>(r.n_rot));
    double f = plain;
    if (r.scaling == RopeScaling::linear) f = plain / r.factor;
    if (r.scaling == RopeScaling::yarn) {
      const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(high - low, 0.001), 0.0, 1.0);
      const double stretched = (1.0 - r.extrapolation) + r.extrapolation * ramp;
      f = plain / r.factor * stretched + plain * (1.0 - stretched);
    }
    rotation.frequencies[i] = factors.empty() ? f : f / static_cast<double>(factors[i]);
  }
  rotation.magnitude = magnitude(r);
}

void set_angles(Step& step, const Rotation& r) noexcept {
  const std::int64_t n = static_cast<std::int64_t>(step.rows.size());
  const std::int64_t grain = step.grain(n, 32 * std::max<std::int64_t>(1, r.cos.cols));   // a cosine and a sine each
  step.parallel_for(n, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t row = first; row < last; ++row) {
      const double position = static_cast<double>(step.rows[static_cast<std::size_t>(row)].position);
      float* cosines = r.cos.row(row);
      float* sines = r.sin.row(row);
      for (std::size_t p = 0; p < r.frequencies.size(); ++p) {
        const double angle = position * r.frequencies[p];
        cosines[p] = static_cast<float>(std::cos(angle) * r.magnitude);
        sines[p] = static_cast<float>(std::sin(angle) * r.magnitude);
      }
    }
  });
}

}  // namespace

void set_rotations(const Decoder& decoder, std::int64_t context, bool ntk, Activations& act) noexcept {
  const DecoderConfig& c = decoder.config;
  RopeConfig rope = c.rope;
  if (ntk) rope.base = ntk_base(rope, context);
  const bool is_long = !decoder.long_rope_factors.empty() && context > rope.original_context;
  set_frequencies(rope, is_long ? decoder.long_rope_factors : decoder.rope_factors, act.rope);
  if (c.local_rope) set_frequencies(*c.local_rope, {}, act.local_rope);
}

void rope_angles(Step& step) noexcept {
  if (step.config.rope.n_rot > 0) set_angles(step, step.act.rope);
  if (step.config.local_rope) set_angles(step, step.act.local_rope);
}

void rope(const Step& step, std::int64_t layer, const MatF32& x, std::int64_t heads, std::int64_t i) noexcept {
  const DecoderConfig& c = step.config;
  if (c.rope.n_rot == 0) return;
  const Rotation& r = c.local_rope && c.window(layer) > 0 ? step.act.local_rope : step.act.rope;
  step.kernels.rope[static_cast<std::size_t>(c.rope.style)]({.x = x.row(i),
                                                             .heads = heads,
                                                             .head_dim = x.cols / heads,
                                                             .n_pairs = r.cos.cols,
                                                             .cos = r.cos.row(i),
                                                             .sin = r.sin.row(i)});
}

}  // namespace infer
