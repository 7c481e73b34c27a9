// SPDX-License-Identifier: MIT
// All families alike: their logits are the oracle's on random models of many shapes, and the same bits however a prompt
// is cut up and whoever shares the session.
#include <algorithm>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/model.h"
#include "libinfer/session.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

using testing::expect_oracle_agrees;
using testing::GgufWriter;
using testing::Loaded;
using testing::random_tokens;
using testing::TinyModel;

// ---- the oracle, shape by shape

struct Shape {
  const char* architecture;
  const char* name;
  void (*set)(TinyModel& m);
  std::int64_t n_ctx = 0;   ///< of the session; 0: the model's 256
};

void PrintTo(const Shape& s, std::ostream* out) { *out << s.architecture << ' ' << s.name; }

using T = TinyModel;

void odd_sizes(T& m) { m.n_embd = 50, m.n_heads = 5, m.n_kv_heads = 1, m.n_ff = 77, m.n_vocab = 301; }
void odd_sizes_of_many_heads(T& m) { m.n_embd = 30, m.n_heads = m.n_kv_heads = 5, m.n_ff = 31, m.n_vocab = 299; }
void experts(T& m, std::int64_t n, std::int64_t n_used) { m.n_experts = n, m.n_experts_used = n_used; }
void heads_of(T& m, std::int64_t dim) { m.key_length = m.value_length = dim; }
void yarn(T& m, double factor, std::int64_t context) {
  m.rope_scaling = "yarn", m.rope_factor = factor, m.original_context = context;
}
void long_factors(T& m, std::int64_t context) {
  m.long_factors = true, m.original_context = context, m.rope_attn_factor = 1.19;
}

