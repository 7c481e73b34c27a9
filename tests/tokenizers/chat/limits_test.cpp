// SPDX-License-Identifier: MIT
// Hostile templates: every budget ends them with an error that names it, in short time and on a small stack.
#include <pthread.h>

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "tests/tokenizers/chat/rendering.h"

namespace infer::chat {
namespace {

using testing::render;
using testing::shown;

std::string repeated(std::string_view part, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += part;
  return out;
}

void expect_limit(const std::string& source, std::string_view word) {
  const auto begin = std::chrono::steady_clock::now();
  const Result<Text> rendered = render(source);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  ASSERT_FALSE(rendered.ok()) << source.substr(0, 80);
  EXPECT_EQ(rendered.status().code(), Code::template_limit) << source.substr(0, 80) << ": " << shown(rendered);
  EXPECT_NE(shown(rendered).find(word), std::string::npos) << source.substr(0, 80) << ": " << shown(rendered);
  EXPECT_LT(seconds.count(), 60.0) << source.substr(0, 80);
}

TEST(ChatLimits, EndLoopsAndLongTexts) {
  expect_limit("{% for i in range(10**12) %}x{% endfor %}", "steps");
  expect_limit("{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}", "steps");
  expect_limit("{{ 'a' * 10**12 }}", "bytes");
  expect_limit("{{ [0] * 10**12 }}", "steps");
  expect_limit(
      "{% set ns = namespace(a='aaaaaaaa') %}{% for i in range(100) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
      "bytes");
  expect_limit("{% set ns = namespace(a=[1]) %}{% for i in range(100) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
               "steps");
  expect_limit("{% for i in range(10**6) %}" + std::string(1000, 'x') + "{% endfor %}", "output");
  expect_limit("{{ ('a' * 10**6) | replace('', 'b' * 1000) }}", "bytes");
  expect_limit("{{ ('a,' * 10**5).split(',') | join('b' * 1000) }}", "bytes");
}

TEST(ChatLimits, EndValuesThatShareThemselves) {
  expect_limit(
      "{% set ns = namespace(a=[1]) %}{% for i in range(100) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
      "steps");
  expect_limit(
      "{% set ns = namespace(a=[1]) %}{% for i in range(100) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a == "
      "[ns.a[0], ns.a[0] + []] }}",
      "steps");
  expect_limit("{% set ns = namespace(a=[]) %}{% for i in range(1000) %}{% set ns.a = [ns.a] %}{% endfor %}", "nested");
}

TEST(ChatLimits, EndNesting) {
  expect_limit(repeated("{% if 1 %}", 100000), "nested");
  expect_limit("{{ " + repeated("(", 100000) + repeated(")", 100000) + " }}", "nested");
  expect_limit("{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}", "nested");
  expect_limit("{{ " + repeated("not ", 100000) + "1 }}", "nested");
  expect_limit("{{ " + repeated("-", 100000) + "1 }}", "nested");
  expect_limit("{{ " + repeated("1 if 1 else ", 80000) + "1 }}", "nested");
  expect_limit("{{ 1" + repeated("|abs", 100000) + " }}", "nested");
  expect_limit("{{ x" + repeated(".a", 100000) + " }}", "nested");
  expect_limit("{% set " + repeated("(", 100000) + "a" + repeated(")", 100000) + " = 1 %}", "nested");
  expect_limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested");
  expect_limit("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", "nested");
}

TEST(ChatLimits, LetLongChainsOfOperatorsPass) {
  EXPECT_EQ(shown(render("{{ 1" + repeated(" + 1", 5000) + " }}")), "5001");
  EXPECT_EQ(shown(render("{{ ''" + repeated(" ~ 'a'", 5000) + " }}")), std::string(5000, 'a'));
  EXPECT_EQ(shown(render("{% if 0 %}" + repeated("{% elif 0 %}", 5000) + "{% else %}x{% endif %}")), "x");
}

TEST(ChatLimits, RefuseLargeTemplatesAndBadText) {
  EXPECT_EQ(Template::compile(std::string(2 << 20, 'a')).status().code(), Code::template_limit);
  EXPECT_EQ(Template::compile("a\xff").status().code(), Code::chat_template);
  EXPECT_EQ(shown(render(std::string("a\0b", 3))), std::string("a\0b", 3)) << "NUL is a character";
}

TEST(ChatLimits, AreTheCallers) {
  EXPECT_NE(shown(render("{{ 1 + 1 }}", "{}", Limits{.max_steps = 2})).find("more than 2 steps"), std::string::npos);
  EXPECT_NE(shown(render("abcdef", "{}", Limits{.max_output_bytes = 5})).find("more than 5 bytes"), std::string::npos);
  EXPECT_NE(shown(render("{{ [[[[1]]]] }}", "{}", Limits{.max_depth = 3})).find("more than 3 deep"), std::string::npos);
}

/// The deepest nesting that the limits allow, on a stack of 1 MiB (of 8 where sanitizers widen its frames).
TEST(ChatLimits, KeepToASmallStack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::size_t kStack = std::size_t{8} << 20;
#else
  constexpr std::size_t kStack = std::size_t{1} << 20;
#endif
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStack), 0);
  const auto work = [](void*) -> void* {
    for (const std::string& source :
         {std::string("{% macro m(x) %}{% for i in [1] %}{{ x | default(m(x)) }}{% endfor %}{% endmacro %}{{ m(1) }}"),
          "{{ " + repeated("(", 300) + repeated(")", 300) + " }}",
          "{{ " + repeated("[", 100) + repeated("]", 100) + " }}"}) {
      (void)render(source);
    }
    return nullptr;
  };
  pthread_t thread{};
  ASSERT_EQ(pthread_create(&thread, &attributes, work, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace
}  // namespace infer::chat
