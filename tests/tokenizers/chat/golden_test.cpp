// SPDX-License-Identifier: MIT
// Every template of golden/text/chat over every conversation there, against what Jinja2 rendered. The data is described
// in its own README (in the directory that INFER_SHARED names).
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/tokenizers/chat/rendering.h"
#include "tokenizers/chat/builtin.h"

namespace infer::chat {
namespace {

std::string golden_directory() {
  const char* shared = std::getenv("INFER_SHARED");
  return shared == nullptr || *shared == '\0' ? std::string() : std::string(shared) + "/golden/text/chat/";
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Inputs inputs_of(const Dict& golden, const Dict& golden_case) {
  Inputs inputs{.variables = {}, .now = testing::kSunday};
  const auto add = [&](const char* name, const Value* value) {
    inputs.variables.emplace_back(name, value == nullptr ? Value(None{}) : *value);
  };
  for (const char* name : {"bos_token", "eos_token"}) add(name, golden.find(name));
  for (const char* name : {"messages", "tools", "documents", "add_generation_prompt"})
    add(name, golden_case.find(name));
  if (const Value* const extra = golden_case.find("extra")) {
    for (const auto& [name, value] : extra->dict().entries()) add(name.bytes().c_str(), &value);
  }
  return inputs;
}

/// Whether the answer is the golden one. Where Jinja2 itself fails, either sort of answer does.
bool holds(const Result<Text>& rendered, const Dict& golden_case) {
  if (const Value* const expected = golden_case.find("expected"))
    return rendered.ok() && rendered.value().bytes() == expected->bytes();
  const Dict& error = golden_case.find("error")->dict();
  if (error.find("kind")->bytes() != "raise_exception") return true;
  return !rendered.ok() && testing::shown(rendered).find(error.find("message")->bytes()) != std::string::npos;
}

TEST(ChatGolden, RendersWhatTransformersRenders) {
  const std::string directory = golden_directory();
  if (!std::filesystem::is_directory(directory + "golden")) GTEST_SKIP() << "no golden/text/chat in INFER_SHARED";
  std::size_t n_cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory + "golden")) {
    const std::string name = entry.path().filename().string();
    const Result<Value> golden = parse_json(read_file(entry.path().string()), name);
    ASSERT_TRUE(golden.ok()) << golden.status().message();
    const Dict& facts = golden.value().dict();
    ASSERT_EQ(facts.find("now")->bytes(), "2025-03-09T14:05:07") << name;
    const Result<Template> compiled = Template::compile(read_file(directory + facts.find("template")->bytes()));
    ASSERT_TRUE(compiled.ok()) << name << ": " << compiled.status().message();
    for (const Value& c : facts.find("cases")->list().items) {
      const Result<Text> rendered = compiled.value().render(inputs_of(facts, c.dict()));
      EXPECT_TRUE(holds(rendered, c.dict()))
          << name << ", " << c.dict().find("case")->bytes() << ": " << testing::shown(rendered).substr(0, 400);
      ++n_cases;
    }
  }
  EXPECT_GT(n_cases, 4000U);
}

/// A built-in template, and the golden file of a template that prints the same.
struct Twin {
  std::string_view builtin;
  const char* golden;
};

TEST(ChatGolden, BuiltInTemplatesPrintWhatTheModelsOwnDo) {
  const std::string directory = golden_directory();
  if (!std::filesystem::is_directory(directory + "golden")) GTEST_SKIP() << "no golden/text/chat in INFER_SHARED";
  constexpr Twin kTwins[] = {{"llama2", "llama-2"},
                             {"llama3", "llama-3-instruct"},
                             {"mistral-v1", "mistral-common-v1-spm"},
                             {"mistral-v3", "mistral-common-v3-spm"},
                             {"mistral-v3-tekken", "mistral-common-v3"},
                             {"mistral-v7", "mistral-common-v7-spm"},
                             {"mistral-v7-tekken", "mistral-common-v7"},
                             {"chatml", "chatml-openhermes"},
                             {"phi3", "phi-3.5-mini"},
                             {"phi4", "phi-4"},
                             {"gemma", "gemma-3"},
                             {"zephyr", "zephyr"},
                             {"vicuna", "vicuna"}};
  // Without the others, in which templates differ by what they refuse.
  const std::vector<std::string> kCases = {"user+gen", "system_user+gen", "multi_turn+gen", "multi_turn_no_system+gen", "unicode+gen",
                                           "special_text+gen", "html_quotes+gen", "long+gen"};
  for (const BuiltinTemplate& known : builtin_templates()) {
    const auto twin = std::find_if(std::begin(kTwins), std::end(kTwins), [&](const Twin& t) { return t.builtin == known.name; });
    ASSERT_NE(twin, std::end(kTwins)) << known.name;
    const Result<Value> golden = parse_json(read_file(directory + "golden/" + twin->golden + ".json"), twin->golden);
    ASSERT_TRUE(golden.ok()) << golden.status().message();
    const Template compiled = Template::compile(known.text()).value();
    std::size_t n_cases = 0;
    for (const Value& c : golden.value().dict().find("cases")->list().items) {
      const std::string& name = c.dict().find("case")->bytes();
      if (std::find(kCases.begin(), kCases.end(), name) == kCases.end() || c.dict().find("expected") == nullptr) continue;
      const Result<Text> rendered = compiled.render(inputs_of(golden.value().dict(), c.dict()));
      EXPECT_EQ(testing::shown(rendered), c.dict().find("expected")->bytes()) << known.name << ", " << name;
      ++n_cases;
    }
    EXPECT_GE(n_cases, 7U) << known.name;
  }
}

}  // namespace
}  // namespace infer::chat
