// SPDX-License-Identifier: MIT
// Every type of the table: rounding within its step, stable under a second rounding, robust against any bytes, and the
// same bits as the golden blocks.
#include "ops/quant/quants.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include <gtest/gtest.h>

#include "ops/quant/half.h"
#include "tests/testing/golden.h"
#include "tests/testing/random.h"

namespace infer {
namespace {

using testing::Random;
using Bytes = std::vector<std::byte>;

Bytes encoded(const QuantFormat& q, const std::vector<float>& values) {
  const DTypeInfo& i = info(q.dtype);
  Bytes bytes(values.size() / i.block_elems * i.block_bytes);
  q.encode(values.data(), nullptr, bytes.data(), static_cast<std::int64_t>(values.size()));
  return bytes;
}

std::vector<float> decoded(const QuantFormat& q, const Bytes& bytes) {
  const DTypeInfo& i = info(q.dtype);
  std::vector<float> values(bytes.size() / i.block_bytes * i.block_elems);
  q.decode(bytes.data(), values.data(), static_cast<std::int64_t>(values.size()));
  return values;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = std::bit_cast<std::uint32_t>(values[i]);
  return bits;
}

/// How far from `value` its rounding may be, within a block of these values; nothing for a type that is not known here.
/// Half a step of the plain definition; d itself is a half float, which moves the outermost codes by 2^-11 of their
/// size.
std::optional<double> allowed_error(DType type, double value, const float* block, std::size_t n) {
  double extreme = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    if (std::fabs(static_cast<double>(block[i])) > std::fabs(extreme)) extreme = static_cast<double>(block[i]);
  }
  const double of_d = std::fabs(extreme) * 0x1p-11;
  switch (type) {
    case DType::f32:
      return 0.0;
    case DType::f16:
      return std::max(std::fabs(value) * 0x1p-11, 0x1p-25);   // 2^-25: half of the smallest subnormal
    case DType::bf16:
      return std::fabs(value) * 0x1p-8;
    case DType::q8_0:
      return std::fabs(extreme) / 127.0 * 0.5001 + of_d;
    case DType::q4_0: {
      const double step = std::fabs(extreme) / 8.0;
      // Codes go from -8 to 7 steps towards the extreme's opposite sign: what lies beyond 7 steps comes back as 7.
      const double beyond = std::max(0.0, -std::copysign(1.0, extreme) * value - 7.0 * step);
      return std::max(step * 0.5001, beyond) + of_d;
    }
    default:
      return std::nullopt;
  }
}

/// IQ1, IQ2, IQ3: no single weight has a step. What they lose is in tests/ops/grid_search_test.cpp.
bool is_on_a_grid(DType type) {
  const std::string name = info(type).name;
  return name.starts_with("IQ") && name[2] < '4';
}

class Quant : public ::testing::TestWithParam<const QuantFormat*> {
 protected:
  const QuantFormat& q_ = *GetParam();
  const DTypeInfo& info_ = info(GetParam()->dtype);
};

std::string test_name(const ::testing::TestParamInfo<const QuantFormat*>& test) { return info(test.param->dtype).name; }

TEST_P(Quant, RoundsWithinHalfAStep) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  if (is_on_a_grid(q_.dtype)) GTEST_SKIP() << info_.name << " has no step";
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const double scale = std::ldexp(1.0, static_cast<int>(seed % 7) - 5);   // between 1/32 and 2
    const std::vector<float> values = random.normals(1024, scale);

    const std::vector<float> back = decoded(q_, encoded(q_, values));

    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t block = i / info_.block_elems * info_.block_elems;
      const double value = static_cast<double>(values[i]);
      const std::optional<double> allowed = allowed_error(q_.dtype, value, &values[block], info_.block_elems);
      ASSERT_TRUE(allowed) << "state the step of " << info_.name << " in allowed_error()";
      ASSERT_LE(std::fabs(static_cast<double>(back[i]) - value), *allowed) << "seed " << seed << ", value " << i;
    }
  }
}

TEST_P(Quant, IsStableUnderASecondRounding) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  if (is_on_a_grid(q_.dtype)) GTEST_SKIP() << info_.name << " has no step";
  const std::vector<float> once = decoded(q_, encoded(q_, Random(1).normals(4096)));

  const std::vector<float> twice = decoded(q_, encoded(q_, once));

  EXPECT_EQ(once, twice);
}

TEST_P(Quant, KeepsZeros) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  const std::vector<float> zeros(512, 0.0f);

  EXPECT_EQ(decoded(q_, encoded(q_, zeros)), zeros);
}

