// SPDX-License-Identifier: MIT
// What files may hold in place of weights, for every type of the table: any bytes, scales that are no numbers, rows that end
// where memory ends. Blocks taken apart keep the bounds that products count on (libinfer/kernels.h), and no kernel of any
// table reads past its rows or its panels.
#include <cmath>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "ops/ops.h"
#include "ops/quant/quants.h"
#include "tests/testing/guarded_bytes.h"
#include "tests/testing/kernel_tables.h"
#include "tests/testing/kernel_tester.h"

namespace infer {
namespace {

using testing::AlignedBytes;
using testing::Edge;
using testing::GuardedBytes;
using testing::Matrix;
using testing::Random;
using testing::same_bits;
using Bytes = std::vector<std::byte>;

class BadBytes : public ::testing::TestWithParam<const QuantFormat*> {
 protected:
  const QuantFormat& q_ = *GetParam();
  const std::size_t elems_ = info(GetParam()->dtype).block_elems, bytes_ = info(GetParam()->dtype).block_bytes;

  /// Takes a block apart and holds the parts against the bounds and against what decode says.
  void judge(const Bytes& block) const {
    std::vector<float> values(elems_);
    q_.decode(block.data(), values.data(), static_cast<std::int64_t>(elems_));
    if (q_.codes == nullptr) return;
    CodeBlock parts;
    q_.codes(block.data(), parts);
    bool unit_scales = true;
    for (std::size_t sub = 0; sub < elems_ / kSubCols; ++sub) {
      unit_scales &= parts.scales[sub] == 1;
      EXPECT_LE(std::abs(parts.scales[sub]), 128);
      if (!q_.has_mins) continue;
      EXPECT_GE(parts.mins[sub], 0);
      EXPECT_LE(parts.mins[sub], 128);
    }
    for (std::size_t i = 0; i < elems_; ++i) {
      EXPECT_GE(parts.codes[i], unit_scales ? -128 : -127);
      const std::size_t sub = i / kSubCols;
      const float weight = parts.d * static_cast<float>(parts.scales[sub]) * static_cast<float>(parts.codes[i]);
      const float min = q_.has_mins ? parts.m * static_cast<float>(parts.mins[sub]) : 0.0f;
      EXPECT_TRUE(same_bits(values[i], q_.has_mins ? weight - min : weight)) << i;
    }
  }

  Bytes random_block(Random& random) const {
    Bytes block(bytes_);
    for (std::byte& b : block) b = static_cast<std::byte>(random.next() & 0xff);
    return block;
  }
};

TEST_P(BadBytes, OfOneKindAreTakenApartWithinBounds) {
  for (int fill = 0; fill < 256; ++fill) judge(Bytes(bytes_, static_cast<std::byte>(fill)));
}

TEST_P(BadBytes, OfAnyKindAreTakenApartWithinBounds) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) judge(random_block(random));
}

/// Halves that are no numbers in every place where a half may stand, one of which is that of the scale.
TEST_P(BadBytes, WithScalesThatAreNoNumbersAreTakenApartWithinBounds) {
  Random random(2);
  for (const int bits : {0x7e00, 0xfe00, 0x7c00, 0xfc00, 0x7c01, 0x7bff, 0x0001, 0x8000}) {
    const auto half = static_cast<std::uint16_t>(bits);
    for (std::size_t at = 0; at + 2 <= bytes_; ++at) {
      Bytes block = random_block(random);
      std::memcpy(block.data() + at, &half, 2);
      judge(block);
    }
  }
}

TEST_P(BadBytes, BesideForbiddenMemoryAreReadUpToTheEdge) {
  Random random(3);
  for (const Edge edge : {Edge::front, Edge::back}) {
    for (const std::size_t blocks : {std::size_t{1}, std::size_t{3}, std::size_t{17}}) {
      Bytes all;
      for (std::size_t b = 0; b < blocks; ++b) {
        const Bytes block = random_block(random);
        all.insert(all.end(), block.begin(), block.end());
      }
      const GuardedBytes guarded(all, edge);
      ASSERT_FALSE(guarded.bytes().empty());
      std::vector<float> found(blocks * elems_), expected(blocks * elems_);

      q_.decode(guarded.bytes().data(), found.data(), static_cast<std::int64_t>(found.size()));

      q_.decode(all.data(), expected.data(), static_cast<std::int64_t>(expected.size()));
      for (std::size_t i = 0; i < found.size(); ++i) ASSERT_TRUE(same_bits(found[i], expected[i])) << i;
      for (std::size_t b = 0; b < blocks && q_.codes != nullptr; ++b) {
        CodeBlock parts;
        q_.codes(guarded.bytes().data() + b * bytes_, parts);
      }
    }
  }
}

