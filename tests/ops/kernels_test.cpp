// SPDX-License-Identifier: MIT
// Every entry of every kernel table against sums in double, over sizes around block and vector widths, odd strides and
// addresses. A table that joins builtin_kernels() is tested without a line here: what is as near to the sums as scalar,
// the specification, is as near to scalar. Weights that are no numbers have no sum and are compared with scalar itself.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "ops/ops.h"
#include "ops/quant/half.h"
#include "ops/quant/quants.h"
#include "tests/testing/kernel_tables.h"
#include "tests/testing/kernel_tester.h"

namespace infer {
namespace {

using testing::Matrix;
using testing::OddBytes;
using testing::Random;
using testing::same_bits;
using testing::Sum;
using testing::Weights;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kHuge = std::numeric_limits<float>::max();
constexpr float kSpecials[] = {kNaN, kInfinity, -kInfinity, kHuge, -kHuge, std::numeric_limits<float>::denorm_min(),
                               -0.0f};

/// Row lengths: around vector and block widths, made to whole blocks.
std::vector<std::int64_t> row_lengths(DType type) {
  const std::int64_t block = info(type).block_elems;
  std::vector<std::int64_t> lengths;
  for (const std::int64_t n : {1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000}) {
    const std::int64_t whole = (n + block - 1) / block * block;
    if (lengths.empty() || lengths.back() != whole) lengths.push_back(whole);
  }
  return lengths;
}

class Kernels : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table_ = *GetParam();

  void SetUp() override {
    if (!table_.runs_here()) GTEST_SKIP() << "this machine does not run " << table_.name;
  }

