// SPDX-License-Identifier: MIT
// Hostile templates: every budget ends them with an error that names it, in short time and on a small stack, and nothing of
// the host is in their reach. RowNN_ are the numbers of tests/formats/gguf_hostile_test.cpp, of what files are known to do.
#include <pthread.h>

#include <ctime>
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
  const std::clock_t begin = std::clock();   // CPU time: neighbours do not count
  const Result<Text> rendered = render(source);
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  ASSERT_FALSE(rendered.ok()) << source.substr(0, 80);
  EXPECT_EQ(rendered.status().code(), Code::template_limit) << source.substr(0, 80) << ": " << shown(rendered);
  EXPECT_NE(shown(rendered).find(word), std::string::npos) << source.substr(0, 80) << ": " << shown(rendered);
  EXPECT_LT(seconds, 60.0) << source.substr(0, 80);
}

TEST(ChatLimits, Row91_EndLoopsAndLongTexts) {
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

/// Programs of a few lines that would double a text, a list or their own calls with each round.
TEST(ChatLimits, Row91_EndExponentialGrowth) {
  expect_limit("{% set x = namespace(t='a') %}{% for i in range(64) %}{% set x.t = x.t ~ x.t %}{% endfor %}{{ x.t }}", "bytes");
  expect_limit("{% set x = namespace(t='a') %}{% for i in range(64) %}{% set x.t = x.t | replace('a', 'aa') %}{% endfor %}", "steps");
  expect_limit("{% set x = namespace(t='a') %}{% for i in range(64) %}{% set x.t %}{{ x.t }}{{ x.t }}{% endset %}{% endfor %}", "bytes");
  expect_limit("{% set x = namespace(t='a') %}{% for i in range(64) %}{% set x.t = '%s%s' % (x.t, x.t) %}{% endfor %}", "bytes");
  expect_limit("{% set x = namespace(t='a') %}{% for i in range(64) %}{% set x.t = [x.t, x.t] | join %}{% endfor %}", "bytes");
  expect_limit("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(30) }}", "steps");
  expect_limit("{% macro m(n) %}{% for i in range(9) %}{{ m(n) }}{% endfor %}{% endmacro %}{{ m(1) }}", "nested");
  expect_limit("{% set n = namespace(i=1) %}{% for i in range(10**9) if i < 0 %}{% endfor %}", "steps");
  expect_limit("{{ range(10**12) | list }}", "steps");
  expect_limit("{{ range(10**12) | sum }}", "steps");
  expect_limit("{{ 'a'.join(range(10**9)) }}", "steps");
}

TEST(ChatLimits, Row90_EndNesting) {
  expect_limit(repeated("{% if 1 %}", 100000), "nested");
  expect_limit("{{ " + repeated("(", 100000) + repeated(")", 100000) + " }}", "nested");
  expect_limit("{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}", "nested");
  expect_limit("{{ " + repeated("not ", 100000) + "1 }}", "nested");
  expect_limit("{{ " + repeated("-", 100000) + "1 }}", "nested");
  expect_limit("{{ " + repeated("1 if 1 else ", 80000) + "1 }}", "nested");
  expect_limit("{{ 1" + repeated("|abs", 100000) + " }}", "nested");
  expect_limit("{{ x" + repeated(".a", 100000) + " }}", "nested");
  expect_limit("{% set " + repeated("(", 100000) + "a" + repeated(")", 100000) + " = 1 %}", "nested");
  expect_limit(repeated("{% for i in [1] %}", 50000), "nested");
  expect_limit(repeated("{% macro m() %}", 50000), "nested");
  expect_limit(repeated("{% set x %}", 50000), "nested");
  expect_limit(repeated("{% filter upper %}", 50000), "nested");
  expect_limit("{{ " + repeated("{1:", 100000) + "1" + repeated("}", 100000) + " }}", "nested");
  expect_limit("{{ " + repeated("f(", 100000) + repeated(")", 100000) + " }}", "nested");
  expect_limit("{{ x" + repeated("[0]", 100000) + " }}", "nested");
}

TEST(ChatLimits, Row91_EndMacrosThatCallThemselves) {
  expect_limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested");
  expect_limit("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", "nested");
}

TEST(ChatLimits, LetLongChainsOfOperatorsPass) {
  EXPECT_EQ(shown(render("{{ 1" + repeated(" + 1", 5000) + " }}")), "5001");
  EXPECT_EQ(shown(render("{{ ''" + repeated(" ~ 'a'", 5000) + " }}")), std::string(5000, 'a'));
  EXPECT_EQ(shown(render("{% if 0 %}" + repeated("{% elif 0 %}", 5000) + "{% else %}x{% endif %}")), "x");
}

TEST(ChatLimits, Row89_RefuseLargeTemplatesAndBadText) {
  EXPECT_EQ(Template::compile(std::string(100 << 20, 'a')).status().code(), Code::template_limit);
  EXPECT_EQ(Template::compile(std::string(2 << 20, 'a')).status().code(), Code::template_limit);
  EXPECT_EQ(Template::compile("a\xff").status().code(), Code::chat_template);
  EXPECT_EQ(shown(render(std::string("a\0b", 3))), std::string("a\0b", 3)) << "NUL is a character";
}

void expect_refused(const std::string& source, std::string_view word) {
  const Result<Text> rendered = render(source, R"({"messages": [{"role": "user", "content": "hi"}]})");
  ASSERT_FALSE(rendered.ok()) << source << " gives " << shown(rendered);
  EXPECT_EQ(rendered.status().code(), Code::chat_template) << source;
  EXPECT_NE(shown(rendered).find(word), std::string::npos) << source << ": " << shown(rendered);
}

/// Where Jinja2's sandbox has been left: attributes of Python's objects, by any way to name them.
TEST(ChatHost, Row92_HasNoAttributesOfPython) {
  for (const std::string value :
       {"''", "[]", "{}", "(1,)", "1", "1.5", "true", "none", "messages", "messages[0]", "messages[0].content", "namespace()",
        "range(3)", "dict(a=1)", "raise_exception", "range", "namespace", "messages[0].items", "''.join"}) {
    for (const std::string name : {"__class__", "__globals__", "__init__", "__dict__", "__subclasses__", "__mro__", "__builtins__"}) {
      expect_refused("{{ " + value + "." + name + " }}", "");
      expect_refused("{{ (" + value + ")['" + name + "'] }}", "");
      expect_refused("{{ (" + value + ") | attr('" + name + "') }}", "");
      expect_refused("{{ [" + value + "] | map(attribute='" + name + "') | list }}", "");
    }
  }
  expect_refused("{{ ''.__class__ }}", "unknown attribute '__class__'");
  expect_refused("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unknown attribute '__class__'");
  expect_refused("{% macro m() %}{% endmacro %}{{ m.__globals__ }}", "unknown attribute '__globals__'");
  expect_refused("{% for i in [1] %}{{ loop.__class__ }}{% endfor %}", "unknown attribute '__class__'");
  expect_refused("{{ '{0.__class__}'.format('') }}", "format");
  expect_refused("{{ self.x }}", "'self' is undefined");
  expect_refused("{{ cycler.__init__ }}", "'cycler' is undefined");
}

TEST(ChatHost, Row92_HasNoFilesModulesOrClock) {
  for (const char* tag : {"import 'os' as os", "from 'os' import path", "include '/etc/passwd'", "extends '/etc/passwd'"}) {
    expect_refused(std::string("{% ") + tag + " %}", "not supported");
  }
  for (const char* name : {"open('/etc/passwd')", "eval('1')", "exec('1')", "__import__('os')", "lipsum()", "cycler(1)", "now()",
                           "time()", "os.system('ls')", "config.items()", "request.application"}) {
    expect_refused(std::string("{{ ") + name + " }}", "is undefined");
  }
  const Result<Template> clock = Template::compile("{{ strftime_now('%Y') }}");
  ASSERT_TRUE(clock.ok());
  EXPECT_FALSE(clock.value().render({}).ok()) << "only the caller knows the time";
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
