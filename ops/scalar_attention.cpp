// SPDX-License-Identifier: MIT
// The specification of attention and of the ways to store keys and values: see ops/scalar.cpp.
// Tested by tests/ops/attention_test.cpp.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/ops.h"
#include "ops/quant/half.h"
#include "ops/scalar.h"

namespace infer::scalar {
namespace {

/// A block of 32 entries: x = d * code.
struct KvCodes {
  std::uint16_t d;
  std::int8_t codes[kBlockCols];
};

/// q8_0: d is the half nearest to the largest magnitude / 127; q4_0: to the entry of largest magnitude / -8, the negative one
/// of two. Codes are nearest to x * (1 / d). What has an infinite or NaN entry gets d = NaN.
template <KvType type>
KvCodes round_kv(const float* x) noexcept {
  KvCodes block{.d = 0x7e00, .codes = {}};
  if (!std::all_of(x, x + kBlockCols, [](float v) noexcept { return std::isfinite(v); })) return block;
  const float most = *std::max_element(x, x + kBlockCols), least = *std::min_element(x, x + kBlockCols);
  const float extreme = most > -least ? most : least;
  block.d = float_to_half(type == KvType::q8_0 ? std::fabs(extreme) / 127.0f : extreme / -8.0f);
  const float d = half_to_float(block.d);
  if (d == 0.0f) return {};
  for (std::int64_t i = 0; i < kBlockCols; ++i) {
    const float code = x[i] * (1.0f / d);
    const float cut = type == KvType::q8_0 ? std::clamp(code, -127.0f, 127.0f) : std::clamp(code, -8.0f, 7.0f);
    block.codes[i] = static_cast<std::int8_t>(std::nearbyint(cut));
  }
  return block;
}

/// Where a block lies: its scale, and lines of bytes that are `stride` apart. A line holds one code, or two of four bits: i and
/// i + 16.
struct KvPlace {
  std::size_t scale, lines, stride;
};

template <KvType type>
KvPlace key_block(std::int64_t slot, std::int64_t i, std::int64_t key_dim) noexcept {
  const std::size_t block = kLanes * (kv_bytes(type, slot / kLanes * key_dim) + kv_bytes(type, i / kBlockCols * kBlockCols));
  const auto place = static_cast<std::size_t>(slot % kLanes);
  return {.scale = block + 2 * place, .lines = block + 2 * kLanes + place, .stride = kLanes};
}

template <KvType type>
KvPlace value_block(std::int64_t slot, std::int64_t i, std::int64_t value_dim) noexcept {
  const std::size_t block = kv_bytes(type, slot * value_dim + i / kBlockCols * kBlockCols);
  return {.scale = block, .lines = block + 2, .stride = 1};
}

template <KvType type>
void put_block(const float* x, std::byte* dst, const KvPlace& place) noexcept {
  const KvCodes block = round_kv<type>(x);
  std::memcpy(dst + place.scale, &block.d, sizeof block.d);
  for (std::size_t i = 0; i < (type == KvType::q8_0 ? 32 : 16); ++i) {
    dst[place.lines + i * place.stride] = type == KvType::q8_0 ? static_cast<std::byte>(block.codes[i])
                                                              : static_cast<std::byte>((block.codes[i] + 8) | (block.codes[i + 16] + 8) << 4);
  }
}

/// Entry i of a block.
template <KvType type>
float from_block(const std::byte* src, const KvPlace& place, std::size_t i) noexcept {
  std::uint16_t d;
  std::memcpy(&d, src + place.scale, sizeof d);
  const std::byte line = src[place.lines + (type == KvType::q8_0 ? i : i % 16) * place.stride];
  const int code = type == KvType::q8_0 ? static_cast<std::int8_t>(line) : (std::to_integer<int>(line) >> i / 16 * 4 & 15) - 8;
  return half_to_float(d) * static_cast<float>(code);
}

/// Floats as they are, or shortened, one by one.
template <KvType type>
float from_float(const std::byte* src, std::int64_t i) noexcept {
  if constexpr (type == KvType::f32) {
    float f;
    std::memcpy(&f, src + 4 * i, 4);
    return f;
  } else {
    std::uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    return type == KvType::f16 ? half_to_float(h) : bf16_to_float(h);
  }
}

template <KvType type>
void put_float(float f, std::byte* dst, std::int64_t i) noexcept {
  if constexpr (type == KvType::f32) {
    std::memcpy(dst + 4 * i, &f, 4);
  } else {
    const std::uint16_t h = type == KvType::f16 ? float_to_half(f) : float_to_bf16(f);
    std::memcpy(dst + 2 * i, &h, 2);
  }
}

constexpr bool has_blocks(KvType type) noexcept { return kKvBlocks[static_cast<int>(type)].elems > 1; }

/// Where entry i of the key of a slot lies, of floats.
std::int64_t key_place(std::int64_t slot, std::int64_t i, std::int64_t key_dim) noexcept {
  return (slot / kLanes * key_dim + i) * kLanes + slot % kLanes;
}

/// Entry i of a slot.
template <KvType type>
float key_entry(const std::byte* keys, std::int64_t slot, std::int64_t i, std::int64_t key_dim) noexcept {
  if constexpr (has_blocks(type)) {
    return from_block<type>(keys, key_block<type>(slot, i, key_dim), static_cast<std::size_t>(i % kBlockCols));
  } else {
    return from_float<type>(keys, key_place(slot, i, key_dim));
  }
}
template <KvType type>
float value_entry(const std::byte* values, std::int64_t slot, std::int64_t i, std::int64_t value_dim) noexcept {
  if constexpr (has_blocks(type)) {
    return from_block<type>(values, value_block<type>(slot, i, value_dim), static_cast<std::size_t>(i % kBlockCols));
  } else {
    return from_float<type>(values, slot * value_dim + i);
  }
}

/// One query with slots begin .. end - 1 of a page: scores, their maximum with the maximum so far; what was summed so far is
/// brought to the new maximum; then the page's weights and weighted values are added, positions ascending. The sum of weights
/// is kept in 16 partial sums, by slot modulo 16.
template <KvType type>
void attend(const AttentionArgs& a, std::int64_t page, std::int64_t begin, std::int64_t end, const float* q, AttentionSum& sum,
            float* out) noexcept {
  const auto place = static_cast<std::size_t>(a.pages[page]);
  const std::byte* keys = a.keys + place * a.key_page_bytes;
  const std::byte* values = a.values + place * a.value_page_bytes;
  float weights[kKvPageTokens] = {};
  float largest = sum.largest;
  for (std::int64_t slot = begin; slot < end; ++slot) {
    float score = 0.0f;
    for (std::int64_t i = 0; i < a.key_dim; ++i) score = std::fma(q[i], key_entry<type>(keys, slot, i, a.key_dim), score);
    weights[slot] = a.softcap > 0.0f ? softcap_of(score * a.scale, a.softcap) : score * a.scale;
    largest = std::max(largest, weights[slot]);
  }
  const float shrink = exp_of(sum.largest - largest);
  sum.largest = largest;
  for (std::int64_t slot = begin; slot < end; ++slot) weights[slot] = exp_of(weights[slot] - largest);
  for (int l = 0; l < kLanes; ++l) sum.weights[l] = sum.weights[l] * shrink + weights[l] + weights[l + kLanes];
  for (std::int64_t i = 0; i < a.value_dim; ++i) {
    out[i] *= shrink;
    for (std::int64_t slot = begin; slot < end; ++slot) {
      out[i] = std::fma(weights[slot], value_entry<type>(values, slot, i, a.value_dim), out[i]);
    }
  }
}

// Of i16: integers, and products of integers.

std::int16_t nearest_code(float code) noexcept { return std::isnan(code) ? std::int16_t{0} : static_cast<std::int16_t>(std::nearbyint(code)); }

/// The scale of n entries: the least half of which kI16Most * kI16Unit are no less than the largest magnitude. NaN where an entry is
/// infinite or NaN, or larger than halves reach.
std::uint16_t i16_scale_of(const float* x, std::int64_t n) noexcept {
  constexpr std::uint16_t kNaN = 0x7e00;
  float most = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) return kNaN;
    most = std::max(most, std::fabs(x[i]));
  }
  const float least = most * (1.0f / kI16Most / kI16Unit);
  std::uint16_t d = float_to_half(least);
  if (half_to_float(d) < least) ++d;
  return d < 0x7c00 ? d : kNaN;
}

