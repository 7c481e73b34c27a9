// SPDX-License-Identifier: MIT
// The search for scales (ops/quant/search.h): sixteen sub-blocks at once, each lane for itself but for d and m, which the
// lanes of a block share. Formulas: docs/numerics.md. Every step keeps what it has found unless it finds less error.
#pragma once

#include <initializer_list>

#include "ops/quant/search.h"
#include "ops/simd/sixteen.h"

namespace infer::simd {

inline constexpr float kNoError = 0x1p120f;   // more than any
inline constexpr float kLeastHalf = 0x1p-24f;

/// The code next to a quotient, from least to most.
template <class Isa>
struct WholeCodes {
  using V = Sixteen<Isa>;
  V least, most;
  INFER_INLINE explicit WholeCodes(const SearchRule& rule) noexcept : least(V::of(rule.least)), most(V::of(rule.most)) {}
  INFER_INLINE V nearest(const V& v) const noexcept { return whole(min(max(v, least), most)); }
};

/// The entry of the rule's book next to a quotient.
template <class Isa>
struct BookCodes {
  using V = Sixteen<Isa>;
  float least, bound[15], step[15];
  INFER_INLINE explicit BookCodes(const SearchRule& rule) noexcept : least(rule.book[0]) {
    for (int k = 0; k < 15; ++k) {
      bound[k] = 0.5f * static_cast<float>(rule.book[k] + rule.book[k + 1]);
      step[k] = static_cast<float>(rule.book[k + 1] - rule.book[k]);
    }
  }
  INFER_INLINE V nearest(const V& v) const noexcept {
    V code = V::of(least);
    for (int k = 0; k < 15; ++k) code = code + choose(V::of(bound[k]) < v, V::of(step[k]), V::of(0.0f));
    return code;
  }
};

/// x ~ scale * code, or scale * code - min.
template <class Isa, class Codes>
struct Search {
  using V = Sixteen<Isa>;

  const SearchRule& rule;
  SearchLanes& lanes;
  const Codes codes;

  INFER_INLINE V x(int i) const noexcept { return V::load(lanes.x[i]); }
  INFER_INLINE V weight(int i) const noexcept { return V::load(lanes.weight[i]); }

  // ---- scales so small that halves are coarse

  /// Halves below are coarse. Sub-scales make up for some of it.
  INFER_INLINE float coarse_end() const noexcept { return (rule.subs == 1 ? 16.0f : 8.0f) * kLeastHalf; }
  INFER_INLINE auto is_coarse(const V& real) const noexcept { return abs(real) < V::of(coarse_end()); }
  INFER_INLINE bool any_is_coarse(const V& real) const noexcept {
    alignas(64) float magnitude[kSearchLanes];
    abs(real).store(magnitude);
    bool any = false;
    for (const float m : magnitude) any |= 0.0f < m && m < coarse_end();
    return any;
  }
  INFER_INLINE static V with_sign_of(const V& real, const V& magnitude) noexcept {
    return choose(real < V::of(0.0f), V::of(0.0f) - magnitude, magnitude);
  }
  /// The half next to it, but 0 for 0 alone.
  INFER_INLINE static V half_of(const V& real) noexcept {
    const V zero = V::of(0.0f), least = choose(zero < abs(real), V::of(kLeastHalf), zero);
    return with_sign_of(real, max(abs(to_half(real)), least));
  }
  /// The next half of a coarse one that is no smaller: nothing is clipped.
  INFER_INLINE static V half_beyond(const V& real) noexcept {
    return half_of(real + with_sign_of(real, V::of(0.5f * kLeastHalf)));
  }

  // ---- without mins

  /// What a scale costs with the codes that are nearest under it, and the sums that tell a better scale for these codes.
  struct Cost {
    V error;       ///< sum w (x - s c)^2
    V slope;       ///< sum w (x - s c) c
    V curvature;   ///< sum w c^2
  };
  INFER_INLINE Cost cost(const V& scale) const noexcept {
    const V factor = inverse(scale);
    Cost sum = {V::of(0.0f), V::of(0.0f), V::of(0.0f)};
    for (int i = 0; i < rule.cols; ++i) {
      const V value = x(i), w = weight(i);
      const V code = codes.nearest(value * factor);
      const V miss = value - scale * code;
      const V weighted = w * miss, weighted_code = w * code;
      sum.error = sum.error + weighted * miss;
      sum.slope = sum.slope + weighted * code;
      sum.curvature = sum.curvature + weighted_code * code;
    }
    return sum;
  }

