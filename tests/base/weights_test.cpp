// SPDX-License-Identifier: MIT
// Tensors found by name, viewed in place, and small ones widened to floats that stay where they are.
#include "libinfer/weights.h"

#include <cstring>

#include <gtest/gtest.h>

#include "ops/quant/quants.h"

namespace infer {
namespace {

TensorMeta meta(std::string name, DType dtype, Shape shape, std::uint64_t offset, int file = 0) {
  const DTypeInfo& i = info(dtype);
  const std::uint64_t bytes = static_cast<std::uint64_t>(shape.rows() * shape.cols()) / i.block_elems * i.block_bytes;
  return {.name = std::move(name), .dtype = dtype, .shape = shape, .file = file, .offset = offset, .bytes = bytes};
}

/// Two "files" in memory: a matrix and a vector in the first, a vector of halfs in the second.
class Weights : public ::testing::Test {
 protected:
  Weights() {
    for (std::size_t i = 0; i < 6; ++i) put(first_, 8 + 4 * i, static_cast<float>(i));
    put(first_, 64, 2.5f);
    put(first_, 68, -3.0f);
    put(second_, 0, std::uint16_t{0x3c00});   // 1.0
    put(second_, 2, std::uint16_t{0xc000});   // -2.0
  }

  template <class T>
  static void put(std::vector<std::byte>& bytes, std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }

  static MappedFile mapped(const std::vector<std::byte>& bytes) {
    return std::move(MappedFile::open(Source::from_memory(bytes), {})).value();
  }

  WeightStore store() {
    std::vector<MappedFile> files;
    files.push_back(mapped(first_));
    files.push_back(mapped(second_));
    return WeightStore(std::move(files), tensors_);
  }

  std::vector<std::byte> first_ = std::vector<std::byte>(72);
  std::vector<std::byte> second_ = std::vector<std::byte>(4);
  std::vector<TensorMeta> tensors_ = {meta("matrix", DType::f32, {{3, 2, 1, 1}, 2}, 8),
                                      meta("vector", DType::f32, {{2, 1, 1, 1}, 1}, 64),
                                      meta("halfs", DType::f16, {{2, 1, 1, 1}, 1}, 0, 1)};
};

TEST_F(Weights, AreFoundByName) {
  const WeightStore w = store();

  EXPECT_EQ(w.find("vector"), &tensors_[1]);
  EXPECT_EQ(w.find("halfs"), &tensors_[2]);
}

TEST_F(Weights, AnswerNullForANameThatIsNotThere) {
  const WeightStore w = store();

  EXPECT_EQ(w.find("vect"), nullptr);
  EXPECT_EQ(w.find(""), nullptr);
}

TEST_F(Weights, AreViewedInPlace) {
  const WeightStore w = store();

  const TensorView v = w.view(tensors_[0]);

  EXPECT_EQ(v.data, first_.data() + 8);
  EXPECT_EQ(v.rows, 2);
  EXPECT_EQ(v.cols, 3);
  EXPECT_EQ(v.row_bytes, 12U);
  EXPECT_EQ(v.dtype, DType::f32);
}

TEST_F(Weights, AreSlicedByRowsWithoutCopying) {
  const WeightStore w = store();

  const TensorView v = w.view(tensors_[0]).slice(1, 1);

  EXPECT_EQ(v.data, first_.data() + 20);
  EXPECT_EQ(v.rows, 1);
}

TEST_F(Weights, AreViewedInTheFileThatHoldsThem) {
  const WeightStore w = store();

  EXPECT_EQ(w.view(tensors_[2]).data, second_.data());
}

TEST_F(Weights, CountQuantisedRowsInBlocks) {
  std::vector<std::byte> bytes(2 * 3 * 34);
  const std::vector<TensorMeta> tensors = {meta("q", DType::q8_0, {{96, 2, 1, 1}, 2}, 0)};
  std::vector<MappedFile> files;
  files.push_back(mapped(bytes));
  const WeightStore w(std::move(files), tensors);

  EXPECT_EQ(w.view(tensors[0]).row_bytes, 102U);
}

TEST_F(Weights, AreWidenedToFloats) {
  WeightStore w = store();

  const std::span<const float> halfs = w.widen(tensors_[2], quant_f16.decode);

  ASSERT_EQ(halfs.size(), 2U);
  EXPECT_EQ(halfs[0], 1.0f);
  EXPECT_EQ(halfs[1], -2.0f);
}

TEST_F(Weights, KeepWidenedVectorsWhereTheyAre) {
  WeightStore w = store();
  const std::span<const float> earlier = w.widen(tensors_[1], quant_f32.decode);

  for (int i = 0; i < 100; ++i) w.widen(tensors_[2], quant_f16.decode);
  WeightStore moved = std::move(w);

  EXPECT_EQ(earlier[0], 2.5f);
  EXPECT_EQ(earlier[1], -3.0f);
}

TEST_F(Weights, TellMappedBytesFromTheirOwn) {
  WeightStore w = store();

  w.widen(tensors_[1], quant_f32.decode);

  EXPECT_EQ(w.mapped_bytes(), 76U);
  EXPECT_EQ(w.owned_bytes(), 8U);
}

TEST_F(Weights, AreCountedAndLeftAloneWhilePlanning) {
  WeightStore w = store();

  w.plan(true);
  const std::span<const float> none = w.widen(tensors_[1], quant_f32.decode);
  w.plan(false);

  EXPECT_TRUE(none.empty());
  EXPECT_EQ(w.planned_bytes(), 8U);
  EXPECT_EQ(w.owned_bytes(), 0U);
  EXPECT_EQ(w.widen(tensors_[1], quant_f32.decode).size(), 2U);
  EXPECT_EQ(w.owned_bytes(), w.planned_bytes());
}

TEST_F(Weights, ThatCannotBeWidenedAreTold) {
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(7).ok());
  std::vector<MappedFile> files;
  files.push_back(mapped(first_));
  files.push_back(mapped(second_));
  WeightStore w(std::move(files), tensors_, account);

  EXPECT_TRUE(w.widen(tensors_[1], quant_f32.decode).empty());
  EXPECT_EQ(w.status().code(), Code::budget);
  EXPECT_EQ(account->owned(), 0U);
}

}  // namespace
}  // namespace infer
