// SPDX-License-Identifier: MIT
// Tests of src/runtime/messages.cpp: what a template sees of what was said.
#include "libinfer/messages.h"

#include <string>

#include <gtest/gtest.h>

#include "libinfer/chat_template.h"

namespace infer {
namespace {

/// All that a template can see of the messages.
std::string seen(const Messages& messages, const char* source = "{{ messages | tojson }}{{ tools | tojson }}") {
  const Result<ChatPrompt> prompt = ChatTemplate::compile(source).value().render(messages);
  return prompt.ok() ? prompt.value().text : std::string(prompt.status().message());
}

TEST(Messages, AreWhatWasAdded) {
  Messages m;
  EXPECT_TRUE(m.add("system", "Be kind.").ok());
  EXPECT_TRUE(m.add("user", "2 + 2? \xf0\x9f\xa4\x94").ok());
  EXPECT_TRUE(m.add("assistant", "").ok());
  EXPECT_TRUE(m.add_tool_call("c1", "add", R"({"a": 2, "b": [2.0]})").ok());
  EXPECT_TRUE(m.add_tool_call("", "noop", "{}").ok());
  EXPECT_TRUE(m.add_tool_result("c1", "add", "4").ok());
  EXPECT_TRUE(m.add_json(R"({"role": "user", "name": "Ann", "content": null})").ok());
  EXPECT_TRUE(m.set_tools(R"([{"type": "function", "function": {"name": "add"}}])").ok());
  EXPECT_EQ(m.size(), 5U);
  EXPECT_EQ(seen(m),
            "[{\"role\": \"system\", \"content\": \"Be kind.\"}, {\"role\": \"user\", \"content\": \"2 + 2? \xf0\x9f\xa4\x94\"}, "
            R"({"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", )"
            R"("arguments": {"a": 2, "b": [2.0]}}}, {"type": "function", "function": {"name": "noop", "arguments": {}}}]}, )"
            R"({"role": "tool", "content": "4", "tool_call_id": "c1", "name": "add"}, {"role": "user", "name": "Ann", )"
            R"("content": null}][{"type": "function", "function": {"name": "add"}}])");

  m.truncate(1);
  EXPECT_TRUE(m.set_tools("null").ok());
  EXPECT_EQ(seen(m), R"([{"role": "system", "content": "Be kind."}]null)");
}

TEST(Messages, HavePartsWhereThereAreSeveral) {
  Messages m;
  EXPECT_EQ(m.add_part("x").code(), Code::state);
  EXPECT_TRUE(m.add("user", "one").ok());
  EXPECT_TRUE(m.add_part("two").ok());
  EXPECT_TRUE(m.add_part("three").ok());
  EXPECT_EQ(seen(m, "{% for part in messages[0].content %}{{ part.type }}:{{ part.text }} {% endfor %}"),
            "text:one text:two text:three ");
  EXPECT_TRUE(m.add("user", "").ok());
  EXPECT_TRUE(m.add_part("only").ok());
  EXPECT_EQ(seen(m, "{{ messages[1].content | tojson }}"), R"([{"type": "text", "text": "only"}])");
}

TEST(Messages, SetVariablesAndTheTime) {
  Messages m;
  EXPECT_TRUE(m.set_variable("enable_thinking", "false").ok());
  EXPECT_TRUE(m.set_variable("enable_thinking", "true").ok());
  EXPECT_TRUE(m.set_now("2025-03-09T14:05:07").ok());
  EXPECT_EQ(seen(m, "{{ enable_thinking }} {{ strftime_now('%H:%M') }}"), "True 14:05");
  EXPECT_TRUE(m.set_now("2024-02-29T23:59:60").ok());
  EXPECT_TRUE(m.set_now("2000-02-29T00:00:00").ok());
  EXPECT_TRUE(m.set_now("").ok());
  EXPECT_NE(seen(m, "{{ strftime_now('%H:%M') }}"), "14:05");
}

TEST(Messages, AFailedCallChangesNothing) {
  Messages m;
  ASSERT_TRUE(m.add("user", "hi").ok());
  EXPECT_EQ(m.add("user", "\xff").code(), Code::utf8);
  EXPECT_EQ(m.add("\xff", "x").code(), Code::utf8);
  EXPECT_EQ(m.add_part("\xc3").code(), Code::utf8);
  EXPECT_EQ(m.add_json(R"([{"role": "user"}, 3])").code(), Code::argument);
  EXPECT_EQ(m.add_json("{}").code(), Code::argument);
  EXPECT_EQ(m.add_json("{").code(), Code::argument);
  EXPECT_EQ(m.add_tool_call("", "f", "{}").code(), Code::state) << "of a user";
  EXPECT_EQ(m.add_tool_result("\xff", "f", "x").code(), Code::utf8);
  EXPECT_EQ(m.set_tools("{}").code(), Code::argument);
  EXPECT_EQ(m.set_variable("messages", "[]").code(), Code::argument);
  EXPECT_EQ(m.set_variable("a b", "1").code(), Code::argument);
  EXPECT_EQ(m.set_variable("", "1").code(), Code::argument);
  EXPECT_EQ(m.set_variable("x", "nonsense").code(), Code::argument);
  for (const char* time : {"tomorrow", "0000-00-00T00:00:00", "0000-01-01T00:00:00", "2025-13-01T00:00:00", "2025-02-30T00:00:00",
                           "2025-02-29T00:00:00", "1900-02-29T00:00:00", "2025-04-31T00:00:00", "2025-03-09T24:00:00",
                           "2025-03-09T14:60:00", "2025-03-09T14:05:61", "2025-03-09T14:05:07Z"})
    EXPECT_EQ(m.set_now(time).code(), Code::argument) << time;
  EXPECT_EQ(seen(m), R"([{"role": "user", "content": "hi"}]null)");
  ASSERT_TRUE(m.add("assistant", "").ok());
  EXPECT_EQ(m.add_tool_call("", "f", "[]").code(), Code::argument);
  EXPECT_EQ(seen(m), R"([{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}]null)");
}

TEST(Messages, AreReadFromARequest) {
  const Result<Messages> m = Messages::parse(
      R"({"messages": [{"role": "user", "content": "hi"}], "tools": [], "now": "2025-03-09T14:05:07", "extra": {"x": 1}, "other": 2})");
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(seen(m.value(), "{{ messages[0].content }}{{ tools }}{{ x }}{{ other is defined }}"), "hi[]1False");
  for (const char* wrong : {"[]", "{}", R"({"messages": 1})", R"({"messages": [], "now": "x"})", R"({"messages": [], "extra": 1})",
                            R"({"messages": [], "extra": {"messages": []}})"}) {
    EXPECT_EQ(Messages::parse(wrong).status().code(), Code::argument) << wrong;
  }
}

}  // namespace
}  // namespace infer
