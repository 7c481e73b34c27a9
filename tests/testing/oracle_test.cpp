// SPDX-License-Identifier: MIT
// The oracle against golden logits, which a float64 program in another language made, and the tiny models as the oracle
// sees them. It reads the descriptor and the bytes only: neither an architecture nor a kernel takes part.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/library.h"
#include "tests/testing/golden.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

using testing::TinyModel;

ModelDescriptor describe(const std::vector<std::byte>& file) {
  const Bytes bytes = file;
  Result<ModelDescriptor> model = Library::builtin()->formats.find("gguf")->parse({&bytes, 1}, nullptr);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? std::move(model).value() : ModelDescriptor();
}

/// Weights of other types are expanded, not rounded.
constexpr const char* kOfOtherTypes[] = {"stories260K-Q8_0", "stories260K-Q4_0", "wide-llama-f16", "wide-llama-BF16",
                                         "wide-mixtral-Q8_0"};

class OracleGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(OracleGolden, LogitsAreReached) {
  INFER_SKIP_WITHOUT_GOLDEN_LOGITS();
  const testing::GoldenModel golden(GetParam());
  const ModelDescriptor model = describe(golden.file);

  for (testing::GoldenCase& c : testing::golden_cases(golden.facts)) {
    std::vector<float> expected = testing::golden_logits(c.file);
    const std::size_t n_vocab = expected.size() / c.ids.size();
    const std::size_t n = std::min<std::size_t>(c.ids.size(), 96);   // it is slow
    c.ids.resize(n);
    expected.resize(n * n_vocab);

    const std::vector<double> found = testing::oracle_logits(model, golden.file, c.ids, c.n_ctx);

    // Golden values are doubles rounded to float.
    EXPECT_LT(testing::difference(expected, found).max, 1e-5 * testing::deviation(expected)) << c.file;
  }
}

std::string golden_name(const ::testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(F32Files, OracleGolden, ::testing::ValuesIn(testing::kGoldenF32), golden_name);
INSTANTIATE_TEST_SUITE_P(FilesOfOtherTypes, OracleGolden, ::testing::ValuesIn(kOfOtherTypes), golden_name);

TEST(OracleGoldenFiles, NoF32FileIsForgotten) {
  INFER_SKIP_WITHOUT_GOLDEN_LOGITS();
  constexpr std::string_view kEnd = "-f32.gguf";
  for (const auto& entry : std::filesystem::directory_iterator(testing::golden_logits_directory() + "/models")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kEnd)) continue;
    const auto is_this = [&](const char* golden) { return name.substr(0, name.size() - kEnd.size()) == golden; };
    EXPECT_TRUE(std::any_of(std::begin(testing::kGoldenF32), std::end(testing::kGoldenF32), is_this)) << name;
  }
}

// ---- tiny models of all families: what they have in them must be seen in what comes out

TEST(TinyFamilies, HaveLogitsOfADeviationAroundTwo) {
  for (const TinyModel& tiny : testing::tiny_families()) {
    const std::vector<std::byte> file = testing::make_tiny_model(tiny);

    const std::vector<Token> ids = testing::random_tokens(1, 40, tiny.n_vocab);
    const double d = testing::deviation(testing::oracle_logits(describe(file), file, ids, 64));

    EXPECT_GT(d, 1.4) << tiny.name;
    EXPECT_LT(d, 3.0) << tiny.name;
  }
}

/// A mistake that a family's code could make.
struct Mistake {
  const char* model;
  void (*make)(ModelDescriptor& m);
};

using M = ModelDescriptor;

const Mistake kMistakes[] = {
    {"mistral", [](M& m) { m.hyper.sliding_window = 21; }},
    {"mixtral", [](M& m) { m.hyper.n_experts_used = 1; }},
    {"mixtral", [](M& m) { m.hyper.expert_weights_norm = false; }},
    {"mistral3", [](M& m) { m.architecture = "qwen2"; }},
    {"mistral3", [](M& m) { m.hyper.temperature_scale.reset(); }},
    {"mistral3", [](M& m) { m.hyper.temperature_length = 17; }},
    {"mistral3", [](M& m) { m.hyper.yarn_log_multiplier.reset(); }},
    {"qwen", [](M& m) { m.architecture = "llama"; }},
    {"qwen2moe", [](M& m) { m.hyper.expert_weights_norm = true; }},
    {"qwen3moe", [](M& m) { m.hyper.expert_weights_norm = false; }},
    {"phi2", [](M& m) { m.hyper.rope_dimensions.reset(); }},
    {"phi2", [](M& m) { m.hyper.norm_epsilon = 0.1; }},
    {"phi3", [](M& m) { m.hyper.sliding_window = 19; }},
    {"phi3-long", [](M& m) { m.hyper.rope_original_context = 128; }},
    {"phi3-long", [](M& m) { m.hyper.rope_attn_factor.reset(); }},
    {"phimoe", [](M& m) { m.architecture = "phi3"; }},
    {"phimoe", [](M& m) { m.hyper.rope_original_context = 128; }},
    {"gemma", [](M& m) { m.architecture = "qwen2"; }},
    {"gemma2", [](M& m) { m.hyper.attention_softcap.reset(); }},
    {"gemma2", [](M& m) { m.hyper.final_softcap.reset(); }},
    {"gemma2", [](M& m) { m.hyper.window_layers = {false, true, false, true}; }},
    {"gemma2", [](M& m) { m.hyper.attention_scale = 1.0 / std::sqrt(8.0); }},
    {"gemma3", [](M& m) { m.hyper.rope_base_local = m.hyper.rope_base; }},
    {"gemma3", [](M& m) { m.hyper.rope_factor = 1.0; }},
    {"gemma3", [](M& m) { m.hyper.window_period = 5; }},
};

TEST(TinyFamilies, ShowMistakes) {
  const std::vector<TinyModel> families = testing::tiny_families();
  const std::vector<Token> ids = testing::random_tokens(1, 50, 320);
  for (const Mistake& mistake : kMistakes) {
    const auto is_this = [&](const TinyModel& m) { return m.name == mistake.model; };
    const auto tiny = std::find_if(families.begin(), families.end(), is_this);
    ASSERT_NE(tiny, families.end()) << mistake.model;
    const std::vector<std::byte> file = testing::make_tiny_model(*tiny);
    ModelDescriptor model = describe(file);
    const std::vector<double> right = testing::oracle_logits(model, file, ids, 128);
    mistake.make(model);

    const std::vector<double> wrong = testing::oracle_logits(model, file, ids, 128);

    // A hundred times what tests allow the library.
    EXPECT_GT(testing::difference({wrong.begin(), wrong.end()}, right).max, 1e-2 * testing::deviation(right))
        << mistake.model << ", mistake " << &mistake - kMistakes;
  }
}

}  // namespace
}  // namespace infer
