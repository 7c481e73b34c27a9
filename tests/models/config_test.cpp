// SPDX-License-Identifier: MIT
// Hyper-parameters: what is read, what is assumed when the file does not say, and one refusal for each number outside
// its limits, which names key, value and limit.
#include "models/config.h"

#include <cmath>
#include <functional>
#include <limits>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "models/architectures.h"
#include "models/blocks/blocks.h"

namespace infer {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t k2To31 = std::int64_t{1} << 31;

/// The least that a file must say, and an epsilon, without which there is a warning.
ModelDescriptor good_model() {
  ModelDescriptor m;
  m.architecture = m.key_prefix = "llama";
  m.hyper.n_layers = 4;
  m.hyper.embedding_length = 64;
  m.hyper.feed_forward_length = {96};
  m.hyper.n_heads = {8};
  m.hyper.rms_epsilon = 1e-5;
  m.tensors.push_back({.name = "token_embd.weight", .dtype = DType::f32, .shape = {{64, 320, 1, 1}, 2}, .file = 0,
                       .offset = 0, .bytes = 64 * 320 * 4});
  return m;
}

/// A family that may have everything.
constexpr Family kRich = {
    .local_rope = true, .experts = Experts::allowed, .shared_expert = true};

/// Without asking for the warnings.
Result<DecoderConfig> read(const ModelDescriptor& m, const Family& family = kRich) {
  std::vector<std::string> warnings;
  return read_decoder_config(m, family, warnings);
}

DecoderConfig value_of(Result<DecoderConfig> c) {
  EXPECT_TRUE(c.ok()) << c.status().message();
  return c.ok() ? std::move(c).value() : DecoderConfig{};
}
DecoderConfig config_of(const ModelDescriptor& m, const Family& family = kRich) { return value_of(read(m, family)); }

/// What an architecture makes of the same numbers under its own name.
Result<DecoderConfig> configure(const Architecture& architecture, ModelDescriptor m) {
  m.architecture = m.key_prefix = architecture.names[0];
  std::vector<std::string> warnings;
  return architecture.configure(m, warnings);
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

TEST(Config, TakesAFactorOfZeroForNone) {
  ModelDescriptor m = good_model();
  m.hyper.rope_factor = 0.0;
  EXPECT_EQ(config_of(m).rope.scaling, RopeScaling::none);
  EXPECT_EQ(config_of(m).rope.factor, 1.0);
  m.hyper.rope_scaling = "yarn";
  EXPECT_EQ(config_of(m).rope.scaling, RopeScaling::yarn);
  EXPECT_EQ(config_of(m).rope.factor, 1.0);
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
  EXPECT_EQ(rope.log_multiplier, 0.0);
}

TEST(Config, ReadsTheLogMultiplierOfYarn) {
  ModelDescriptor m = good_model();
  m.hyper.yarn_log_multiplier = 0.0;
  EXPECT_EQ(config_of(m).rope.log_multiplier, 0.0);

  m.hyper.yarn_log_multiplier = 0.1;
  EXPECT_EQ(config_of(m).rope.log_multiplier, 0.1);
}

TEST(Config, ReadsTheMagnitudeOfYarn) {
  ModelDescriptor m = good_model();
  m.hyper.rope_scaling = "yarn";
  m.hyper.rope_factor = 8.0;
  m.hyper.rope_original_context = 32;
  const auto magnitude = [&](double value, bool is_told) {
    m.hyper.yarn_attn_factor = value;
    std::vector<std::string> warnings;
    const Result<DecoderConfig> c = read_decoder_config(m, kRich, warnings);
    EXPECT_TRUE(c.ok()) << c.status().message();
    const std::string said = ::testing::PrintToString(warnings);
    EXPECT_EQ(said.find("rope.scaling.yarn_attn_factor") != std::string::npos, is_told) << said;
    return c.value().rope.yarn_magnitude;
  };
  EXPECT_EQ(magnitude(1.0, false), std::nullopt) << "what some write for none";
  EXPECT_EQ(magnitude(1.20794, false), 1.20794) << "what follows from the factor";
  EXPECT_EQ(magnitude(1.5, true), 1.5);

  m.hyper.rope_scaling = "linear";
  EXPECT_EQ(magnitude(1.0, false), std::nullopt);
  EXPECT_EQ(magnitude(1.5, true), std::nullopt) << "not used";
}

TEST(Config, ReadsTheExtrapolationOfYarn) {
  ModelDescriptor m = good_model();
  m.hyper.rope_scaling = "yarn";
  EXPECT_EQ(config_of(m).rope.extrapolation, 1.0);
  m.hyper.yarn_ext_factor = 0.5;
  EXPECT_EQ(config_of(m).rope.extrapolation, 0.5);
  m.hyper.yarn_ext_factor = -1.0;
  EXPECT_EQ(config_of(m).rope.extrapolation, 1.0) << "what some write for none";
  m.hyper.yarn_ext_factor = 0.5;
  m.hyper.rope_scaling = "linear";
  EXPECT_EQ(config_of(m).rope.extrapolation, 1.0);
}

TEST(Config, ReadsLongRope) {
  ModelDescriptor m = good_model();
  m.hyper.rope_scaling = "longrope";
  m.hyper.rope_attn_factor = 1.19;

  EXPECT_EQ(config_of(m).rope.scaling, RopeScaling::longrope);
  EXPECT_EQ(config_of(m).rope.attn_factor, 1.19);
}

TEST(Config, OfAFamilyWithoutRotationHasNone) {
  ModelDescriptor m = good_model();
  m.hyper.key_length = 9;
  m.hyper.value_length = 9;

  EXPECT_EQ(config_of(m, {.rotary = false}).rope.n_rot, 0);
}

TEST(Config, TakesTheEpsilonThatTheFileHas) {
  ModelDescriptor m = good_model();
  m.hyper.rms_epsilon.reset();
  EXPECT_EQ(config_of(m).norm_eps, 1e-5f);

  m.hyper.norm_epsilon = 0.5;
  EXPECT_EQ(config_of(m).norm_eps, 0.5f);

  m.hyper.rms_epsilon = 0.25;
  EXPECT_EQ(config_of(m).norm_eps, 0.25f);
}

TEST(Config, ReadsFactorsAndCapsOfScores) {
  ModelDescriptor m = good_model();
  EXPECT_EQ(config_of(m).attention_softcap, 0.0f);
  EXPECT_EQ(config_of(m).final_softcap, 0.0f);

  m.hyper.attention_scale = 0.0625;
  m.hyper.attention_softcap = 50.0;
  m.hyper.final_softcap = 30.0;

  EXPECT_EQ(config_of(m).attention_scale, 0.0625f);
  EXPECT_EQ(config_of(m).attention_softcap, 50.0f);
  EXPECT_EQ(config_of(m).final_softcap, 30.0f);
}

TEST(Config, ReadsTheTemperatureOfScores) {
  ModelDescriptor m = good_model();
  m.hyper.rope_original_context = 64;
  EXPECT_EQ(config_of(m).temperature_scale, 0.0f);
  EXPECT_EQ(config_of(m).temperature_length, 64);

  m.hyper.temperature_scale = 0.1;
  m.hyper.temperature_length = 32;

  EXPECT_EQ(config_of(m).temperature_scale, 0.1f);
  EXPECT_EQ(config_of(m).temperature_length, 32);
}

TEST(Config, HoldsAWindowForAllLayersWhereNothingElseIsSaid) {
  ModelDescriptor m = good_model();
  EXPECT_EQ(config_of(m).local, std::vector<bool>(4, false));

  m.hyper.sliding_window = 16;

  EXPECT_EQ(config_of(m).local, std::vector<bool>(4, true));
  EXPECT_EQ(config_of(m).window(3), 16);
}

TEST(Config, HoldsAWindowForLayersByThePeriod) {
  using Layers = std::vector<bool>;
  ModelDescriptor m = good_model();
  m.hyper.sliding_window = 16;
  EXPECT_EQ(config_of(m, {.window_period = 2}).local, (Layers{true, false, true, false}));

  m.hyper.window_period = 3;
  EXPECT_EQ(config_of(m, {.window_period = 2}).local, (Layers{true, true, false, true}));

  m.hyper.window_period = 1;
  EXPECT_EQ(config_of(m).local, Layers(4, false));

  m.hyper.window_period = 0;
  EXPECT_EQ(config_of(m, {.window_period = 2}).local, Layers(4, true));
}

TEST(Config, HoldsAWindowForTheLayersOfAList) {
  ModelDescriptor m = good_model();
  m.hyper.sliding_window = 16;
  m.hyper.window_layers = {false, true, true, false};
  EXPECT_EQ(config_of(m, {.window_period = 2}).local, m.hyper.window_layers);
  EXPECT_EQ(config_of(m).window(0), 0);
  EXPECT_EQ(config_of(m).window(1), 16);

  m.hyper.sliding_window = 0;   // no window, whatever the list says
  EXPECT_EQ(config_of(m).local, std::vector<bool>(4, false));
}

TEST(Config, GivesLayersWithAWindowARotationOfTheirOwn) {
  ModelDescriptor m = good_model();
  m.hyper.rope_base = 1e6;
  m.hyper.rope_factor = 8.0;
  EXPECT_FALSE(config_of(m).local_rope.has_value());

  m.hyper.sliding_window = 16;
  EXPECT_FALSE(config_of(m, {}).local_rope.has_value());
  ASSERT_TRUE(config_of(m).local_rope.has_value());
  EXPECT_EQ(config_of(m).local_rope->base, 10000.0);
  EXPECT_EQ(config_of(m).local_rope->n_rot, 8);
  EXPECT_EQ(config_of(m).local_rope->scaling, RopeScaling::none);
  EXPECT_EQ(config_of(m).local_rope->factor, 1.0);

  m.hyper.rope_base_local = 500.0;
  EXPECT_EQ(config_of(m).local_rope->base, 500.0);
  EXPECT_EQ(config_of(m).rope.base, 1e6);
}

TEST(Config, ReadsExperts) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 2;
  ExpertConfig e = config_of(m).experts;
  EXPECT_EQ(e.n, 8);
  EXPECT_EQ(e.n_used, 2);
  EXPECT_EQ(e.n_ff, 96);
  EXPECT_EQ(e.n_ff_shared, 96);
  EXPECT_EQ(e.route, &route_softmax);
  EXPECT_TRUE(e.renormalise);
  EXPECT_EQ(e.scale, 1.0f);

  m.hyper.expert_feed_forward_length = 24;
  m.hyper.shared_expert_feed_forward_length = 48;
  m.hyper.expert_weights_norm = false;
  m.hyper.expert_weights_scale = 2.5;
  e = config_of(m).experts;
  EXPECT_EQ(e.n_ff, 24);
  EXPECT_EQ(e.n_ff_shared, 48);
  EXPECT_FALSE(e.renormalise);
  EXPECT_EQ(e.scale, 2.5f);
}

TEST(Config, NeedsNoWidthWhereNoLayerHasADenseBlock) {
  ModelDescriptor m = good_model();
  const auto refused = [&](const Family& family) { return read(m, family).status().subject() == "llama.feed_forward_length"; };
  m.hyper.feed_forward_length.clear();
  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 2;
  EXPECT_TRUE(refused({.experts = Experts::allowed})) << "the experts' width is that";
  m.hyper.expert_feed_forward_length = 24;
  EXPECT_EQ(config_of(m, {.experts = Experts::allowed}).n_ff, 0);
  EXPECT_EQ(config_of(m, {.experts = Experts::allowed}).experts.n_ff, 24);

  EXPECT_TRUE(refused({.experts = Experts::required, .shared_expert = true})) << "the shared expert's width is that";
  m.hyper.shared_expert_feed_forward_length = 48;
  EXPECT_EQ(config_of(m, {.experts = Experts::required, .shared_expert = true}).experts.n_ff_shared, 48);
  m.hyper.n_experts = 0;
  EXPECT_TRUE(refused({.experts = Experts::allowed}));
}

TEST(Config, OfAFamilyWithoutASharedExpertHasNone) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 2;
  m.hyper.shared_expert_feed_forward_length = 48;

