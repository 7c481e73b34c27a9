// SPDX-License-Identifier: MIT
// Tests of src/runtime/model_read.cpp: any stretch of any tensor as floats, with and without weights made ready.
#include <gtest/gtest.h>

#include <vector>

#include "libinfer/model.h"
#include "tests/testing/bundled.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using testing::GgufWriter;

TEST(ModelRead, GivesAnyStretchAsTheWholeHasIt) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const TensorMeta& tensor = *model->descriptor().find_tensor("blk.1.ffn_down.weight");
  std::vector<float> whole(static_cast<std::size_t>(tensor.shape.rows() * tensor.shape.cols()));
  ASSERT_TRUE(model->read(tensor, 0, whole).ok());
  const TensorView view = model->view(tensor);
  std::vector<float> row(static_cast<std::size_t>(view.cols));
  model->decoder()->layers[1].ffn.down.format->decode(view.slice(7, 1).data, row.data(), view.cols);
  EXPECT_TRUE(std::equal(row.begin(), row.end(), whole.begin() + 7 * view.cols));

  for (const std::size_t first : {0U, 1U, 31U, 32U, 33U, 500U, 512U}) {
    for (const std::size_t n : {0U, 1U, 5U, 31U, 32U, 33U, 64U, 100U, 1000U}) {
      std::vector<float> part(n + 1, -7.0f);
      ASSERT_TRUE(model->read(tensor, first, std::span(part).first(n)).ok());
      EXPECT_TRUE(std::equal(part.begin(), part.end() - 1, whole.begin() + static_cast<std::ptrdiff_t>(first)));
      EXPECT_EQ(part.back(), -7.0f);
    }
  }
}

TEST(ModelRead, RefusesWhatIsBeyondTheEnd) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const TensorMeta& tensor = *model->descriptor().find_tensor("output_norm.weight");
  std::vector<float> values(257, 1.0f);
  EXPECT_EQ(model->read(tensor, 0, values).code(), Code::range);
  EXPECT_EQ(model->read(tensor, 1, std::span(values).first(256)).code(), Code::range);
  EXPECT_EQ(model->read(tensor, UINT64_MAX, std::span(values).first(2)).code(), Code::range);
  EXPECT_EQ(model->read(tensor, 257, {}).code(), Code::range);
  EXPECT_TRUE(model->read(tensor, 256, {}).ok());
  EXPECT_EQ(values[0], 1.0f);
}

TEST(ModelRead, NeedsNoKnownArchitecture) {
  const float numbers[] = {1.5f, -2.0f, 0.25f};
  GgufWriter writer;
  writer.set("general.architecture", "unheard-of");
  writer.tensor("a", DType::f32, {3}, std::as_bytes(std::span(numbers)));
  writer.tensor("b", DType::nvfp4, {64}, std::vector<std::byte>(36));
  const std::vector<std::byte> file = writer.build();
  const auto model = Model::load(Library::builtin(), Source::from_memory(file), {.vocab_only = true});
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::vector<float> values(2);
  ASSERT_TRUE(model.value()->read(*model.value()->descriptor().find_tensor("a"), 1, values).ok());
  EXPECT_EQ(values, (std::vector<float>{-2.0f, 0.25f}));
  const Status refused = model.value()->read(*model.value()->descriptor().find_tensor("b"), 0, values);
  EXPECT_EQ(refused.code(), Code::quant_type);
  EXPECT_EQ(refused.message(), "tensor 'b' has type NVFP4, which cannot be read as numbers");
}

}  // namespace
}  // namespace infer