/// Where things lie in a head's part of a page, of entry i: the scale of a slot, the code in a key, that in a value.
std::int64_t i16_scale(std::int64_t slot, std::int64_t i) noexcept {
  return static_cast<std::int64_t>(kv_bytes(KvType::i16, i / kBlockCols * kBlockCols * kKvPageTokens)) + 2 * slot;
}
std::int64_t i16_line(std::int64_t line, std::int64_t i) noexcept {
  return i16_scale(kKvPageTokens, i) + line * 4 * kBlockCols;
}
std::int64_t i16_key(std::int64_t slot, std::int64_t i) noexcept { return i16_line(i % kBlockCols / 2, i) + 4 * slot + i % 2 * 2; }
std::int64_t i16_value(std::int64_t slot, std::int64_t i) noexcept { return i16_line(slot / 2, i) + i % kBlockCols * 4 + slot % 2 * 2; }

template <class T>
T read_at(const std::byte* page, std::int64_t offset) noexcept {
  T t;
  std::memcpy(&t, page + offset, sizeof t);
  return t;
}

/// Entries that share a scale are `shared`, which is in each of their blocks.
void store_i16(const float* x, std::int64_t dim, std::int64_t shared, std::int64_t slot, std::byte* page,
               std::int64_t (*place)(std::int64_t slot, std::int64_t i) noexcept) noexcept {
  for (std::int64_t i = 0; i < dim; ++i) {
    const std::uint16_t d = i16_scale_of(x + i / shared * shared, shared);
    const bool empty = d == 0 || d == 0x7e00;
    const std::int16_t code = empty ? std::int16_t{0} : nearest_code(x[i] * (1.0f / kI16Unit / half_to_float(d)));
    std::memcpy(page + i16_scale(slot, i), &d, 2);
    std::memcpy(page + place(slot, i), &code, 2);
  }
}

