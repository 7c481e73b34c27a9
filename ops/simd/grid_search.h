// SPDX-License-Identifier: MIT
// The search for points of a grid and their scales (ops/quant/grid_search.h), for one block of 256 weights at a time.
//
// For a group with values g at scale s the weighted squared error is const - 2 s A + s^2 B, with A = sum of w x g and
// B = sum of w g^2. So for every s the best point has the least s B - 2 A. Three steps:
//
//   1. for each sub-block sixteen scales around the one that levels without a grid would like best (scales_of_levels)
//   2. for each group and each of its scales the best of all points (find_points): these are its candidates from now on.
//      A and B of a point are sums of a few table entries, one for every two values, for sixteen groups side by side
//   3. d: some that make the largest sub-block's scale the largest; for each d the best sub-scales, sixteen side by side
//      (evaluate); the best d again with least squares, as long as that helps
//
// An odd number of minus signs where it must be even: one sign is false, that of the value where w x g is least, which takes
// twice as much from A. Sums are taken in a fixed order, without fused operations: the same bits for every Isa.
#pragma once

#include "ops/quant/grid_search.h"
#include "ops/simd/sixteen.h"

namespace infer::simd {

template <class Isa>
class GridSearch {
 public:
  using V = Sixteen<Isa>;

  GridSearch(const GridRule& rule, const float* x, const float* weight) noexcept : r_(rule), x_(x), w_(weight) {}

  void run(GridBlock& out) noexcept {
    n_groups_ = 256 / r_.group;
    n_subs_ = 256 / r_.sub_cols;
    per_sub_ = n_groups_ / n_subs_;
    list_slots();
    const float largest = scales_of_levels();
    out = {};
    if (!(largest > 0.0f)) return;
    for (int first = 0; first < n_slots_; first += 16) find_points(first);
    find_scales(largest, out);
    if (out.d > 0.0f) put_points(out);   // else no half float is small enough to serve the block
  }

 private:
  static constexpr int kMaxSlots = 128;   // groups in a mode: 0 as they are, 1 with a false sign or moved down
  static constexpr int kTables = 128;     // entries for pairs of values: 4 * 16, or 2 * 64
  static constexpr float kLeastStep = 0x1p-24f;   // between halves
  static constexpr int kChunk = 32;       // points whose A and B are kept at a time

  bool has_signs() const noexcept { return r_.kind == GridKind::free_signs || r_.kind == GridKind::even_signs; }

  /// Which groups are searched in which modes.
  void list_slots() noexcept {
    for (int g = 0; g < n_groups_; ++g) {
      const int first = g * r_.group / 8 * 8;
      bool odd = false;
      for (int i = 0; i < 8; ++i) odd ^= x_[first + i] < 0.0f;
      odd_[g] = odd && r_.kind == GridKind::even_signs;
      slot_[g][0] = slot_[g][1] = -1;
      const bool both = !has_signs() || (odd_[g] && r_.group == 4);
      for (int mode = 0; mode < 2; ++mode) {
        if (!both && mode != static_cast<int>(odd_[g])) continue;
        group_of_[n_slots_] = g;
        mode_of_[n_slots_] = mode;
        slot_[g][mode] = n_slots_++;
      }
    }
  }

  /// Sixteen scales around the best one of each sub-block, if levels could be chosen freely. Answers the largest.
  float scales_of_levels() noexcept {
    const int n_levels = levels_in_use();
    float largest = 0.0f;
    for (int sub = 0; sub < n_subs_; ++sub) {
      const float* x = x_ + sub * r_.sub_cols;
      const float* w = w_ + sub * r_.sub_cols;
      float sum_w = 0.0f, sum_x = 0.0f, top = 0.0f;
      for (int i = 0; i < r_.sub_cols; ++i) {
        sum_w += w[i];
        sum_x += w[i] * x[i] * x[i];
      }
      for (int k = 0; k < n_levels; ++k) top = top < r_.levels[0][k] ? r_.levels[0][k] : top;
      const float least = __builtin_sqrtf(sum_x / sum_w) / top * 0.95f;
      float best = 0.0f, best_error = 0.0f;
      for (int round = 0; round < 2; ++round) {
        alignas(64) float s[16], e[16];
        for (int l = 0; l < 16; ++l) s[l] = least * power(kCoarse, 16 * round + l);
        const V scale = V::load(s);
        V error = V::of(0.0f);
        for (int i = 0; i < r_.sub_cols; ++i) {
          const V value = V::of(has_signs() ? __builtin_fabsf(x[i]) : x[i]);
          V nearest = V::of(0x1p100f);
          for (int k = 0; k < n_levels; ++k) {
            const V off = value - scale * V::of(r_.levels[0][k]);
            nearest = min(nearest, off * off);
          }
          error = error + nearest * V::of(w[i]);
        }
        error.store(e);
        for (int l = 0; l < 16; ++l) {
          if ((round == 0 && l == 0) || e[l] < best_error) {
            best_error = e[l];
            best = s[l];
          }
        }
      }
      if (largest < best) largest = best;
      wanted_[sub] = best;
    }
    for (int sub = 0; sub < n_subs_; ++sub) {
      // The least scale that the sub-block may get: 1 of 2 n_scales - 1.
      float least = largest / static_cast<float>(2 * r_.n_scales - 1);
      if (least < kLeastStep * r_.unit) least = kLeastStep * r_.unit;
      const float middle = wanted_[sub] < least ? least : wanted_[sub];
      for (int l = 0; l < 16; ++l) scale_[sub][l] = middle * (0.72f * power(kFine, l));
    }
    return largest;
  }

