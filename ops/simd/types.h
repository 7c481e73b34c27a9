// SPDX-License-Identifier: MIT
// The types that have panels of codes (ops/panels.h): how a line of codes is made, and where the scales are. `line<Isa, b, g>`
// are columns 4g ... 4g + 3 of block b (of half a super-block) and sixteen rows, unsigned and too large by kOffset; types whose codes need all eight
// bits with their sign (kMaxCode 0) come as the Isa likes them.
// Tested by tests/ops/kernels_test.cpp and bad_bytes_test.cpp.
#pragma once

#include "ops/panels.h"
#include "ops/quant/codebooks.h"
#include "ops/simd/codes.h"

namespace infer::simd {

// ---- blocks of 32

struct Q8_0 {
  using Panel = PanelQ8_0;
  static constexpr int kMaxCode = 0;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = Isa::kSignedOffset;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte*) noexcept {
    return Isa::signed_line(w + g * kLineBytes);
  }
};

/// Nibbles: lines g low, g + 4 high.
template <class P, int kOffsetOfCodes>
struct Nibbles {
  using Panel = P;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasMins = kOffsetOfCodes == 0;
  template <class Isa>
  static constexpr int kOffset = kOffsetOfCodes;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte*) noexcept {
    return Isa::template bits<g / 4 * 4, 15>(Isa::line(w + g % 4 * kLineBytes));
  }
};
using Q4_0 = Nibbles<PanelQ4_0, 8>;
using Q4_1 = Nibbles<PanelQ4_1, 0>;

/// Nibbles with a line of fifth bits: bit g for line g.
template <class P, int kOffsetOfCodes>
struct FiveBits : Nibbles<P, kOffsetOfCodes> {
  static constexpr int kMaxCode = 31;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte*) noexcept {
    const auto low = Nibbles<P, kOffsetOfCodes>::template line<Isa, b, g>(w, w);
    return Isa::either(low, Isa::template bits<g - 4, 16>(Isa::line(w + 4 * kLineBytes)));
  }
};
using Q5_0 = FiveBits<PanelQ5_0, 16>;
using Q5_1 = FiveBits<PanelQ5_1, 0>;

struct Iq4Nl {
  using Panel = PanelQ4_0;
  static constexpr int kMaxCode = 0;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = Isa::kSignedOffset;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte*) noexcept {
    return Isa::lookup(Q4_0::line<Isa, 0, g>(w, w), kIq4Codebook);
  }
};

// ---- scales of blocks of 256

typedef std::uint8_t Bytes16 __attribute__((vector_size(16)));
typedef std::int8_t SignedBytes16 __attribute__((vector_size(16)));
typedef std::int16_t Shorts16 __attribute__((vector_size(32)));

