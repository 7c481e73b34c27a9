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

}  // namespace
}  // namespace infer::chat
