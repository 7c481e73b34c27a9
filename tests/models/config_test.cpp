// SPDX-License-Identifier: MIT
// Hyper-parameters: what is read, what is assumed when the file does not say, and one refusal for each number outside
// its limits, which names key, value and limit.
#include "models/config.h"

#include <cmath>
#include <limits>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "models/architectures.h"

namespace infer {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t k2To31 = std::int64_t{1} << 31;

/// The least that a file must say.
ModelDescriptor good_model() {
  ModelDescriptor m;
  m.architecture = "llama";
  m.hyper.n_layers = 4;
  m.hyper.embedding_length = 64;
  m.hyper.feed_forward_length = {96};
  m.hyper.n_heads = {8};
  m.tensors.push_back({.name = "token_embd.weight", .dtype = DType::f32, .shape = {{64, 320, 1, 1}, 2}, .file = 0,
                       .offset = 0, .bytes = 64 * 320 * 4});
  return m;
}

/// Without asking for the warnings.
Result<DecoderConfig> read(const ModelDescriptor& m) {
  std::vector<std::string> warnings;
  return read_decoder_config(m, warnings);
}
Result<DecoderConfig> configure_llama(const ModelDescriptor& m) {
  std::vector<std::string> warnings;
  return architecture_llama.configure(m, warnings);
}

DecoderConfig config_of(const ModelDescriptor& m) {
  Result<DecoderConfig> c = read(m);
  EXPECT_TRUE(c.ok()) << c.status().message();
  return c.ok() ? c.value() : DecoderConfig{};
}

TEST(Config, ReadsWhatTheFileSays) {
  ModelDescriptor m = good_model();
  m.hyper.n_kv_heads = {2};
  m.hyper.key_length = 10;
  m.hyper.value_length = 6;
  m.hyper.context_length = 512;
  m.hyper.sliding_window = 16;
  m.hyper.rms_epsilon = 0.25;
  m.hyper.rope_dimensions = 8;
  m.hyper.rope_base = 5e5;

  const DecoderConfig c = config_of(m);

  EXPECT_EQ(c.n_layers, 4);
  EXPECT_EQ(c.n_embd, 64);
  EXPECT_EQ(c.n_ff, 96);
  EXPECT_EQ(c.n_heads, 8);
  EXPECT_EQ(c.n_kv_heads, 2);
  EXPECT_EQ(c.key_dim, 10);
  EXPECT_EQ(c.value_dim, 6);
  EXPECT_EQ(c.context_length, 512);
  EXPECT_EQ(c.sliding_window, 16);
  EXPECT_EQ(c.norm_eps, 0.25f);
  EXPECT_EQ(c.rope.n_rot, 8);
  EXPECT_EQ(c.rope.base, 5e5);
  EXPECT_EQ(c.n_vocab, 320);
}

TEST(Config, AssumesWhatTheFileLeavesOut) {
  const DecoderConfig c = config_of(good_model());

  EXPECT_EQ(c.n_kv_heads, 8);
  EXPECT_EQ(c.key_dim, 8);
  EXPECT_EQ(c.value_dim, 8);
  EXPECT_EQ(c.sliding_window, 0);
  EXPECT_EQ(c.rope.n_rot, 8);
  EXPECT_EQ(c.rope.base, 10000.0);
  EXPECT_EQ(c.rope.scaling, RopeScaling::none);
  EXPECT_EQ(c.rope.original_context, c.context_length);
}

TEST(Config, ScalesScoresByTheKeyLength) {
  ModelDescriptor m = good_model();
  m.hyper.key_length = 16;

  EXPECT_EQ(config_of(m).attention_scale, 0.25f);
}

TEST(Config, TakesOneValuePerLayerWhenAllAreTheSame) {
  ModelDescriptor m = good_model();
  m.hyper.n_heads = {8, 8, 8, 8};
  m.hyper.n_kv_heads = {4, 4, 4, 4};

  EXPECT_EQ(config_of(m).n_kv_heads, 4);
}

TEST(Config, NeedsNoMultipleOfTheHeadCountWhenHeadSizesAreGiven) {
  ModelDescriptor m = good_model();
  m.hyper.embedding_length = 60;
  m.hyper.key_length = 8;
  m.hyper.value_length = 8;

  EXPECT_EQ(config_of(m).key_dim, 8);
}

TEST(Config, TakesAFactorWithoutATypeAsLinear) {
  ModelDescriptor m = good_model();
  m.hyper.rope_factor = 4.0;

  EXPECT_EQ(config_of(m).rope.scaling, RopeScaling::linear);
  EXPECT_EQ(config_of(m).rope.factor, 4.0);
}

TEST(Config, ReadsYarn) {
  ModelDescriptor m = good_model();
  m.hyper.rope_scaling = "yarn";
  m.hyper.rope_factor = 4.0;
  m.hyper.rope_original_context = 64;
  m.hyper.yarn_beta_fast = 16.0;
  m.hyper.yarn_beta_slow = 2.0;
  m.hyper.rope_attn_factor = 0.5;

  const RopeConfig rope = config_of(m).rope;

  EXPECT_EQ(rope.scaling, RopeScaling::yarn);
  EXPECT_EQ(rope.original_context, 64);
  EXPECT_EQ(rope.beta_fast, 16.0);
  EXPECT_EQ(rope.beta_slow, 2.0);
  EXPECT_EQ(rope.attn_factor, 0.5);
}

/// What is odd but can be run is taken, and told.
struct Oddity {
  const char* name;
  void (*change)(ModelDescriptor& m);
  const char* warning;   ///< the whole of it; empty: none
};

void PrintTo(const Oddity& o, std::ostream* out) { *out << o.name; }

class ConfigTakes : public ::testing::TestWithParam<Oddity> {};

TEST_P(ConfigTakes, WithAWarning) {
  ModelDescriptor m = good_model();
  GetParam().change(m);
  std::vector<std::string> warnings;

  const Result<DecoderConfig> c = read_decoder_config(m, warnings);

  ASSERT_TRUE(c.ok()) << c.status().message();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0], GetParam().warning);
}