/// Each differs from the default: two layers, 64 wide, 4 heads, 2 KV heads, untied.
const Shape kShapes[] = {
    {"llama", "TwoExpertsOfFour", [](T& m) { experts(m, 4, 2); }},
    {"llama", "OneExpertOfThree", [](T& m) { experts(m, 3, 1); }},
    {"llama", "AllExperts", [](T& m) { experts(m, 3, 3); }},
    {"llama", "ManyExperts", [](T& m) { experts(m, 33, 5), m.n_ff = 17; }},
    {"llama", "ExpertsOfOddSizes", [](T& m) { odd_sizes(m), experts(m, 5, 2), m.biases = true; }},
    {"llama", "ExpertsNotRenormalised", [](T& m) { experts(m, 4, 2), m.expert_weights_norm = false; }},
    {"llama", "ExpertsScaled", [](T& m) { experts(m, 4, 2), m.expert_weights_scale = 1.7; }},
    {"llama", "ExpertsAndAWindow", [](T& m) { experts(m, 4, 2), m.sliding_window = 9, m.tied = true; }},
    {"llama", "AttentionScale", [](T& m) { m.attention_scale = 0.4; }},
    {"llama", "SoftCaps", [](T& m) { m.attention_softcap = 4.0, m.final_softcap = 5.0; }},
    {"llama", "Fused", [](T& m) { m.fused_qkv = m.biases = true; }},
    {"llama", "EverySecondLayerSeesAll", [](T& m) { m.n_layers = 3, m.sliding_window = 9, m.window_period = 2; }},
    {"llama", "ListOfWindows",
     [](T& m) { m.n_layers = 3, m.sliding_window = 9, m.window_layers = {true, true, false}; }},

    {"mistral3", "Plain", [](T&) {}},
    {"mistral3", "Temperature", [](T& m) { m.temperature_scale = 0.3, m.original_context = 9; }},
    {"mistral3", "YarnAndTemperature",
     [](T& m) { heads_of(m, 24), yarn(m, 16.0, 20), m.yarn_log_multiplier = 1.0, m.temperature_scale = 0.1; }},
    {"mistral3", "YarnOfAnotherMultiplier",
     [](T& m) { heads_of(m, 24), yarn(m, 8.0, 32), m.yarn_log_multiplier = 0.7; }},
    {"mistral3", "YarnWithoutMultiplier", [](T& m) { yarn(m, 8.0, 32), m.tied = true; }},
    {"mistral3", "YarnOfAnotherMagnitude",
     [](T& m) { heads_of(m, 24), yarn(m, 8.0, 32), m.yarn_attn_factor = 1.5, m.yarn_log_multiplier = 0.7; }},
    {"mistral3", "OddSizes", [](T& m) { odd_sizes(m), m.temperature_scale = 0.2, m.original_context = 7; }},

    {"qwen", "Plain", [](T& m) { m.n_kv_heads = 4; }},
    {"qwen", "OddSizes", [](T& m) { odd_sizes_of_many_heads(m); }},
    {"qwen", "PartialRotation", [](T& m) { m.n_kv_heads = 4, m.n_rot = 10; }},

    {"qwen2", "Plain", [](T&) {}},
    {"qwen2", "Tied", [](T& m) { m.tied = true, m.n_kv_heads = 1; }},
    {"qwen2", "OddSizes", [](T& m) { odd_sizes(m); }},
    {"qwen2", "Yarn", [](T& m) { yarn(m, 4.0, 32), m.rope_base = 1e6; }},

    {"qwen2moe", "WidthsOfTheirOwn", [](T& m) { experts(m, 6, 3), m.expert_ff = 40, m.shared_ff = 56; }},
    {"qwen2moe", "WidthsFromTheOne", [](T& m) { experts(m, 5, 2); }},
    {"qwen2moe", "Renormalised", [](T& m) { experts(m, 6, 3), m.expert_ff = 40, m.expert_weights_norm = true; }},
    {"qwen2moe", "OddSizes", [](T& m) { odd_sizes(m), experts(m, 7, 4), m.expert_ff = 13, m.shared_ff = 21; }},

    {"qwen3", "Plain", [](T&) {}},
    {"qwen3", "HeadSizeOfItsOwn", [](T& m) { heads_of(m, 24), m.tied = true; }},
    {"qwen3", "OddSizes", [](T& m) { odd_sizes(m), heads_of(m, 18); }},
    {"qwen3", "Yarn", [](T& m) { yarn(m, 4.0, 32), m.rope_base = 1e6; }},
    {"qwen3", "YarnOfOtherTurns",
     [](T& m) { heads_of(m, 24), yarn(m, 4.0, 128), m.yarn_beta_fast = 8.0, m.yarn_beta_slow = 0.5; }},
    {"qwen3", "YarnThatKeepsAPart", [](T& m) { heads_of(m, 24), yarn(m, 4.0, 128), m.yarn_ext_factor = 0.6; }},

    {"qwen3moe", "WidthOfItsOwn", [](T& m) { experts(m, 6, 3), m.expert_ff = 40, heads_of(m, 24); }},
    {"qwen3moe", "NotRenormalised", [](T& m) { experts(m, 6, 3), m.expert_ff = 24, m.expert_weights_norm = false; }},
    {"qwen3moe", "OddSizes", [](T& m) { odd_sizes(m), experts(m, 9, 4), m.expert_ff = 11; }},

    {"phi2", "PartialRotation", [](T& m) { m.n_heads = m.n_kv_heads = 2, m.n_rot = 12; }},
    {"phi2", "Fused", [](T& m) { m.n_kv_heads = 4, m.n_rot = 6, m.fused_qkv = true; }},
    {"phi2", "OddSizes", [](T& m) { odd_sizes_of_many_heads(m), m.n_rot = 2; }},
    {"phi2", "FusedGroupedQueries", [](T& m) { m.fused_qkv = true; }},

    {"phi3", "Plain", [](T&) {}},
    {"phi3", "Window", [](T& m) { m.sliding_window = 7; }},
    {"phi3", "OddSizes", [](T& m) { odd_sizes(m), m.sliding_window = 33; }},
    {"phi3", "LongContext", [](T& m) { long_factors(m, 64); }},
    {"phi3", "ShortContext", [](T& m) { long_factors(m, 64); }, 64},
    {"phi3", "JustBeyondTheShortContext", [](T& m) { long_factors(m, 64); }, 65},
    {"phi3", "TiedPartialRotation", [](T& m) { long_factors(m, 60), m.tied = true, m.n_rot = 12; }},

    {"phimoe", "Plain", [](T& m) { experts(m, 4, 2); }},
    {"phimoe", "Fused", [](T& m) { experts(m, 4, 2), m.fused_qkv = true; }},
    {"phimoe", "ManyExperts", [](T& m) { experts(m, 32, 2), m.n_ff = 24; }},
    {"phimoe", "LongContext", [](T& m) { experts(m, 4, 2), long_factors(m, 64); }},
    {"phimoe", "ShortContext", [](T& m) { experts(m, 4, 2), long_factors(m, 64); }, 64},
    {"phimoe", "OddSizes", [](T& m) { odd_sizes(m), experts(m, 5, 2), m.sliding_window = 11; }},

    {"gemma", "Plain", [](T&) {}},
    {"gemma", "MultiQuery", [](T& m) { m.n_kv_heads = 1, heads_of(m, 24); }},
    {"gemma", "OddSizes", [](T& m) { odd_sizes(m); }},

    {"gemma2", "CapsAndWindow",
     [](T& m) { m.n_layers = 4, m.sliding_window = 7, m.attention_softcap = 3.0, m.final_softcap = 6.0; }},
    {"gemma2", "CapsOfAllPublishedModels", [](T& m) { m.sliding_window = 7; }},
    {"gemma2", "AttentionCapAlone", [](T& m) { m.attention_softcap = 2.0; }},
    {"gemma2", "FinalCapAlone", [](T& m) { m.final_softcap = 3.0; }},
    {"gemma2", "ScaleOfItsOwn", [](T& m) { m.attention_scale = 0.15, heads_of(m, 20); }},
    {"gemma2", "OddSizes",
     [](T& m) {
       odd_sizes(m), m.n_layers = 3, m.sliding_window = 33;
       m.attention_softcap = 5.0, m.final_softcap = 9.0;
     }},
    {"gemma2", "TheRuleOf27B",
     [](T& m) {
       m.n_layers = 46, m.n_embd = 24, m.n_ff = 16, heads_of(m, 10), m.sliding_window = 7;
       m.attention_softcap = 3.0, m.final_softcap = 6.0;
     }},

    {"gemma3", "LocalAndGlobal", [](T& m) { m.n_layers = 7, m.sliding_window = 9, m.rope_base = 1e6; }},
    {"gemma3", "GlobalLayersScaled",
     [](T& m) {
       m.n_layers = 6, m.sliding_window = 9, m.rope_base = 1e6, heads_of(m, 24);
       m.rope_scaling = "linear", m.rope_factor = 8.0;
     }},
    {"gemma3", "LocalBaseAndFinalCap",
     [](T& m) { m.n_layers = 6, m.sliding_window = 9, m.rope_base_local = 300.0, m.final_softcap = 5.0; }},
    {"gemma3", "EveryThirdLayerSeesAll", [](T& m) { m.n_layers = 4, m.sliding_window = 9, m.window_period = 3; }},
    {"gemma3", "ListOfWindows",
     [](T& m) {
       m.n_layers = 4, m.sliding_window = 9, m.rope_base = 1e6;
       m.window_layers = {false, true, true, false};
     }},
    {"gemma3", "OddSizes", [](T& m) { odd_sizes(m), m.n_layers = 6, m.sliding_window = 33; }},
    {"gemma3", "TheRuleOf27B",
     [](T& m) {
       m.n_layers = 62, m.n_embd = 24, m.n_ff = 16, heads_of(m, 10), m.sliding_window = 7;
       m.rope_base = 1e6, m.rope_scaling = "linear", m.rope_factor = 8.0;
     }},

    {"gpt2", "Tied", [](T& m) { m.n_kv_heads = 4, m.tied = true; }},
    {"gpt2", "HeadOfItsOwn", [](T& m) { m.n_kv_heads = 4; }},
    {"gpt2", "OddSizes", [](T& m) { odd_sizes_of_many_heads(m), m.context = 70; }},
};

