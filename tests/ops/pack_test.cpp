// SPDX-License-Identifier: MIT
// Panels against the layout that ops/panels.h draws: every type is packed one value at a time, bit by bit, and all bytes of a panel
// have to be those.
#include "ops/quant/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "ops/quant/blocks.h"
#include "ops/quant/quants.h"
#include "ops/quant/six_bits.h"
#include "ops/quant/unpack.h"
#include "tests/testing/random.h"

namespace infer {
namespace {

// ---- Specifications: one row after the other, into a chunk that is zero before -------------------------------------------

/// Four bytes of a row to their place in each of `n` lines.
void spec_lines(const void* row_bytes, std::size_t n, std::size_t row, std::byte* lines) {
  for (std::size_t g = 0; g < n; ++g) std::memcpy(lines + kLineBytes * g + 4 * row, static_cast<const std::byte*>(row_bytes) + 4 * g, 4);
}

void spec_half(Half half, std::size_t row, std::byte* halves) { std::memcpy(halves + 2 * row, &half, 2); }

void spec_bytes(const void* row_bytes, std::size_t n, std::size_t row, std::byte* vectors) {
  for (std::size_t s = 0; s < n; ++s) vectors[s * kPanelRows + row] = static_cast<const std::byte*>(row_bytes)[s];
}

/// Bit 4g + k of `bits` to bit g of the k-th byte.
void spec_fifth_bits(const std::uint8_t (&bits)[4], std::size_t row, std::byte* line) {
  for (std::size_t i = 0; i < 32; ++i) line[4 * row + i % 4] |= static_cast<std::byte>((bits[i / 8] >> i % 8 & 1) << i / 4);
}

/// Bit b of byte 4g + k, of block b, to the lines of one more bit.
template <class Panel>
void spec_one_bits(const std::uint8_t (&bits)[32], std::size_t row, std::byte* chunk) {
  for (std::size_t i = 0; i < 32; ++i) {
    for (std::size_t b = 0; b < 8; ++b) {
      const std::size_t line = i / 4 % 4, bit = b % 4 + i / 16 * 4;
      const std::size_t at = Panel::lines(b / 4) + 2 * line * kLineBytes + kLineBytes + 4 * row + i % 4;
      chunk[at] |= static_cast<std::byte>((bits[i] >> b & 1) << bit);
    }
  }
}

/// The same, of the rows' bytes of one half of 256 columns after those of the other; a line of further bits comes after each of
/// the first `between`.
template <class Panel>
void spec_halves(const std::uint8_t* bytes, std::size_t n, std::size_t row, std::byte* chunk, std::size_t between = 0) {
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t i = 0; i < n; ++i) {
      spec_lines(bytes + (half * n + i) * 4, 1, row, chunk + Panel::lines(half) + (i + std::min(i, between)) * kLineBytes);
    }
  }
}

/// Where the min of a sub-block stands among mins: beside that of its neighbour.
std::size_t pair_place(std::size_t sub, std::size_t row) { return (sub / 2 * kPanelRows + row) * 2 + sub % 2; }

/// A value of vector j of n to its place in the planes.
void spec_six_bits(int value, std::size_t j, std::size_t n, std::size_t row, std::byte* planes) {
  planes[j % (n / 2) * kPanelRows + row] |= static_cast<std::byte>((value & 15) << j / (n / 2) * 4);
  planes[(n / 2 + j % (n / 4)) * kPanelRows + row] |= static_cast<std::byte>((value >> 4 & 3) << j / (n / 4) * 2);
}

void spec_scales_and_mins(const std::uint8_t (&scales)[12], std::size_t row, std::byte* planes) {
  for (std::size_t s = 0; s < 8; ++s) {
    spec_six_bits(scale_of(scales, static_cast<int>(s)), s, 16, row, planes);
    const std::size_t min = pair_place(s, row);
    spec_six_bits(min_of(scales, static_cast<int>(s)), 8 + min / kPanelRows, 16, min % kPanelRows, planes);
  }
}

