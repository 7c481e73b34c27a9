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
struct KvBlock {
  std::uint16_t d;
  std::int8_t codes[kBlockCols];
};

/// q8_0: d is the half nearest to the largest magnitude / 127; q4_0: to the entry of largest magnitude / -8, the negative one
/// of two. Codes are nearest to x * (1 / d). What has an infinite or NaN entry gets d = NaN.
template <KvType type>
KvBlock round_kv(const float* x) noexcept {
  KvBlock block{.d = 0x7e00, .codes = {}};
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
  const KvBlock block = round_kv<type>(x);
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

constexpr bool has_blocks(KvType type) noexcept { return info(kKvDTypes[static_cast<int>(type)]).block_elems > 1; }

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

}  // namespace

template <KvType type>
void kv_store(const KvStoreArgs& a) noexcept {
  if constexpr (has_blocks(type)) {
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
      attend<type>(a, page, std::max<std::int64_t>(first - start, 0), std::min(last - start + 1, kKvPageTokens),
                   a.q + token * a.q_stride + head * a.key_dim, sum, out);
    }
    if (a.end_page < a.page_end()) continue;
    const float all = total(sum.weights);
    for (std::int64_t i = 0; i < a.value_dim; ++i) out[i] /= all;
  }
}

template void kv_store<KvType::f32>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::f16>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::bf16>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::q8_0>(const KvStoreArgs&) noexcept;
template void kv_store<KvType::q4_0>(const KvStoreArgs&) noexcept;
template void attention<KvType::f32>(const AttentionArgs&) noexcept;
template void attention<KvType::f16>(const AttentionArgs&) noexcept;
template void attention<KvType::bf16>(const AttentionArgs&) noexcept;
template void attention<KvType::q8_0>(const AttentionArgs&) noexcept;
template void attention<KvType::q4_0>(const AttentionArgs&) noexcept;

}  // namespace infer::scalar
