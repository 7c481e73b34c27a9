// SPDX-License-Identifier: MIT
// Tensor names to blocks: what is bound, and every way in which a tensor does not fit, all in one message.
#include "models/binder.h"

#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "models/architectures.h"
#include "ops/ops.h"
#include "ops/quant/quants.h"

namespace infer {
namespace {

/// Tensors with bytes of zeros, and the binder over them.
class BinderTest : public ::testing::Test {
 protected:
  TensorMeta& tensor(const std::string& name, std::vector<std::int64_t> shape, DType dtype = DType::f32) {
    TensorMeta t{.name = name, .dtype = dtype, .shape = {}, .file = 0, .offset = bytes_.size(), .bytes = 0};
    t.shape.n_dims = static_cast<int>(shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) t.shape.dims[i] = shape[i];
    const std::int64_t elements = t.shape.rows() * t.shape.cols();
    t.bytes = static_cast<std::uint64_t>(elements) / info(dtype).block_elems * info(dtype).block_bytes;
    bytes_.resize(bytes_.size() + t.bytes);
    return tensors_.emplace_back(std::move(t));
  }

  void put(const TensorMeta& t, std::vector<float> values) {
    std::memcpy(bytes_.data() + t.offset, values.data(), values.size() * sizeof(float));
  }

  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const TensorMeta& t) { return t.name == name; });
  }

  /// After the last tensor was added.
  Binder& binder() {
    if (!binder_) {
      std::vector<MappedFile> files;
      files.push_back(std::move(MappedFile::open(Source::from_memory(bytes_), {})).value());
      weights_.emplace(std::move(files), tensors_);
      binder_.emplace(*weights_, kernels_scalar, builtin_quants());
    }
    return *binder_;
  }

  /// A whole llama model of two layers.
  void add_llama() {
    tensor("token_embd.weight", {32, 50});
    for (const std::string layer : {"blk.0.", "blk.1."}) {
      tensor(layer + "attn_norm.weight", {32});
      tensor(layer + "attn_q.weight", {32, 32});
      tensor(layer + "attn_k.weight", {32, 16});
      tensor(layer + "attn_v.weight", {32, 16});
      tensor(layer + "attn_output.weight", {32, 32});
      tensor(layer + "ffn_norm.weight", {32});
      tensor(layer + "ffn_gate.weight", {32, 48});
      tensor(layer + "ffn_up.weight", {32, 48});
      tensor(layer + "ffn_down.weight", {48, 32});
    }
    tensor("output_norm.weight", {32});
    tensor("output.weight", {32, 50});
  }

  Status bind_llama() {
    decoder_.architecture = &architecture_llama;
    decoder_.config.n_vocab = 50;
    decoder_.config.n_embd = 32;
    decoder_.config.n_layers = 2;
    decoder_.config.n_ff = 48;
    decoder_.config.n_heads = 4;
    decoder_.config.n_kv_heads = 2;
    decoder_.config.key_dim = 8;
    decoder_.config.value_dim = 8;
    decoder_.config.norm_eps = 1e-5f;
    decoder_.config.rope.n_rot = 8;
    decoder_.layers.resize(2);
    architecture_llama.bind(binder(), decoder_);
    return binder().finish();
  }

  /// What is said of tensors that nothing has asked for.
  Status judge(std::int64_t n_layers) {
    ModelDescriptor model;
    std::vector<std::string> warnings;
    binder();
    model.tensors.swap(tensors_);   // the very tensors that were bound
    binder().judge_unbound(model, n_layers, warnings);
    model.tensors.swap(tensors_);
    return binder().finish();
  }

  std::vector<std::byte> bytes_;
  std::vector<TensorMeta> tensors_;
  std::optional<WeightStore> weights_;
  std::optional<Binder> binder_;
  Linear linear_;
  Norm norm_;
  std::vector<FfnWeights> experts_;
  Decoder decoder_;
};

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST_F(BinderTest, BindsAMatrixWhereItLies) {
  tensor("other", {4});
  const TensorMeta meta = tensor("w.weight", {32, 3}, DType::q8_0);

  binder().linear(linear_, "w", 3, 32);

  EXPECT_TRUE(binder().finish().ok());
  EXPECT_EQ(linear_.weight.data, bytes_.data() + meta.offset);
  EXPECT_EQ(linear_.weight.rows, 3);
  EXPECT_EQ(linear_.weight.cols, 32);
  EXPECT_EQ(linear_.format, &quant_q8_0);
  EXPECT_EQ(linear_.matmul.run, kernels_scalar.matmul[static_cast<std::size_t>(DType::q8_0)].run);
  ASSERT_EQ(binder().products().size(), 1u);
  EXPECT_EQ(binder().products()[0], &linear_);
  EXPECT_EQ(linear_.bias, nullptr);
}