  static constexpr float kCoarse = 1.06f, kFine = 1.045f;
  static float power(float base, int n) noexcept {
    float p = 1.0f;
    for (int i = 0; i < n; ++i) p *= base;
    return p;
  }
  int levels_in_use() const noexcept { return r_.bits == 3 ? 8 : 3; }

  /// The values of sixteen slots, tables of pairs, and the best points for their scales.
  void find_points(int first) noexcept {
    alignas(64) float product[8][16], weight[8][16], false_sign[16], level[8][16];
    bool any_false = false;
    for (int lane = 0; lane < 16; ++lane) {
      const int slot = first + lane < n_slots_ ? first + lane : first;
      const int g = group_of_[slot], mode = mode_of_[slot];
      for (int i = 0; i < r_.group; ++i) {
        const float x = x_[g * r_.group + i];
        weight[i][lane] = w_[g * r_.group + i];
        product[i][lane] = weight[i][lane] * (has_signs() ? __builtin_fabsf(x) : x);
      }
      false_sign[lane] = has_signs() && mode == 1 ? 2.0f : 0.0f;
      any_false |= false_sign[lane] != 0.0f;
      for (int k = 0; k < 8; ++k) level[k][lane] = r_.levels[has_signs() ? 0 : mode][k];
    }
    const int n_fields = r_.group / 2, field_bits = 2 * r_.bits, combinations = 1 << field_bits;
    for (int f = 0; f < n_fields; ++f) {
      for (int c = 0; c < combinations; ++c) {
        const V low = V::load(level[c & ((1 << r_.bits) - 1)]), high = V::load(level[c >> r_.bits]);
        const V a = V::load(product[2 * f]) * low, b = V::load(product[2 * f + 1]) * high;
        const int at = f * combinations + c;
        (a + b).store(table_a_[at]);
        min(a, b).store(table_m_[at]);
        (V::load(weight[2 * f]) * low * low + V::load(weight[2 * f + 1]) * high * high).store(table_b_[at]);
      }
    }
    const V twice = V::load(false_sign);
    alignas(64) float best[16][16], found[16][16];
    for (int slot = 0; slot < 16; ++slot) {
      V::of(0x1p126f).store(best[slot]);
      V::of(0.0f).store(found[slot]);
    }
    for (int from = 0; from < r_.n_points; from += kChunk) {
      alignas(64) float a2[kChunk][16], b[kChunk][16];
      for (int k = 0; k < kChunk; ++k) {
        V va, vb;
        sums_of(r_.points[from + k], n_fields, field_bits, any_false, twice, va, vb);
        (va + va).store(a2[k]);
        vb.store(b[k]);
      }
      const int here = n_slots_ - first < 16 ? n_slots_ - first : 16;
      for (int slot = 0; slot < here; ++slot) {
        const V scale = V::load(scale_[group_of_[first + slot] / per_sub_]);
        V least = V::load(best[slot]), which = V::load(found[slot]), index = V::of(static_cast<float>(from));
        for (int k = 0; k < kChunk; ++k) {
          const V cost = scale * V::of(b[k][slot]) - V::of(a2[k][slot]);
          const auto better = cost < least;
          least = choose(better, cost, least);
          which = choose(better, index, which);
          index = index + V::of(1.0f);
        }
        least.store(best[slot]);
        which.store(found[slot]);
      }
    }
    for (int slot = 0; first + slot < n_slots_ && slot < 16; ++slot) {
      for (int l = 0; l < 16; ++l) {
        const int point = static_cast<int>(found[slot][l]);
        Candidate& c = candidates_[first + slot][l];
        c.point = static_cast<std::uint16_t>(point);
        float a = 0, b = 0, m = 0;
        for (int f = 0; f < n_fields; ++f) {
          const int at = (f << field_bits) + (r_.points[point] >> f * field_bits & ((1 << field_bits) - 1));
          a = f == 0 ? table_a_[at][slot] : a + table_a_[at][slot];
          b = f == 0 ? table_b_[at][slot] : b + table_b_[at][slot];
          m = f == 0 || table_m_[at][slot] < m ? table_m_[at][slot] : m;
        }
        if (false_sign[slot] != 0.0f) a -= false_sign[slot] * m;
        c.a2 = a + a;
        c.b = b;
      }
    }
  }