void spec(const BlockQ4_0& b, std::size_t row, std::byte* chunk, std::size_t half) {
  spec_lines(b.q, 4, row, chunk + PanelQ4_0::lines(half));
  spec_half(b.d, row, chunk + PanelQ4_0::scales(half));
}
void spec(const BlockIq4Nl& b, std::size_t row, std::byte* chunk, std::size_t half) {
  spec_lines(b.q, 4, row, chunk + PanelQ4_0::lines(half));
  spec_half(b.d, row, chunk + PanelQ4_0::scales(half));
}
void spec(const BlockQ4_1& b, std::size_t row, std::byte* chunk, std::size_t half) {
  spec_lines(b.q, 4, row, chunk + PanelQ4_1::lines(half));
  spec_half(b.d, row, chunk + PanelQ4_1::scales(half));
  spec_half(b.m ^ 0x8000, row, chunk + PanelQ4_1::mins(half));
}
void spec(const BlockQ5_0& b, std::size_t row, std::byte* chunk, std::size_t half) {
  spec_lines(b.q, 4, row, chunk + PanelQ5_0::lines(half) + kLineBytes);
  spec_fifth_bits(b.high, row, chunk + PanelQ5_0::lines(half));
  spec_half(b.d, row, chunk + PanelQ5_0::scales(half));
}
void spec(const BlockQ5_1& b, std::size_t row, std::byte* chunk, std::size_t half) {
  spec_lines(b.q, 4, row, chunk + PanelQ5_1::lines(half) + kLineBytes);
  spec_fifth_bits(b.high, row, chunk + PanelQ5_1::lines(half));
  spec_half(b.d, row, chunk + PanelQ5_1::scales(half));
  spec_half(b.m ^ 0x8000, row, chunk + PanelQ5_1::mins(half));
}
void spec(const BlockQ8_0& b, std::size_t row, std::byte* chunk, std::size_t half) {
  std::uint8_t unsigned_codes[32];
  for (int i = 0; i < 32; ++i) unsigned_codes[i] = static_cast<std::uint8_t>(b.q[i] + 128);
  spec_lines(unsigned_codes, 8, row, chunk + PanelQ8_0::lines(half));
  spec_half(b.d, row, chunk + PanelQ8_0::scales(half));
}
void spec(const BlockQ2_K& b, std::size_t row, std::byte* chunk, std::size_t) {
  spec_halves<PanelQ2_K>(b.q, 8, row, chunk);
  for (std::size_t s = 0; s < 16; ++s) {
    chunk[PanelQ2_K::kScales + s * kPanelRows + row] |= static_cast<std::byte>(b.scales[s] & 15);
    chunk[PanelQ2_K::kScales + pair_place(s, row)] |= static_cast<std::byte>(b.scales[s] & 0xf0);
  }
  spec_half(b.d, row, chunk + PanelQ2_K::kD);
  spec_half(b.m, row, chunk + PanelQ2_K::kM);
}
void spec(const BlockQ3_K& b, std::size_t row, std::byte* chunk, std::size_t) {
  spec_halves<PanelQ3_K>(b.q, 8, row, chunk, 4);
  spec_one_bits<PanelQ3_K>(b.high, row, chunk);
  for (std::size_t s = 0; s < 16; ++s) {
    const int low = b.scales[s % 8] >> s / 8 * 4 & 15, high = b.scales[8 + s % 4] >> s / 4 * 2 & 3;
    spec_six_bits(low | high << 4, s, 16, row, chunk + PanelQ3_K::kScales);
  }
  spec_half(b.d, row, chunk + PanelQ3_K::kD);
}
void spec(const BlockQ4_K& b, std::size_t row, std::byte* chunk, std::size_t) {
  spec_halves<PanelQ4_K>(b.q, 16, row, chunk);
  spec_scales_and_mins(b.scales, row, chunk + PanelQ4_K::kScales);
  spec_half(b.d, row, chunk + PanelQ4_K::kD);
  spec_half(b.m, row, chunk + PanelQ4_K::kM);
}
void spec(const BlockQ5_K& b, std::size_t row, std::byte* chunk, std::size_t) {
  spec_halves<PanelQ5_K>(b.q, 16, row, chunk, 4);
  spec_one_bits<PanelQ5_K>(b.high, row, chunk);
  spec_scales_and_mins(b.scales, row, chunk + PanelQ5_K::kScales);
  spec_half(b.d, row, chunk + PanelQ5_K::kD);
  spec_half(b.m, row, chunk + PanelQ5_K::kM);
}
void spec(const BlockQ6_K& b, std::size_t row, std::byte* chunk, std::size_t) {
  spec_halves<PanelQ6_K>(b.q, 16, row, chunk, 8);
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t i = 0; i < 8; ++i) {
      spec_lines(b.high + half * 32 + 4 * i, 1, row, chunk + PanelQ6_K::lines(half) + (2 * i + 1) * kLineBytes);
    }
  }
  spec_bytes(b.scales, 16, row, chunk + PanelQ6_K::kScales);
  spec_half(b.d, row, chunk + PanelQ6_K::kD);
}
void spec(const BlockIq4Xs& b, std::size_t row, std::byte* chunk, std::size_t) {
  spec_halves<PanelIq4Xs>(b.q, 16, row, chunk);
  for (std::size_t s = 0; s < 8; ++s) {
    const int low = b.scales_low[s / 2] >> s % 2 * 4 & 15, high = b.scales_high >> 2 * s & 3;
    spec_six_bits(low | high << 4, s, 8, row, chunk + PanelIq4Xs::kScales);
  }
  spec_half(b.d, row, chunk + PanelIq4Xs::kD);
}

