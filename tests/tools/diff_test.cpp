// SPDX-License-Identifier: MIT
// `infer diff` on files made for it, and on the pair of golden/tiny whose distance is known. Needs INFER_PROGRAM.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/testing/gguf_writer.h"
#include "tests/tools/program.h"

namespace {

using infer::DType;
using infer::testing::environment;
using infer::testing::GgufWriter;
using infer::testing::run_infer;
using infer::testing::TemporaryDirectory;
using infer::testing::write_bytes;
using nlohmann::json;

std::vector<std::byte> floats(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

/// A file that no architecture claims.
GgufWriter some_file() {
  GgufWriter writer;
  writer.set("general.architecture", "oracle").set("oracle.depth", std::uint32_t{3}).set("oracle.height", std::uint32_t{1});
  writer.tensor("weights", DType::f32, {2, 3}, floats({3, 0, 0, 4, 0, 0}));
  writer.tensor("vector", DType::f32, {2}, floats({1, 2}));
  return writer;
}

class Diff : public ::testing::Test {
 protected:
  void SetUp() override {
    if (environment("INFER_PROGRAM").empty()) GTEST_SKIP() << "INFER_PROGRAM does not name the program";
  }

  std::string save(const char* name, const GgufWriter& writer) const {
    const std::vector<std::byte> bytes = writer.build();
    write_bytes(directory_.file(name), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return directory_.file(name);
  }
  /// The JSON of a comparison that must have this status.
  json diff(const std::string& a, const std::string& b, int status) const {
    const auto r = run_infer({"diff", a, b, "--json"});
    EXPECT_EQ(r.status, status) << r.err;
    return json::parse(r.out, nullptr, false);
  }

  TemporaryDirectory directory_;
};

TEST_F(Diff, FilesThatHoldTheSameGiveZero) {
  const std::string a = save("a", some_file());
  GgufWriter reordered = some_file();
  std::swap(reordered.tensors[0], reordered.tensors[1]);
  const json got = diff(a, save("b", reordered), 0);
  EXPECT_EQ(got["same"], true);
  EXPECT_EQ(got["relative_rms"], 0.0);
  EXPECT_EQ(run_infer({"diff", a, a}).status, 0);
}

TEST_F(Diff, TellsHowFarWeightsAreApartAndWhere) {
  GgufWriter other = some_file();
  other.find_tensor("weights")->data = floats({3, 0, 0, 4, 0, -0.5F});
  const json got = diff(save("a", some_file()), save("b", other), 1);
  EXPECT_EQ(got["same"], false);
  EXPECT_EQ(got["matrices"], 1);
  EXPECT_DOUBLE_EQ(got["relative_rms"].get<double>(), 0.1);
  const json& weights = got["tensors"][0];
  EXPECT_EQ(weights["name"], "weights");
  EXPECT_DOUBLE_EQ(weights["rms"].get<double>(), std::sqrt(0.25 / 6));
  EXPECT_EQ(weights["max_abs"], 0.5);
  EXPECT_EQ(weights["max_abs_at"], json({1, 2}));
  EXPECT_EQ(got["tensors"][1]["same"], true);
}

TEST_F(Diff, TellsWhatOnlyOneFileHas) {
  GgufWriter other = some_file();
  other.remove_tensor("vector").tensor("more", DType::f32, {1}, floats({1}));
  other.set("oracle.depth", std::uint32_t{4}).set("oracle.width", std::uint32_t{5}).remove("oracle.height");
  const json got = diff(save("a", some_file()), save("b", other), 1);
  EXPECT_EQ(got["only_in_a"][0]["name"], "vector");
  EXPECT_EQ(got["only_in_b"][0]["name"], "more");
  EXPECT_EQ(got["metadata"].size(), 3U);
  EXPECT_EQ(got["metadata"][0]["key"], "oracle.depth");
  EXPECT_EQ(got["metadata"][0]["a"], "u32 3");
  EXPECT_EQ(got["metadata"][0]["b"], "u32 4");
}

TEST_F(Diff, TellsOfMetadataThatHaveNoText) {
  const auto nested = [](std::uint8_t last) {   // two arrays of a byte
    infer::testing::ByteSink value;
    value.put(std::uint32_t{9});
    value.put(std::uint64_t{2});
    for (const std::uint8_t byte : {std::uint8_t{1}, last}) {
      value.put(std::uint32_t{0});
      value.put(std::uint64_t{1});
      value.put(byte);
    }
    return std::move(value.bytes);
  };
  std::vector<std::uint8_t> many(400000);
  GgufWriter a = some_file();
  a.raw("a.nested", 9, nested(2)).set("b.many", many).set("c.text", "x\xff").set("d.float", std::numeric_limits<float>::infinity());
  a.set("tokenizer.ggml.precompiled_charsmap", std::vector<std::uint8_t>{4, 0, 0, 0, 1, 2, 3, 4});
  const std::string first = save("a", a);
  EXPECT_EQ(diff(first, first, 0)["same"], true);
  many.back() = 1;
  a.raw("a.nested", 9, nested(3)).set("b.many", many).set("c.text", "x\xfe").set("d.float", -std::numeric_limits<float>::infinity());
  a.set("tokenizer.ggml.precompiled_charsmap", std::vector<std::uint8_t>{4, 0, 0, 0, 1, 2, 3, 5});

  const json got = diff(first, save("b", a), 1);

  ASSERT_EQ(got["metadata"].size(), 5U) << got["metadata"];
  EXPECT_EQ(got["metadata"][0]["key"], "a.nested");
  for (const json& key : got["metadata"]) EXPECT_NE(key["a"], key["b"]) << key;
  const auto text = run_infer({"diff", first, directory_.file("b")});
  EXPECT_EQ(text.status, 1);
  EXPECT_NE(text.out.find("metadata, 5 keys differ"), std::string::npos) << text.out;
}

TEST_F(Diff, ShapesTypesAndOddValuesAreTold) {
  GgufWriter a = some_file(), b = some_file();
  b.find_tensor("weights")->dims = {3, 2};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  a.find_tensor("vector")->data = floats({nan, 2});
  b.find_tensor("vector")->data = floats({1, 2});
  const std::vector<std::byte> block(36);
  a.tensor("odd", DType::nvfp4, {64}, block);
  b.tensor("odd", DType::nvfp4, {64}, block);
  const json got = diff(save("a", a), save("b", b), 1);
  EXPECT_EQ(got["tensors"][0]["not_compared"], "the shapes differ");
  EXPECT_EQ(got["tensors"][1]["not_finite"], 1);
  EXPECT_EQ(got["tensors"][1]["same"], false);
  EXPECT_NE(got["tensors"][2]["not_compared"].get<std::string>().find("NVFP4"), std::string::npos);
  const auto text = run_infer({"diff", directory_.file("a"), directory_.file("b")});
  EXPECT_EQ(text.status, 1);
  EXPECT_NE(text.out.find("1 elements are not finite"), std::string::npos) << text.out;
  EXPECT_EQ(diff(directory_.file("a"), directory_.file("a"), 1)["tensors"][1]["same"], true);   // NaN is NaN
}

TEST_F(Diff, WhatCannotBeComparedGivesTwo) {
  const std::string a = save("a", some_file());
  EXPECT_EQ(run_infer({"diff", a, "/no/such/file"}).status, 2);
  EXPECT_EQ(run_infer({"diff", "/no/such/file", a}).status, 2);
  EXPECT_EQ(run_infer({"diff", a}).status, 2);
  write_bytes(directory_.file("text"), "no model at all, only text");
  EXPECT_EQ(run_infer({"diff", a, directory_.file("text")}).status, 2);
}

TEST_F(Diff, AgreesWithGoldenDistances) {
  const std::string golden = environment("INFER_SHARED") + "/golden/tiny/";
  if (!std::filesystem::exists(golden + "quantization.json")) GTEST_SKIP() << "INFER_SHARED has no golden/tiny";
  const json known = json::parse(infer::testing::read_bytes(golden + "quantization.json"), nullptr, false)["types"]["Q8_0"];
  const json got = diff(golden + "war-and-peace-2.6m-f16.gguf", golden + "war-and-peace-2.6m-q8_0.gguf", 1);
  EXPECT_NEAR(got["relative_rms"].get<double>(), known["relative_rms"].get<double>(), 1e-5);   // known: against F32
  for (const json& tensor : got["tensors"]) {
    const auto expected = known["tensors"].find(tensor["name"].get<std::string>());
    if (expected == known["tensors"].end()) continue;
    EXPECT_NEAR(tensor["relative_rms"].get<double>(), (*expected)["relative_rms"].get<double>(), 1e-5) << tensor["name"];
  }
}

/// What each type costs, beside another implementation's encoder: docs/quantization.md.
TEST_F(Diff, EveryTypeLosesNoMoreThanGoldenFilesDo) {
  const std::string golden = environment("INFER_SHARED") + "/golden/tiny/";
  if (!std::filesystem::exists(golden + "quantization.json")) GTEST_SKIP() << "INFER_SHARED has no golden/tiny";
  const json known = json::parse(infer::testing::read_bytes(golden + "quantization.json"), nullptr, false)["types"];
  const std::string source = golden + "war-and-peace-2.6m-f16.gguf", made = directory_.file("made.gguf");
  for (const auto& [type, facts] : known.items()) {
    ASSERT_EQ(run_infer({"quantize", source, made, type}).status, 0) << type;
    const json got = json::parse(run_infer({"diff", source, made, "--json"}).out, nullptr, false);
    EXPECT_LE(got["relative_rms"].get<double>(), 1.02 * facts["relative_rms"].get<double>()) << type;
  }
}

}  // namespace
