// SPDX-License-Identifier: MIT
// infer bench: the tests it makes, what it tells of each, the picture, wrong arguments. Speeds are not judged here. Needs
// INFER_PROGRAM and INFER_TEST_MODEL like infer_program_test.cpp.
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/tools/program.h"

namespace {

using infer::testing::environment;
using infer::testing::Outcome;
using infer::testing::read_bytes;
using infer::testing::run_infer;
using infer::testing::TemporaryDirectory;
using nlohmann::json;

class Bench : public ::testing::Test {
 protected:
  void SetUp() override {
    if (environment("INFER_PROGRAM").empty()) GTEST_SKIP() << "INFER_PROGRAM does not name the program";
    if (environment("INFER_TEST_MODEL").empty()) GTEST_SKIP() << "INFER_TEST_MODEL does not name a model";
  }

  static Outcome bench(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "-m", environment("INFER_TEST_MODEL")});
    return run_infer(arguments);
  }
  static json objects(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Outcome r = bench(arguments);
    EXPECT_EQ(r.status, 0) << r.err;
    return json::parse(r.out, nullptr, false);
  }
};

TEST_F(Bench, GivesOneObjectPerTest) {
  const json tests = objects({"-p", "8", "-n", "4", "-r", "2", "-t", "1", "--no-probe"});
  ASSERT_TRUE(tests.is_array());
  ASSERT_EQ(tests.size(), 2U);
  EXPECT_EQ(tests[0]["n_prompt"], 8);
  EXPECT_EQ(tests[0]["n_gen"], 0);
  EXPECT_EQ(tests[1]["n_prompt"], 0);
  EXPECT_EQ(tests[1]["n_gen"], 4);
  for (const json& test : tests) {
    EXPECT_EQ(test["samples_ts"].size(), 2U);
    EXPECT_GT(test["avg_ts"].get<double>(), 0.0);
    EXPECT_EQ(test["n_threads"], 1);
    EXPECT_EQ(test["n_seq"], 1);
    EXPECT_GT(test["mul_adds_per_second"].get<double>(), 0.0);
    EXPECT_FALSE(test.contains("limits"));
    EXPECT_FALSE(test.contains("arithmetic_share"));
  }
  EXPECT_FALSE(tests[0].contains("bytes_per_second"));
  EXPECT_GT(tests[1]["bytes_per_second"].get<double>(), 0.0);
}

TEST_F(Bench, MeasuresEachNumberOfThreadsAndOfSequences) {
  const json tests = objects({"-p", "8", "-n", "2", "-r", "1", "-t", "1,2", "--batch", "1,3", "--no-probe"});
  ASSERT_EQ(tests.size(), 6U);
  std::vector<int> n_seq;
  for (const json& test : tests) n_seq.push_back(test["n_seq"]);
  EXPECT_EQ(n_seq, (std::vector<int>{1, 1, 3, 1, 1, 3}));
}

TEST_F(Bench, WeightsAreReadOnceForAllSequencesOfAStep) {
  const json tests = objects({"-p", "0", "-n", "2", "-r", "1", "--batch", "1,4", "-d", "30", "--no-probe"});
  ASSERT_EQ(tests.size(), 2U);
  const double one = tests[0]["bytes_per_step"], four = tests[1]["bytes_per_step"];
  const double of_cache = (four - one) / 3;
  EXPECT_GT(of_cache, 0.0);
  EXPECT_LT(of_cache, one / 4);   // at this depth
  EXPECT_LT(one - of_cache, tests[0]["tensor_bytes"].get<double>());
}