  EXPECT_EQ(config_of(m, {.experts = Experts::allowed}).experts.n_ff_shared, 0);
}

TEST(Config, OfAFamilyWithoutExpertsRefusesThem) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 0;
  EXPECT_EQ(config_of(m, {}).experts.n, 0);

  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 2;
  const Status s = read(m, {}).status();

  EXPECT_EQ(s.code(), Code::unsupported);
  EXPECT_EQ(s.subject(), "llama.expert_count");
  EXPECT_EQ(s.message(), "metadata 'llama.expert_count' = 8: this architecture has no experts");
}

TEST(Config, OfAFamilyOfExpertsRequiresThem) {
  ModelDescriptor m = good_model();
  for (const std::int64_t n : {-1, 0}) {   // -1: the file does not say
    if (n == 0) m.hyper.n_experts = n;
    const Status s = read(m, {.experts = Experts::required}).status();
    EXPECT_EQ(s.code(), Code::metadata);
    EXPECT_EQ(s.subject(), "llama.expert_count");
  }
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

  const Result<DecoderConfig> c = read_decoder_config(m, kRich, warnings);

  ASSERT_TRUE(c.ok()) << c.status().message();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0], GetParam().warning);
}

const Oddity kOddities[] = {
    {"NoEpsilon", [](ModelDescriptor& m) { m.hyper.rms_epsilon.reset(); },
     "metadata 'llama.attention.layer_norm_rms_epsilon' is missing; taken as 1e-05"},
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
  EXPECT_TRUE(read_decoder_config(good_model(), kRich, warnings).ok());
  EXPECT_TRUE(warnings.empty());
}

