// SPDX-License-Identifier: MIT
// Whole llama models: logits against the double-precision oracle over random shapes, seeds and weight types.
#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/model.h"
#include "libinfer/session.h"
#include "ops/quant/quants.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

using testing::deviation;
using testing::expect_oracle_agrees;
using testing::Loaded;
using testing::random_tokens;
using testing::session_logits;
using testing::TinyModel;

// ---- the oracle, shape by shape

struct Shape {
  const char* name;
  void (*set)(TinyModel& m);
};

void PrintTo(const Shape& s, std::ostream* out) { *out << s.name; }

using T = TinyModel;

/// Each differs from the default: two layers, 64 wide, 4 heads, 2 KV heads, untied.
const Shape kShapes[] = {
    {"GroupedQueries", [](T&) {}},
    {"MultiHead", [](T& m) { m.n_kv_heads = m.n_heads; }},
    {"MultiQuery", [](T& m) { m.n_kv_heads = 1; }},
    {"ThreeHeadsPerKvHead", [](T& m) { m.n_embd = 48, m.n_heads = 6; }},
    {"OneHead", [](T& m) { m.n_heads = m.n_kv_heads = 1; }},
    {"Tied", [](T& m) { m.tied = true; }},
    {"Biases", [](T& m) { m.biases = true; }},
    {"HeadSizeOfItsOwn", [](T& m) { m.key_length = m.value_length = 24; }},
    {"KeysLongerThanValues", [](T& m) { m.key_length = 20, m.value_length = 12; }},
    {"ValuesLongerThanKeys", [](T& m) { m.key_length = 6, m.value_length = 33; }},
    {"PartialRotation", [](T& m) { m.n_rot = 6; }},
    {"OddSizes", [](T& m) { m.n_embd = 50, m.n_heads = 5, m.n_kv_heads = 1, m.n_ff = 77, m.n_vocab = 301; }},
    {"SmallestHeads", [](T& m) { m.n_embd = 10, m.n_heads = 5, m.n_kv_heads = 5, m.n_ff = 7; }},
    {"FiveLayers", [](T& m) { m.n_layers = 5; }},
    {"Window", [](T& m) { m.sliding_window = 7; }},
    {"WindowOfOne", [](T& m) { m.sliding_window = 1; }},
    {"WindowWiderThanThePrompt", [](T& m) { m.sliding_window = 1000; }},
    {"WindowOverPages", [](T& m) { m.sliding_window = 33; }},
    {"RopeBase", [](T& m) { m.rope_base = 500000.0; }},
    {"RopeFactors", [](T& m) { m.rope_factors = true; }},
    {"LinearScaling", [](T& m) { m.rope_scaling = "linear", m.rope_factor = 4.0; }},
    {"YarnPastTheOriginalContext",
     [](T& m) {
       m.rope_scaling = "yarn", m.rope_factor = 4.0, m.original_context = 32, m.key_length = m.value_length = 32;
     }},
    {"YarnWithFactorsAndPartialRotation",
     [](T& m) {
       m.rope_scaling = "yarn", m.rope_factor = 8.0, m.original_context = 64, m.rope_base = 100.0;
       m.rope_factors = true, m.key_length = 40, m.value_length = 16, m.n_rot = 32;
     }},
    {"EverythingAtOnce",
     [](T& m) {
       m.tied = m.biases = m.rope_factors = true;
       m.n_layers = 3, m.n_embd = 30, m.n_heads = 6, m.n_kv_heads = 3, m.key_length = 14, m.value_length = 9,
       m.n_ff = 41;
       m.sliding_window = 11, m.rope_scaling = "linear", m.rope_factor = 2.5, m.n_rot = 10;
     }},
};

class LlamaAgreesWithTheOracle : public ::testing::TestWithParam<Shape> {};

TEST_P(LlamaAgreesWithTheOracle, ForSeveralSeeds) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    TinyModel tiny;
    tiny.seed = seed;
    GetParam().set(tiny);
    expect_oracle_agrees(tiny, 70);   // three pages of keys and values, three batches
  }
}

std::string shape_name(const ::testing::TestParamInfo<Shape>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(Shapes, LlamaAgreesWithTheOracle, ::testing::ValuesIn(kShapes), shape_name);

class LlamaOfType : public ::testing::TestWithParam<const QuantFormat*> {};

TEST_P(LlamaOfType, AgreesWithTheOracleOnTheSameWeights) {
  if (GetParam()->encode == nullptr) GTEST_SKIP() << info(GetParam()->dtype).name << " cannot be produced";
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    TinyModel tiny;
    tiny.seed = seed;
    tiny.dtype = GetParam()->dtype;
    tiny.n_embd = tiny.n_ff = 256;   // whole blocks of every type
    tiny.tied = seed == 2;
    expect_oracle_agrees(tiny, 20);
  }
}