TEST_F(BinderTest, BindsABiasWhereThereIsOne) {
  tensor("w.weight", {4, 2});
  put(tensor("w.bias", {2}), {1.5f, -2.0f});

  binder().linear(linear_, "w", 2, 4);

  EXPECT_TRUE(binder().finish().ok());
  ASSERT_NE(linear_.bias, nullptr);
  EXPECT_EQ(linear_.bias[0], 1.5f);
  EXPECT_EQ(linear_.bias[1], -2.0f);
}

TEST_F(BinderTest, NamesAMissingBiasThatIsRequired) {
  tensor("w.weight", {4, 2});

  binder().linear(linear_, "w", 2, 4, Bias::required);

  EXPECT_EQ(binder().finish().message(), "tensor 'w.bias' is missing (expected [2])");
}

TEST_F(BinderTest, SplitsAMatrixAndItsBiasByRows) {
  const TensorMeta meta = tensor("w.weight", {4, 5});
  put(tensor("w.bias", {5}), {0.0f, 1.0f, 2.0f, 3.0f, 4.0f});
  Linear second;

  binder().split({{linear_, 2}, {second, 3}}, "w", 4, Bias::required);

  EXPECT_TRUE(binder().finish().ok());
  EXPECT_EQ(linear_.weight.data, bytes_.data() + meta.offset);
  EXPECT_EQ(linear_.weight.rows, 2);
  EXPECT_EQ(linear_.bias[1], 1.0f);
  EXPECT_EQ(second.weight.data, bytes_.data() + meta.offset + 2 * 4 * sizeof(float));
  EXPECT_EQ(second.weight.rows, 3);
  EXPECT_EQ(second.weight.cols, 4);
  EXPECT_EQ(second.bias[0], 2.0f);
  ASSERT_EQ(binder().products().size(), 2u);
  EXPECT_EQ(binder().products()[1], &second);
}

TEST_F(BinderTest, RefusesASplitMatrixOfOtherRowsThanItsPartsHave) {
  tensor("w.weight", {4, 5});
  Linear second;

  binder().split({{linear_, 2}, {second, 2}}, "w", 4);

  EXPECT_EQ(binder().finish().message(), "tensor 'w.weight' has shape [4, 5], expected [4, 4]");
  EXPECT_FALSE(second.present());
}

TEST_F(BinderTest, NamesAMissingSplitMatrix) {
  tensor("other", {4});
  Linear second;

  binder().split({{linear_, 2}, {second, 3}}, "w", 4);

  EXPECT_EQ(binder().finish().message(), "tensor 'w.weight' is missing (expected [4, 5])");
}

TEST_F(BinderTest, BindsStackedExperts) {
  const TensorMeta meta = tensor("ffn_up_exps.weight", {32, 3, 2}, DType::q8_0);

  binder().experts(experts_, &FfnWeights::up, 2, "ffn_up", 3, 32);

  EXPECT_TRUE(binder().finish().ok());
  ASSERT_EQ(experts_.size(), 2u);
  EXPECT_EQ(experts_[0].up.weight.data, bytes_.data() + meta.offset);
  EXPECT_EQ(experts_[1].up.weight.data, bytes_.data() + meta.offset + 3 * 34);
  EXPECT_EQ(experts_[1].up.weight.rows, 3);
  EXPECT_EQ(experts_[1].up.weight.cols, 32);
  EXPECT_EQ(experts_[1].up.format, &quant_q8_0);
  EXPECT_FALSE(experts_[0].gate.present());
  EXPECT_EQ(binder().products().size(), 2u);
}

TEST_F(BinderTest, OneByOneTakesNoMemoryForExpertsThatAreNotThere) {
  tensor("ffn_up.0.weight", {4, 3});

  binder().experts(experts_, &FfnWeights::up, 1000, "ffn_up", 3, 4);

  EXPECT_TRUE(experts_.empty());
  const Status status = binder().finish();
  EXPECT_EQ(status.message(), "tensor 'ffn_up.1.weight' is missing (expected [4, 3])");
}