  /// The entry of largest magnitude.
  INFER_INLINE V extreme() const noexcept {
    V found = V::of(0.0f);
    for (int i = 0; i < rule.cols; ++i) found = choose(abs(found) < abs(x(i)), x(i), found);
    return found;
  }

  /// The scale of each lane, not rounded.
  INFER_INLINE V find_scales(const V& extreme) const noexcept {
    V best = V::of(0.0f), least = V::of(kNoError);
    const auto consider = [&](const V& scale) noexcept {
      const Cost c = cost(scale);
      const V step = c.slope * inverse(c.curvature);
      const V error = c.error - step * c.slope;
      best = choose(error < least, scale + step, best);
      least = min(error, least);
    };
    for (int end = 0; end < (rule.least == -rule.most ? 1 : 2); ++end) {
      const float code = end == 0 ? rule.least : rule.most;
      for (int k = 0; k < rule.reach.steps; ++k) consider(extreme / V::of(code * at(rule.reach, k)));
    }
    for (int round = 0; round < 2; ++round) consider(best);
    return best;
  }

  INFER_INLINE static float at(const Reach& reach, int k) noexcept {
    if (reach.steps <= 1) return reach.from;
    return reach.from + (reach.to - reach.from) * (static_cast<float>(k) / static_cast<float>(reach.steps - 1));
  }

  /// d of a block without sub-scales: the half that costs least among those next to the scale, what refitting leads to, and
  /// the plain choice, which makes the extreme the outermost code.
  INFER_INLINE V settle(const V& scale, const V& plain) const noexcept {
    V d = V::of(0.0f), least = V::of(kNoError), refit = scale;
    const auto consider_half = [&](const V& half) noexcept {
      const Cost c = cost(half);
      refit = choose(c.error < least, half + c.slope * inverse(c.curvature), refit);
      d = choose(c.error < least, half, d);
      least = min(c.error, least);
    };
    const auto consider = [&](const V& real) noexcept { consider_half(half_of(real)); };
    consider(scale);
    consider(refit);
    consider(plain);
    if (any_is_coarse(scale)) {
      consider_half(choose(is_coarse(scale), half_beyond(scale), d));
      consider_half(choose(is_coarse(scale), V::of(0.0f), d));   // a book may have no 0
    }
    for (const float ulp : {0x1p-11f, -0x1p-11f}) consider(d + d * V::of(ulp));
    return d;
  }

  /// d and whole sub-scales.
  INFER_INLINE void settle_sub_scales(const V& ideal) const noexcept {
    const V lowest = V::of(rule.least_scale), highest = V::of(rule.most_scale);
    const V extreme = group_extreme(ideal, rule.subs);
    V d = V::of(0.0f), scale = V::of(0.0f), least = V::of(kNoError);
    const auto consider = [&](const V& half, const V& whole_scale) noexcept {
      const V error = group_sum(cost(half * whole_scale).error, rule.subs);
      d = choose(error < least, half, d);
      scale = choose(error < least, whole_scale, scale);
      least = min(error, least);
    };
    const auto near = [&](const V& half) noexcept { return whole(min(max(ideal * inverse(half), lowest), highest)); };
    for (int end = 0; end < 2; ++end) {
      for (int k = 0; k < rule.scale_reach.steps; ++k) {
        const V half = half_of(extreme / V::of((end == 0 ? rule.least_scale : rule.most_scale) * at(rule.scale_reach, k)));
        consider(half, near(half));
      }
    }
    for (const float end : {rule.least_scale, rule.most_scale}) {
      const V real = extreme / V::of(end);
      if (!any_is_coarse(real)) continue;
      const V half = half_beyond(real);
      consider(choose(is_coarse(real), half, d), choose(is_coarse(real), near(half), scale));
    }
    for (int round = 0; round < 2; ++round) {
      V best = scale, error = V::of(kNoError), product = V::of(0.0f), curvature = V::of(0.0f);
      const V middle = scale;
      for (const float offset : {0.0f, -1.0f, 1.0f}) {
        const V tried = min(max(middle + V::of(offset), lowest), highest);
        const Cost c = cost(d * tried);
        const auto better = c.error < error;
        best = choose(better, tried, best);
        product = choose(better, c.slope + d * tried * c.curvature, product);
        curvature = choose(better, c.curvature, curvature);
        error = min(c.error, error);
      }
      scale = best;
      least = group_sum(error, rule.subs);
      const V numerator = group_sum(scale * product, rule.subs), denominator = group_sum(scale * scale * curvature, rule.subs);
      consider(to_half(numerator * inverse(denominator)), scale);
    }
    d.store(lanes.d);
    scale.store(lanes.scale);
  }