template <class Block, class Panel>
void spec_blocks(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) {
  constexpr bool kSuper = requires { Panel::kD; };
  constexpr std::size_t kBlocks = kSuper ? 1 : 2, kCols = kSuper ? kSuperCols : kBlockCols;
  for (std::size_t b = 0; b < static_cast<std::size_t>(cols) / kCols; ++b) {
    for (std::size_t r = 0; r < kPanelRows; ++r) {
      const auto block = read_block<Block>(rows + r * row_bytes + b * sizeof(Block));
      spec(block, r, panel + (kSuper ? b * Panel::kBytes : 0), kSuper ? b % kBlocks : b);   // lines(b) counts chunks itself
    }
  }
}

template <std::size_t kBytes>
void spec_plain(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) {
  for (std::size_t c = 0; c < static_cast<std::size_t>(cols); ++c) {
    for (std::size_t r = 0; r < kPanelRows; ++r) {
      std::memcpy(panel + (c * kPanelRows + r) * kBytes, rows + r * row_bytes + c * kBytes, kBytes);
    }
  }
}

/// Two columns of each row in a line.
void spec_bf16(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) {
  for (std::size_t c = 0; c < static_cast<std::size_t>(cols); ++c) {
    for (std::size_t r = 0; r < kPanelRows; ++r) {
      std::memcpy(panel + c / 2 * kLineBytes + 4 * r + c % 2 * 2, rows + r * row_bytes + c * 2, 2);
    }
  }
}

struct Case {
  DType type;
  void (*spec)(const std::byte*, std::size_t, std::int64_t, std::byte*);
};
const Case kCases[] = {
    {DType::f32, spec_plain<4>},
    {DType::f16, spec_plain<2>},
    {DType::bf16, spec_bf16},
    {DType::q4_0, spec_blocks<BlockQ4_0, PanelQ4_0>},
    {DType::q4_1, spec_blocks<BlockQ4_1, PanelQ4_1>},
    {DType::q5_0, spec_blocks<BlockQ5_0, PanelQ5_0>},
    {DType::q5_1, spec_blocks<BlockQ5_1, PanelQ5_1>},
    {DType::q8_0, spec_blocks<BlockQ8_0, PanelQ8_0>},
    {DType::iq4_nl, spec_blocks<BlockIq4Nl, PanelQ4_0>},
    {DType::q2_k, spec_blocks<BlockQ2_K, PanelQ2_K>},
    {DType::q3_k, spec_blocks<BlockQ3_K, PanelQ3_K>},
    {DType::q4_k, spec_blocks<BlockQ4_K, PanelQ4_K>},
    {DType::q5_k, spec_blocks<BlockQ5_K, PanelQ5_K>},
    {DType::q6_k, spec_blocks<BlockQ6_K, PanelQ6_K>},
    {DType::iq4_xs, spec_blocks<BlockIq4Xs, PanelIq4Xs>},
};

TEST(Pack, CoversEveryTypeThatHasPanels) {
  std::size_t n = 0;
  for (const QuantFormat* q : builtin_quants()) n += q->pack != nullptr;
  EXPECT_EQ(n, std::size(kCases));
}

TEST(Pack, PutsEveryBitWhereTheLayoutSays) {
  testing::Random random(7);
  for (const Case& c : kCases) {
    const QuantFormat* q = nullptr;
    for (const QuantFormat* each : builtin_quants()) q = each->dtype == c.type ? each : q;
    ASSERT_NE(q, nullptr);
    const std::int64_t block = info(c.type).block_elems;
    for (const std::int64_t n : {1, 2, 3, 5, 8, 13, 16, 31, 32, 33, 100, 1024}) {
      const std::int64_t cols = n * block;
      const std::size_t used = static_cast<std::size_t>(n) * q->block_bytes, row_bytes = used + 6;   // rows are apart
      std::vector<std::byte> rows(kPanelRows * row_bytes);
      for (std::byte& b : rows) b = static_cast<std::byte>(random.next());
      std::vector<std::byte> expected(q->panel_bytes(cols)), panel(expected.size(), std::byte{0xff});
      c.spec(rows.data(), row_bytes, cols, expected.data());
      q->pack(rows.data(), row_bytes, cols, panel.data());
      ASSERT_EQ(panel, expected) << info(c.type).name << ", " << cols << " columns";
    }
  }
}

}  // namespace
}  // namespace infer