/// Odd numbers of rows, so that panels, rows beside panels and rows alone all touch the edge; in front, also at odd
/// addresses.
TEST_P(BadBytes, BesideForbiddenMemoryAreMultipliedByEveryTable) {
  Random random(4);
  for (const KernelTable* table : testing::tested_kernels()) {
    if (!table->runs_here()) continue;
    for (const std::int64_t rows : {1, 3, 16, 17, 37}) {
      for (const std::int64_t cols : {256, 768}) {
        Bytes weights;
        while (weights.size() < static_cast<std::size_t>(rows * cols) / elems_ * bytes_) {
          const Bytes block = random_block(random);
          weights.insert(weights.end(), block.begin(), block.end());
        }
        for (const std::int64_t tokens : {1, 5}) {
          Matrix x(tokens, cols, 0), expected(tokens, rows, 0);
          x.randomise(random);
          testing::multiply(kernels_scalar, q_, weights.data(), 0, rows, x, 0, tokens, nullptr, expected);
          for (const Edge edge : {Edge::front, Edge::back}) {
            const GuardedBytes guarded(weights, edge);
            ASSERT_FALSE(guarded.bytes().empty());
            Matrix found(tokens, rows, 0);

            testing::multiply(*table, q_, guarded.bytes().data(), 0, rows, x, 0, tokens, nullptr, found);

            for (std::size_t i = 0; i < found.values.size(); ++i) {
              ASSERT_TRUE(same_bits(found.values[i], expected.values[i])) << table->name << ", " << rows << " rows, " << i;
            }
          }
        }
      }
    }
  }
}

TEST_P(BadBytes, InPanelsBesideForbiddenMemoryAreMultipliedByEveryTable) {
  if (q_.pack == nullptr) GTEST_SKIP() << "has no panels";
  Random random(5);
  constexpr std::int64_t kRows = 2 * kPanelRows;
  // Few tokens, and so many that panels are taken apart.
  const std::pair<std::int64_t, std::int64_t> sizes[] = {{7, 512}, {7, elems_ == 32 ? 96 : 256}, {48, 512}};
  for (const auto& [tokens, cols] : sizes) {
    const std::size_t row_bytes = static_cast<std::size_t>(cols) / elems_ * bytes_;
    Bytes weights;
    while (weights.size() < row_bytes * kRows) {
      const Bytes block = random_block(random);
      weights.insert(weights.end(), block.begin(), block.end());
    }
    for (const KernelTable* table : testing::tested_kernels()) {
      const Matmul& kernel = table->matmul[static_cast<std::size_t>(q_.dtype)];
      if (!table->runs_here() || !kernel.packed) continue;
      Matrix x(tokens, cols, 0), expected(tokens, kRows, 0);
      x.randomise(random);
      testing::multiply(kernels_scalar, q_, weights.data(), 0, kRows, x, 0, tokens, nullptr, expected);
      const auto input = testing::make_input(*table, q_.input, x, 0, tokens);
      for (const Edge edge : {Edge::front, Edge::back}) {
        GuardedBytes panels(2 * q_.panel_bytes(cols), edge);
        ASSERT_FALSE(panels.bytes().empty());
        const GuardedBytes rows(weights, edge);
        Matrix found(tokens, kRows, 0);
        const testing::AlignedBytes scratch(table->scratch_bytes);

        for (std::size_t p = 0; p < 2; ++p) {
          q_.pack(rows.bytes().data() + p * kPanelRows * row_bytes, row_bytes, cols, panels.data() + p * q_.panel_bytes(cols));
        }
        kernel.run({.weights = panels.data(), .stride = q_.panel_bytes(cols), .format = &q_, .bias = nullptr, .rows = kRows,
                    .cols = cols, .tokens = tokens, .input = input->data, .tile_tokens = table->tile(q_.input, tokens),
                    .y = found.row(0), .y_stride = found.stride, .scratch = scratch.data});

        for (std::size_t i = 0; i < found.values.size(); ++i) {
          ASSERT_TRUE(same_bits(found.values[i], expected.values[i])) << table->name << ", " << i;
        }
      }
    }
  }
}

/// Codes, scales and activations at their limits, where sums in 16 bits would overflow first.
TEST_P(BadBytes, OfExtremeCodesMeetExtremeActivationsOnEveryTable) {
  if (q_.codes == nullptr) GTEST_SKIP() << "has no codes";
  constexpr std::int64_t kCols = 256, kTokens = 3;
  const std::size_t blocks = static_cast<std::size_t>(kCols) / elems_;
  for (const KernelTable* table : testing::tested_kernels()) {
    if (!table->runs_here()) continue;
    for (const int fill : {0x00, 0xff, 0x80, 0x7f, 0x55, 0xaa}) {
      for (std::size_t half_at = 0; half_at + 2 <= bytes_; half_at += 2) {   // wherever d is, once it is 1.0
        Bytes weights(blocks * bytes_ * kPanelRows, static_cast<std::byte>(fill));
        for (std::size_t block = 0; block < weights.size(); block += bytes_) {
          weights[block + half_at] = std::byte{0x00};
          weights[block + half_at + 1] = std::byte{0x3c};
        }
        Matrix x(kTokens, kCols, 0), found(kTokens, kPanelRows, 0), expected(kTokens, kPanelRows, 0);
        for (std::int64_t c = 0; c < kCols; ++c) {
          x.row(0)[c] = 1.0f;
          x.row(1)[c] = -1.0f;
          x.row(2)[c] = c % 2 == 0 ? 1.0f : -1.0f;
        }
        testing::multiply(*table, q_, weights.data(), 0, kPanelRows, x, 0, kTokens, nullptr, found);
        testing::multiply(kernels_scalar, q_, weights.data(), 0, kPanelRows, x, 0, kTokens, nullptr, expected);
        for (std::size_t i = 0; i < found.values.size(); ++i) {
          ASSERT_TRUE(same_bits(found.values[i], expected.values[i])) << table->name << ", " << fill << ", half at " << half_at;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, BadBytes, ::testing::ValuesIn(builtin_quants().begin(), builtin_quants().end()),
                         [](const auto& test) { return std::string(::infer::info(test.param->dtype).name); });

}  // namespace
}  // namespace infer