  // ---- with mins

  /// The same for a scale and a min: e = x + min - scale * code.
  struct MinCost {
    V error;              ///< sum w e^2
    V slope, min_slope;   ///< sum w e c, sum w e
    V cc, c;              ///< sum w c^2, sum w c
  };
  INFER_INLINE MinCost cost(const V& scale, const V& min) const noexcept {
    const V factor = inverse(scale);
    const V zero = V::of(0.0f);
    MinCost sum = {zero, zero, zero, zero, zero};
    for (int i = 0; i < rule.cols; ++i) {
      const V above = x(i) + min, w = weight(i);
      const V code = codes.nearest(above * factor);
      const V miss = above - scale * code;
      const V weighted = w * miss, weighted_code = w * code;
      sum.error = sum.error + weighted * miss;
      sum.slope = sum.slope + weighted * code;
      sum.min_slope = sum.min_slope + weighted;
      sum.cc = sum.cc + weighted_code * code;
      sum.c = sum.c + weighted_code;
    }
    return sum;
  }

  /// The best scale and min for the codes that cost() had.
  struct Fit {
    V scale, min, error;
  };
  struct Fits {
    Fit best, plain;   ///< plain: the ends become the outermost codes
  };
  INFER_INLINE Fit refit(const MinCost& c, const V& scale, const V& min, const V& weights) const noexcept {
    const V zero = V::of(0.0f);
    const V per_weight = V::of(1.0f) / weights;
    const V spread = c.cc - c.c * c.c * per_weight;
    const V ds = choose(V::of(1e-6f) * c.cc < spread, (c.slope - c.min_slope * c.c * per_weight) / spread, zero);
    const V dm = (ds * c.c - c.min_slope) * per_weight;
    Fit free = {scale + ds, min + dm, c.error - ds * c.slope + dm * c.min_slope};
    if (rule.most_min == 0.0f) return free;
    // A negative min is not to be had: 0, and the scale alone.
    const V to_zero = zero - min;
    const V alone = (c.slope + to_zero * c.c) * inverse(c.cc);
    const V two = V::of(2.0f);
    const V error = c.error - two * alone * c.slope + two * to_zero * c.min_slope + alone * alone * c.cc +
                    to_zero * to_zero * weights - two * alone * to_zero * c.c;
    const auto negative = free.min < zero;
    return {choose(negative, scale + alone, free.scale), max(free.min, zero), choose(negative, error, free.error)};
  }

  INFER_INLINE V weights() const noexcept {
    V sum = V::of(0.0f);
    for (int i = 0; i < rule.cols; ++i) sum = sum + weight(i);
    return sum;
  }