/// Codes are so many times a query's entries: as fine as two limits allow, of a code and of the sum of 32. 0 where all entries are
/// as good as 0, NaN where they are too large or no numbers.
float inverse_of(const float* q, std::int64_t dim) noexcept {
  float most = 0.0f, most_of_sums = 0.0f;
  for (std::int64_t i = 0; i < dim; i += kBlockCols) {
    float sums[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      if (!std::isfinite(q[i + l]) || !std::isfinite(q[i + l + kLanes])) return std::numeric_limits<float>::quiet_NaN();
      sums[l] = std::fabs(q[i + l]) + std::fabs(q[i + l + kLanes]);
      most = std::max({most, std::fabs(q[i + l]), std::fabs(q[i + l + kLanes])});
    }
    most_of_sums = std::max(most_of_sums, total(sums));
  }
  if (std::isinf(most_of_sums)) return std::numeric_limits<float>::quiet_NaN();
  return most < kLeastQ8 ? 0.0f : std::min(kI16Factor / most, kI16FactorSum / most_of_sums);
}

/// One query with slots begin .. end - 1 of a page. Scores are sums over blocks of 32 entries: of products of codes, an integer, times
/// the scale. Weights are relative to the page's own maximum. Times the scales of their values they are rounded, as fine as the limits
/// allow: the weighted values of the page are integers. Then the sums so far and those of the page are brought to the maximum of both.
void attend_i16(const AttentionArgs& a, std::int64_t page, std::int64_t begin, std::int64_t end, const float* q, AttentionSum& sum,
                float* out) noexcept {
  const auto place = static_cast<std::size_t>(a.pages[page]);
  const std::byte* keys = a.keys + place * a.key_page_bytes;
  const std::byte* values = a.values + place * a.value_page_bytes;
  const float inverse = inverse_of(q, a.key_dim);
  const float scale = inverse == 0.0f ? 0.0f : kI16Unit / inverse * (a.softcap > 0.0f ? a.scale : a.scale * kLog2E);
  float weights[kKvPageTokens] = {};
  float of_page = -std::numeric_limits<float>::infinity();
  for (std::int64_t first = 0; first < a.key_dim; first += kBlockCols) {
    std::int16_t codes[kBlockCols];
    for (std::int64_t i = 0; i < kBlockCols; ++i) codes[i] = nearest_code(q[first + i] * inverse);
    for (std::int64_t slot = begin; slot < end; ++slot) {
      std::int32_t products = 0;
      for (std::int64_t i = 0; i < kBlockCols; ++i) products += codes[i] * read_at<std::int16_t>(keys, i16_key(slot, first + i));
      const float d = half_to_float(read_at<std::uint16_t>(keys, i16_scale(slot, first)));
      weights[slot] = std::fma(static_cast<float>(products), d, weights[slot]);
    }
  }
  for (std::int64_t slot = begin; slot < end; ++slot) {
    const float score = weights[slot] * scale;
    weights[slot] = a.softcap > 0.0f ? softcap_of(score, a.softcap) * kLog2E : score;
    of_page = std::max(of_page, weights[slot]);
  }
  const float largest = std::max(sum.largest, of_page);
  const float shrink = exp2_of(sum.largest - largest), fresh = exp2_of(of_page - largest);
  sum.largest = largest;
  for (std::int64_t slot = begin; slot < end; ++slot) weights[slot] = exp2_of(weights[slot] - of_page);
  for (int l = 0; l < kLanes; ++l) {
    sum.weights[l] = std::fma(weights[l] + weights[l + kLanes], fresh, sum.weights[l] * shrink);
  }
  float factors[kKvPageTokens] = {}, most = 0.0f, sums[kLanes];
  for (std::int64_t slot = begin; slot < end; ++slot) {
    factors[slot] = weights[slot] * half_to_float(read_at<std::uint16_t>(values, i16_scale(slot, 0)));
    most = std::max(most, factors[slot]);
  }
  for (int l = 0; l < kLanes; ++l) sums[l] = factors[l] + factors[l + kLanes];
  const float all = total(sums);   // NaN, where one is
  const float codes = most < kLeastQ8 ? 0.0f : std::min(kI16Factor / most, kI16FactorSum / all);
  const float unit = std::isnan(all) ? all : most < kLeastQ8 ? 0.0f : fresh * kI16Unit / codes;
  std::int16_t rounded[kKvPageTokens] = {};
  for (std::int64_t slot = begin; !std::isnan(all) && slot < end; ++slot) rounded[slot] = nearest_code(factors[slot] * codes);
  for (std::int64_t i = 0; i < a.value_dim; ++i) {
    std::int32_t products = 0;
    for (std::int64_t slot = begin; slot < end; ++slot) products += rounded[slot] * read_at<std::int16_t>(values, i16_value(slot, i));
    out[i] = std::fma(static_cast<float>(products), unit, out[i] * shrink);
  }
}

}  // namespace

