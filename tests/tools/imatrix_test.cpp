// SPDX-License-Identifier: MIT
// `infer imatrix` as its users meet it. Needs INFER_PROGRAM and INFER_TEST_MODEL.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/tools/program.h"

namespace {

using infer::testing::environment;
using infer::testing::Outcome;
using infer::testing::read_bytes;
using infer::testing::run_infer;
using infer::testing::TemporaryDirectory;
using infer::testing::write_bytes;

class Imatrix : public ::testing::Test {
 protected:
  void SetUp() override {
    if (environment("INFER_PROGRAM").empty()) GTEST_SKIP() << "INFER_PROGRAM does not name the program";
    model_ = environment("INFER_TEST_MODEL");
    if (model_.empty()) GTEST_SKIP() << "INFER_TEST_MODEL does not name a model";
    write_bytes(file("text"), "The old prince looked at his son for a long time without a word, and then went to the window.");
  }

  std::string file(const char* name) const { return directory_.file(name); }
  Outcome run(const char* out, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"imatrix", "-m", model_, "-f", file("text"), "--ctx", "16", "-o", file(out)});
    return run_infer(more);
  }

  TemporaryDirectory directory_;
  std::string model_;
};

TEST_F(Imatrix, WritesTheSameFileForAnyThreadsAndBatches) {
  const auto r = run("a");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.err, "");
  EXPECT_NE(r.out.find("windows of 16"), std::string::npos) << r.out;
  const std::string bytes = read_bytes(file("a"));
  EXPECT_EQ(bytes.substr(0, 4), "GGUF");
  for (const char* text : {"general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size",
                           "blk.3.ffn_down.weight.in_sum2", "blk.3.ffn_down.weight.counts", "token_embd.weight.in_sum2"}) {
    EXPECT_NE(bytes.find(text), std::string::npos) << text;
  }
  ASSERT_EQ(run("b", {"-t", "1", "--batch", "3"}).status, 0);
  EXPECT_EQ(read_bytes(file("b")), bytes);
}

TEST_F(Imatrix, AddsEarlierFiles) {
  ASSERT_EQ(run("a").status, 0);
  const auto r = run("a", {"--in-file", file("a")});   // takes the place of what it adds
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(run("b", {"--in-file", file("text")}).status, 1);
  EXPECT_EQ(run("b", {"--in-file", model_}).status, 1);
  EXPECT_EQ(run("b", {"--in-file", file("nowhere")}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(file("b")));
}

TEST_F(Imatrix, WrongArgumentsAreToldBeforeTheWork) {
  EXPECT_EQ(run_infer({"imatrix", "-m", model_, "-f", file("text"), "--no-such-option"}).status, 2);
  EXPECT_EQ(run_infer({"imatrix", "-m", model_, "-o", file("a")}).status, 2);
  const auto nowhere = run("no/such/folder/a");
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_NE(nowhere.err.find("folder"), std::string::npos) << nowhere.err;
  write_bytes(file("text"), "Short.");
  EXPECT_EQ(run("a").status, 1);
  EXPECT_FALSE(std::filesystem::exists(file("a")));
}

}  // namespace