using Spoil = std::function<void(ModelDescriptor& m)>;

/// A model with experts, spoilt.
Spoil with_experts(Spoil spoil) {
  return [spoil](ModelDescriptor& m) {
    m.hyper.n_experts = 8;
    m.hyper.n_experts_used = 2;
    spoil(m);
  };
}

struct Refusal {
  const char* name;
  Spoil spoil;
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
    {"TinyRopeFactor", [](M& m) { m.hyper.rope_factor = 1e-7; },
     Code::metadata, "rope.scaling.factor", "= 1e-07 ", "1e-06..1000000"},
    {"NegativeRopeFactor", [](M& m) { m.hyper.rope_factor = -4.0; },
     Code::metadata, "rope.scaling.factor", "= -4 ", "1e-06..1000000"},
    {"NanRopeFactor", [](M& m) { m.hyper.rope_factor = kNaN; },
     Code::metadata, "rope.scaling.factor", "= nan ", "1e-06..1000000"},
    {"InfiniteRopeFactor", [](M& m) { m.hyper.rope_factor = kInfinity; },
     Code::metadata, "rope.scaling.factor", "= inf ", "1e-06..1000000"},
    {"UnknownRopeScaling", [](M& m) { m.hyper.rope_scaling = "su"; },
     Code::unsupported, "rope.scaling.type", "'su'", "none, linear, yarn, longrope"},
    {"ZeroOriginalContext", [](M& m) { m.hyper.rope_original_context = 0; },
     Code::metadata, "rope.scaling.original_context_length", "= 0 ", "1..1073741824"},
    {"NanAttentionFactor", [](M& m) { m.hyper.rope_attn_factor = kNaN; },
     Code::metadata, "rope.scaling.attn_factor", "= nan ", "1e-06..1000000"},
    {"ZeroYarnBetaFast", [](M& m) { m.hyper.yarn_beta_fast = 0.0; },
     Code::metadata, "rope.scaling.yarn_beta_fast", "= 0 ", "1e-06..1000000"},
    {"NanYarnBetaSlow", [](M& m) { m.hyper.yarn_beta_slow = kNaN; },
     Code::metadata, "rope.scaling.yarn_beta_slow", "= nan ", "1e-06..1000000"},
    {"NegativeYarnLogMultiplier", [](M& m) { m.hyper.yarn_log_multiplier = -0.1; },
     Code::metadata, "rope.scaling.yarn_log_multiplier", "= -0.1 ", "0..1000000"},
    {"NanYarnLogMultiplier", [](M& m) { m.hyper.yarn_log_multiplier = kNaN; },
     Code::metadata, "rope.scaling.yarn_log_multiplier", "= nan ", "0..1000000"},
    {"ZeroYarnMagnitude", [](M& m) { m.hyper.rope_scaling = "yarn", m.hyper.yarn_attn_factor = 0.0; },
     Code::metadata, "rope.scaling.yarn_attn_factor", "= 0 ", "1e-06..1000000"},
    {"NanYarnMagnitude", [](M& m) { m.hyper.rope_scaling = "yarn", m.hyper.yarn_attn_factor = kNaN; },
     Code::metadata, "rope.scaling.yarn_attn_factor", "= nan ", "1e-06..1000000"},
    {"ZeroYarnExtrapolation", [](M& m) { m.hyper.rope_scaling = "yarn", m.hyper.yarn_ext_factor = 0.0; },
     Code::unsupported, "rope.scaling.yarn_ext_factor", "= 0", "up to 1"},
    {"HugeYarnExtrapolation", [](M& m) { m.hyper.rope_scaling = "yarn", m.hyper.yarn_ext_factor = 2.0; },
     Code::metadata, "rope.scaling.yarn_ext_factor", "= 2 ", "1e-06..1"},
    {"NanYarnExtrapolation", [](M& m) { m.hyper.rope_scaling = "yarn", m.hyper.yarn_ext_factor = kNaN; },
     Code::metadata, "rope.scaling.yarn_ext_factor", "= nan ", "1e-06..1"},
    {"ZeroLocalRopeBase",
     [](M& m) {
       m.hyper.sliding_window = 16;
       m.hyper.rope_base_local = 0.0;
     },
     Code::metadata, "rope.freq_base_swa", "= 0 ", "1.001..1000000000000000"},
    {"NanLocalRopeBase",
     [](M& m) {
       m.hyper.sliding_window = 16;
       m.hyper.rope_base_local = kNaN;
     },
     Code::metadata, "rope.freq_base_swa", "= nan ", "1.001..1000000000000000"},
    {"NegativeWindowPeriod",
     [](M& m) {
       m.hyper.sliding_window = 16;
       m.hyper.window_period = -1;
     },
     Code::metadata, "attention.sliding_window_pattern", "= -1 ", "0..1024"},
    {"HugeWindowPeriod",
     [](M& m) {
       m.hyper.sliding_window = 16;
       m.hyper.window_period = 1025;
     },
     Code::metadata, "attention.sliding_window_pattern", "= 1025 ", "0..1024"},
    {"WindowListTooShort",
     [](M& m) {
       m.hyper.sliding_window = 16;
       m.hyper.window_layers = {true, false, true};
     },
     Code::metadata, "attention.sliding_window_pattern", "3 values", "4 layers"},
    {"WindowListTooLong",
     [](M& m) {
       m.hyper.sliding_window = 16;
       m.hyper.window_layers = std::vector<bool>(5, true);
     },
     Code::metadata, "attention.sliding_window_pattern", "5 values", "4 layers"},
    {"NegativeNormEpsilon",
     [](M& m) {
       m.hyper.rms_epsilon.reset();
       m.hyper.norm_epsilon = -1e-5;
     },
     Code::metadata, "attention.layer_norm_epsilon", "= -1e-05 ", "0..1"},
    {"ZeroAttentionScale", [](M& m) { m.hyper.attention_scale = 0.0; },
     Code::metadata, "attention.scale", "= 0 ", "1e-06..1000000"},
    {"NanAttentionScale", [](M& m) { m.hyper.attention_scale = kNaN; },
     Code::metadata, "attention.scale", "= nan ", "1e-06..1000000"},
    {"InfiniteAttentionScale", [](M& m) { m.hyper.attention_scale = kInfinity; },
     Code::metadata, "attention.scale", "= inf ", "1e-06..1000000"},
    {"ZeroAttentionSoftcap", [](M& m) { m.hyper.attention_softcap = 0.0; },
     Code::metadata, "attn_logit_softcapping", "= 0 ", "1e-06..1000000"},
    {"NegativeAttentionSoftcap", [](M& m) { m.hyper.attention_softcap = -50.0; },
     Code::metadata, "attn_logit_softcapping", "= -50 ", "1e-06..1000000"},
    {"NanAttentionSoftcap", [](M& m) { m.hyper.attention_softcap = kNaN; },
     Code::metadata, "attn_logit_softcapping", "= nan ", "1e-06..1000000"},
    {"HugeAttentionSoftcap", [](M& m) { m.hyper.attention_softcap = 1e7; },
     Code::metadata, "attn_logit_softcapping", "= 10000000 ", "1e-06..1000000"},
    {"ZeroFinalSoftcap", [](M& m) { m.hyper.final_softcap = 0.0; },
     Code::metadata, "final_logit_softcapping", "= 0 ", "1e-06..1000000"},
    {"NegativeFinalSoftcap", [](M& m) { m.hyper.final_softcap = -30.0; },
     Code::metadata, "final_logit_softcapping", "= -30 ", "1e-06..1000000"},
    {"NanFinalSoftcap", [](M& m) { m.hyper.final_softcap = kNaN; },
     Code::metadata, "final_logit_softcapping", "= nan ", "1e-06..1000000"},
    {"HugeFinalSoftcap", [](M& m) { m.hyper.final_softcap = 1e7; },
     Code::metadata, "final_logit_softcapping", "= 10000000 ", "1e-06..1000000"},
    {"NegativeTemperature", [](M& m) { m.hyper.temperature_scale = -0.1; },
     Code::metadata, "attention.temperature_scale", "= -0.1 ", "0..1000000"},
    {"NanTemperature", [](M& m) { m.hyper.temperature_scale = kNaN; },
     Code::metadata, "attention.temperature_scale", "= nan ", "0..1000000"},
    {"ZeroTemperatureLength", [](M& m) { m.hyper.temperature_length = 0; },
     Code::metadata, "attention.temperature_length", "= 0 ", "1..1073741824"},
    {"HugeTemperatureLength", [](M& m) { m.hyper.temperature_length = INT64_MAX; },
     Code::metadata, "attention.temperature_length", "= 9223372036854775807 ", "1..1073741824"},
    {"TooManyExperts", with_experts([](M& m) { m.hyper.n_experts = k2To31; }),
     Code::limit, "expert_count", "= 2147483648 ", "0..1024"},
    {"NegativeExperts", with_experts([](M& m) { m.hyper.n_experts = -1; }),
     Code::limit, "expert_count", "= -1 ", "0..1024"},
    {"TooManyExpertsInAll",
     with_experts([](M& m) {
       m.hyper.n_experts = 1024;
       m.hyper.n_layers = 65;
     }),
     Code::limit, "expert_count", "= 1024 in 65 layers", "24576"},
    {"NoUsedExperts", with_experts([](M& m) { m.hyper.n_experts_used.reset(); }),
     Code::metadata, "expert_used_count", "missing", ""},
    {"ZeroUsedExperts", with_experts([](M& m) { m.hyper.n_experts_used = 0; }),
     Code::metadata, "expert_used_count", "= 0 ", "1..8"},
    {"MoreUsedExpertsThanExperts", with_experts([](M& m) { m.hyper.n_experts_used = 9; }),
     Code::metadata, "expert_used_count", "= 9 ", "1..8"},
    {"ZeroExpertWidth", with_experts([](M& m) { m.hyper.expert_feed_forward_length = 0; }),
     Code::metadata, "expert_feed_forward_length", "= 0 ", "1..1048576"},
    {"HugeExpertWidth", with_experts([](M& m) { m.hyper.expert_feed_forward_length = k2To31; }),
     Code::metadata, "expert_feed_forward_length", "= 2147483648 ", "1..1048576"},
    {"ZeroSharedExpertWidth", with_experts([](M& m) { m.hyper.shared_expert_feed_forward_length = 0; }),
     Code::metadata, "expert_shared_feed_forward_length", "= 0 ", "1..1048576"},
    {"HugeSharedExpertWidth", with_experts([](M& m) { m.hyper.shared_expert_feed_forward_length = k2To31; }),
     Code::metadata, "expert_shared_feed_forward_length", "= 2147483648 ", "1..1048576"},
    {"ZeroExpertScale", with_experts([](M& m) { m.hyper.expert_weights_scale = 0.0; }),
     Code::metadata, "expert_weights_scale", "= 0 ", "1e-06..1000000"},
    {"NanExpertScale", with_experts([](M& m) { m.hyper.expert_weights_scale = kNaN; }),
     Code::metadata, "expert_weights_scale", "= nan ", "1e-06..1000000"},
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

// ---- what families make of it

TEST(FamilyConfig, LlamaRotatesNeighbouringPairsAllOthersHalves) {
  EXPECT_EQ(value_of(configure(architecture_llama, good_model())).rope.style, RopeStyle::interleaved);
  for (const Architecture* a : {&architecture_qwen2, &architecture_qwen3, &architecture_phi2, &architecture_phi3,
                                &architecture_gemma, &architecture_gemma2, &architecture_gemma3}) {
    EXPECT_EQ(value_of(configure(*a, good_model())).rope.style, RopeStyle::halves) << a->names[0];
  }
}

TEST(FamilyConfig, OfAllArchitecturesRefusesALayerCountOfZero) {
  ModelDescriptor m = good_model();
  m.hyper.n_layers = 0;
  for (const Architecture* a : builtin_architectures()) {
    const Status s = configure(*a, m).status();
    EXPECT_EQ(s.code(), Code::metadata) << a->names[0];
    EXPECT_EQ(s.subject(), std::string(a->names[0]) + ".block_count");
  }
}

TEST(FamilyConfig, OnlyFamiliesOfExpertsTakeThem) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 2;
  for (const Architecture* a : builtin_architectures()) {
    const bool has_some = a == &architecture_llama || a == &architecture_qwen2moe || a == &architecture_qwen3moe ||
                          a == &architecture_phimoe;
    EXPECT_EQ(configure(*a, m).ok(), has_some) << a->names[0];
  }
  for (const Architecture* a : {&architecture_qwen2moe, &architecture_qwen3moe, &architecture_phimoe}) {
    EXPECT_EQ(configure(*a, good_model()).status().code(), Code::metadata) << a->names[0];
  }
}