  /// A and B of a point for sixteen slots.
  INFER_INLINE void sums_of(unsigned point, int n_fields, int field_bits, bool any_false, const V& twice, V& a,
                            V& b) const noexcept {
    const unsigned mask = (1u << field_bits) - 1;
    unsigned at = point & mask;
    a = V::load(table_a_[at]);
    b = V::load(table_b_[at]);
    V m = V::load(table_m_[at]);
    for (int f = 1; f < n_fields; ++f) {
      at = (static_cast<unsigned>(f) << field_bits) + (point >> f * field_bits & mask);
      a = a + V::load(table_a_[at]);
      b = b + V::load(table_b_[at]);
      if (any_false) m = min(V::load(table_m_[at]), m);
    }
    if (any_false) a = a - twice * m;
  }

  /// The least cost of a slot at each of sixteen scales.
  INFER_INLINE V cost_of(int slot, const V& scale) const noexcept {
    V least = V::of(0x1p126f);
    for (int c = 0; c < 16; ++c) {
      least = min(scale * V::of(candidates_[slot][c].b) - V::of(candidates_[slot][c].a2), least);
    }
    return least;
  }

  /// The least cost of a sub-block at each of sixteen scales, over what its groups may do together.
  INFER_INLINE V cost_of_sub(int sub, const V& scale) const noexcept {
    const int first = sub * per_sub_;
    V all = V::of(0.0f), other = V::of(0.0f);
    for (int g = first; g < first + per_sub_; ++g) {
      if (r_.kind == GridKind::even_signs && r_.group == 4 && odd_[g]) {
        const V one = cost_of(slot_[g][1], scale) + cost_of(slot_[g + 1][0], scale);
        const V two = cost_of(slot_[g][0], scale) + cost_of(slot_[g + 1][1], scale);
        all = all + min(one, two);
        ++g;
      } else if (r_.kind == GridKind::shift) {
        all = all + min(cost_of(slot_[g][0], scale), cost_of(slot_[g][1], scale));
      } else if (r_.kind == GridKind::common_shift) {
        all = all + cost_of(slot_[g][0], scale);
        other = other + cost_of(slot_[g][1], scale);
      } else {
        all = all + cost_of(slot_[g][odd_[g]], scale);
      }
    }
    return r_.kind == GridKind::common_shift ? min(all, other) : all;
  }

  /// The best sub-scales with d * unit = u. Answers the error, less what does not depend on u.
  float evaluate(float u, std::uint8_t* scales) const noexcept {
    alignas(64) float s[16], cost[16];
    for (int l = 0; l < 16; ++l) s[l] = u * static_cast<float>(2 * l + 1);
    const V scale = V::load(s);
    float total = 0.0f;
    for (int sub = 0; sub < n_subs_; ++sub) {
      (scale * cost_of_sub(sub, scale)).store(cost);
      int best = 0;
      for (int l = 1; l < r_.n_scales; ++l) {
        if (cost[l] < cost[best]) best = l;
      }
      scales[sub] = static_cast<std::uint8_t>(best);
      total += cost[best];
    }
    return total;
  }

  float rounded(float d) const noexcept {
    alignas(64) float halves[16];
    to_half(V::of(d)).store(halves);
    return halves[0] == 0.0f && d > 0.0f ? kLeastStep : halves[0];
  }

  /// Some d around the one that gives the largest scale the largest number; the best is fitted to what it chose.
  void find_scales(float largest, GridBlock& out) noexcept {
    const float middle = largest / static_cast<float>(2 * r_.n_scales - 1) / r_.unit;
    float best = 0.0f;
    const auto offer = [&](float d) noexcept {
      std::uint8_t scales[16];
      const float error = evaluate(d * r_.unit, scales);
      if (!(error < best)) return false;
      best = error;
      out.d = d;
      for (int sub = 0; sub < n_subs_; ++sub) out.scales[sub] = scales[sub];
      return true;
    };
    for (int k = 0; k < 16; ++k) offer(rounded(middle * (0.7f + 0.03f * static_cast<float>(k))));
    for (int k = 1; k < 4 && middle < 8.0f * kLeastStep; ++k) offer(rounded(middle + 0.5f * kLeastStep * static_cast<float>(k)));
    do {
      choose_points(out);
    } while (offer(rounded(fitted(out))));
    choose_points(out);
  }