const Oddity kOddities[] = {
    {"AnEpsilonOfZero", [](ModelDescriptor& m) { m.hyper.rms_epsilon = 0.0; },
     "metadata 'llama.attention.layer_norm_rms_epsilon' = 0: the norm of a vector of zeros is not a number"},
    {"AnOriginalContextBeyondTheContext",
     [](ModelDescriptor& m) {
       m.hyper.context_length = 512;
       m.hyper.rope_original_context = 513;
     },
     "metadata 'llama.rope.scaling.original_context_length' = 513 is more than the context length 512"},
    {"AHugeContext", [](ModelDescriptor& m) { m.hyper.context_length = INT64_MAX; },
     "metadata 'llama.context_length' = 9223372036854775807 is taken as 1073741824"},
};

INSTANTIATE_TEST_SUITE_P(HyperParameters, ConfigTakes, ::testing::ValuesIn(kOddities),
                         [](const ::testing::TestParamInfo<Oddity>& test) { return std::string(test.param.name); });

TEST(Config, OfAGoodModelHasNoWarnings) {
  std::vector<std::string> warnings;
  EXPECT_TRUE(read_decoder_config(good_model(), warnings).ok());
  EXPECT_TRUE(warnings.empty());
}

struct Refusal {
  const char* name;
  void (*spoil)(ModelDescriptor& m);
  Code code;
  const char* key;      ///< without "llama."
  const char* value;    ///< words of the message: the offending value, and the limit
  const char* limit;
};

void PrintTo(const Refusal& r, std::ostream* out) { *out << r.name; }

class ConfigRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(ConfigRefuses, WithKeyValueAndLimit) {
  const Refusal& r = GetParam();
  ModelDescriptor m = good_model();
  r.spoil(m);

  const Result<DecoderConfig> c = read(m);

  ASSERT_FALSE(c.ok());
  const std::string message(c.status().message());
  const std::string key = std::string("llama.") + r.key;
  EXPECT_EQ(code_name(c.status().code()), std::string(code_name(r.code))) << message;
  EXPECT_EQ(c.status().subject(), key);
  EXPECT_NE(message.find("'" + key + "'"), std::string::npos) << message;
  EXPECT_NE(message.find(r.value), std::string::npos) << message;
  EXPECT_NE(message.find(r.limit), std::string::npos) << message;
}

using M = ModelDescriptor;