  void matmul(const QuantFormat& q, Weights& w, std::int64_t first_row, std::int64_t rows, const Matrix& x,
              std::int64_t first_token, std::int64_t tokens, const float* bias, Matrix& y) const {
    testing::multiply(table_, q, w, first_row, rows, x, first_token, tokens, bias, y);
  }
};

std::string test_name(const ::testing::TestParamInfo<const KernelTable*>& test) { return test.param->name; }

INSTANTIATE_TEST_SUITE_P(Tables, Kernels, ::testing::ValuesIn(testing::tested_kernels()),
                         test_name);

TEST(KernelTables, EndWithTheSpecification) {
  ASSERT_FALSE(builtin_kernels().empty());
  EXPECT_EQ(builtin_kernels().back(), &kernels_scalar);
}

TEST_P(Kernels, HaveNoEmptyEntry) {
  for (const Matmul& m : table_.matmul) EXPECT_NE(m.run, nullptr);
  for (const InputFn f : table_.input) EXPECT_NE(f, nullptr);
  EXPECT_NE(table_.matmul_rows, nullptr);
  ASSERT_NE(table_.tile, nullptr);
  for (const InputForm form : kInputForms) {
    for (std::int64_t tokens = 1; tokens < 100; ++tokens) {
      EXPECT_GE(table_.tile(form, tokens), 1);
      EXPECT_LE(table_.tile(form, tokens), tokens);
    }
  }
  for (const AttentionFn f : table_.attention) EXPECT_NE(f, nullptr);
  for (const KvStoreFn f : table_.kv_store) EXPECT_NE(f, nullptr);
  for (const auto f : table_.rope) EXPECT_NE(f, nullptr);
  EXPECT_NE(table_.rms_norm, nullptr);
  EXPECT_NE(table_.layer_norm, nullptr);
  for (const auto f : table_.activation) EXPECT_NE(f, nullptr);
  for (const auto f : table_.gated) EXPECT_NE(f, nullptr);
  EXPECT_NE(table_.softcap, nullptr);
  EXPECT_NE(table_.add, nullptr);
  EXPECT_NE(table_.add_scaled, nullptr);
}

// ---- inputs

/// The dword at (place, token) of a tiled input.
std::uint32_t dword(const testing::AlignedBytes& input, std::int64_t tile, std::int64_t token_bytes, std::int64_t tokens,
                    std::int64_t place, std::int64_t token) {
  const std::int64_t first = token / tile * tile, n = std::min(tile, tokens - first);
  std::uint32_t value;
  std::memcpy(&value, input.data + first * token_bytes + (place * n + token - first) * 4, 4);
  return value;
}

TEST_P(Kernels, MakeTheInputsOfTheSpecification) {
  Random random(20);
  for (const InputForm form : kInputForms) {
    for (const std::int64_t cols : {32, 64, 96, 256, 512}) {
      if (cols % input_block(form) != 0) continue;
      for (std::int64_t tokens = 1; tokens <= 14; ++tokens) {
        Matrix x(tokens, cols, 3);
        x.randomise(random);
        for (int i = 0; i < 3; ++i) x.row(random.below(tokens))[random.below(cols)] = kSpecials[random.below(std::size(kSpecials))];
        if (tokens == 5) std::fill_n(x.row(4), cols, 1e-35f);
        const auto found = testing::make_input(table_, form, x, 0, tokens);
        const auto expected = testing::make_input(kernels_scalar, form, x, 0, tokens);
        const std::int64_t bytes = input_bytes(form, cols);
        for (std::int64_t t = 0; t < tokens; ++t) {
          for (std::int64_t place = 0; place < bytes / 4; ++place) {
            const std::uint32_t a = dword(*found, table_.tile(form, tokens), bytes, tokens, place, t);
            const std::uint32_t b = dword(*expected, 1, bytes, tokens, place, t);
            ASSERT_TRUE(a == b || same_bits(std::bit_cast<float>(a), std::bit_cast<float>(b))) << cols << ", " << place << ", " << t;
          }
        }
      }
    }
  }
}

/// What the specification's codes and scales of x stand for.
Matrix as_rounded(InputForm form, const Matrix& x) {
  Matrix rounded = x;
  const auto input = testing::make_input(kernels_scalar, form, x, 0, x.rows);
  const std::int64_t bytes = input_bytes(form, x.cols), block_cols = input_block(form), block_dwords = input_bytes(form, block_cols) / 4;
  const auto at = [&](std::int64_t place, std::int64_t t) { return dword(*input, 1, bytes, x.rows, place, t); };
  if (form == InputForm::bf16) {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t c = 0; c < x.cols; ++c) {
        rounded.row(t)[c] = bf16_to_float(static_cast<std::uint16_t>(at(c / 2, t) >> (c % 2 * 16)));
      }
    }
    return rounded;
  }
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t c = 0; c < x.cols; ++c) {
      const std::int64_t block = c / block_cols * block_dwords;
      const std::int64_t scale = block + block_cols / 4 + c % block_cols / scale_cols(form);
      const auto code = static_cast<std::int8_t>(at(block + c % block_cols / 4, t) >> (c % 4 * 8));
      rounded.row(t)[c] = static_cast<float>(code) * std::bit_cast<float>(at(scale, t));
    }
  }
  return rounded;
}

TEST(KernelTables, RoundInputsByHalfAStepAtMost) {
  Random random(21);
  Matrix x(7, 512, 0);
  x.randomise(random);
  for (const InputForm form : {InputForm::q8, InputForm::q8_k}) {
    const Matrix rounded = as_rounded(form, x);
    for (std::int64_t t = 0; t < 7; ++t) {
      for (std::int64_t c = 0; c < 512; c += scale_cols(form)) {
        float largest = 0.0f;
        for (std::int64_t i = c; i < c + scale_cols(form); ++i) largest = std::max(largest, std::fabs(x.row(t)[i]));
        for (std::int64_t i = c; i < c + scale_cols(form); ++i) {
          ASSERT_NEAR(rounded.row(t)[i], x.row(t)[i], largest / 127.0f * 0.50001f);
          if (std::fabs(x.row(t)[i]) == largest) {
            ASSERT_FLOAT_EQ(rounded.row(t)[i], x.row(t)[i]);
          }
        }
      }
    }
  }
}

// ---- matmul

