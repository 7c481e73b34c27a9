// SPDX-License-Identifier: MIT
// Keys and values as they are stored, and storing them. A way to store them is a struct:
//
//   kBlocks               32 entries share a scale
//   kInts                 products are those of integers (attention_ints.h): instead of what follows it has scale_of(x, n), and
//                         round(x, scale, pairs) of 32 entries
//   Entry                 what a query's entries become before products: floats, or pairs of int16
//   bytes(n)              of n entries of one vector
//   keys(sixteen, i)      of sixteen keys that lie side by side: what has entry(j), sixteen floats of their entries i + j;
//                         i a multiple of 16, j below 16
//   value(row, i)         sixteen floats of entries i .. i + 15 of a value; i a multiple of 16
//   one(p), put(f, p)     one entry; only without blocks
//   put(x, scale, lines, stride)   a block; its lines of bytes are `stride` apart
//
// Tested by tests/ops/attention_test.cpp.
#pragma once

#include "ops/simd/elementwise.h"
#include "ops/simd/inputs.h"

namespace infer::simd {

/// Floats, or what they are shortened to. `Form` has load(p) of sixteen neighbours, one(p) and put(f, p).
template <class Isa, class Form, std::size_t size>
struct StoredFloats : Form {
  using Entry = float;
  static constexpr bool kBlocks = false, kInts = false;
  INFER_INLINE static constexpr std::size_t bytes(std::int64_t n) noexcept { return static_cast<std::size_t>(n) * size; }

  struct Keys {
    const std::byte* first;
    INFER_INLINE Lanes<Isa> entry(int j) const noexcept { return Form::load(first + static_cast<std::size_t>(j) * kLanes * size); }
  };
  INFER_INLINE static Keys keys(const std::byte* sixteen, std::int64_t i) noexcept { return {sixteen + kLanes * bytes(i)}; }
  INFER_INLINE static Lanes<Isa> value(const std::byte* row, std::int64_t i) noexcept { return Form::load(row + bytes(i)); }
};

template <class Isa>
struct FormF32 {
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Lanes<Isa>::load(reinterpret_cast<const float*>(p)); }
  INFER_INLINE static float one(const std::byte* p) noexcept {
    float f;
    __builtin_memcpy(&f, p, 4);
    return f;
  }
  INFER_INLINE static void put(float f, std::byte* p) noexcept { __builtin_memcpy(p, &f, 4); }
};
template <class Isa>
struct FormF16 {
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Isa::load_halves(p); }
  INFER_INLINE static float one(const std::byte* p) noexcept { return Isa::load_half(p); }
  INFER_INLINE static void put(float f, std::byte* p) noexcept { Isa::store_half(f, p); }
};
template <class Isa>
struct FormBf16 {
  INFER_INLINE static Lanes<Isa> load(const std::byte* p) noexcept { return Isa::load_bf16(p); }
  INFER_INLINE static float one(const std::byte* p) noexcept {
    std::uint16_t high;
    __builtin_memcpy(&high, p, 2);
    const std::uint32_t bits = std::uint32_t{high} << 16;
    return FormF32<Isa>::one(reinterpret_cast<const std::byte*>(&bits));
  }
  INFER_INLINE static void put(float f, std::byte* p) noexcept {
    const auto high = static_cast<std::uint16_t>(to_bf16(f));
    __builtin_memcpy(p, &high, 2);
  }
};

template <class Isa>
using StoredF32 = StoredFloats<Isa, FormF32<Isa>, 4>;
template <class Isa>
using StoredF16 = StoredFloats<Isa, FormF16<Isa>, 2>;
template <class Isa>
using StoredBf16 = StoredFloats<Isa, FormBf16<Isa>, 2>;

/// Blocks of 32 codes and a scale, a half. `Codes` has line(lines, first, stride): sixteen codes, which are entry `first` of
/// sixteen keys, with 16 for a stride, or entries first .. first + 15 of a value, with 1.
template <class Isa, class Codes>
struct StoredCodes {
  using Entry = float;
  static constexpr bool kBlocks = true, kInts = false;
  INFER_INLINE static constexpr std::size_t bytes(std::int64_t n) noexcept {
    return static_cast<std::size_t>(n / kBlockCols) * (2 + Codes::kLines);
  }