template <KvType type>
void kv_store(const KvStoreArgs& a) noexcept {
  if constexpr (type == KvType::i16) {
    store_i16(a.key, a.key_dim, kBlockCols, a.slot, a.keys, i16_key);
    store_i16(a.value, a.value_dim, a.value_dim, a.slot, a.values, i16_value);
  } else if constexpr (has_blocks(type)) {
    for (std::int64_t i = 0; i < a.key_dim; i += kBlockCols) put_block<type>(a.key + i, a.keys, key_block<type>(a.slot, i, a.key_dim));
    for (std::int64_t i = 0; i < a.value_dim; i += kBlockCols) {
      put_block<type>(a.value + i, a.values, value_block<type>(a.slot, i, a.value_dim));
    }
  } else {
    for (std::int64_t i = 0; i < a.key_dim; ++i) put_float<type>(a.key[i], a.keys, key_place(a.slot, i, a.key_dim));
    for (std::int64_t i = 0; i < a.value_dim; ++i) put_float<type>(a.value[i], a.values, a.slot * a.value_dim + i);
  }
}

/// Query by query. Pages that a token does not see take no part, nor do positions.
template <KvType type>
void attention(const AttentionArgs& a) noexcept {
  for (std::int64_t query = 0; query < a.tokens * a.heads; ++query) {
    const std::int64_t token = query / a.heads, head = query % a.heads;
    const std::int64_t first = a.first_seen(token), last = a.position + token;
    float* const out = a.out + token * a.out_stride + head * a.value_dim;
    AttentionSum& sum = a.sums[query];
    if (a.first_page == a.page_begin()) {
      sum = {.largest = -std::numeric_limits<float>::infinity(), .weights = {}};
      std::fill_n(out, a.value_dim, 0.0f);
    }
    for (std::int64_t page = std::max(a.first_page, first / kKvPageTokens);
         page < std::min(a.end_page, last / kKvPageTokens + 1); ++page) {
      const std::int64_t start = page * kKvPageTokens;
      const std::int64_t begin = std::max<std::int64_t>(first - start, 0), end = std::min(last - start + 1, kKvPageTokens);
      const float* const q = a.q + token * a.q_stride + head * a.key_dim;
      if constexpr (type == KvType::i16) attend_i16(a, page, begin, end, q, sum, out);
      if constexpr (type != KvType::i16) attend<type>(a, page, begin, end, q, sum, out);
    }
    if (a.end_page < a.page_end()) continue;
    const float all = total(sum.weights);
    for (std::int64_t i = 0; i < a.value_dim; ++i) out[i] /= all;
  }
}

template void kv_store<KvType::f32>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::f16>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::bf16>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::i16>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::q8_0>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::q4_0>(const KvStoreArgs&) noexcept;
template void attention<KvType::f32>(const AttentionArgs&) noexcept;
template void attention<KvType::f16>(const AttentionArgs&) noexcept;
template void attention<KvType::bf16>(const AttentionArgs&) noexcept;
template void attention<KvType::i16>(const AttentionArgs&) noexcept;
template void attention<KvType::q8_0>(const AttentionArgs&) noexcept;
template void attention<KvType::q4_0>(const AttentionArgs&) noexcept;

}  // namespace infer::scalar
