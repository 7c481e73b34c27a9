// SPDX-License-Identifier: MIT
// `infer quantize` as its users meet it. Needs INFER_PROGRAM and INFER_TEST_MODEL (the bundled model, which is Q8_0).
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/tools/program.h"

namespace {

using infer::testing::environment;
using infer::testing::read_bytes;
using infer::testing::run_infer;
using infer::testing::TemporaryDirectory;
using infer::testing::write_bytes;
using nlohmann::json;

class InferQuantize : public ::testing::Test {
 protected:
  void SetUp() override {
    if (environment("INFER_PROGRAM").empty()) GTEST_SKIP() << "INFER_PROGRAM does not name the program";
    model_ = environment("INFER_TEST_MODEL");
    if (model_.empty()) GTEST_SKIP() << "INFER_TEST_MODEL does not name a model";
  }

  std::string model_;
  TemporaryDirectory directory_;
  std::string out_ = directory_.file("out.gguf");
};

TEST_F(InferQuantize, MakesAFileThatRuns) {
  const auto made = run_infer({"quantize", model_, out_, "f16"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_NE(made.out.find("F16: "), std::string::npos) << made.out;
  EXPECT_NE(made.out.find(std::to_string(std::filesystem::file_size(out_)) + " bytes"), std::string::npos) << made.out;
  EXPECT_EQ(made.err, "");   // a bar is for terminals

  const auto info = run_infer({"info", "-m", out_, "--tensors", "--json"});
  ASSERT_EQ(info.status, 0) << info.err;
  for (const auto& t : json::parse(info.out)["tensors"]) {
    EXPECT_EQ(t["type"], t["dims"].size() > 1 ? "F16" : "F32") << t["name"];
  }
  EXPECT_EQ(run_infer({"run", "-m", out_, "-p", "The", "-n", "3"}).status, 0);
}

TEST_F(InferQuantize, ADryRunPrintsThePlanAndWritesNothing) {
  const auto table = run_infer({"quantize", "--dry-run", model_, "F16"});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_NE(table.out.find("blk.3.ffn_down.weight"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("as it is"), std::string::npos) << table.out;
  const auto plan = run_infer({"quantize", "--dry-run", "--json", model_, out_, "F16"});
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_FALSE(std::filesystem::exists(out_));
  const json facts = json::parse(plan.out);
  ASSERT_EQ(run_infer({"quantize", model_, out_, "F16"}).status, 0);
  EXPECT_EQ(facts["file_bytes"], json::array({std::filesystem::file_size(out_)}));
}

TEST_F(InferQuantize, PatternsReachTheLibrary) {
  const auto r = run_infer({"quantize", "--dry-run", "--json", model_, "F16", "--tensor-type", "blk.0.*=BF16", "--tensor-type",
                            "*ffn_up*=F32", "--token-embedding-type", "Q8_0"});
  ASSERT_EQ(r.status, 0) << r.err;
  std::map<std::string, std::string> types;
  for (const auto& t : json::parse(r.out)["tensors"]) types[t["name"]] = t["to"];
  EXPECT_EQ(types["blk.0.ffn_up.weight"], "BF16");
  EXPECT_EQ(types["blk.1.ffn_up.weight"], "F32");
  EXPECT_EQ(types["token_embd.weight"], "Q8_0");
}

TEST_F(InferQuantize, WrongArgumentsAndFilesSayWhatToDo) {
  const struct {
    std::vector<std::string> arguments;
    int status;
    std::string word;
  } cases[] = {
      {{"quantize"}, 2, "IN"},
      {{"quantize", model_, out_}, 2, "TYPE is missing"},
      {{"quantize", model_, out_, "Q9"}, 2, "Q4_K_M"},
      {{"quantize", model_, out_, "F16", "--tensor-type", "x=F16"}, 2, "'x' matches no tensor"},
      {{"quantize", model_, out_, "F16", "--tensor-type", "x"}, 2, "PATTERN=TYPE"},
      {{"quantize", model_, out_, "F16", "--json"}, 2, "--dry-run"},
      {{"quantize", model_, model_, "F16"}, 2, "both input and output"},
      {{"quantize", model_, out_, "Q4_0"}, 1, "allow_requantize"},
      {{"quantize", "/no/such.gguf", out_, "F16"}, 1, "/no/such.gguf"},
      {{"quantize", model_, "/no/such/out.gguf", "F16"}, 1, "folder does not exist"},
      {{"quantize", model_, out_, "F16", "--imatrix", model_}, 1, "not an importance matrix"},
  };
  for (const auto& c : cases) {
    const auto r = run_infer(c.arguments);
    EXPECT_EQ(r.status, c.status) << c.word << "\n" << r.err;
    EXPECT_EQ(r.out, "") << c.word;
    EXPECT_NE(r.err.find(c.word), std::string::npos) << r.err;
    EXPECT_FALSE(std::filesystem::exists(out_)) << c.word;
  }
}

}  // namespace