  struct Keys {
    Lanes<Isa> scales;
    const std::byte* lines;
    std::int64_t first;
    INFER_INLINE Lanes<Isa> entry(int j) const noexcept {
      return scales * Codes::template line<Isa>(lines + static_cast<std::size_t>(j) * kLanes, first, kLanes);
    }
  };
  INFER_INLINE static Keys keys(const std::byte* sixteen, std::int64_t i) noexcept {
    const std::byte* const block = sixteen + kLanes * bytes(i);
    return {Isa::load_halves(block), block + 2 * kLanes, i % kBlockCols};
  }
  INFER_INLINE static Lanes<Isa> value(const std::byte* row, std::int64_t i) noexcept {
    const std::byte* const block = row + bytes(i);
    return Lanes<Isa>::of(Isa::load_half(block)) * Codes::template line<Isa>(block + 2, i % kBlockCols, 1);
  }

  INFER_INLINE static void put(const float* x, std::byte* scale, std::byte* lines, std::size_t stride) noexcept {
    alignas(64) std::int32_t codes[kBlockCols / 4] = {};
    float most = x[0], least = x[0];
    for (std::int64_t i = 0; i < kBlockCols; ++i) {
      most = most < x[i] ? x[i] : most;
      least = x[i] < least ? x[i] : least;
    }
    Isa::store_half(Codes::scale_of(most > -least ? most : least), scale);
    const float d = Isa::load_half(scale);
    const bool finite = Isa::largest_magnitude(x, kBlockCols) < 0x7f800000u;
    if (!finite || d == 0.0f) {
      const std::uint16_t special = finite ? 0 : 0x7e00;
      __builtin_memcpy(scale, &special, 2);
    } else {
      float cut[kBlockCols];
      const float inverse = 1.0f / d;
      for (std::int64_t i = 0; i < kBlockCols; ++i) {
        const float code = x[i] * inverse;
        const float raised = code < Codes::kLeast ? Codes::kLeast : code;
        cut[i] = raised > Codes::kMost ? Codes::kMost : raised;
      }
      Isa::round_block(cut, 1.0f, codes);
    }
    Codes::put(reinterpret_cast<const std::int8_t*>(codes), lines, stride);
  }
};

struct Codes8 {
  static constexpr std::size_t kLines = 32;
  static constexpr float kLeast = -127.0f, kMost = 127.0f;
  INFER_INLINE static float scale_of(float extreme) noexcept { return __builtin_fabsf(extreme) / 127.0f; }
  template <class Isa>
  INFER_INLINE static Lanes<Isa> line(const std::byte* lines, std::int64_t first, std::int64_t stride) noexcept {
    return Isa::load_codes(lines + first * stride);
  }
  INFER_INLINE static void put(const std::int8_t* codes, std::byte* lines, std::size_t stride) noexcept {
    for (std::size_t i = 0; i < kLines; ++i) lines[i * stride] = static_cast<std::byte>(codes[i]);
  }
};

struct Codes4 {
  static constexpr std::size_t kLines = 16;
  static constexpr float kLeast = -8.0f, kMost = 7.0f;
  INFER_INLINE static float scale_of(float extreme) noexcept { return extreme / -8.0f; }
  template <class Isa>
  INFER_INLINE static Lanes<Isa> line(const std::byte* lines, std::int64_t first, std::int64_t) noexcept {
    return Isa::load_nibbles(lines, static_cast<int>(first) / 4);
  }
  INFER_INLINE static void put(const std::int8_t* codes, std::byte* lines, std::size_t stride) noexcept {
    for (std::size_t i = 0; i < kLines; ++i) {
      lines[i * stride] = static_cast<std::byte>((codes[i] + 8) | (codes[i + kLines] + 8) << 4);
    }
  }
};

template <class Isa>
using StoredQ8_0 = StoredCodes<Isa, Codes8>;
template <class Isa>
using StoredQ4_0 = StoredCodes<Isa, Codes4>;

/// 32 floats times a factor, rounded to int16: sixteen pairs.
template <class Isa>
INFER_INLINE void round_pairs(const float* x, float factor, std::int32_t* pairs) noexcept {
  const Lanes<Isa> times = Lanes<Isa>::of(factor);
  Isa::store_shorts(Lanes<Isa>::load(x) * times, pairs);
  Isa::store_shorts(Lanes<Isa>::load(x + kLanes) * times, pairs + kLanes / 2);
}