TEST(FamilyConfig, RenormalisesTheWeightsOfExpertsAsTheFamilyDoes) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 2;
  EXPECT_TRUE(value_of(configure(architecture_llama, m)).experts.renormalise);
  EXPECT_TRUE(value_of(configure(architecture_qwen3moe, m)).experts.renormalise);
  EXPECT_FALSE(value_of(configure(architecture_qwen2moe, m)).experts.renormalise);
  EXPECT_FALSE(value_of(configure(architecture_phimoe, m)).experts.renormalise);
}

TEST(FamilyConfig, QwenHalvesTheFfnWidth) { EXPECT_EQ(value_of(configure(architecture_qwen, good_model())).n_ff, 48); }

TEST(FamilyConfig, QwensDeriveTheWidthsThatTheFileLeavesOut) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 2;
  EXPECT_EQ(value_of(configure(architecture_qwen3moe, m)).experts.n_ff, 48);
  EXPECT_EQ(value_of(configure(architecture_qwen3moe, m)).experts.n_ff_shared, 0);
  EXPECT_EQ(value_of(configure(architecture_qwen2moe, m)).experts.n_ff, 48);
  EXPECT_EQ(value_of(configure(architecture_qwen2moe, m)).experts.n_ff_shared, 96);

  m.hyper.expert_feed_forward_length = 16;
  m.hyper.shared_expert_feed_forward_length = 24;
  EXPECT_EQ(value_of(configure(architecture_qwen2moe, m)).experts.n_ff, 16);
  EXPECT_EQ(value_of(configure(architecture_qwen2moe, m)).experts.n_ff_shared, 24);
}

