// SPDX-License-Identifier: MIT
// Hostile templates: every budget ends them with an error that names it, in short time and on a small stack, and nothing of
// the host is in their reach. RowNN_ are the numbers of tests/formats/gguf_hostile_test.cpp, of what files are known to do.
#include <pthread.h>

#include <ctime>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/text.h"
#include "tests/testing/allocations.h"
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

void expect_limit(const std::string& source, std::string_view word, const Limits& limits = {}) {
  const std::clock_t begin = std::clock();   // CPU time: neighbours do not count
  const Result<Text> rendered = render(source, R"({"u": "u"})", limits);
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  ASSERT_FALSE(rendered.ok()) << quoted(source);
  EXPECT_EQ(rendered.status().code(), Code::template_limit) << quoted(source) << ": " << shown(rendered);
  EXPECT_NE(shown(rendered).find(word), std::string::npos) << quoted(source) << ": " << shown(rendered);
  EXPECT_LT(seconds, 60.0) << quoted(source);
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
  expect_limit("{{ '%99999999s' % 1 }}", "bytes");
  expect_limit("{{ '%.99999999d' % 1 }}", "bytes");
  expect_limit("{{ '%99999999999999999999.99999999999999999999f' % 1 }}", "bytes");
  expect_limit("{{ '' | indent(10**12) }}", "bytes");
  expect_limit("{{ [1] | tojson(indent=10**12) }}", "bytes");
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

/// What costs more than it makes: texts that almost match everywhere, and names and keys among very many.
TEST(ChatLimits, Row91_EndLongSearches) {
  const std::string long_texts = "{% set all = 'a' * 2**23 %}{% set part = 'a' * 2**22 ~ 'b' %}";
  for (const std::string search : {"all.find(part)", "all.rfind(part)", "all.split(part)", "all.rsplit(part)", "all.count(part)", "part in all",
                                   "all.partition(part)", "all.replace(part, '')", "all | replace(part, '')", "all.index(part)"}) {
    expect_limit(long_texts + "{{ (" + search + ") | length }}", "steps");
  }
  for (const std::string compare : {"all.startswith(all)", "all.endswith((part, all))", "all.removeprefix(part)", "all.removesuffix(part)"}) {
    expect_limit(long_texts + "{% for i in range(1000) %}{% set x = " + compare + " %}{% endfor %}", "steps");
  }
  std::string names, keys, parameters, given;
  for (int i = 0; i < 15000; ++i) {
    names += "{% set v" + std::to_string(i) + " = 1 %}{% set ns.v" + std::to_string(i) + " = 1 %}";
    keys += std::to_string(i) + ":1,";
    parameters += (i == 0 ? "p" : ",p") + std::to_string(i);
    given += (i == 0 ? "q" : ",q") + std::to_string(i) + "=1";
  }
  const std::string forever = "{% for i in range(10**7) %}";
  expect_limit("{% set ns = namespace() %}" + names + forever + "{{ v14999 }}{{ ns.v14999 }}{% endfor %}", "steps");
  expect_limit("{% set d = {" + keys + "} %}" + forever + "{{ d[14999] }}{{ d[1.5] }}{{ d[none] }}{% endfor %}", "steps");
  expect_limit("{% macro m(" + parameters + ") %}{% endmacro %}" + forever + "{{ m(" + given + ") }}{% endfor %}", "steps");
}

/// A tenth of what is allowed: rounds of loops that end within it would be through if what they do cost too little.
constexpr Limits kFewSteps{.max_steps = 1'000'000};

TEST(ChatLimits, Row91_ChargeForAllThatIsReadOrCopied) {
  const std::string texts = "{% set s = 'a' * 2**20 %}{% set d = {s: 1, 'b': 2} %}{% set e = dict(d) %}{% set n = namespace(d) %}";
  for (const std::string round :
       {"d[s]", "d.get(s)", "s in d", "s is in d", "d == e", "n[s]", "loop[s]", "u[s]", "u | attr(s)", "[d] | map(attribute=s)", "{s: 1}",
        "namespace(d)", "dict([[s, 1]])", "[s] | unique(true)", "s | int", "s | float", "s | d(1)", "1 | tojson(indent=s)",
        "1 | tojson(separators=[s, s])", "'' | indent(s)", "'' | replace(s, s)", "''.replace(s, s)", "[] | join(s)", "s.join([])",
        "'' | trim(s)", "''.strip(s)", "s.find('b', 1)", "s.count('', 2**19)", "s.startswith('b', none, -1)", "'%.1s' % s",
        "'%.100000d' % 1", "'%100000s' % 1", "'%.5000f' % 1.5", "s | indent", "s.splitlines()", "1 | tojson(indent=10**6)",
        "'' | indent(10**6)"}) {
    expect_limit(texts + "{% for i in range(1000) %}{% set x = " + round + " %}{% endfor %}", "steps", kFewSteps);
  }
  // A few bytes, of which each is looked for among very many.
  expect_limit("{% set x = ('b' * 31).strip('a' * 2**20) %}", "steps", kFewSteps);
  expect_limit("{% set x = ('b' * 31) | trim('a' * 2**20) %}", "steps", kFewSteps);
  // Copies of containers and of arguments.
  const std::string list = "{% set l = range(500) | map('string') | list %}{% set d = dict(l | batch(2)) %}";
  for (const std::string& round : std::vector<std::string>{
           "dict(d)", "dict(l | batch(2))", "namespace(d)", "l | list", "l + l", "l | sort", "d | dictsort", "l | unique", "l[1:]",
           "[[], []] | map('map', 'upper'" + repeated(",1", 500) + ")", "[1" + repeated(",1", 500) + "]"}) {
    expect_limit(list + "{% for i in range(2000) %}{% set x = " + round + " %}{% endfor %}", "steps", kFewSteps);
  }
  // Names that are looked for in many blocks, one around the other.
  const std::string names = "{% for i in range(20000) %}{{ u }}{% endfor %}";
  expect_limit(repeated("{% with v = 1 %}", 80) + names + repeated("{% endwith %}", 80), "steps", kFewSteps);
  expect_limit("{% set x = strftime_now('%c' * 2**19) %}", "steps", kFewSteps);
  expect_limit("{% set x = strftime_now('%c' * 100) %}", "bytes", Limits{.max_output_bytes = 1000});
  expect_limit("{% set x = (u ~ 'a') * 2**20 %}", "bytes");   // 2 bytes and two changes of origin each: 18 MiB
  expect_limit("{% set x = (u ~ 'a') * 2**17 %}{% set y = x ~ x %}", "steps", Limits{.max_steps = 120'000});   // the first set takes 74,000
}

/// The most that the heap, which the test program counts, has had more at one time than before.
class Peak {
 public:
  Peak() { infer::testing::reset_peak(); }
  std::size_t bytes() const { return infer::testing::peak_bytes() - before_; }

 private:
  std::size_t before_ = infer::testing::live_bytes();
};

/// What stays until the end: 32 bytes a step.
TEST(ChatLimits, Row91_KeepToSomeMemory) {
  const std::string begin = "{% set l = [[[[[[]]]]]] %}{% set s = 'a' * 2**14 %}{% set k = range(100) | map('string') | list %}"
                            "{% set d = dict(k | batch(2)) %}{% macro m(a, b, c) %}{% macro n() %}{% endmacro %}{% endmacro %}"
                            "{% for i in range(20000) %}{% if l.append(";
  const std::string name(200, 'x');
  for (const std::string& kept : std::vector<std::string>{
           "namespace({s: 1})", "namespace(d)", "dict(d)", "s * 3", "s ~ s", "s | upper", "(u ~ 'a') * 1000", "((u ~ 'a') * 1000).title()",
           "d.items()", "d | dictsort", "k | batch(1)", "s.split('a', 100)", "m()", "u[[s]]", "(u * 50) | list",
           "k | map(attribute='" + name + "')", "[" + repeated(name + ",", 50) + "]", "[" + repeated("u." + name + ",", 50) + "]",
           "[" + repeated("[],", 50) + "]", "[" + repeated("{},", 50) + "]", "[" + repeated("u[:1],", 50) + "]",
           "{" + repeated("i: 1, i + 0.5: 1, ", 20) + "}", "dict(" + repeated(name + "=1,", 20) + "b=1)",
           "namespace(" + repeated(name + "=1,", 20) + "b=1)"}) {
    const Peak peak;
    expect_limit(begin + kept + ") %}{% endif %}{% endfor %}", "steps", kFewSteps);
    EXPECT_LT(peak.bytes(), std::size_t{35} << 20) << kept;
  }
}

/// What is large for a moment: some texts of 16 MiB.
TEST(ChatLimits, Row91_KeepToSomeMemoryOnTheWay) {
  for (const std::string large :
       {"('%(a)999d' * 10**6) % {'a': 1}", "strftime_now('%c' * 8 * 10**6)", "('a ' * 8 * 10**6).split()",
        "('a ' * 8 * 10**6).split(none, 1)", "('a' * 2**24)[1:]", "('a' * 2**24)[::-1]",
        "('\x01' * 2**23) | tojson", "('\n' * 2**23) | indent(1000, blank=true)",
        "('a' * 2**20) | replace('', 'b' * 2**24)", "(u ~ 'a') * 2**23", "['b' * 2**23, 'b' * 2**23] | join('a' * 2**23)"}) {
    const Peak peak;
    const Result<Text> rendered = render("{% set x = " + std::string(large) + " %}", R"({"u": "u"})");
    EXPECT_LT(peak.bytes(), std::size_t{150} << 20) << large;
    EXPECT_TRUE(rendered.ok() || rendered.status().code() == Code::template_limit) << large << ": " << shown(rendered);
  }
}

/// Names and tokens are bounded when a template is read, and what check finds is placed in one pass.
TEST(ChatLimits, Row91_ReadAndCheckInShortTime) {
  expect_limit("{{ " + std::string(256, 'a') + " }}", "a name");
  expect_limit("{{ 1" + repeated("+1", 200000) + " }}", "tokens");
  expect_limit(repeated("{{ 1 }}", 90000), "tokens");
  const Result<Template> many = Template::compile("\n\u00e9\n\u00e9{{ 1" + repeated("|a", 120000) + " }}\n{{ 1 | b }}");
  ASSERT_TRUE(many.ok()) << many.status().message();
  const std::vector<std::string> found = many.value().unsupported();
  ASSERT_EQ(found.size(), 120001U);
  EXPECT_EQ(found.front(), "line 3, column 7: filter 'a'");
  EXPECT_EQ(found[119999], "line 3, column 240005: filter 'a'");
  EXPECT_EQ(found.back(), "line 4, column 8: filter 'b'");
}

TEST(ChatLimits, MessagesQuoteWhatTemplatesSay) {
  for (const std::string source :
       {"{{ '%\x1b' % 1 }}", "{{ '%5\u0085' % 1 }}", "{{ '%--\u0085' % 1 }}", "{{ 0x1\u0085 }}",
        "{{ u[['\x1b']].b }}", "{% macro m(a\u0085) %}{{ a\u0085.b }}{% endmacro %}{{ m() }}", "{{ u['\x1b'].b }}",
        "{{ a\u0085() }}", "{{ 1 | a\u0085 }}", "{{ 1 is a\u0085 }}", "{% a\u0085 %}", "{{ \x1b }}", "{{ strftime_now('%\x1b') }}",
        "{{ raise_exception('\x1b') }}", "{{ [1] | map('\x1b') }}"}) {
    const Result<Text> rendered = render(source, R"({"u": "u"})");
    ASSERT_FALSE(rendered.ok()) << source;
    EXPECT_TRUE(is_printable_utf8(shown(rendered))) << shown(rendered);
  }
}

TEST(ChatLimits, Row90_EndNesting) {
  expect_limit("{{ " + repeated("(", 100000) + repeated(")", 100000) + " }}", "nested");
  expect_limit("{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}", "nested");
  expect_limit("{{ " + repeated("not ", 100000) + "1 }}", "nested");
  expect_limit("{{ " + repeated("-", 100000) + "1 }}", "nested");
  expect_limit("{{ 1" + repeated("|abs", 100000) + " }}", "nested");
  expect_limit("{{ x" + repeated(".a", 100000) + " }}", "nested");
  expect_limit("{% set " + repeated("(", 100000) + "a" + repeated(")", 100000) + " = 1 %}", "nested");
  expect_limit(repeated("{% set x %}", 50000), "nested");
  expect_limit(repeated("{% filter upper %}", 50000), "nested");
  // What takes more tokens is too long before it is too deep.
  const auto nested = [](std::string_view begin, std::string_view open, std::string_view middle, std::string_view close,
                         std::string_view end, int n) {
    const auto source = [&](int times) {
      return std::string(begin) + repeated(open, times) + std::string(middle) + repeated(close, times) + std::string(end);
    };
    expect_limit(source(n), "tokens");
    expect_limit(source(n / 3), "nested");
  };
  nested("", "{% if 1 %}", "", "", "", 100000);
  nested("{{ ", "1 if 1 else ", "1", "", " }}", 80000);
  nested("", "{% for i in [1] %}", "", "", "", 50000);
  nested("", "{% macro m() %}", "", "", "", 50000);
  nested("{{ ", "{1:", "1", "}", " }}", 100000);
  nested("{{ ", "f(", "", ")", " }}", 100000);
  nested("{{ x", "[0]", "", "", " }}", 100000);
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

/// The deepest nesting that the limits allow, on a stack of 384 KiB (of 8 MiB where sanitizers widen its frames).
TEST(ChatLimits, KeepToASmallStack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::size_t kStack = std::size_t{8} << 20;
#else
  constexpr std::size_t kStack = std::size_t{384} << 10;
#endif
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStack), 0);
  const auto work = [](void*) -> void* {
    for (const std::string& source :
         {std::string("{% macro m(x) %}{% for i in [1] %}{{ x | default(m(x)) }}{% endfor %}{% endmacro %}{{ m(1) }}"),
          "{{ " + repeated("(", 300) + repeated(")", 300) + " }}",
          "{{ " + repeated("(", 123) + "1" + repeated(")", 123) + " }}",
          "{{ " + repeated("[", 100) + repeated("]", 100) + " }}",
          "{{ " + repeated("{'a': ", 123) + "1" + repeated("}", 123) + " }}",
          "{{ " + repeated("u[", 123) + "1" + repeated("]", 123) + " }}",
          "{{ " + repeated("range(", 123) + "1" + repeated(")", 123) + " }}",
          "{{ " + repeated("1 | default(", 123) + "1" + repeated(")", 123) + " }}",
          "{{ " + repeated("not ", 249) + "1 }}",
          "{{ " + repeated("1 if 1 else ", 249) + "1 }}",
          repeated("{% if 1 %}", 250) + "x" + repeated("{% endif %}", 250),
          repeated("{% if 1 %}", 124) + "x" + repeated("{% endif %}", 124),
          repeated("{% for i in [1] %}", 124) + "x" + repeated("{% endfor %}", 124),
          repeated("{% set x %}", 124) + "x" + repeated("{% endset %}", 124),
          repeated("{% filter upper %}", 124) + "x" + repeated("{% endfilter %}", 124),
          repeated("{% macro m() %}", 124) + "x" + repeated("{% endmacro %}", 124)}) {
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