TEST_F(BinderTest, BindsExpertsOneByOne) {
  tensor("ffn_up.0.weight", {4, 3});
  const TensorMeta meta = tensor("ffn_up.1.weight", {4, 3});

  binder().experts(experts_, &FfnWeights::up, 2, "ffn_up", 3, 4);

  EXPECT_TRUE(binder().finish().ok());
  ASSERT_EQ(experts_.size(), 2u);
  EXPECT_EQ(experts_[1].up.weight.data, bytes_.data() + meta.offset);
}

TEST_F(BinderTest, NamesTheExpertThatIsMissing) {
  tensor("ffn_up.0.weight", {4, 3});

  binder().experts(experts_, &FfnWeights::up, 2, "ffn_up", 3, 4);

  EXPECT_EQ(binder().finish().message(), "tensor 'ffn_up.1.weight' is missing (expected [4, 3])");
}

TEST_F(BinderTest, RefusesMoreOrFewerStackedExperts) {
  tensor("ffn_up_exps.weight", {4, 3, 3});

  binder().experts(experts_, &FfnWeights::up, 2, "ffn_up", 3, 4);

  EXPECT_EQ(binder().finish().message(), "tensor 'ffn_up_exps.weight' has shape [4, 3, 3], expected [4, 3, 2]");
}

TEST_F(BinderTest, NamesMissingExpertsAsTheyAreStacked) {
  tensor("other", {4});

  binder().experts(experts_, &FfnWeights::up, 1024, "ffn_up", 3, 4);

  EXPECT_EQ(binder().finish().message(), "tensor 'ffn_up_exps.weight' is missing (expected [4, 3, 1024])");
  EXPECT_TRUE(experts_.empty());
}

TEST_F(BinderTest, BindsTwoPartsOfStackedExpertsFromOneTensor) {
  const TensorMeta meta = tensor("ffn_gate_up_exps.weight", {32, 6, 2}, DType::q8_0);

  binder().expert_pairs(experts_, &FfnWeights::gate, &FfnWeights::up, 2, "ffn_gate_up", 3, 32);

  EXPECT_TRUE(binder().finish().ok());
  ASSERT_EQ(experts_.size(), 2u);
  EXPECT_EQ(experts_[0].gate.weight.data, bytes_.data() + meta.offset);
  EXPECT_EQ(experts_[0].up.weight.data, bytes_.data() + meta.offset + 3 * 34);
  EXPECT_EQ(experts_[1].gate.weight.data, bytes_.data() + meta.offset + 6 * 34);
  EXPECT_EQ(experts_[1].up.weight.data, bytes_.data() + meta.offset + 9 * 34);
  EXPECT_EQ(experts_[1].up.weight.rows, 3);
  EXPECT_FALSE(experts_[0].down.present());
  EXPECT_EQ(binder().products().size(), 4u);
}

TEST_F(BinderTest, RefusesTwoPartsOfAnotherHeight) {
  tensor("ffn_gate_up_exps.weight", {4, 3, 2});

  binder().expert_pairs(experts_, &FfnWeights::gate, &FfnWeights::up, 2, "ffn_gate_up", 3, 4);

  EXPECT_EQ(binder().finish().message(), "tensor 'ffn_gate_up_exps.weight' has shape [4, 3, 2], expected [4, 6, 2]");
}

TEST_F(BinderTest, TakesAVectorForAMatrixOfOneRow) {
  tensor("w.weight", {4});

  binder().linear(linear_, "w", 1, 4);

  EXPECT_TRUE(binder().finish().ok());
  EXPECT_EQ(linear_.weight.rows, 1);
  EXPECT_EQ(linear_.weight.cols, 4);
}

TEST_F(BinderTest, LeavesTrailingDimensionsOfOneOutOfAccount) {
  tensor("n.weight", {4, 1});
  tensor("w.weight", {4, 3, 1});
  tensor("ffn_up_exps.weight", {4, 3});
  tensor("flat.weight", {1, 4});

  binder().norm(norm_, "n", 4, 1e-5f);
  binder().linear(linear_, "w", 3, 4);
  binder().experts(experts_, &FfnWeights::up, 1, "ffn_up", 3, 4);
  EXPECT_TRUE(binder().finish().ok()) << binder().finish().message();
  EXPECT_EQ(linear_.weight.rows, 3);

  binder().norm(norm_, "flat", 4, 1e-5f);
  EXPECT_EQ(binder().finish().message(), "tensor 'flat.weight' has shape [1, 4], expected [4]");
}

TEST_F(BinderTest, BindsANormWithItsEpsilon) {
  put(tensor("n.weight", {3}), {1.0f, 2.0f, 3.0f});

  binder().norm(norm_, "n", 3, 0.5f);

  EXPECT_TRUE(binder().finish().ok());
  EXPECT_EQ(norm_.weight[2], 3.0f);
  EXPECT_EQ(norm_.eps, 0.5f);
}