TEST_P(Kernels, MultiplyMatrices) {
  Random random(1);
  for (const QuantFormat* q : builtin_quants()) {
    for (const std::int64_t cols : row_lengths(q->dtype)) {
      for (std::int64_t tokens = 1; tokens <= 17; ++tokens) {
        const std::int64_t rows = 1 + (tokens * 7 + cols) % 50;
        Weights w(*q, rows, cols, random);
        Matrix x(tokens, cols, tokens % 3), y(tokens, rows, tokens % 4, kNaN);
        x.randomise(random);
        const std::vector<float> bias = random.normals(rows);
        const bool biased = tokens % 2 == 0;

        matmul(*q, w, 0, rows, x, 0, tokens, biased ? bias.data() : nullptr, y);
        Matrix specified(tokens, rows, tokens % 4, kNaN);
        testing::multiply(kernels_scalar, *q, w, 0, rows, x, 0, tokens, biased ? bias.data() : nullptr, specified);
        for (std::size_t i = 0; i < y.values.size(); ++i) ASSERT_TRUE(same_bits(y.values[i], specified.values[i]));

        if (q->input != InputForm::f32) x = as_rounded(q->input, x);
        for (std::int64_t t = 0; t < tokens; ++t) {
          for (std::int64_t r = 0; r < rows; ++r) {
            Sum sum;
            for (std::int64_t c = 0; c < cols; ++c) {
              const auto i = static_cast<std::size_t>(r * cols + c);
              const double value = static_cast<double>(x.row(t)[c]);
              sum.add(static_cast<double>(w.floats[i]) * value, static_cast<double>(w.magnitudes[i]) * std::fabs(value));
            }
            if (biased) sum.add(static_cast<double>(bias[static_cast<std::size_t>(r)]));
            ASSERT_NEAR(static_cast<double>(y.row(t)[r]), sum.value, sum.tolerance(cols))
                << info(q->dtype).name << " (" << rows << ", " << cols << "), " << tokens << " tokens";
          }
          // The gap between the rows belongs to somebody else.
          for (std::int64_t gap = rows; t + 1 < tokens && gap < y.stride; ++gap) ASSERT_TRUE(std::isnan(y.row(t)[gap]));
        }
      }
    }
  }
}

TEST_P(Kernels, MultiplyATokenAloneAndAmongOthersToTheSameBits) {
  Random random(2);
  for (const QuantFormat* q : builtin_quants()) {
    for (const std::int64_t cols : row_lengths(q->dtype)) {
      constexpr std::int64_t kRows = 37, kTokens = 17;
      Weights w(*q, kRows, cols, random);
      Matrix x(kTokens, cols, 1), together(kTokens, kRows, 0), apart(kTokens, kRows, 0);
      x.randomise(random);
      const std::vector<float> bias = random.normals(kRows);
      matmul(*q, w, 0, kRows, x, 0, kTokens, bias.data(), together);

      for (const std::int64_t piece : {1, 2, 3, 4, 7, 8, 16}) {
        for (std::int64_t t = 0; t < kTokens; t += piece) {
          matmul(*q, w, 0, kRows, x, t, std::min(piece, kTokens - t), bias.data(), apart);
        }
        ASSERT_EQ(apart.values, together.values)
            << info(q->dtype).name << ", " << cols << " columns, pieces of " << piece;
      }
    }
  }
}

/// So many that kernels take weights apart for all of them.
TEST_P(Kernels, MultiplyManyTokensToTheBitsOfTheSpecification) {
  Random random(8);
  for (const QuantFormat* q : builtin_quants()) {
    for (const std::int64_t tokens : {24, 47, 48, 49, 61, 251}) {
      constexpr std::int64_t kRows = 51;
      const std::int64_t cols = tokens < 60 ? 512 : 1280;
      Weights w(*q, kRows, cols, random);
      Matrix x(tokens, cols, 0), found(tokens, kRows, 0), expected(tokens, kRows, 0);
      x.randomise(random);
      const std::vector<float> bias = random.normals(kRows);
      matmul(*q, w, 0, kRows, x, 0, tokens, bias.data(), found);
      testing::multiply(kernels_scalar, *q, w, 0, kRows, x, 0, tokens, bias.data(), expected);
      ASSERT_EQ(found.values, expected.values) << info(q->dtype).name << ", " << tokens;
    }
  }
}