  INFER_INLINE Fits find_scales_and_mins(const V& weights) const noexcept {
    V low = V::of(kNoError), high = V::of(-kNoError);
    for (int i = 0; i < rule.cols; ++i) {
      low = min(x(i), low);
      high = max(x(i), high);
    }
    const V zero = V::of(0.0f);
    if (rule.most_min != 0.0f) low = min(low, zero);
    const V range = max(high - low, zero), steps = V::of(1.0f / rule.most);
    Fit best = {zero, zero - low, V::of(kNoError)};
    const auto consider = [&](const V& scale, const V& min_) noexcept {
      const Fit f = refit(cost(scale, min_), scale, min_, weights);
      const auto better = f.error < best.error;
      best = {choose(better, max(f.scale, zero), best.scale), choose(better, f.min, best.min), min(f.error, best.error)};
    };
    // Both ends move on their own: what lies outside is clipped.
    for (int a = 0; a < rule.reach.steps; ++a) {
      for (int b = 0; b < rule.reach.steps; ++b) {
        const V cut_low = range * V::of(at(rule.reach, a)), cut_high = range * V::of(at(rule.reach, b));
        consider((range - cut_low - cut_high) * steps, zero - low - cut_low);
      }
    }
    for (int round = 0; round < 3; ++round) consider(best.scale, best.min);
    return {best, {range * steps, zero - low, best.error}};
  }

  /// d and m of a block without sub-scales.
  INFER_INLINE void settle(const Fits& found, const V& weights) const noexcept {
    V d = V::of(0.0f), m = V::of(0.0f), least = V::of(kNoError);
    Fit next = found.plain;
    for (int round = 0; round < 4; ++round) {
      const V half_d = to_half(max(next.scale, V::of(0.0f))), half_m = to_half(next.min);
      const MinCost c = cost(half_d, half_m);
      const auto better = c.error < least;
      d = choose(better, half_d, d);
      m = choose(better, half_m, m);
      least = min(c.error, least);
      next = round == 0 ? found.best : refit(c, half_d, half_m, weights);
    }
    if (any_is_coarse(found.best.scale)) consider_coarse(found.best, weights, d, m, least);
    d.store(lanes.d);
    m.store(lanes.m);
  }

  /// Whether d next to 0 serves the block better, or nothing does.
  INFER_INLINE void consider_coarse(const Fit& ideal, const V& weights, V& d, V& m, V& least) const noexcept {
    const auto coarse = is_coarse(ideal.scale);
    const auto consider = [&](const V& half_d, const V& half_m) noexcept {
      const MinCost c = cost(choose(coarse, half_d, d), choose(coarse, half_m, m));
      const auto better = c.error < least;
      d = choose(better, half_d, d);
      m = choose(better, half_m, m);
      least = min(c.error, least);
      return c;
    };
    for (const V& half : {half_of(ideal.scale), half_beyond(ideal.scale)}) {
      const V first = to_half(ideal.min);
      consider(half, to_half(refit(consider(half, first), half, first, weights).min));
    }
    consider(V::of(0.0f), V::of(0.0f));
  }

