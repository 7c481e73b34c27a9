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
  INFER_INLINE static auto line(const std::byte* w) noexcept {
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
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return Isa::template bits<g / 4 * 4, 15>(Isa::line(w + g % 4 * kLineBytes));
  }
};
using Q4_0 = Nibbles<PanelQ4_0, 8>;
using Q4_1 = Nibbles<PanelQ4_1, 0>;

/// The same after a line of fifth bits: bit g for line g.
template <class P, int kOffsetOfCodes>
struct FiveBits : Nibbles<P, kOffsetOfCodes> {
  static constexpr int kMaxCode = 31;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    const auto low = Nibbles<P, kOffsetOfCodes>::template line<Isa, b, g>(w + kLineBytes);
    return Isa::either(low, Isa::template bits<g - 4, 16>(Isa::line(w)));
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
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return Isa::lookup(Q4_0::line<Isa, 0, g>(w), kIq4Codebook);
  }
};

// ---- scales of blocks of 256

/// 64 values of six bits of planes of 16 vectors: vectors 4 * group ... 4 * group + 3.
template <class Isa, int group>
INFER_INLINE auto six_bits(const std::byte* planes) noexcept {
  const auto low = Isa::template bits<group / 2 * 4, 15>(Isa::line(planes + group % 2 * static_cast<int>(kLineBytes)));
  return Isa::either(low, Isa::template bits<group * 2 - 4, 48>(Isa::line(planes + 2 * kLineBytes)));
}

// ---- blocks of 256

template <class T, std::size_t n, std::size_t m>
INFER_INLINE std::byte* bytes_of(T (&array)[n][m]) noexcept {
  return reinterpret_cast<std::byte*>(array);
}

/// Two bits of each block of a half in a line.
template <class Isa, class Panel, int b, int g>
INFER_INLINE auto two_bits(const std::byte* w) noexcept {
  return Isa::template bits<b * 2, 3>(Isa::line(w + Panel::code(g)));
}

/// Nibbles, blocks 2c low and 2c + 1 high.
template <class Isa, class Panel, int b, int g>
INFER_INLINE auto paired_nibbles(const std::byte* w) noexcept {
  return Isa::template bits<b % 2 * 4, 15>(Isa::line(w + Panel::code(b / 2 * 8 + g)));
}

/// One more bit of each block, brought to `place`.
template <class Isa, class Panel, int b, int g, int place>
INFER_INLINE auto one_bit(const std::byte* w) noexcept {
  return Isa::template bits<b + g / 4 * 4 - place, 1 << place>(Isa::line(w + Panel::high(g % 4)));
}

struct Q2_K {
  using Panel = PanelQ2_K;
  static constexpr int kMaxCode = 3, kSubs = 2;
  static constexpr int kLeastScale = 0, kMostScale = 15, kFoldedOffset = 0;
  static constexpr bool kHasMins = true;
  template <class Isa>
  static constexpr int kOffset = 0;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return two_bits<Isa, Panel, b, g>(w);
  }
  template <class Isa>
  INFER_INLINE static void scales(const std::byte* w, SubScales& out) noexcept {
    unroll<4>([&](auto i) INFER_INLINE_LAMBDA {
      const auto both = Isa::line(w + Panel::kScales + i.value * kLineBytes);
      Isa::store_line(Isa::template bits<0, 15>(both), bytes_of(out.scales) + i.value * kLineBytes);
      Isa::store_line(Isa::template bits<4, 15>(both), bytes_of(out.mins) + i.value * kLineBytes);
    });
  }
};

struct Q3_K {
  using Panel = PanelQ3_K;
  static constexpr int kMaxCode = 7, kSubs = 2;
  static constexpr int kLeastScale = -32, kMostScale = 31, kFoldedOffset = 127;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = 4;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return Isa::either(two_bits<Isa, Panel, b, g>(w), one_bit<Isa, Panel, b, g, 2>(w));
  }
  template <class Isa>
  INFER_INLINE static void scales(const std::byte* w, SubScales& out) noexcept {
    unroll<4>([&](auto i) INFER_INLINE_LAMBDA {
      Isa::store_line(Isa::template less<32>(six_bits<Isa, i.value>(w + Panel::kScales)), bytes_of(out.scales) + i.value * kLineBytes);
    });
  }
};

template <class P>
struct PairedNibbles {
  using Panel = P;
  static constexpr int kSubs = 1;
  static constexpr bool kHasMins = true;
  template <class Isa>
  static constexpr int kOffset = 0;
  template <class Isa>
  INFER_INLINE static void scales(const std::byte* w, SubScales& out) noexcept {
    unroll<2>([&](auto i) INFER_INLINE_LAMBDA {
      Isa::store_line(six_bits<Isa, i.value>(w + P::kScales), bytes_of(out.scales) + i.value * kLineBytes);
      Isa::store_line(six_bits<Isa, i.value + 2>(w + P::kScales), bytes_of(out.mins) + i.value * kLineBytes);
    });
  }
};

struct Q4_K : PairedNibbles<PanelQ4_K> {
  static constexpr int kMaxCode = 15;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return paired_nibbles<Isa, Panel, b, g>(w);
  }
};

struct Q5_K : PairedNibbles<PanelQ5_K> {
  static constexpr int kMaxCode = 31;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return Isa::either(paired_nibbles<Isa, Panel, b, g>(w), one_bit<Isa, Panel, b, g, 4>(w));
  }
};

struct Q6_K {
  using Panel = PanelQ6_K;
  static constexpr int kMaxCode = 63, kSubs = 2;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = 32;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    const auto low = Isa::template bits<b / 2 * 4, 15>(Isa::line(w + Panel::code(b % 2 * 8 + g)));
    return Isa::either(low, Isa::template bits<2 * b - 4, 48>(Isa::line(w + Panel::high(g))));
  }
  template <class Isa>
  INFER_INLINE static void scales(const std::byte* w, SubScales& out) noexcept {
    __builtin_memcpy(out.scales, w + Panel::kScales, sizeof out.scales);
  }
};

struct Iq4Xs {
  using Panel = PanelIq4Xs;
  static constexpr int kMaxCode = 0, kSubs = 1;
  static constexpr bool kHasMins = false;
  template <class Isa>
  static constexpr int kOffset = Isa::kSignedOffset;
  template <class Isa, int b, int g>
  INFER_INLINE static auto line(const std::byte* w) noexcept {
    return Isa::lookup(Q4_0::line<Isa, 0, g>(w + b * 4 * kLineBytes), kIq4Codebook);
  }
  /// Their upper bits are half a line: of vectors 0 2 4 6, then of vectors 1 3 5 7.
  template <class Isa>
  INFER_INLINE static void scales(const std::byte* w, SubScales& out) noexcept {
    typedef std::uint8_t Rows __attribute__((vector_size(kPanelRows)));
    unroll<8>([&](auto b) INFER_INLINE_LAMBDA {
      Rows low, high;
      __builtin_memcpy(&low, w + Panel::kScales + b.value % 4 * kPanelRows, sizeof low);
      __builtin_memcpy(&high, w + Panel::kScales + (4 + b.value % 2) * kPanelRows, sizeof high);
      const Rows scale = ((low >> (b.value / 4 * 4) & 15) | (high >> (b.value / 2 * 2) & 3) << 4) - 32;
      __builtin_memcpy(out.scales[b.value], &scale, sizeof scale);
    });
  }
};

}  // namespace infer::simd