/// As a product of much work is handed out: the input has the tile of all tokens, and each piece begins with one.
TEST_P(Kernels, MultiplyPiecesInTheTileOfTheWholeToTheSameBits) {
  Random random(9);
  for (const QuantFormat* q : builtin_quants()) {
    const Matmul& kernel = table_.matmul[static_cast<std::size_t>(q->dtype)];
    if (!kernel.packed) continue;
    constexpr std::int64_t kRows = 2 * kPanelRows, kCols = 256, kTokens = 100;
    Weights w(*q, kRows, kCols, random);
    Matrix x(kTokens, kCols, 0), whole(kTokens, kRows, 0), pieces(kTokens, kRows, 0);
    x.randomise(random);
    matmul(*q, w, 0, kRows, x, 0, kTokens, nullptr, whole);

    const std::size_t panel_bytes = q->panel_bytes(kCols), row_bytes = w.bytes.size() / kRows;
    const testing::AlignedBytes panels(2 * panel_bytes), scratch(table_.scratch_bytes);
    for (std::size_t p = 0; p < 2; ++p) q->pack(w.bytes.data() + p * kPanelRows * row_bytes, row_bytes, kCols, panels.data + p * panel_bytes);
    const auto input = testing::make_input(table_, q->input, x, 0, kTokens);
    const std::int64_t tile = table_.tile(q->input, kTokens), piece = 30 / tile * tile;
    for (std::int64_t t = 0; t < kTokens; t += piece) {
      kernel.run({.weights = panels.data, .stride = panel_bytes, .format = q, .bias = nullptr, .rows = kRows, .cols = kCols,
                  .tokens = std::min(piece, kTokens - t), .input = input->data + t * input_bytes(q->input, kCols),
                  .tile_tokens = tile, .y = pieces.row(t), .y_stride = pieces.stride, .scratch = scratch.data});
    }
    EXPECT_EQ(pieces.values, whole.values) << info(q->dtype).name;
  }
}

TEST_P(Kernels, MultiplyARowAloneAndAmongOthersToTheSameBits) {
  Random random(3);
  for (const QuantFormat* q : builtin_quants()) {
    const std::int64_t cols = row_lengths(q->dtype).back();
    constexpr std::int64_t kRows = 75, kTokens = 7;
    Weights w(*q, kRows, cols, random);
    Matrix x(kTokens, cols, 0), together(kTokens, kRows, 0), apart(kTokens, kRows, 0);
    x.randomise(random);
    const std::vector<float> bias = random.normals(kRows);
    matmul(*q, w, 0, kRows, x, 0, kTokens, bias.data(), together);

    for (const std::int64_t piece : {1, 5, 16, 17, 32, 48}) {
      for (std::int64_t r = 0; r < kRows; r += piece) {
        matmul(*q, w, r, std::min(piece, kRows - r), x, 0, kTokens, bias.data(), apart);
      }
      ASSERT_EQ(apart.values, together.values) << info(q->dtype).name << ", pieces of " << piece;
    }
  }
}

TEST_P(Kernels, MultiplyNothingForNoTokensOrNoRows) {
  Random random(4);
  Weights w(quant_f32, 1, 32, random);
  Matrix x(1, 32, 0), y(1, 1, 0, 7.0f);

  matmul(quant_f32, w, 0, 1, x, 0, 0, nullptr, y);
  matmul(quant_f32, w, 0, 0, x, 0, 1, nullptr, y);

  EXPECT_EQ(y.values[0], 7.0f);
}

TEST_P(Kernels, KeepANaNToItsOwnToken) {
  Random random(5);
  for (const QuantFormat* q : builtin_quants()) {
    Weights w(*q, 19, 256, random);
    Matrix x(4, 256, 0), y(4, 19, 0);
    x.randomise(random);
    x.row(2)[100] = kNaN;

    matmul(*q, w, 0, 19, x, 0, 4, nullptr, y);

    for (std::int64_t t = 0; t < 4; ++t) {
      for (std::int64_t r = 0; r < 19; ++r) EXPECT_EQ(std::isnan(y.row(t)[r]), t == 2) << info(q->dtype).name;
    }
  }
}

