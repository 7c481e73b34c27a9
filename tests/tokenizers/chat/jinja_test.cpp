// SPDX-License-Identifier: MIT
// The language of chat templates, construct by construct, against what Jinja2 itself prints
// (tests/data/jinja_cases.json, made by make_jinja_cases.py), and what is ours alone: errors and check.
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/tokenizers/chat/rendering.h"

namespace infer::chat {
namespace {

using testing::render;
using testing::shown;

Value jinja_cases() {
  std::ifstream file(INFER_TEST_DATA_DIR "/jinja_cases.json", std::ios::binary);
  const std::string json{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Result<Value> cases = parse_json(json, "jinja_cases.json");
  EXPECT_TRUE(cases.ok()) << cases.status().message();
  return std::move(cases).value();
}

TEST(ChatTemplate, PrintsWhatJinjaPrints) {
  const Value all = jinja_cases();
  const Value& variables = *all.dict().find("variables");

  for (const Value& c : all.dict().find("cases")->list().items) {
    const std::string& source = c.dict().find("template")->bytes();
    const Value* const expected = c.dict().find("expected");
    const Result<Text> rendered = render(source, variables);
    if (expected != nullptr) {
      EXPECT_EQ(shown(rendered), expected->bytes()) << source;
    } else {
      EXPECT_FALSE(rendered.ok()) << source << " printed " << shown(rendered) << ", Jinja says "
                                  << c.dict().find("error")->bytes();
    }
  }
}

TEST(ChatTemplate, ErrorsSayWhere) {
  const Result<Text> syntax = render("a\n  {{ 1 + }}");
  ASSERT_FALSE(syntax.ok());
  EXPECT_EQ(syntax.status().code(), Code::chat_template);
  EXPECT_EQ(shown(syntax), "template: line 2, column 10: expected an expression, found '}}'");
  EXPECT_EQ(syntax.status().offset(), 11);

  EXPECT_EQ(shown(render("{{ x.y.z }}")), "template: line 1, column 5: 'x' is undefined");
  EXPECT_EQ(shown(render("é {% if a %}")),
            "template: line 1, column 13: the block that begins here does not end: 'endif' is missing");
  EXPECT_EQ(render("a\r\n\r\n{{ 1 / 0 }}").status().offset(), 10) << "a byte of the text as it was given";
}

TEST(ChatTemplate, RaisesWhatTheTemplateRaises) {
  const Result<Text> rendered = render("{{ raise_exception('Roles must alternate: ' ~ role) }}", R"({"role": "x"})");

  ASSERT_FALSE(rendered.ok());
  EXPECT_EQ(rendered.status().code(), Code::chat_template);
  EXPECT_EQ(rendered.status().subject(), "raise_exception");
  EXPECT_NE(shown(rendered).find("Roles must alternate: x"), std::string::npos);
}

TEST(ChatTemplate, RaisesWhatCanBePrinted) {
  const Result<Text> rendered = render("{{ raise_exception('no ' ~ text) }}", R"({"text": "\n\u001b[31mall is well"})");
  EXPECT_EQ(shown(rendered), "template: line 1, column 19: no \\x0a\\x1b[31mall is well") << "text of messages forges no line of a log";
}

TEST(ChatTemplate, ListsWhatIsNotSupported) {
  const Result<Template> compiled = Template::compile(
      "{% set f = 1 %}{{ f() }}{{ x | from_json }}\n{% include 'y' %}{{ x is weird }}{{ x.frobnicate() }}{{ lipsum() }}"
      "{{ x | map('nope') | select('odd') | selectattr('a', 'what') | list }}{% for a in b recursive %}{% endfor %}");
  ASSERT_TRUE(compiled.ok()) << compiled.status().message();

  EXPECT_EQ(compiled.value().unsupported(),
            (std::vector<std::string>{"line 1, column 32: filter 'from_json'", "line 2, column 4: tag 'include'",
                                      "line 2, column 23: test 'weird'", "line 2, column 49: method 'frobnicate'",
                                      "line 2, column 63: function 'lipsum'", "line 2, column 75: filter 'nope'",
                                      "line 2, column 105: test 'what'", "line 2, column 152: recursive loop"}));
}

TEST(ChatTemplate, HasTheTimeOnlyWhereTheCallerSetsIt) {
  const Result<Template> guarded = Template::compile(
      "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}26 Jul 2024{% endif %}");
  EXPECT_TRUE(guarded.value().unsupported().empty());
  EXPECT_EQ(shown(guarded.value().render({})), "26 Jul 2024") << "as the template of Llama 3.2 has it";
  EXPECT_EQ(shown(guarded.value().render({.variables = {}, .now = testing::kSunday})), "09 Mar 2025");

  const std::string message = shown(Template::compile("{{ strftime_now('%Y') }}").value().render({}));
  EXPECT_NE(message.find("infer_messages_set_now"), std::string::npos) << message;
}

TEST(ChatTemplate, CountsWeeks) {
  const auto weeks = [](int year, int month, int day) {
    const Inputs inputs{.variables = {}, .now = CivilTime{.year = year, .month = month, .day = day}};
    return shown(Template::compile("{{ strftime_now('%G-%V %U %W %j %g %C') }}").value().render(inputs));
  };
  EXPECT_EQ(weeks(2021, 1, 3), "2020-53 01 00 003 20 20");
  EXPECT_EQ(weeks(2024, 12, 30), "2025-01 52 53 365 25 20");
  EXPECT_EQ(weeks(2000, 1, 1), "1999-52 00 00 001 99 20");
  EXPECT_EQ(weeks(2026, 1, 1), "2026-01 00 00 001 26 20");
}

TEST(ChatTemplate, SaysWhichFormatsAreNotSupported) {
  for (const char* source : {"{{ '%a' % 'x' }}", "{{ '%*d' % (3, 1) }}", "{{ '%#g' % 1 }}", "{{ '%5%' % 1 }}", "{{ strftime_now('%E') }}",
                             "{{ strftime_now('%10d') }}"}) {
    const Result<Text> rendered = render(source);
    EXPECT_NE(shown(rendered).find("is not supported"), std::string::npos) << source << ": " << shown(rendered);
  }
}

TEST(ChatTemplate, RefusesIntegersBeyond64Bits) {
  EXPECT_EQ(shown(render("{{ '9223372036854775807' | int }} {{ '-9223372036854775808' | int }} {{ -9.2e18 | int }}")),
            "9223372036854775807 -9223372036854775808 -9200000000000000000");
  for (const char* source : {"{{ '9223372036854775808' | int }}", "{{ '-9223372036854775809' | int(1) }}", "{{ 1e30 | int }}",
                             "{{ '1e30' | int }}", "{{ 9223372036854775808 }}", "{{ ('9' * 5000) | int }}"}) {
    const Result<Text> rendered = render(source);
    EXPECT_FALSE(rendered.ok()) << source << " printed " << shown(rendered);
  }
  EXPECT_NE(shown(render("{{ ('9' * 5000) | int }}")).find("64 bits"), std::string::npos);
}

TEST(ChatTemplate, TakesUnderscoresBetweenDigitsOnly) {
  EXPECT_EQ(shown(render("{{ '1_0'|int }} {{ '1_0.5_0'|float }} {{ 1_000 }} {{ 0x_f }}")), "10 10.5 1000 15");
  EXPECT_EQ(shown(render("{{ '1_e5'|float }} {{ '1e_5'|float }} {{ '1_e5'|int }} {{ '_1'|int }}")), "0.0 0.0 0 0");
}

TEST(ChatTemplate, FindsKeysThatAreEqual) {
  EXPECT_EQ(shown(render("{% set d = {1: 'a', 0.5: 'b', none: 'c', '1': 'd'} %}{{ d[1.0] }}{{ d[true] }}{{ d[1/2] }}{{ d[none] }}{{ d['1'] }}")),
            "aabcd");
  EXPECT_EQ(shown(render("{% set d = {2**62: 'a', 2**62 + 1: 'b'} %}{{ d[2**62 + 1] }}{{ d[2**62] }}{{ d[2.0**62] }}{{ d[2**62 + 2] }}")),
            "baa") << "which are the same as doubles";
}

TEST(ChatTemplate, AppendsToItsOwnListsOnly) {
  EXPECT_EQ(shown(render("{% set ns = namespace(a=[]) %}{% set _ = ns.a.append('x') %}{% set _ = ns.a.append('y') %}{{ "
                         "ns.a.pop(0) }}{{ ns.a }}")),
            "x['y']");
  EXPECT_FALSE(render("{% set _ = messages.append(1) %}", R"({"messages": []})").ok());
  EXPECT_FALSE(render("{% set a = [] %}{% set _ = a.append(a) %}").ok()) << "no list can hold itself";
}

TEST(ChatTemplate, RendersFromManyThreads) {
  const Result<Template> compiled = Template::compile("{% for m in messages %}{{ m.role ~ m.n }};{% endfor %}");
  const Result<Value> messages = parse_json(R"([{"role": "user", "n": 1}, {"role": "tool", "n": 2}])", "messages");
  const Inputs inputs{.variables = {{"messages", messages.value()}}, .now = {}};

  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) threads.emplace_back([&] { text = shown(compiled.value().render(inputs)); });
  for (std::thread& thread : threads) thread.join();

  for (const std::string& text : texts) EXPECT_EQ(text, "user1;tool2;");
}

TEST(ChatTemplate, ReadsJson) {
  const auto back = [](std::string_view json) {
    return shown(render("{{ x | tojson }}", "{\"x\": " + std::string(json) + "}"));
  };
  EXPECT_EQ(back(R"({"b": [1, -2.50, 1e3, true, null], "a": "\u00e9\ud83d\ude00\n\/"})"),
            R"({"b": [1, -2.5, 1000.0, true, null], "a": "é😀\n/"})");
  EXPECT_EQ(back("123456789012345678901234567890"), "123456789012345678901234567890");
  EXPECT_EQ(back(R"({"a": 1, "b": 2, "a": 3})"), R"({"a": 3, "b": 2})");

  for (const char* bad : {"", "{", "[1,]", "{\"a\"}", "\"a", "\"\\x\"", "01", "1.", "nul", "[1] 2", "\"\x01\"",
                          "{'a': 1}", "+1", "-", "1e", "\"\\ud83d x\"", "1e999"}) {
    const Status status = parse_json(bad, "x").status();
    EXPECT_EQ(status.code(), Code::argument) << bad;
    EXPECT_EQ(status.message().find("x: not JSON at byte "), 0U) << status.message();
  }
  EXPECT_EQ(parse_json("\"\xff\"", "x").status().code(), Code::utf8);
  EXPECT_EQ(parse_json(std::string(100000, '['), "x").status().code(), Code::limit);
}

}  // namespace
}  // namespace infer::chat