const Refusal kRefusals[] = {
    {"NoLayerCount", [](M& m) { m.hyper.n_layers.reset(); }, Code::metadata, "block_count", "missing", ""},
    {"NoLayers", [](M& m) { m.hyper.n_layers = 0; }, Code::metadata, "block_count", "= 0 ", "1..1024"},
    {"NegativeLayers", [](M& m) { m.hyper.n_layers = -1; }, Code::limit, "block_count", "= -1 ", "1..1024"},
    {"TooManyLayers", [](M& m) { m.hyper.n_layers = 1025; }, Code::limit, "block_count", "= 1025 ", "1..1024"},
    {"AbsurdlyManyLayers", [](M& m) { m.hyper.n_layers = INT64_MAX; },
     Code::limit, "block_count", "= 9223372036854775807 ", "1..1024"},
    {"NoWidth", [](M& m) { m.hyper.embedding_length.reset(); }, Code::metadata, "embedding_length", "missing", ""},
    {"ZeroWidth", [](M& m) { m.hyper.embedding_length = 0; }, Code::metadata, "embedding_length", "= 0 ", "1..1048576"},
    {"HugeWidth", [](M& m) { m.hyper.embedding_length = k2To31; },
     Code::metadata, "embedding_length", "= 2147483648 ", "1..1048576"},
    {"WidthThatHeadsDoNotDivide", [](M& m) { m.hyper.embedding_length = 63; },
     Code::metadata, "embedding_length", "= 63 ", "head count 8"},
    {"WidthThatHeadsDoNotDivideAndOneHeadSize",
     [](M& m) {
       m.hyper.embedding_length = 63;
       m.hyper.key_length = 8;
     },
     Code::metadata, "embedding_length", "= 63 ", "head count 8"},
    {"NoFfnWidth", [](M& m) { m.hyper.feed_forward_length.clear(); },
     Code::metadata, "feed_forward_length", "missing", ""},
    {"ZeroFfnWidth", [](M& m) { m.hyper.feed_forward_length = {0}; },
     Code::metadata, "feed_forward_length", "= 0 ", "1..1048576"},
    {"HugeFfnWidth", [](M& m) { m.hyper.feed_forward_length = {k2To31}; },
     Code::metadata, "feed_forward_length", "= 2147483648 ", "1..1048576"},
    {"FfnListOfTheWrongLength", [](M& m) { m.hyper.feed_forward_length = {96, 96, 96}; },
     Code::metadata, "feed_forward_length", "3 values", "4 layers"},
    {"FfnWidthsThatDiffer", [](M& m) { m.hyper.feed_forward_length = {96, 96, 64, 96}; },
     Code::unsupported, "feed_forward_length", "96 and 64", "layers"},
    {"NoHeadCount", [](M& m) { m.hyper.n_heads.clear(); }, Code::metadata, "attention.head_count", "missing", ""},
    {"ZeroHeads", [](M& m) { m.hyper.n_heads = {0}; }, Code::metadata, "attention.head_count", "= 0 ", "1..8192"},
    {"NegativeHeads", [](M& m) { m.hyper.n_heads = {-8}; }, Code::metadata, "attention.head_count", "= -8 ", "1..8192"},
    {"TooManyHeads", [](M& m) { m.hyper.n_heads = {8193}; }, Code::metadata, "attention.head_count", "= 8193 ", "1..8192"},
    {"HeadListTooShort", [](M& m) { m.hyper.n_heads = {8, 8}; },
     Code::metadata, "attention.head_count", "2 values", "4 layers"},
    {"HeadListTooLong", [](M& m) { m.hyper.n_heads = {8, 8, 8, 8, 8}; },
     Code::metadata, "attention.head_count", "5 values", "4 layers"},
    {"HeadListOfZeros", [](M& m) { m.hyper.n_heads = {0, 0, 0, 0}; },
     Code::metadata, "attention.head_count", "= 0 ", "1..8192"},
    {"HeadListWithAZero", [](M& m) { m.hyper.n_heads = {8, 8, 0, 8}; },
     Code::metadata, "attention.head_count", "of layer 2 = 0 ", "1..8192"},
    {"KvHeadListWithAZero", [](M& m) { m.hyper.n_kv_heads = {8, 0, 8, 8}; },
     Code::metadata, "attention.head_count_kv", "of layer 1 = 0 ", "1..8192"},
    {"ZeroKvHeads", [](M& m) { m.hyper.n_kv_heads = {0}; },
     Code::metadata, "attention.head_count_kv", "= 0 ", "1..8192"},
    {"KvHeadsThatDoNotDivide", [](M& m) { m.hyper.n_kv_heads = {3}; },
     Code::metadata, "attention.head_count_kv", "= 3 ", "head count 8"},
    {"MoreKvHeadsThanHeads", [](M& m) { m.hyper.n_kv_heads = {16}; },
     Code::metadata, "attention.head_count_kv", "= 16 ", "head count 8"},
    {"ZeroKeyLength", [](M& m) { m.hyper.key_length = 0; }, Code::metadata, "attention.key_length", "= 0 ", "2..8192"},
    {"OddKeyLength", [](M& m) { m.hyper.key_length = 9; }, Code::metadata, "attention.key_length", "= 9 ", "pairs"},
    {"HugeKeyLength", [](M& m) { m.hyper.key_length = k2To31; },
     Code::metadata, "attention.key_length", "= 2147483648 ", "2..8192"},
    {"OddHeadSize", [](M& m) { m.hyper.embedding_length = 72; },
     Code::metadata, "attention.key_length", "= 9 ", "pairs"},
    {"ZeroValueLength", [](M& m) { m.hyper.value_length = 0; },
     Code::metadata, "attention.value_length", "= 0 ", "1..8192"},
    {"HugeValueLength", [](M& m) { m.hyper.value_length = k2To31; },
     Code::metadata, "attention.value_length", "= 2147483648 ", "1..8192"},
    {"ZeroContext", [](M& m) { m.hyper.context_length = 0; },
     Code::metadata, "context_length", "= 0 ", "1..9223372036854775807"},
    {"NegativeContext", [](M& m) { m.hyper.context_length = -1; },
     Code::metadata, "context_length", "= -1 ", "1..9223372036854775807"},
    {"NegativeWindow", [](M& m) { m.hyper.sliding_window = -1; },
     Code::metadata, "attention.sliding_window", "= -1 ", "0..1073741824"},
    {"HugeWindow", [](M& m) { m.hyper.sliding_window = INT64_MAX; },
     Code::metadata, "attention.sliding_window", "= 9223372036854775807 ", "0..1073741824"},
    {"NegativeEpsilon", [](M& m) { m.hyper.rms_epsilon = -1e-5; },
     Code::metadata, "attention.layer_norm_rms_epsilon", "= -1e-05 ", "0..1"},
    {"NanEpsilon", [](M& m) { m.hyper.rms_epsilon = kNaN; },
     Code::metadata, "attention.layer_norm_rms_epsilon", "= nan ", "0..1"},
    {"HugeEpsilon", [](M& m) { m.hyper.rms_epsilon = 1e30; },
     Code::metadata, "attention.layer_norm_rms_epsilon", "= 1e+30 ", "0..1"},
    {"ZeroRotation", [](M& m) { m.hyper.rope_dimensions = 0; },
     Code::metadata, "rope.dimension_count", "= 0 ", "2..8192"},
    {"OddRotation", [](M& m) { m.hyper.rope_dimensions = 7; }, Code::metadata, "rope.dimension_count", "= 7 ", "pairs"},
    {"RotationBeyondTheHead", [](M& m) { m.hyper.rope_dimensions = 10; },
     Code::metadata, "rope.dimension_count", "= 10 ", "key length 8"},
    {"ZeroRopeBase", [](M& m) { m.hyper.rope_base = 0.0; },
     Code::metadata, "rope.freq_base", "= 0 ", "1.001..1000000000000000"},
    {"NegativeRopeBase", [](M& m) { m.hyper.rope_base = -10000.0; },
     Code::metadata, "rope.freq_base", "= -10000 ", "1.001..1000000000000000"},
    {"NanRopeBase", [](M& m) { m.hyper.rope_base = kNaN; },
     Code::metadata, "rope.freq_base", "= nan ", "1.001..1000000000000000"},
    {"HugeRopeBase", [](M& m) { m.hyper.rope_base = 1e308; },
     Code::metadata, "rope.freq_base", "= 1e+308 ", "1.001..1000000000000000"},
    {"ZeroRopeFactor", [](M& m) { m.hyper.rope_factor = 0.0; },
     Code::metadata, "rope.scaling.factor", "= 0 ", "1e-06..1000000"},
    {"NegativeRopeFactor", [](M& m) { m.hyper.rope_factor = -4.0; },
     Code::metadata, "rope.scaling.factor", "= -4 ", "1e-06..1000000"},
    {"NanRopeFactor", [](M& m) { m.hyper.rope_factor = kNaN; },
     Code::metadata, "rope.scaling.factor", "= nan ", "1e-06..1000000"},
    {"InfiniteRopeFactor", [](M& m) { m.hyper.rope_factor = kInfinity; },
     Code::metadata, "rope.scaling.factor", "= inf ", "1e-06..1000000"},
    {"UnknownRopeScaling", [](M& m) { m.hyper.rope_scaling = "su"; },
     Code::unsupported, "rope.scaling.type", "'su'", "none, linear, yarn"},
    {"ZeroOriginalContext", [](M& m) { m.hyper.rope_original_context = 0; },
     Code::metadata, "rope.scaling.original_context_length", "= 0 ", "1..1073741824"},
    {"NanAttentionFactor", [](M& m) { m.hyper.rope_attn_factor = kNaN; },
     Code::metadata, "rope.scaling.attn_factor", "= nan ", "1e-06..1000000"},
    {"ZeroYarnBetaFast", [](M& m) { m.hyper.yarn_beta_fast = 0.0; },
     Code::metadata, "rope.scaling.yarn_beta_fast", "= 0 ", "1e-06..1000000"},
    {"NanYarnBetaSlow", [](M& m) { m.hyper.yarn_beta_slow = kNaN; },
     Code::metadata, "rope.scaling.yarn_beta_slow", "= nan ", "1e-06..1000000"},
    {"HugeVocabulary", [](M& m) { m.tensors[0].shape.dims[1] = k2To31; },
     Code::limit, "vocab_size", "= 2147483648 ", "1..16777216"},
};