TEST_P(Kernels, SurviveAnyWeightBytesAndAgreeWithScalarOnThem) {
  Random random(6);
  for (const QuantFormat* q : builtin_quants()) {
    for (const int fill : {0x00, 0x7f, 0x80, 0xff}) {
      Weights w(*q, 35, 512, random);
      std::memset(w.bytes.data(), fill, w.bytes.size());
      for (const std::int64_t tokens : {9, 49}) {   // panels as they are, and taken apart
        Matrix x(tokens, 512, 0), found(tokens, 35, 0), expected(tokens, 35, 0);
        x.randomise(random);
        for (std::int64_t c = 0; c < 512; ++c) {
          x.row(0)[c] = 1.0f;
          x.row(1)[c] = -1.0f;
          x.row(2)[c] = c % 2 == 0 ? 1.0f : -1.0f;
        }

        matmul(*q, w, 0, 35, x, 0, tokens, nullptr, found);
        testing::multiply(kernels_scalar, *q, w, 0, 35, x, 0, tokens, nullptr, expected);

        for (std::size_t i = 0; i < found.values.size(); ++i) {
          ASSERT_TRUE(same_bits(found.values[i], expected.values[i])) << info(q->dtype).name << ", " << fill << ", " << tokens << ", " << i;
        }
      }
    }
  }
}

TEST_P(Kernels, SurviveAnyFloats) {
  Random random(7);
  for (const QuantFormat* q : builtin_quants()) {
    for (const float special : kSpecials) {
      Weights w(*q, 17, 512, random);
      Matrix x(9, 512, 0, special), y(9, 17, 0), expected(9, 17, 0);
      matmul(*q, w, 0, 17, x, 0, 9, nullptr, y);
      testing::multiply(kernels_scalar, *q, w, 0, 17, x, 0, 9, nullptr, expected);
      for (std::size_t i = 0; i < y.values.size(); ++i) EXPECT_TRUE(same_bits(y.values[i], expected.values[i]));
    }
  }
}

// ---- rotary positions

TEST_P(Kernels, RotatePairs) {
  Random random(12);
  for (const RopeStyle style : {RopeStyle::interleaved, RopeStyle::halves}) {
    for (const std::int64_t head_dim : {2, 6, 8, 16, 30, 64, 66, 128}) {
      for (const std::int64_t n_pairs : {std::int64_t{1}, head_dim / 4, head_dim / 2}) {
        for (const std::int64_t heads : {1, 3}) {
          const std::vector<float> x = random.normals(heads * head_dim), cosines = random.normals(n_pairs),
                                   sines = random.normals(n_pairs);
          std::vector<float> expected = x, found = x;
          for (std::int64_t h = 0; h < heads; ++h) {
            for (std::int64_t p = 0; p < n_pairs; ++p) {
              const auto pair = static_cast<std::size_t>(p);
              const bool neighbours = style == RopeStyle::interleaved;
              const auto a = static_cast<std::size_t>(h * head_dim + (neighbours ? 2 * p : p));
              const auto b = a + (neighbours ? 1 : static_cast<std::size_t>(n_pairs));
              const double u = static_cast<double>(x[a]), v = static_cast<double>(x[b]);
              const double c = static_cast<double>(cosines[pair]), s = static_cast<double>(sines[pair]);
              expected[a] = static_cast<float>(u * c - v * s);
              expected[b] = static_cast<float>(u * s + v * c);
            }
          }

          table_.rope[static_cast<std::size_t>(style)]({.x = found.data(),
                                                        .heads = heads,
                                                        .head_dim = head_dim,
                                                        .n_pairs = n_pairs,
                                                        .cos = cosines.data(),
                                                        .sin = sines.data()});

          for (std::size_t i = 0; i < x.size(); ++i)
            ASSERT_NEAR(found[i], expected[i], 4e-6f) << head_dim << ", " << n_pairs;
        }
      }
    }
  }
}

}  // namespace
}  // namespace infer
