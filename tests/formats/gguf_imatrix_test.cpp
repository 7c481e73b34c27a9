// SPDX-License-Identifier: MIT
// Importance matrices from files: what is right is read, what no measurement gives is refused with the tensor's name.
#include "formats/gguf_imatrix.h"

#include <cmath>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "tests/testing/quantizing.h"

namespace infer::gguf {
namespace {

using testing::add_importance;
using testing::GgufWriter;

GgufWriter example() {
  GgufWriter w = testing::imatrix_writer();
  add_importance(w, "b.weight", {2, 4, 6}, {2});
  add_importance(w, "a.weight", {1, 2, 3, 4}, {4, 0});
  w.tensor("unrelated", DType::f32, {1}, testing::float_bytes({1}));
  return w;
}

TEST(GgufImatrix, GivesMeansByTensorAndMatrix) {
  const std::vector<std::byte> file = example().build();
  const auto read = read_imatrix(file, nullptr);
  ASSERT_TRUE(read.ok()) << read.status().message();
  const Imatrix& m = read.value();

  EXPECT_EQ(m.entries.size(), 2U);
  EXPECT_EQ(m.datasets, std::vector<std::string>{"folder/text.txt"});
  EXPECT_EQ(m.chunk_count, 7);
  EXPECT_EQ(m.chunk_size, 512);
  EXPECT_EQ(m.find("c.weight"), nullptr);
  const ImatrixEntry* b = m.find("b.weight");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->cols, 3);
  EXPECT_EQ(b->n_matrices, 1);
  std::vector<float> means(3);
  b->means(0, means.data());
  EXPECT_EQ(means, (std::vector<float>{1, 2, 3}));

  const ImatrixEntry* a = m.find("a.weight");
  ASSERT_NE(a, nullptr);
  ASSERT_EQ(a->n_matrices, 2);
  means.resize(2);
  a->means(0, means.data());
  EXPECT_EQ(means, (std::vector<float>{0.25f, 0.5f}));
  a->means(1, means.data());   // an expert that nobody asked
  EXPECT_EQ(means, (std::vector<float>{1, 1}));
}

TEST(GgufImatrix, RefusesWhatNoMeasurementGives) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  const struct {
    const char* what;
    std::function<void(GgufWriter&)> change;
    Code code;
    const char* word;
  } cases[] = {
      {"sums without counts", [](GgufWriter& w) { w.remove_tensor("b.weight.counts"); }, Code::tensor, "b.weight.in_sum2"},
      {"a sum that is NaN", [](GgufWriter& w) { w.find_tensor("b.weight.in_sum2")->data = testing::float_bytes({1, kNan, 1}); },
       Code::tensor, "element 1"},
      {"an infinite sum", [](GgufWriter& w) { w.find_tensor("b.weight.in_sum2")->data = testing::float_bytes({kInf, 1, 1}); },
       Code::tensor, "element 0"},
      {"a negative sum", [](GgufWriter& w) { w.find_tensor("b.weight.in_sum2")->data = testing::float_bytes({1, 1, -1}); },
       Code::tensor, "element 2"},
      {"a count that is NaN", [](GgufWriter& w) { w.find_tensor("a.weight.counts")->data = testing::float_bytes({4, kNan}); },
       Code::tensor, "a.weight.counts"},
      {"a negative count", [](GgufWriter& w) { w.find_tensor("b.weight.counts")->data = testing::float_bytes({-1}); },
       Code::tensor, "b.weight.counts"},
      {"a part of a token", [](GgufWriter& w) { w.find_tensor("b.weight.counts")->data = testing::float_bytes({1e-30f}); },
       Code::tensor, "b.weight.counts"},
      {"no tokens at all", [](GgufWriter& w) { w.find_tensor("b.weight.counts")->data = testing::float_bytes({0}); },
       Code::tensor, "no token"},
      {"counts of another number of matrices",
       [](GgufWriter& w) {
         w.remove_tensor("b.weight.counts").tensor("b.weight.counts", DType::f32, {1, 2}, testing::float_bytes({1, 1}));
       },
       Code::tensor, "does not belong"},
      {"sums of halves",
       [](GgufWriter& w) {
         w.remove_tensor("b.weight.in_sum2").tensor("b.weight.in_sum2", DType::f16, {3, 1}, std::vector<std::byte>(6));
       },
       Code::tensor, "F16"},
      {"no tensors", [](GgufWriter& w) { w.tensors.clear(); }, Code::tensor, "no tensors"},
      {"a model", [](GgufWriter& w) { w.set("general.type", "model"); }, Code::format, "general.type"},
      {"nothing said", [](GgufWriter& w) { w.remove("general.type"); }, Code::format, "general.type"},
      {"a type that is a number", [](GgufWriter& w) { w.set("general.type", std::uint32_t{1}); }, Code::format, "general.type"},
      {"a count of chunks that is text", [](GgufWriter& w) { w.set("imatrix.chunk_count", "many"); }, Code::metadata, "chunk_count"},
  };
  for (const auto& c : cases) {
    GgufWriter w = example();
    c.change(w);
    const auto read = read_imatrix(w.build(), nullptr);
    ASSERT_FALSE(read.ok()) << c.what;
    EXPECT_EQ(read.status().code(), c.code) << c.what << ": " << read.status().message();
    EXPECT_NE(read.status().message().find(c.word), std::string_view::npos) << c.what << ": " << read.status().message();
  }
}

TEST(GgufImatrix, TellsTheOlderFormFromRubbish) {
  const std::vector<std::byte> old(100, std::byte{1});
  const auto read = read_imatrix(old, nullptr);
  EXPECT_EQ(read.status().code(), Code::format);
  EXPECT_NE(read.status().message().find(".dat"), std::string_view::npos);
  EXPECT_EQ(read_imatrix({}, nullptr).status().code(), Code::format);
}

TEST(GgufImatrix, EveryCutOfAFileIsRefused) {
  const std::vector<std::byte> file = example().build();
  for (std::size_t n = 0; n < file.size(); ++n) {
    EXPECT_FALSE(read_imatrix(Bytes(file).first(n), nullptr).ok()) << n;
  }
}

TEST(GgufImatrix, StopsWhenCancelled) {
  CancelFlag cancel;
  cancel.set = true;
  EXPECT_EQ(read_imatrix(example().build(), &cancel).status().code(), Code::cancelled);
}

}  // namespace
}  // namespace infer::gguf