TEST_F(BinderTest, BindsALayerNormWithItsBias) {
  put(tensor("n.weight", {2}), {1.0f, 2.0f});
  put(tensor("n.bias", {2}), {3.0f, 4.0f});

  binder().norm(norm_, "n", 2, 0.5f, NormKind::layer);

  EXPECT_TRUE(binder().finish().ok());
  EXPECT_EQ(norm_.kind, NormKind::layer);
  EXPECT_EQ(norm_.weight[1], 2.0f);
  ASSERT_NE(norm_.bias, nullptr);
  EXPECT_EQ(norm_.bias[1], 4.0f);
}

TEST_F(BinderTest, NamesTheMissingBiasOfALayerNorm) {
  tensor("n.weight", {2});

  binder().norm(norm_, "n", 2, 0.5f, NormKind::layer);

  EXPECT_EQ(binder().finish().message(), "tensor 'n.bias' is missing (expected [2])");
}

TEST_F(BinderTest, LeavesTheBiasOfAnRmsNormUnbound) {
  tensor("blk.0.n.weight", {2});
  tensor("blk.0.n.bias", {2});

  binder().norm(norm_, "blk.0.n", 2, 0.5f);

  EXPECT_EQ(norm_.bias, nullptr);
  EXPECT_EQ(judge(1).subject(), "blk.0.n.bias");
}

TEST_F(BinderTest, WidensNormsOfHalfFloats) {
  tensor("n.weight", {2}, DType::f16);
  bytes_[1] = std::byte{0x3c};   // 1.0

  binder().norm(norm_, "n", 2, 0.0f);

  EXPECT_TRUE(binder().finish().ok());
  EXPECT_EQ(norm_.weight[0], 1.0f);
}

TEST_F(BinderTest, NamesAMissingMatrixAndItsShape) {
  tensor("other.weight", {4, 2});

  binder().linear(linear_, "blk.0.attn_q", 2, 4);
  const Status s = binder().finish();

  EXPECT_EQ(s.code(), Code::tensor);
  EXPECT_EQ(s.subject(), "blk.0.attn_q.weight");
  EXPECT_EQ(s.message(), "tensor 'blk.0.attn_q.weight' is missing (expected [4, 2])");
}

TEST_F(BinderTest, RefusesATransposedMatrixWithBothShapes) {
  tensor("output.weight", {32000, 4});

  binder().linear(linear_, "output", 32000, 4);
  const Status s = binder().finish();

  EXPECT_EQ(s.code(), Code::tensor);
  EXPECT_EQ(s.message(), "tensor 'output.weight' has shape [32000, 4], expected [4, 32000]");
}

TEST_F(BinderTest, RefusesAMatrixOfOtherDimensions) {
  tensor("w.weight", {4, 2, 3});

  binder().linear(linear_, "w", 6, 4);

  EXPECT_EQ(binder().finish().message(), "tensor 'w.weight' has shape [4, 2, 3], expected [4, 6]");
}

TEST_F(BinderTest, RefusesAVectorOfAnotherLength) {
  tensor("n.weight", {3});

  binder().norm(norm_, "n", 4, 0.0f);

  EXPECT_EQ(binder().finish().message(), "tensor 'n.weight' has shape [3], expected [4]");
}

TEST_F(BinderTest, RefusesABiasOfAnotherLength) {
  tensor("w.weight", {4, 2});
  tensor("w.bias", {4});

  binder().linear(linear_, "w", 2, 4);

  EXPECT_EQ(binder().finish().subject(), "w.bias");
}

TEST_F(BinderTest, RefusesAQuantisedNorm) {
  tensor("n.weight", {32}, DType::q8_0);

  binder().norm(norm_, "n", 32, 0.0f);
  const Status s = binder().finish();

  EXPECT_EQ(s.code(), Code::tensor);
  EXPECT_EQ(s.message(), "tensor 'n.weight' is a vector of type Q8_0; vectors are F32, F16 or BF16");
}

TEST_F(BinderTest, NamesATypeThatCannotBeRunAndThoseThatCan) {
  tensor("w.weight", {64, 2}, DType::nvfp4);

  binder().linear(linear_, "w", 2, 64);
  const Status s = binder().finish();

  EXPECT_EQ(s.code(), Code::quant_type);
  EXPECT_EQ(s.subject(), "w.weight");
  EXPECT_NE(s.message().find("has type NVFP4, which cannot be run yet; known: "), std::string_view::npos)
      << s.message();
  for (const QuantFormat* q : builtin_quants())
    EXPECT_NE(s.message().find(info(q->dtype).name), std::string_view::npos);
}