std::string type_name(const ::testing::TestParamInfo<const QuantFormat*>& test) { return info(test.param->dtype).name; }

INSTANTIATE_TEST_SUITE_P(Types, LlamaOfType, ::testing::ValuesIn(builtin_quants().begin(), builtin_quants().end()),
                         type_name);

TEST(TinyModels, HaveLogitsOfADeviationAroundTwo) {
  for (const bool tied : {false, true}) {
    TinyModel tiny;
    tiny.tied = tied;
    const Loaded l(testing::make_tiny_model(tiny));
    ASSERT_NE(l.model, nullptr) << l.status.message();

    const double d = deviation(session_logits(l.model, random_tokens(1, 40, 320), 64));

    EXPECT_GT(d, 1.5);
    EXPECT_LT(d, 2.7);
  }
}

TEST(TinyModels, HaveAUsableVocabulary) {
  const Loaded l(testing::make_tiny_model({}));
  ASSERT_NE(l.model, nullptr) << l.status.message();

  const Result<const Tokenizer*> tokenizer = l.model->tokenizer();

  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::string text = "the rain in \xe2\x82\xac spain\n";
  const std::vector<Token> ids = tokenizer.value()->encode(text, {}).value();
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(tokenizer.value()->decode(ids, {.remove_special = true}).value(), text);
}

TEST(TinyModels, AreTheSameForTheSameSeed) {
  TinyModel other;
  other.seed = 2;

  EXPECT_EQ(testing::make_tiny_model({}), testing::make_tiny_model({}));
  EXPECT_NE(testing::make_tiny_model({}), testing::make_tiny_model(other));
}

// ---- files that are not quite right

TEST(Llama, RunsAFileOfAnotherNameWhenItIsForced) {
  testing::GgufWriter writer = testing::tiny_model_writer({});
  writer.set("general.architecture", "relative");
  for (testing::GgufWriter::Key& key : writer.keys) {
    if (key.name.starts_with("llama.")) key.name.replace(0, 5, "relative");
  }
  ModelOptions forced;
  forced.architecture = "llama";

  EXPECT_EQ(Loaded(writer.build()).status.code(), Code::arch);
  const Loaded l(writer.build(), forced);
  ASSERT_NE(l.model, nullptr) << l.status.message();
  EXPECT_EQ(session_logits(l.model, random_tokens(1, 8, 320), 64).size(), 8U * 320U);
}

TEST(Llama, WithMoreLayersThanTensorsNamesWhatIsMissing) {
  const Loaded l(testing::tiny_model_writer({}).set("llama.block_count", std::uint32_t{3}).build());

  EXPECT_EQ(l.status.code(), Code::tensor);
  EXPECT_NE(l.status.message().find("'blk.2.attn_q.weight' is missing"), std::string_view::npos) << l.status.message();
}

TEST(Llama, WithAnotherFfnWidthNamesBothShapes) {
  const Loaded l(testing::tiny_model_writer({}).set("llama.feed_forward_length", std::uint32_t{95}).build());

  EXPECT_EQ(l.status.code(), Code::tensor);
  EXPECT_NE(l.status.message().find("'blk.0.ffn_gate.weight' has shape [64, 96], expected [64, 95]"),
            std::string_view::npos)
      << l.status.message();
}

TEST(Llama, WithoutAnEmbeddingSaysSo) {
  const Loaded l(testing::tiny_model_writer({}).remove_tensor("token_embd.weight").build());

  EXPECT_EQ(l.status.code(), Code::tensor);
  EXPECT_EQ(l.status.subject(), "token_embd.weight");
}

TEST(Llama, WithNaNsInItsWeightsGivesAnErrorAndNothingWorse) {
  testing::GgufWriter writer = testing::tiny_model_writer({});
  std::vector<std::byte>& norm = writer.find_tensor("blk.1.attn_norm.weight")->data;
  std::fill(norm.begin(), norm.begin() + 4, std::byte{0xff});
  const Loaded l(writer.build());
  ASSERT_NE(l.model, nullptr) << l.status.message();

  const std::unique_ptr<Session> session = std::move(Session::create(l.model, {.n_ctx = 64})).value();
  const Status fed = session->feed(0, random_tokens(1, 40, 320), WantLogits::last, nullptr);
  EXPECT_EQ(fed.code(), Code::tensor) << fed.message();
  EXPECT_EQ(session->length(0), 0);
}

}  // namespace
}  // namespace infer