class FamilyAgreesWithTheOracle : public ::testing::TestWithParam<Shape> {};

TEST_P(FamilyAgreesWithTheOracle, ForSeveralSeeds) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    TinyModel tiny;
    tiny.seed = seed;
    tiny.architecture = GetParam().architecture;
    GetParam().set(tiny);
    // Two pages of keys and values, two batches; deep models are slow.
    expect_oracle_agrees(tiny, tiny.n_layers > 8 ? 20 : 50, GetParam().n_ctx);
  }
}

std::string shape_name(const ::testing::TestParamInfo<Shape>& test) {
  return std::string(test.param.architecture) + test.param.name;
}

INSTANTIATE_TEST_SUITE_P(Shapes, FamilyAgreesWithTheOracle, ::testing::ValuesIn(kShapes), shape_name);

// ---- the same bits, however weights are stored

TEST(Families, GiveTheSameBitsWithGateAndUpOfExpertsInOneTensor) {
  for (const char* architecture : {"llama", "qwen2moe", "qwen3moe", "phimoe"}) {
    for (const DType dtype : {DType::f32, DType::q8_0}) {
      TinyModel tiny;
      tiny.architecture = architecture;
      tiny.dtype = dtype;
      tiny.n_ff = dtype == DType::f32 ? 66 : 64;   // not whole panels, whole blocks
      experts(tiny, 5, 2);
      const Loaded separate(testing::make_tiny_model(tiny));
      ASSERT_NE(separate.model, nullptr) << separate.status.message();
      tiny.fused_experts = true;
      GgufWriter file = testing::tiny_model_writer(tiny);
      if (dtype == DType::q8_0) file.remove("general.architecture");   // known by its tensors
      const Loaded fused(file.build());
      ASSERT_NE(fused.model, nullptr) << fused.status.message();
      const std::vector<Token> ids = random_tokens(5, 40, tiny.n_vocab);

      EXPECT_EQ(testing::session_logits(fused.model, ids, 64), testing::session_logits(separate.model, ids, 64)) << architecture;
    }
  }
}