  INFER_INLINE void settle_sub_scales(const Fit& ideal, const V& weights) const noexcept {
    const V zero = V::of(0.0f), highest = V::of(rule.most_scale), highest_min = V::of(rule.most_min);
    const V top = group_extreme(ideal.scale, rule.subs), top_min = group_extreme(ideal.min, rule.subs);
    V d = zero, m = zero, scale = zero, min_ = zero, least = V::of(kNoError);
    const auto coarse = is_coarse(top / highest);
    const auto half_of_min = [&](int b) noexcept {   // where d is not coarse one that rounds to 0 is of no account
      const V real = top_min / V::of(rule.most_min * at(rule.scale_reach, b));
      return choose(coarse, half_of(real), to_half(real));
    };
    const auto near = [&](const V& real, const V& unit, const V& most) noexcept {
      return whole(min(max(real * inverse(unit), zero), most));
    };
    const auto consider = [&](const V& half_d, const V& half_m, const V& s, const V& n) noexcept {
      const V error = group_sum(cost(half_d * s, half_m * n).error, rule.subs);
      const auto better = error < least;
      d = choose(better, half_d, d);
      m = choose(better, half_m, m);
      scale = choose(better, s, scale);
      min_ = choose(better, n, min_);
      least = min(error, least);
    };
    const auto consider_coarse = [&](const V& half_d, const V& half_m, const V& s, const V& n) noexcept {
      consider(choose(coarse, half_d, d), choose(coarse, half_m, m), choose(coarse, s, scale), choose(coarse, n, min_));
    };
    for (int a = 0; a < rule.scale_reach.steps; ++a) {
      const V half_d = half_of(top / V::of(rule.most_scale * at(rule.scale_reach, a)));
      const V s = near(ideal.scale, half_d, highest);
      for (int b = 0; b < rule.scale_reach.steps; ++b) {
        const V half_m = half_of_min(b);
        consider(half_d, half_m, s, near(ideal.min, half_m, highest_min));
      }
    }
    if (any_is_coarse(top / highest)) {
      const V half_d = half_beyond(top / highest), s = near(ideal.scale, half_d, highest);
      for (int b = 0; b <= rule.scale_reach.steps; ++b) {
        const V half_m = b < rule.scale_reach.steps ? half_of_min(b) : half_beyond(top_min / highest_min);
        consider_coarse(half_d, half_m, s, near(ideal.min, half_m, highest_min));
      }
    }
    for (int round = 0; round < 2; ++round) {
      V best = scale, best_min = min_, error = V::of(kNoError);
      MinCost sums = {zero, zero, zero, zero, zero};
      const V middle = scale, middle_min = min_;
      for (const float offset : {0.0f, -1.0f, 1.0f}) {
        for (const float min_offset : {0.0f, -1.0f, 1.0f}) {
          const V s = min(max(middle + V::of(offset), zero), highest), n = min(max(middle_min + V::of(min_offset), zero), highest_min);
          const MinCost c = cost(d * s, m * n);
          const auto better = c.error < error;
          best = choose(better, s, best);
          best_min = choose(better, n, best_min);
          sums = {min(c.error, error), choose(better, c.slope, sums.slope), choose(better, c.min_slope, sums.min_slope),
                  choose(better, c.cc, sums.cc), choose(better, c.c, sums.c)};
          error = sums.error;
        }
      }
      scale = best;
      min_ = best_min;
      least = group_sum(error, rule.subs);
      // d and m that suit these codes, scales and mins: two equations over the block.
      const V ss = group_sum(scale * scale * sums.cc, rule.subs), sn = group_sum(scale * min_ * sums.c, rule.subs);
      const V nn = group_sum(min_ * min_ * weights, rule.subs);
      const V es = group_sum(scale * sums.slope, rule.subs), en = group_sum(min_ * sums.min_slope, rule.subs);
      const V determinant = ss * nn - sn * sn;
      const auto regular = V::of(1e-5f) * ss * nn < determinant;
      const V dd = choose(regular, (es * nn - en * sn) / determinant, es * inverse(ss));
      const V dm = choose(regular, (es * sn - en * ss) / determinant, zero);
      consider(to_half(max(d + dd, zero)), to_half(max(m + dm, zero)), scale, min_);
    }
    if (any_is_coarse(top / highest)) consider_coarse(zero, zero, zero, zero);
    d.store(lanes.d);
    m.store(lanes.m);
    scale.store(lanes.scale);
    min_.store(lanes.min);
  }

  // ----

  INFER_INLINE void run() const noexcept {
    const V one = V::of(1.0f);
    one.store(lanes.scale);
    one.store(lanes.min);
    V::of(0.0f).store(lanes.m);
    if (rule.has_mins) {
      const V w = weights();
      const Fits found = find_scales_and_mins(w);
      rule.subs == 1 ? settle(found, w) : settle_sub_scales(found.best, w);
    } else {
      const V most = extreme(), ideal = find_scales(most);
      rule.subs == 1 ? settle(ideal, most / V::of(rule.least)).store(lanes.d) : settle_sub_scales(ideal);
    }
    const V scale = V::load(lanes.d) * V::load(lanes.scale), min = V::load(lanes.m) * V::load(lanes.min);
    const V factor = inverse(scale);
    for (int i = 0; i < rule.cols; ++i) codes.nearest((x(i) + min) * factor).store(lanes.code[i]);
  }
};

template <class Isa>
void search(const SearchRule& rule, SearchLanes& lanes) noexcept {
  if (rule.book != nullptr) {
    Search<Isa, BookCodes<Isa>>{rule, lanes, BookCodes<Isa>(rule)}.run();
  } else {
    Search<Isa, WholeCodes<Isa>>{rule, lanes, WholeCodes<Isa>(rule)}.run();
  }
}

}  // namespace infer::simd