  /// The d of least error for these points and sub-scales.
  float fitted(const GridBlock& out) const noexcept {
    float above = 0.0f, below = 0.0f;
    for (int g = 0; g < n_groups_; ++g) {
      const float s = static_cast<float>(2 * out.scales[g / per_sub_] + 1) * r_.unit;
      const Candidate& c = candidates_[chosen_slot_[g]][chosen_[g]];
      above += s * c.a2;
      below += s * s * c.b;
    }
    return below > 0.0f ? 0.5f * above / below : 0.0f;
  }

  float best_of(int slot, float scale, int& best) const noexcept {
    float least = 0x1p126f;
    for (int c = 0; c < 16; ++c) {
      const float cost = scale * candidates_[slot][c].b - candidates_[slot][c].a2;
      if (cost < least) {
        least = cost;
        best = c;
      }
    }
    return least;
  }

  float choose_mode(int g, int mode, float scale) noexcept {
    chosen_slot_[g] = slot_[g][mode];
    return best_of(slot_[g][mode], scale, chosen_[g]);
  }

  /// Points of all groups, the best ones with out's scales.
  void choose_points(const GridBlock& out) noexcept {
    for (int sub = 0; sub < n_subs_; ++sub) {
      const float scale = out.d * r_.unit * static_cast<float>(2 * out.scales[sub] + 1);
      const int first = sub * per_sub_, last = first + per_sub_;
      if (r_.kind == GridKind::common_shift) {
        float costs[2] = {};
        for (int mode = 0; mode < 2; ++mode) {
          for (int g = first; g < last; ++g) costs[mode] += choose_mode(g, mode, scale);
        }
        for (int g = first; costs[0] <= costs[1] && g < last; ++g) choose_mode(g, 0, scale);
        continue;
      }
      for (int g = first; g < last; ++g) {
        if (r_.kind == GridKind::shift) {
          const float down = choose_mode(g, 1, scale), as_it_is = choose_mode(g, 0, scale);
          if (down < as_it_is) choose_mode(g, 1, scale);
        } else if (r_.group == 4 && odd_[g]) {
          const float one = choose_mode(g, 1, scale) + choose_mode(g + 1, 0, scale);
          const float two = choose_mode(g, 0, scale) + choose_mode(g + 1, 1, scale);
          if (one < two) {
            choose_mode(g, 1, scale);
            choose_mode(g + 1, 0, scale);
          }
          ++g;
        } else {
          choose_mode(g, odd_[g], scale);
        }
      }
    }
  }

  void put_points(GridBlock& out) const noexcept {
    for (int i = 0; i < 32; ++i) {
      out.signs[i] = out.down[i] = 0;
      for (int k = 0; k < 8 && has_signs(); ++k) {
        if (x_[8 * i + k] < 0.0f) out.signs[i] = static_cast<std::uint8_t>(out.signs[i] | 1 << k);
      }
    }
    for (int g = 0; g < n_groups_; ++g) {
      const int slot = chosen_slot_[g];
      const unsigned point = candidates_[slot][chosen_[g]].point;
      out.points[g] = static_cast<std::uint16_t>(point);
      if (mode_of_[slot] == 0) continue;
      if (!has_signs()) {
        out.down[g] = 1;
        continue;
      }
      int false_one = 0;
      float least = 0x1p126f;
      for (int i = 0; i < r_.group; ++i) {
        const int at = g * r_.group + i;
        const int number = r_.points[point] >> i * r_.bits & ((1 << r_.bits) - 1);
        const float cost = w_[at] * __builtin_fabsf(x_[at]) * r_.levels[0][number];
        if (cost < least) {
          least = cost;
          false_one = at;
        }
      }
      out.signs[false_one / 8] = static_cast<std::uint8_t>(out.signs[false_one / 8] ^ 1 << false_one % 8);
    }
  }

  struct Candidate {
    float a2, b;   // 2 A and B
    std::uint16_t point;
  };

  const GridRule& r_;
  const float* x_;
  const float* w_;
  int n_groups_ = 0, n_subs_ = 0, per_sub_ = 0, n_slots_ = 0;
  bool odd_[64];
  int slot_[64][2], group_of_[kMaxSlots], mode_of_[kMaxSlots];
  int chosen_[64], chosen_slot_[64];
  float wanted_[16];
  alignas(64) float scale_[16][16];
  alignas(64) float table_a_[kTables][16];
  alignas(64) float table_b_[kTables][16];
  alignas(64) float table_m_[kTables][16];   // the smaller one of a pair's two terms of A
  Candidate candidates_[kMaxSlots][16];
};

template <class Isa>
void grid_search(const GridRule& rule, const float* x, const float* weight, GridBlock& out) noexcept {
  GridSearch<Isa>(rule, x, weight).run(out);
}

}  // namespace infer::simd