std::string test_name(const ::testing::TestParamInfo<Refusal>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(HyperParameters, ConfigRefuses, ::testing::ValuesIn(kRefusals), test_name);

TEST(Config, ReportsTheFirstOfSeveralFaults) {
  ModelDescriptor m = good_model();
  m.hyper.n_layers = 0;
  m.hyper.rope_base = kNaN;

  EXPECT_EQ(read(m).status().subject(), "llama.block_count");
}

TEST(Config, OfAnEmptyDescriptorIsRefused) {
  EXPECT_EQ(read(ModelDescriptor()).status().code(), Code::metadata);
}

TEST(LlamaConfig, RotatesNeighbouringPairs) {
  EXPECT_EQ(configure_llama(good_model()).value().rope.style, RopeStyle::interleaved);
}

TEST(LlamaConfig, TakesAnExpertCountOfZero) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 0;

  EXPECT_TRUE(configure_llama(m).ok());
}

TEST(LlamaConfig, RefusesExperts) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 8;
  m.tensors.push_back({.name = "blk.0.ffn_gate_inp.weight", .dtype = DType::f32, .shape = {{64, 8, 1, 1}, 2}, .file = 0,
                       .offset = 0, .bytes = 64 * 8 * 4});

  const Result<DecoderConfig> c = configure_llama(m);

  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.status().code(), Code::unsupported);
  EXPECT_EQ(c.status().subject(), "llama.expert_count");
  EXPECT_NE(c.status().message().find("8 experts"), std::string_view::npos);
}