TEST_F(BinderTest, RefusesIntegersAsWeights) {
  tensor("w.weight", {4, 2}, DType::i32);

  binder().linear(linear_, "w", 2, 4);

  EXPECT_EQ(binder().finish().code(), Code::quant_type);
}

TEST_F(BinderTest, TakesDivisorsAboveZero) {
  put(tensor("rope_freqs.weight", {3}), {1.0f, 4.0f, 8.0f});
  std::span<const float> divisors;

  binder().divisors(divisors, "rope_freqs.weight", 3);

  EXPECT_TRUE(binder().finish().ok());
  ASSERT_EQ(divisors.size(), 3U);
  EXPECT_EQ(divisors[2], 8.0f);
}

TEST_F(BinderTest, NamesMissingDivisors) {
  tensor("other", {3});
  std::span<const float> divisors;

  binder().divisors(divisors, "rope_factors_long.weight", 3);

  EXPECT_EQ(binder().finish().message(), "tensor 'rope_factors_long.weight' is missing (expected [3])");
  EXPECT_TRUE(divisors.empty());
}

TEST_F(BinderTest, RefusesDivisorsThatAreZeroNegativeOrNoNumbers) {
  const float bad[] = {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  for (std::size_t i = 0; i < 4; ++i) put(tensor("f" + std::to_string(i), {2}), {1.0f, bad[i]});

  for (std::size_t i = 0; i < 4; ++i) {
    std::span<const float> divisors;
    binder().divisors(divisors, "f" + std::to_string(i), 2);
  }
  const Status s = binder().finish();

  EXPECT_EQ(s.code(), Code::tensor);
  EXPECT_EQ(occurrences(s.message(), "[1] = "), 4U) << s.message();
}

TEST_F(BinderTest, BindsAWholeModel) {
  add_llama();

  const Status s = bind_llama();

  EXPECT_TRUE(s.ok()) << s.message();
  EXPECT_NE(decoder_.output.weight.data, decoder_.embedding.weight.data);
  EXPECT_EQ(decoder_.layers[1].ffn.down.weight.cols, 48);
  EXPECT_TRUE(decoder_.rope_factors.empty());
}

TEST_F(BinderTest, TiesTheOutputToTheEmbeddingWhereItIsAbsent) {
  add_llama();
  remove("output.weight");

  const Status s = bind_llama();

  EXPECT_TRUE(s.ok()) << s.message();
  EXPECT_EQ(decoder_.output.weight.data, decoder_.embedding.weight.data);
}

TEST_F(BinderTest, NamesEveryMissingTensorOfAModel) {
  add_llama();
  remove("output_norm.weight");
  remove("blk.1.ffn_down.weight");
  remove("blk.0.attn_q.weight");

  const Status s = bind_llama();

  EXPECT_EQ(s.code(), Code::tensor);
  EXPECT_TRUE(s.message().starts_with("3 tensors do not fit: ")) << s.message();
  for (const char* name : {"'output_norm.weight'", "'blk.1.ffn_down.weight'", "'blk.0.attn_q.weight'"}) {
    EXPECT_NE(s.message().find(name), std::string_view::npos) << s.message();
  }
}

TEST_F(BinderTest, NamesTenOfManyAndCountsTheRest) {
  tensor("token_embd.weight", {32, 50});

  const Status s = bind_llama();   // 18 of the layers, and the output norm

  EXPECT_TRUE(s.message().starts_with("19 tensors do not fit: ")) << s.message();
  EXPECT_EQ(occurrences(s.message(), "is missing"), 10U);
  EXPECT_TRUE(s.message().ends_with("; and 9 more")) << s.message();
}

TEST_F(BinderTest, RefusesAnOutputWithOtherRowsThanTheEmbedding) {
  add_llama();
  remove("output.weight");
  tensor("output.weight", {32, 49});

  EXPECT_EQ(bind_llama().message(), "tensor 'output.weight' has shape [32, 49], expected [32, 50]");
}

TEST_F(BinderTest, RefusesRopeFactorsOfTheWrongLength) {
  add_llama();
  tensor("rope_freqs.weight", {8});

  EXPECT_EQ(bind_llama().message(), "tensor 'rope_freqs.weight' has shape [8], expected [4]");
}

}  // namespace
}  // namespace infer