TEST(Families, GiveTheSameBitsWithTrailingDimensionsAndWithoutAnUnusedWidth) {
  TinyModel tiny;
  tiny.architecture = "qwen3moe";
  tiny.n_ff = 64, tiny.expert_ff = 24, experts(tiny, 5, 2);
  GgufWriter file = testing::tiny_model_writer(tiny);
  const Loaded plain(file.build());
  for (const char* name : {"output_norm.weight", "token_embd.weight", "blk.0.attn_q_norm.weight", "blk.1.ffn_gate_exps.weight"}) {
    file.find_tensor(name)->dims.push_back(1);
  }
  file.remove("qwen3moe.feed_forward_length");
  const Loaded padded(file.build());
  ASSERT_NE(plain.model, nullptr) << plain.status.message();
  ASSERT_NE(padded.model, nullptr) << padded.status.message();
  const std::vector<Token> ids = random_tokens(5, 40, tiny.n_vocab);

  EXPECT_EQ(testing::session_logits(padded.model, ids, 64), testing::session_logits(plain.model, ids, 64));
}

// ---- the same bits, however tokens come

class Family : public ::testing::TestWithParam<TinyModel> {};

/// Sessions of one kind over one model.
struct Sessions {
  std::shared_ptr<const Model> model;
  const char* kv_type;

  std::unique_ptr<Session> open(std::int64_t n_seq, std::int64_t n_batch) const {
    SessionOptions options;
    options.n_ctx = 128;
    options.n_seq = n_seq;
    options.n_batch = n_batch;
    options.n_logits = 128;
    options.n_threads = 2;
    options.kv_type = kv_type;
    Result<std::unique_ptr<Session>> session = Session::create(model, options);
    EXPECT_TRUE(session.ok()) << session.status().message();
    return session.ok() ? std::move(session).value() : nullptr;
  }
};

void append(const Session& session, std::size_t row, std::vector<float>& logits) {
  const std::span<const float> values = session.logits(row).value();
  logits.insert(logits.end(), values.begin(), values.end());
}