TEST(LlamaConfig, RefusesExpertsThatCannotBe) {
  struct Case {
    std::int64_t n;
    std::optional<std::int64_t> n_used;
    Code code;
    const char* message;
  };
  const Case cases[] = {
      {k2To31, {}, Code::limit, "metadata 'llama.expert_count' = 2147483648 is outside 0..1024"},
      {-1, {}, Code::limit, "metadata 'llama.expert_count' = -1 is outside 0..1024"},
      {8, 0, Code::metadata, "metadata 'llama.expert_used_count' = 0 is outside 1..8"},
      {8, 9, Code::metadata, "metadata 'llama.expert_used_count' = 9 is outside 1..8"},
      {8, 2, Code::tensor,
       "tensor 'blk.0.ffn_gate_inp.weight' is missing: metadata 'llama.expert_count' = 8 announces experts"},
  };
  for (const Case& test : cases) {
    ModelDescriptor m = good_model();
    m.hyper.n_experts = test.n;
    m.hyper.n_experts_used = test.n_used;
    const Result<DecoderConfig> c = configure_llama(m);
    ASSERT_FALSE(c.ok()) << test.message;
    EXPECT_EQ(c.status().code(), test.code);
    EXPECT_EQ(c.status().message(), test.message);
  }
}

}  // namespace
}  // namespace infer