TEST_F(Bench, DecodesAtADepth) {
  const Outcome r = bench({"-p", "0", "-n", "4", "-d", "16", "-r", "1", "--batch", "1,2", "--no-probe"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("decode 4 at 16"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("decode 4 x 2 at 16"), std::string::npos) << r.out;
}

TEST_F(Bench, HoldsSpeedsAgainstTheLimitsOfTheMachine) {
  const json tests = objects({"-p", "8", "-n", "4", "-r", "1", "-t", "1"});
  ASSERT_EQ(tests.size(), 2U);
  for (const json& test : tests) {
    for (const char* limit : {"read_bytes_per_second", "dot_mul_adds_per_second", "fma_mul_adds_per_second", "bf16_mul_adds_per_second"}) {
      EXPECT_GT(test["limits"][limit].get<double>(), 0.0) << limit;
    }
    EXPECT_GT(test["arithmetic_share"].get<double>(), 0.0);
  }
  const double rate = tests[1]["bytes_per_second"], limit = tests[1]["limits"]["read_bytes_per_second"];
  EXPECT_NEAR(tests[1]["read_share"].get<double>(), rate / limit, 1e-9);
}

/// Whether the tags close each other in order, attributes are quoted, and nothing else has a sign of XML's in it.
bool is_well_formed(std::string_view xml) {
  std::vector<std::string> open;
  for (std::size_t i = 0; i < xml.size();) {
    if (xml[i] == '&') {
      const std::size_t end = xml.find(';', i);
      if (end == std::string_view::npos) return false;
      const std::string_view name = xml.substr(i + 1, end - i - 1);
      if (name != "amp" && name != "lt" && name != "gt" && name != "quot") return false;
      i = end + 1;
    } else if (xml[i] != '<') {
      if (xml[i] == '>' || (open.empty() && !std::isspace(static_cast<unsigned char>(xml[i])))) return false;
      ++i;
    } else {
      const std::size_t end = xml.find('>', i);
      if (end == std::string_view::npos) return false;
      const std::string_view tag = xml.substr(i + 1, end - i - 1);
      if (tag.find('<') != std::string_view::npos) return false;
      std::size_t quotes = 0;
      for (const char c : tag) quotes += c == '"' ? 1 : 0;
      if (quotes % 2 != 0) return false;
      const std::string name(tag.substr(tag.front() == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag.front() == '/' ? 1 : 0)));
      if (tag.front() == '/') {
        if (open.empty() || open.back() != name) return false;
        open.pop_back();
      } else if (tag.back() != '/') {
        open.push_back(name);
      }
      i = end + 1;
    }
  }
  return open.empty();
}

TEST_F(Bench, DrawsAPicture) {
  const TemporaryDirectory directory;
  const std::string file = directory.file("out.svg");
  ASSERT_EQ(bench({"-p", "8", "-n", "2", "-r", "1", "-t", "1,2", "--batch", "1,2", "--plot", file}).status, 0);
  const std::string svg = read_bytes(file);
  EXPECT_TRUE(is_well_formed(svg)) << svg;
  EXPECT_EQ(svg.substr(0, 5), "<svg ");
  for (const char* text : {">prompt 8<", ">decode 2<", ">decode 2 x 2<", ">1 thread<", " tokens/s, ", " % of "}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  ASSERT_EQ(bench({"-p", "0", "-n", "2", "-r", "1", "--plot", file, "--no-probe"}).status, 0);
  EXPECT_EQ(read_bytes(file).find(" % of "), std::string::npos);
}

TEST_F(Bench, NamesOfFilesAreEscapedInThePicture) {
  const TemporaryDirectory directory;
  const std::string model = directory.file("a<b> & \xC3\xA9.gguf"), file = directory.file("out.svg");
  std::filesystem::create_symlink(environment("INFER_TEST_MODEL"), model);
  ASSERT_EQ(run_infer({"bench", "-m", model, "-p", "0", "-n", "1", "-r", "1", "--plot", file, "--no-probe"}).status, 0);
  const std::string svg = read_bytes(file);
  EXPECT_TRUE(is_well_formed(svg)) << svg;
  EXPECT_NE(svg.find("a&lt;b&gt; &amp; \xC3\xA9.gguf"), std::string::npos) << svg;
}

TEST_F(Bench, LinesOfThePictureAreCutWhereTheirPlaceEnds) {
  const TemporaryDirectory directory;
  const std::string model = directory.file(std::string(80, 'm') + ".gguf"), file = directory.file("out.svg");
  std::filesystem::create_symlink(environment("INFER_TEST_MODEL"), model);
  ASSERT_EQ(run_infer({"bench", "-m", model, "-p", "0", "-n", "1", "-r", "1", "--plot", file, "--no-probe"}).status, 0);
  const std::string svg = read_bytes(file);
  EXPECT_NE(svg.find(">" + std::string(66, 'm') + "...<"), std::string::npos) << svg;
  EXPECT_NE(svg.find("; best runs<"), std::string::npos) << svg;   // smaller letters: more of them
}

TEST_F(Bench, AFailureLeavesNoPicture) {
  const TemporaryDirectory directory;
  EXPECT_EQ(run_infer({"bench", "-m", "nowhere.gguf", "--plot", directory.file("out.svg")}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(directory.file("out.svg")));
  EXPECT_EQ(bench({"-n", "1", "--plot", directory.file("no/such/folder.svg")}).status, 1);
}

TEST_F(Bench, RefusesWrongArguments) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"-p", "-1"}, {"-p", "0", "-n", "0"}, {"--batch", "0"}, {"--batch", "1,x"}, {"--batch", "5000"}, {"--n-batch", "0"}}) {
    const Outcome r = bench(arguments);
    EXPECT_EQ(r.status, 2) << arguments[1] << "\n" << r.err;
    EXPECT_EQ(r.out, "");
  }
  const Outcome r = bench({"--batch", "1,300"});
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("--n-batch 300"), std::string::npos) << r.err;
}

}  // namespace