TEST(FamilyConfig, PhiMoeChoosesTwoExperts) {
  ModelDescriptor m = good_model();
  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 3;
  const Status s = configure(architecture_phimoe, m).status();

  EXPECT_EQ(s.code(), Code::unsupported);
  EXPECT_EQ(s.message(), "metadata 'phimoe.expert_used_count' = 3: SparseMixer chooses 2");
}

TEST(FamilyConfig, GemmaScalesEmbeddings) {
  for (const Architecture* a : {&architecture_gemma, &architecture_gemma2, &architecture_gemma3}) {
    const DecoderConfig c = value_of(configure(*a, good_model()));
    EXPECT_EQ(c.embedding_scale, 8.0f) << a->names[0];
    EXPECT_EQ(c.activation, Activation::gelu);
  }
}

TEST(FamilyConfig, Gemma27BScalesScoresByTheWidthOfAHead) {
  struct Case {
    const Architecture& architecture;
    std::int64_t n_layers;
    float scale;
  };
  for (const Case& test : {Case{architecture_gemma2, 46, 1.0f / std::sqrt(8.0f)}, Case{architecture_gemma2, 45, 0.25f},
                           Case{architecture_gemma3, 62, 1.0f / std::sqrt(8.0f)}, Case{architecture_gemma3, 46, 0.25f},
                           Case{architecture_gemma, 46, 0.25f}}) {
    ModelDescriptor m = good_model();
    m.hyper.n_layers = test.n_layers;
    m.hyper.key_length = 16;
    EXPECT_EQ(value_of(configure(test.architecture, m)).attention_scale, test.scale);

    m.hyper.attention_scale = 0.5;   // the file knows better
    EXPECT_EQ(value_of(configure(test.architecture, m)).attention_scale, 0.5f);
  }
}

