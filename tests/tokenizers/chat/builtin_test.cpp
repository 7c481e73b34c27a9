// SPDX-License-Identifier: MIT
// Tests of tokenizers/chat/builtin.cpp: what every built-in template must do. That they print what the models' own templates print
// is in golden_test.cpp.
#include "tokenizers/chat/builtin.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/tokenizers/chat/rendering.h"

namespace infer::chat {
namespace {

TEST(BuiltinTemplates, HaveNamesOfTheirOwnAndUseWhatIsSupported) {
  std::set<std::string_view> names;
  for (const BuiltinTemplate& known : builtin_templates()) {
    EXPECT_TRUE(names.insert(known.name).second) << known.name;
    const Result<Template> compiled = Template::compile(known.text());
    ASSERT_TRUE(compiled.ok()) << known.name << ": " << compiled.status().message();
    EXPECT_TRUE(compiled.value().unsupported().empty()) << known.name;
  }
  for (const char* name : {"llama2", "llama3", "mistral-v1", "mistral-v3", "mistral-v7", "chatml", "phi3", "phi4", "gemma", "zephyr"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST(BuiltinTemplates, KeepWhatMessagesSayUntrusted) {
  for (const BuiltinTemplate& known : builtin_templates()) {
    const Result<Text> rendered = testing::render(known.text(), R"({"bos_token": "", "eos_token": "", "add_generation_prompt": true,
      "messages": [{"role": "system", "content": "SAID one"}, {"role": "user", "content": " SAID two "},
                   {"role": "assistant", "content": "SAID three"},
                   {"role": "user", "content": [{"type": "text", "text": "SAID four"}, {"type": "text", "text": " SAID five"}]}]})");
    ASSERT_TRUE(rendered.ok()) << known.name << ": " << rendered.status().message();
    std::string untrusted;
    for (const Segment& segment : segments(rendered.value())) {
      EXPECT_TRUE(segment.origin == Origin::untrusted || segment.text.find("SAID") == std::string::npos) << known.name;
      if (segment.origin == Origin::untrusted) untrusted += segment.text + "|";
    }
    for (const char* word : {"one", "two", "three", "four SAID five"}) EXPECT_NE(untrusted.find(word), std::string::npos) << known.name;
  }
}

TEST(BuiltinTemplates, RefuseToolsInsteadOfForgettingThem) {
  for (const char* request : {R"({"messages": [], "tools": [{"type": "function"}]})",
                              R"({"messages": [{"role": "assistant", "tool_calls": [{}]}]})",
                              R"({"messages": [{"role": "tool", "content": "4"}]})"}) {
    for (const BuiltinTemplate& known : builtin_templates()) {
      const Result<Text> rendered = testing::render(known.text(), request);
      ASSERT_FALSE(rendered.ok()) << known.name;
      EXPECT_NE(testing::shown(rendered).find("knows no tools"), std::string::npos) << testing::shown(rendered);
    }
  }
}

/// What a template makes of messages (JSON), without a model: no marks of begin and end.
std::string made_of(const BuiltinTemplate& known, std::string_view messages) {
  return testing::shown(testing::render(known.text(), R"({"add_generation_prompt": true, "messages": )" + std::string(messages) + "}"));
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

TEST(BuiltinTemplates, NeedNoModel) {
  for (const BuiltinTemplate& known : builtin_templates()) {
    const std::string text = made_of(known, R"([{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}])");
    EXPECT_EQ(text.find("template:"), std::string::npos) << known.name << ": " << text;
    EXPECT_EQ(count(text, "None"), 0U) << known.name << ": " << text;
  }
}

TEST(BuiltinTemplates, SayEachSystemMessageOnce) {
  for (const BuiltinTemplate& known : builtin_templates()) {
    const std::string text = made_of(known, R"([{"role": "system", "content": "ONE"}, {"role": "system", "content": "TWO"},
      {"role": "user", "content": "THREE"}, {"role": "assistant", "content": "FOUR"},
      {"role": "system", "content": "FIVE"}, {"role": "user", "content": "SIX"}])");
    for (const char* word : {"ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX"}) EXPECT_EQ(count(text, word), 1U) << known.name << ": " << text;
    EXPECT_LT(text.find("ONE"), text.find("TWO")) << known.name;
    EXPECT_LT(text.find("TWO"), text.find("FIVE")) << known.name;
    EXPECT_LT(text.find("FIVE"), text.find("SIX")) << known.name;
    const bool is_joined = known.name == "llama2" || known.name == "mistral-v1" || known.name == "gemma";
    EXPECT_TRUE(!is_joined || count(text, "ONE\n\nTWO\n") == 1) << known.name << ": " << text;
  }
}

TEST(BuiltinTemplates, LoseNoSystemMessageWithoutAQuestion) {
  for (const char* messages : {R"([{"role": "system", "content": "ONE"}])", R"([{"role": "system", "content": ""}])",
                               R"([{"role": "user", "content": "U"}, {"role": "system", "content": "ONE"}])",
                               R"([{"role": "system", "content": "ONE"}, {"role": "assistant", "content": "A"}])"}) {
    for (const BuiltinTemplate& known : builtin_templates()) {
      const std::string text = made_of(known, messages);
      const bool is_part_of_question = known.name == "llama2" || known.name == "mistral-v1" || known.name == "gemma" ||
                                       known.name == "mistral-v3" || known.name == "mistral-v3-tekken";
      EXPECT_EQ(text.find("a system message needs a message of the user") != std::string::npos, is_part_of_question)
          << known.name << ": " << text;
    }
  }
}

TEST(BuiltinTemplates, RefuseRolesThatTheyHaveNoPlaceFor) {
  for (const BuiltinTemplate& known : builtin_templates()) {
    const std::string text = made_of(known, R"([{"role": "user", "content": "U"}, {"role": "narrator", "content": "N"}])");
    // The others write the role as it is.
    const bool is_written = text.find("narrator\n") != std::string::npos || text.find("narrator<|") != std::string::npos ||
                            text.find("narrator|>") != std::string::npos;
    EXPECT_TRUE(is_written || text.find("messages of role \"narrator\"") != std::string::npos) << known.name << ": " << text;
    for (const char* name : {"llama2", "mistral", "vicuna"}) EXPECT_FALSE(is_written && known.name.starts_with(name)) << text;
  }
}

TEST(BuiltinTemplates, RefuseContentThatIsNotText) {
  for (const char* content : {R"([{"type": "image"}, {"type": "text", "text": "T"}])", R"([{"text": "T"}])", R"(["T"])", R"({"a": 1})"}) {
    for (const char* role : {"system", "user", "assistant"}) {
      for (const BuiltinTemplate& known : builtin_templates()) {
        const std::string text = made_of(known, R"([{"role": ")" + std::string(role) + R"(", "content": )" + content + R"(},
                                                    {"role": "user", "content": "U"}])");
        EXPECT_NE(text.find("knows text only"), std::string::npos) << known.name << ": " << text;
      }
    }
  }
}

}  // namespace
}  // namespace infer::chat
