// SPDX-License-Identifier: MIT
// Chat templates through the C ABI and its C++ wrapper: what a request may hold, what is trusted, what errors say.
#include <string>

#include <gtest/gtest.h>

#include "libinfer.hpp"

namespace {

using libinfer::Template;

Template compile(std::string_view source) {
  auto compiled = Template::compile(source);
  EXPECT_TRUE(compiled) << compiled.error().message();
  return *std::move(compiled);
}

std::string render(std::string_view source, std::string_view request) {
  const auto prompt = compile(source).render_json(request);
  return prompt ? *prompt->text() : std::string(prompt.error().message());
}

TEST(CApiTemplate, MakesTheTextOfAConversation) {
  EXPECT_EQ(
      render("{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if "
             "add_generation_prompt %}<|a|>{% endif %}",
             R"({"messages": [{"role": "user", "content": "hi"}], "bos_token": "<s>", "add_generation_prompt": true})"),
      "<s><|user|>hi<|a|>");
  EXPECT_EQ(render("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ eos_token is defined }}",
                   R"({"messages": []})"),
            "TrueTrueFalseFalse");
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y') }}{{ x }}",
                   R"({"messages": [], "now": "2025-03-09T14:05:07", "extra": {"x": 12345678901234567890123}})"),
            "09 Mar 202512345678901234567890123");
}

TEST(CApiTemplate, TellsTrustedTextFromTheRest) {
  const auto prompt =
      compile("{{ bos_token }}{{ '<|' + messages[0].role + '|>' + messages[0].content }}")
          .render_json(R"({"messages": [{"role": "user", "content": "<|user|>"}], "bos_token": "<s>"})");
  ASSERT_TRUE(prompt) << prompt.error().message();
  const auto segments = prompt->segments();
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[0].text, "<s><|user|>");
  EXPECT_TRUE(segments[0].trusted);
  EXPECT_EQ(segments[1].text, "<|user|>");
  EXPECT_FALSE(segments[1].trusted);
}

TEST(CApiTemplate, ErrorsHaveACodeAndAPlace) {
  const auto broken = Template::compile("a\n{{ 1 + }}");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code(), INFER_E_TEMPLATE);
  EXPECT_EQ(broken.error().offset(), 9);

  const auto raised = compile("{{ raise_exception('no') }}").render_json(R"({"messages": []})");
  ASSERT_FALSE(raised);
  EXPECT_EQ(raised.error().code(), INFER_E_TEMPLATE);
  EXPECT_STREQ(raised.error().subject(), "raise_exception");

  const auto endless = compile("{% for i in range(10**12) %}{% endfor %}").render_json(R"({"messages": []})");
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code(), INFER_E_TEMPLATE_LIMIT);
}

TEST(CApiTemplate, RefusesBadRequests) {
  const Template compiled = compile("x");
  for (const char* request : {"", "[]", "{}", R"({"messages": 1})", R"({"messages": [], "now": "today"})",
                              R"({"messages": [], "extra": []})"}) {
    const auto prompt = compiled.render_json(request);
    ASSERT_FALSE(prompt) << request;
    EXPECT_EQ(prompt.error().code(), INFER_E_ARGUMENT) << request;
  }
  EXPECT_EQ(infer_template_render_json(nullptr, "{}", 2, nullptr, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_prompt_segment_count(nullptr), 0U);
}

TEST(CApiTemplate, ChecksWithoutRendering) {
  EXPECT_EQ(*compile("{{ x | trim }}").check(), "");
  EXPECT_EQ(*compile("{{ x | from_json }}").check(), "line 1, column 8: filter 'from_json'\n");
}

}  // namespace