TEST(FamilyConfig, Gemma2TellsWhatEveryGemma2Has) {
  ModelDescriptor m = good_model();
  m.architecture = m.key_prefix = "gemma2";
  std::vector<std::string> warnings;
  const Result<DecoderConfig> c = architecture_gemma2.configure(m, warnings);
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c.value().sliding_window, 4096);
  EXPECT_EQ(c.value().attention_softcap, 50.0f);
  EXPECT_EQ(c.value().final_softcap, 30.0f);
  EXPECT_EQ(warnings, (std::vector<std::string>{"metadata 'gemma2.attention.sliding_window' is missing; taken as 4096",
                                                "metadata 'gemma2.attn_logit_softcapping' is missing; taken as 50",
                                                "metadata 'gemma2.final_logit_softcapping' is missing; taken as 30"}));

  m.hyper.attention_softcap = 50.0;
  m.hyper.final_softcap = 30.0;
  m.hyper.sliding_window = 4096;
  warnings.clear();
  ASSERT_TRUE(architecture_gemma2.configure(m, warnings).ok());
  EXPECT_TRUE(warnings.empty());
}

TEST(FamilyConfig, GemmasHaveTheirWindowsInSomeLayers) {
  ModelDescriptor m = good_model();
  m.hyper.n_layers = 7;
  m.hyper.sliding_window = 16;
  const DecoderConfig two = value_of(configure(architecture_gemma2, m));
  const DecoderConfig three = value_of(configure(architecture_gemma3, m));

  EXPECT_EQ(two.local, (std::vector<bool>{true, false, true, false, true, false, true}));
  EXPECT_FALSE(two.local_rope.has_value());
  EXPECT_EQ(three.local, (std::vector<bool>{true, true, true, true, true, false, true}));
  EXPECT_TRUE(three.local_rope.has_value());
}