/// The logits of all positions of a prompt that is fed in pieces.
std::vector<float> fed(const Sessions& sessions, std::span<const Token> ids, std::size_t piece, std::int64_t n_batch) {
  const std::unique_ptr<Session> session = sessions.open(1, n_batch);
  std::vector<float> logits;
  for (std::size_t first = 0; session && first < ids.size(); first += piece) {
    const std::span<const Token> part = ids.subspan(first, std::min(piece, ids.size() - first));
    const Status status = session->feed(0, part, WantLogits::all, nullptr);
    EXPECT_TRUE(status.ok()) << status.message();
    for (std::size_t i = 0; status.ok() && i < part.size(); ++i) append(*session, i, logits);
  }
  return logits;
}

/// The same of several prompts, one token of each at a time.
std::vector<std::vector<float>> stepped(const Sessions& sessions, const std::vector<std::vector<Token>>& prompts) {
  const std::unique_ptr<Session> session = sessions.open(static_cast<std::int64_t>(prompts.size()), 8);
  std::vector<std::vector<float>> logits(prompts.size());
  if (!session) return logits;
  std::vector<SequenceId> sequences = {0};
  while (sequences.size() < prompts.size()) sequences.push_back(session->open().value());
  for (std::size_t t = 0; t < prompts[0].size(); ++t) {
    std::vector<Token> tokens;
    for (const std::vector<Token>& prompt : prompts) tokens.push_back(prompt[t]);
    const Status status = session->step(sequences, tokens, nullptr);
    EXPECT_TRUE(status.ok()) << status.message();
    for (std::size_t i = 0; status.ok() && i < prompts.size(); ++i) append(*session, i, logits[i]);
  }
  return logits;
}

void expect_same_bits(const TinyModel& tiny, const char* kv_type) {
  const Loaded l(testing::make_tiny_model(tiny));
  ASSERT_NE(l.model, nullptr) << l.status.message();
  const Sessions sessions{l.model, kv_type};
  const std::vector<Token> ids = random_tokens(7, 101, tiny.n_vocab), others = random_tokens(8, 101, tiny.n_vocab);

  const std::vector<float> whole = fed(sessions, ids, ids.size(), 128);

  ASSERT_EQ(whole.size(), ids.size() * static_cast<std::size_t>(tiny.n_vocab));
  EXPECT_TRUE(whole == fed(sessions, ids, 1, 128)) << "token by token";
  EXPECT_TRUE(whole == fed(sessions, ids, 3, 128)) << "in pieces of 3";
  EXPECT_TRUE(whole == fed(sessions, ids, 16, 128)) << "in pieces of 16";
  EXPECT_TRUE(whole == fed(sessions, ids, 16, 5)) << "in pieces of 16 in batches of 5";
  EXPECT_TRUE(whole == fed(sessions, ids, ids.size(), 48)) << "in batches of 48";
  EXPECT_TRUE(whole == stepped(sessions, {ids})[0]) << "step by step";
  const std::vector<std::vector<float>> both = stepped(sessions, {ids, others});
  EXPECT_TRUE(whole == both[0]) << "with a neighbour";
  EXPECT_TRUE(fed(sessions, others, others.size(), 128) == both[1]) << "as a neighbour";
}

TEST_P(Family, GivesTheSameBitsForAnyCutOfAPrompt) { expect_same_bits(GetParam(), "f32"); }

TEST_P(Family, GivesTheSameBitsWithWeightsThatAreCodes) {
  TinyModel tiny = GetParam();
  tiny.dtype = DType::q8_0;
  for (const char* kv_type : {"f16", "auto"}) expect_same_bits(tiny, kv_type);
}

TEST(Families, GiveTheSameBitsWithWindowsAroundAPage) {
  for (const std::int64_t window : {1, 31, 32, 33, 64}) {
    TinyModel tiny;
    tiny.n_embd = 32;
    tiny.sliding_window = window;
    expect_same_bits(tiny, "f32");
    tiny.key_length = tiny.value_length = 32;   // whole blocks
    for (const char* kv_type : {"bf16", "i16", "q8_0", "q4_0"}) expect_same_bits(tiny, kv_type);
  }
}

std::string family_name(const ::testing::TestParamInfo<TinyModel>& test) {
  std::string name = test.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Families, Family, ::testing::ValuesIn(testing::tiny_families()), family_name);

}  // namespace
}  // namespace infer