/// Blocks of 32 integers and a scale, a half.
template <class Isa>
struct StoredI16 {
  using Entry = std::int32_t;
  static constexpr bool kInts = true;
  static constexpr std::uint16_t kNaN = 0x7e00;
  INFER_INLINE static constexpr std::size_t bytes(std::int64_t n) noexcept { return kv_bytes(KvType::i16, n); }

  /// The scale of n entries.
  INFER_INLINE static std::uint16_t scale_of(const float* x, std::int64_t n) noexcept {
    const std::uint32_t bits = Isa::largest_magnitude(x, n);
    const float least = __builtin_bit_cast(float, bits) * (1.0f / kI16Most / kI16Unit);
    std::byte half[2];
    Isa::store_half(least, half);
    std::uint16_t scale;
    __builtin_memcpy(&scale, half, 2);
    if (Isa::load_half(half) < least) ++scale;
    return bits >= 0x7f800000u || scale >= 0x7c00 ? kNaN : scale;
  }
  /// 32 entries to codes of that scale.
  INFER_INLINE static void round(const float* x, std::uint16_t scale, std::int32_t* pairs) noexcept {
    std::byte half[2];
    __builtin_memcpy(half, &scale, 2);
    if (scale != 0 && scale != kNaN) return round_pairs<Isa>(x, 1.0f / kI16Unit / Isa::load_half(half), pairs);
    for (int i = 0; i < kLanes; ++i) pairs[i] = 0;
  }
};

template <class Isa>
void kv_store_ints(const KvStoreArgs& a) noexcept {
  const auto slot = static_cast<std::size_t>(a.slot);
  alignas(64) std::int32_t pairs[kLanes];
  const auto blocks = [&](const float* x, std::int64_t n, std::int64_t shared, std::byte* page, auto put) noexcept {
    std::uint16_t scale = 0;
    for (std::int64_t i = 0; i < n; i += kBlockCols) {
      std::byte* const block = page + kKvPageTokens * StoredI16<Isa>::bytes(i);
      if (i % shared == 0) scale = StoredI16<Isa>::scale_of(x + i, shared);
      StoredI16<Isa>::round(x + i, scale, pairs);
      __builtin_memcpy(block + 2 * slot, &scale, 2);
      put(block + 2 * kKvPageTokens);
    }
  };
  blocks(a.key, a.key_dim, kBlockCols, a.keys, [&](std::byte* lines) noexcept {
    for (std::size_t i = 0; i < kLanes; ++i) __builtin_memcpy(lines + i * 4 * kKvPageTokens + 4 * slot, pairs + i, 4);
  });
  blocks(a.value, a.value_dim, a.value_dim, a.values, [&](std::byte* lines) noexcept {
    const std::byte* const codes = reinterpret_cast<const std::byte*>(pairs);
    std::byte* const line = lines + slot / 2 * 4 * kBlockCols + slot % 2 * 2;
    for (std::size_t i = 0; i < kBlockCols; ++i) __builtin_memcpy(line + 4 * i, codes + 2 * i, 2);
  });
}

template <class Isa, class Stored>
void kv_store(const KvStoreArgs& a) noexcept {
  const std::int64_t place = a.slot % kLanes;
  std::byte* const key = a.keys + static_cast<std::size_t>(a.slot / kLanes) * kLanes * Stored::bytes(a.key_dim);
  std::byte* const value = a.values + static_cast<std::size_t>(a.slot) * Stored::bytes(a.value_dim);
  if constexpr (Stored::kBlocks) {
    for (std::int64_t i = 0; i < a.key_dim; i += kBlockCols) {
      std::byte* const block = key + kLanes * Stored::bytes(i);
      Stored::put(a.key + i, block + 2 * place, block + 2 * kLanes + place, kLanes);
    }
    for (std::int64_t i = 0; i < a.value_dim; i += kBlockCols) {
      std::byte* const block = value + Stored::bytes(i);
      Stored::put(a.value + i, block, block + 2, 1);
    }
  } else {
    for (std::int64_t i = 0; i < a.key_dim; ++i) Stored::put(a.key[i], key + Stored::bytes(i * kLanes + place));
    for (std::int64_t i = 0; i < a.value_dim; ++i) Stored::put(a.value[i], value + Stored::bytes(i));
  }
}

}  // namespace infer::simd