INFER_INLINE Bytes16 load_rows(const std::byte* p) noexcept {
  Bytes16 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

/// Row by row a value of `first` and one of `second`, both as int8.
INFER_INLINE void store_pairs(Bytes16 first, Bytes16 second, std::int16_t* out) noexcept {
  const Bytes16 low = __builtin_shufflevector(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const Bytes16 high = __builtin_shufflevector(first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const Shorts16 a = __builtin_convertvector(reinterpret_cast<SignedBytes16>(low), Shorts16);
  const Shorts16 b = __builtin_convertvector(reinterpret_cast<SignedBytes16>(high), Shorts16);
  __builtin_memcpy(out, &a, sizeof a);
  __builtin_memcpy(out + 16, &b, sizeof b);
}

/// Vector j of n of six-bit planes.
template <int j, int n>
INFER_INLINE Bytes16 six_bits(const std::byte* planes) noexcept {
  const Bytes16 low = load_rows(planes + j % (n / 2) * kPanelRows), high = load_rows(planes + (n / 2 + j % (n / 4)) * kPanelRows);
  return (low >> (j / (n / 2) * 4) & 15) | (high >> (j / (n / 4) * 2) & 3) << 4;
}

// ---- blocks of 256

/// Two bits of each block of a half in a line.
template <class Isa, int b, int g>
INFER_INLINE auto two_bits(const std::byte* w) noexcept {
  return Isa::template bits<b * 2, 3>(Isa::line(w + g * kLineBytes));
}

/// Nibbles, blocks 2c low and 2c + 1 high.
template <class Isa, int b, int g>
INFER_INLINE auto paired_nibbles(const std::byte* w) noexcept {
  return Isa::template bits<b % 2 * 4, 15>(Isa::line(w + (b / 2 * 8 + g) * kLineBytes));
}

/// One more bit of each block, brought to `place`.
template <class Isa, int b, int g, int place>
INFER_INLINE auto one_bit(const std::byte* high) noexcept {
  return Isa::template bits<b + g / 4 * 4 - place, 1 << place>(Isa::line(high + g % 4 * kLineBytes));
}

struct Q2_K {
  using Panel = PanelQ2_K;
  static constexpr int kMaxCode = 3, kSubs = 2, kHalfLines = 8, kHalfHighLines = 0;
  static constexpr bool kHasMins = true;
  template <class Isa>
  static constexpr int kOffset = 0;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte*) noexcept {
    return two_bits<Isa, b, g>(w);
  }
  INFER_INLINE static void scales(const std::byte* w, ScalePairs& scales, ScalePairs& mins) noexcept {
    unroll<8>([&](auto b) INFER_INLINE_LAMBDA {
      const std::byte* const p = w + Panel::kScales + 2 * b.value * kPanelRows;
      const Bytes16 first = load_rows(p), second = load_rows(p + kPanelRows);
      store_pairs(first & 15, second & 15, scales.of[b.value]);
      store_pairs(first >> 4, second >> 4, mins.of[b.value]);
    });
  }
};

struct Q3_K {
  using Panel = PanelQ3_K;
  static constexpr int kMaxCode = 7, kSubs = 2, kHalfLines = 8, kHalfHighLines = 4;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = 4;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte* high) noexcept {
    return Isa::either(two_bits<Isa, b, g>(w), one_bit<Isa, b, g, 2>(high));
  }
  INFER_INLINE static void scales(const std::byte* w, ScalePairs& scales, ScalePairs&) noexcept {
    unroll<8>([&](auto b) INFER_INLINE_LAMBDA {
      const std::byte* const planes = w + Panel::kScales;
      store_pairs(six_bits<2 * b.value, 16>(planes) - 32, six_bits<2 * b.value + 1, 16>(planes) - 32, scales.of[b.value]);
    });
  }
};

template <class P>
struct PairedNibbles {
  using Panel = P;
  static constexpr int kSubs = 1, kHalfLines = 16;
  static constexpr bool kHasMins = true;
  template <class Isa>
  static constexpr int kOffset = 0;
  INFER_INLINE static void scales(const std::byte* w, ScalePairs& scales, ScalePairs& mins) noexcept {
    unroll<8>([&](auto b) INFER_INLINE_LAMBDA {
      const Bytes16 scale = six_bits<b.value, 16>(w + P::kScales), min = six_bits<b.value + 8, 16>(w + P::kScales);
      store_pairs(scale, scale, scales.of[b.value]);
      store_pairs(min, min, mins.of[b.value]);
    });
  }
};

struct Q4_K : PairedNibbles<PanelQ4_K> {
  static constexpr int kMaxCode = 15, kHalfHighLines = 0;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte*) noexcept {
    return paired_nibbles<Isa, b, g>(w);
  }
};

struct Q5_K : PairedNibbles<PanelQ5_K> {
  static constexpr int kMaxCode = 31, kHalfHighLines = 4;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte* high) noexcept {
    return Isa::either(paired_nibbles<Isa, b, g>(w), one_bit<Isa, b, g, 4>(high));
  }
};

struct Q6_K {
  using Panel = PanelQ6_K;
  static constexpr int kMaxCode = 63, kSubs = 2, kHalfLines = 16, kHalfHighLines = 8;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = 32;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte* high) noexcept {
    const auto low = Isa::template bits<b / 2 * 4, 15>(Isa::line(w + (b % 2 * 8 + g) * kLineBytes));
    return Isa::either(low, Isa::template bits<2 * b - 4, 48>(Isa::line(high + g * kLineBytes)));
  }
  INFER_INLINE static void scales(const std::byte* w, ScalePairs& scales, ScalePairs&) noexcept {
    unroll<8>([&](auto b) INFER_INLINE_LAMBDA {
      const std::byte* const p = w + Panel::kScales + 2 * b.value * kPanelRows;
      store_pairs(load_rows(p), load_rows(p + kPanelRows), scales.of[b.value]);
    });
  }
};

struct Iq4Xs {
  using Panel = PanelIq4Xs;
  static constexpr int kMaxCode = 0, kSubs = 1, kHalfLines = 16, kHalfHighLines = 0;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = Isa::kSignedOffset;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w, const std::byte*) noexcept {
    return Isa::lookup(Q4_0::line<Isa, 0, g>(w + b * 4 * kLineBytes, w), kIq4Codebook);
  }
  INFER_INLINE static void scales(const std::byte* w, ScalePairs& scales, ScalePairs&) noexcept {
    unroll<8>([&](auto b) INFER_INLINE_LAMBDA {
      const Bytes16 scale = six_bits<b.value, 8>(w + Panel::kScales) - 32;
      store_pairs(scale, scale, scales.of[b.value]);
    });
  }
};

}  // namespace infer::simd
