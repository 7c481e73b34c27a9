// SPDX-License-Identifier: MIT
// The oracle against golden logits, which a float64 program in another language made. It reads the descriptor and the
// bytes only: neither an architecture nor a kernel takes part.
#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/library.h"
#include "tests/testing/golden.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

constexpr const char* kGolden[] = {
    "gemma",            "gemma2",           "gemma2-27b",     "gemma3",           "gemma3-27b",  "llama-bias",
    "llama-headdim",    "llama-linear",     "llama-mha",      "llama-yarn",       "llama3-ropefreqs",
    "mistral-swa",      "mixtral",          "phi2",           "phi2-fused",       "phi3",        "phi3-longrope",
    "qwen",             "qwen2",            "qwen2moe",       "qwen3",            "qwen3moe",    "stories260K",
    // Weights of other types are expanded, not rounded:
    "stories260K-Q8_0", "stories260K-Q4_0", "wide-llama-f16", "wide-llama-BF16",  "wide-mixtral-Q8_0"};

class OracleGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(OracleGolden, LogitsAreReached) {
  INFER_SKIP_WITHOUT_GOLDEN_LOGITS();
  const std::string root = testing::golden_logits_directory();
  const nlohmann::json facts = testing::read_json(root + "/golden/" + GetParam() + ".json");
  ASSERT_TRUE(facts.is_object()) << "no description of " << GetParam();
  const std::vector<std::byte> file = testing::read_bytes(root + "/models/" + facts["model"].get<std::string>());
  const Bytes bytes = file;
  const Result<ModelDescriptor> model = Library::builtin()->formats.find("gguf")->parse({&bytes, 1}, nullptr);
  ASSERT_TRUE(model.ok()) << model.status().message();

  for (testing::GoldenCase& c : testing::golden_cases(facts)) {
    std::vector<float> golden = testing::read_floats(root + "/golden/" + c.file);
    const std::size_t n = std::min<std::size_t>(c.ids.size(), 96), n_vocab = golden.size() / c.ids.size();   // it is slow
    c.ids.resize(n);
    golden.resize(n * n_vocab);

    const std::vector<double> found = testing::oracle_logits(model.value(), file, c.ids, c.n_ctx);

    // Golden values are doubles rounded to float.
    EXPECT_LT(testing::difference(golden, found).max, 1e-5 * testing::deviation(golden)) << c.file;
  }
}

std::string golden_name(const ::testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, OracleGolden, ::testing::ValuesIn(kGolden), golden_name);

TEST(OracleGoldenFiles, NoF32FileIsForgotten) {
  INFER_SKIP_WITHOUT_GOLDEN_LOGITS();
  constexpr std::string_view kEnd = "-f32.gguf";
  for (const auto& entry : std::filesystem::directory_iterator(testing::golden_logits_directory() + "/models")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kEnd)) continue;
    EXPECT_NE(std::find(std::begin(kGolden), std::end(kGolden), name.substr(0, name.size() - kEnd.size())), std::end(kGolden))
        << name;
  }
}

}  // namespace
}  // namespace infer