TEST_P(Quant, DecodesBlocksOneByOneAndTogetherToTheSameBits) {
  Random random(3);
  Bytes bytes(static_cast<std::size_t>(info_.block_bytes) * 16);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next() & 0xff);
  const std::vector<float> together = decoded(q_, bytes);

  for (std::size_t block = 0; block < 16; ++block) {
    // At an odd address, and ending where the memory ends.
    Bytes alone(info_.block_bytes + 1);
    std::memcpy(alone.data() + 1, bytes.data() + block * info_.block_bytes, info_.block_bytes);
    std::vector<float> values(info_.block_elems);
    q_.decode(alone.data() + 1, values.data(), info_.block_elems);

    const auto first = together.begin() + static_cast<std::ptrdiff_t>(block * info_.block_elems);
    EXPECT_EQ(bits_of(values), bits_of({first, first + info_.block_elems}));
  }
}

TEST_P(Quant, DecodesAnyBytes) {
  for (const std::byte fill : {std::byte{0x00}, std::byte{0x7f}, std::byte{0x80}, std::byte{0xff}}) {
    const Bytes bytes(static_cast<std::size_t>(info_.block_bytes) * 4, fill);

    EXPECT_EQ(decoded(q_, bytes).size(), 4U * info_.block_elems);
  }
}

TEST_P(Quant, EncodesWhatIsNoNumber) {
  if (q_.encode == nullptr) GTEST_SKIP() << info_.name << " cannot be produced";
  const float specials[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::max(),
                            std::numeric_limits<float>::denorm_min(), -0.0f};
  for (const float special : specials) {
    std::vector<float> values = Random(1).normals(512);
    values[5] = special;
    encoded(q_, values);
    encoded(q_, std::vector<float>(512, special));
  }
  encoded(q_, std::vector<float>(512, 1e-39f));
}

TEST_P(Quant, MatchesTheGoldenBlocksBitForBit) {
  INFER_SKIP_WITHOUT_GOLDEN_LOGITS();
  const std::string directory = testing::golden_logits_directory() + "/golden/blocks/";
  const nlohmann::json all = testing::read_json(directory + "blocks.json");
  ASSERT_TRUE(all.is_object());
  if (!all.contains(info_.name)) GTEST_SKIP() << "no golden blocks of " << info_.name;
  const nlohmann::json& facts = all[info_.name];
  const Bytes file = testing::read_bytes(directory + facts["file"].get<std::string>());
  const std::size_t values_at = facts["values_offset"].get<std::size_t>();
  ASSERT_GT(file.size(), values_at);
  std::vector<float> expected((file.size() - values_at) / sizeof(float));
  std::memcpy(expected.data(), file.data() + values_at, expected.size() * sizeof(float));

  const std::vector<float> found =
      decoded(q_, Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(values_at)));

  ASSERT_GE(found.size(), 2048U);
  EXPECT_EQ(bits_of(found), bits_of(expected));
}

INSTANTIATE_TEST_SUITE_P(Types, Quant, ::testing::ValuesIn(builtin_quants().begin(), builtin_quants().end()),
                         test_name);

TEST(Quants, AreListedOnceEach) {
  for (const QuantFormat* q : builtin_quants()) {
    EXPECT_EQ(std::count_if(builtin_quants().begin(), builtin_quants().end(),
                            [&](const QuantFormat* other) { return other->dtype == q->dtype; }),
              1)
        << info(q->dtype).name;
    EXPECT_EQ(info(q->dtype).use, DTypeUse::weight);
  }
}

TEST(Q8_0, IsAHalfTimesASignedByte) {
  Bytes block(34);
  const std::uint16_t d = float_to_half(0.5f);
  std::memcpy(block.data(), &d, 2);
  block[2] = std::byte{0x80};
  block[33] = std::byte{0x7f};

  const std::vector<float> values = decoded(quant_q8_0, block);

  EXPECT_EQ(values[0], -64.0f);
  EXPECT_EQ(values[1], 0.0f);
  EXPECT_EQ(values[31], 63.5f);
}

TEST(Q4_0, HasTheFirstHalfInTheLowNibbles) {
  Bytes block(18, std::byte{0x88});
  const std::uint16_t d = float_to_half(2.0f);
  std::memcpy(block.data(), &d, 2);
  block[2] = std::byte{0xf0};

  const std::vector<float> values = decoded(quant_q4_0, block);

  EXPECT_EQ(values[0], -16.0f);
  EXPECT_EQ(values[16], 14.0f);
  EXPECT_EQ(values[1], 0.0f);
}

}  // namespace
}  // namespace infer