TEST(FamilyConfig, QwensSharesOfAWidthAreWhole) {
  ModelDescriptor m = good_model();
  m.architecture = m.key_prefix = "qwen";
  m.hyper.feed_forward_length = {191};
  const Status odd = configure(architecture_qwen, m).status();
  EXPECT_EQ(odd.code(), Code::metadata);
  EXPECT_EQ(odd.message(), "metadata 'qwen.feed_forward_length' = 191 is not a multiple of 2: gate and up have half of it each");

  m.hyper.n_experts = 8;
  m.hyper.n_experts_used = 4;
  for (const Architecture* a : {&architecture_qwen2moe, &architecture_qwen3moe}) {
    EXPECT_EQ(configure(*a, m).status().code(), Code::metadata);
  }
  m.hyper.expert_feed_forward_length = 7;
  EXPECT_EQ(value_of(configure(architecture_qwen3moe, m)).experts.n_ff, 7);
}

TEST(FamilyConfig, Gpt2HasAsManyPositionsAsItsContext) {
  ModelDescriptor m = good_model();
  m.hyper.context_length = 512;
  const DecoderConfig c = value_of(configure(architecture_gpt2, m));

  EXPECT_EQ(c.max_positions, 512);
  EXPECT_EQ(c.rope.n_rot, 0);
}

}  // namespace
}  // namespace infer
