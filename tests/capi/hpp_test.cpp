// SPDX-License-Identifier: MIT
// Tests of include/libinfer.hpp: errors as values and as exceptions, ownership, streams.
#include "libinfer.hpp"

#include <gtest/gtest.h>

namespace {

const std::string kPath = INFER_TEST_DATA_DIR "/war-and-peace-2.6m-q8_0.gguf";

TEST(Hpp, AFailureIsAValueWithASentence) {
  const auto model = libinfer::Model::load("nowhere.gguf");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code(), INFER_E_NOFILE);
  EXPECT_NE(std::string(model.error().message()).find("nowhere.gguf"), std::string::npos);
}

TEST(Hpp, ValueOfAFailureThrows) {
  EXPECT_THROW(static_cast<void>(libinfer::Model::load("nowhere.gguf").value()), libinfer::Exception);
}

TEST(Hpp, ChildrenKeepTheirParents) {
  auto stream = [] {
    const auto model = libinfer::Model::load(kPath).value();
    const auto session = libinfer::Session::create(model).value();
    auto options = libinfer::Options::create(INFER_OPTIONS_GENERATE).value();
    options.parse("max_tokens=8\ntemperature=0").value();
    return libinfer::Stream::start(session, "Pierre", &options).value();
  }();
  std::string text;
  for (const libinfer::Event event : stream) text += event.text();
  EXPECT_TRUE(stream.status().ok());
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(stream.get_i64("generated_tokens").value(), 8);
}

TEST(Hpp, TokensGoAroundAndBack) {
  const auto model = libinfer::Model::load(kPath).value();
  const std::string text = "He was thinking — of what?";
  const std::vector<std::int32_t> ids = model.tokenize(text, 0).value();
  EXPECT_EQ(model.detokenize(ids).value(), text);
}

TEST(Hpp, TheLogGetsWholeRecords) {
  std::vector<std::string> records;
  {
    auto env = libinfer::Env::create().value();
    env.set_log(INFER_LOG_INFO, [&](std::int32_t, const char*, const char* message) { records.emplace_back(message); }).value();
    libinfer::Load how;
    how.env = &env;
    static_cast<void>(libinfer::Model::load(kPath, how).value());
  }
  ASSERT_FALSE(records.empty());
  EXPECT_NE(records[0].find("GGUF v3"), std::string::npos) << records[0];
}

}  // namespace
