// SPDX-License-Identifier: MIT
// infer bench --plot: a picture of tokens per second, by test and threads. Each bar stands in a frame as long as the
// nearer limit of the machine allows, so that what is left empty is what could still be won. Tested by
// tests/tools/bench_test.cpp.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tools/bench.h"

namespace tool {
namespace {

// In pixels.
constexpr int kWidth = 800, kMargin = 24, kTitle = 62, kLegend = 34;
constexpr int kHeading = 34, kRow = 26, kBar = 16;
constexpr int kBarsLeft = 120, kBarsRight = 510;
// Letters that a line has room for, and for the dots after them: each takes up to 11 pixels in bold titles of 15, up to 9 in
// texts of 13.
constexpr std::size_t kTitleLetters = (kWidth - 2 * kMargin) / 11 - 2, kTextLetters = (kWidth - 2 * kMargin) / 9 - 2;

/// Colours for light and dark pages; a viewer that knows no preference shows the light ones.
constexpr const char* kStyle = R"(<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 } .minor { fill: #57606a }
  .page { fill: #ffffff } .prompt { fill: #0969da } .decode { fill: #1a7f37 }
  .frame { fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .minor { fill: #9198a1 }
    .page { fill: #0d1117 } .prompt { fill: #4493f8 } .decode { fill: #3fb950 }
    .frame { stroke: #656c76 }
  }
</style>
)";

/// For XML: no longer than the place for it, and the signs that mean something escaped. The text is UTF-8, as all paths
/// are.
std::string escaped(const std::string& text, std::size_t most_letters) {
  std::string out;
  std::size_t n = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    if (begins && n++ == most_letters) return out + "...";
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

std::string text(int x, int y, const char* css, const std::string& words) {
  return fmt::format("<text x=\"{}\" y=\"{}\"{}>{}</text>\n", x, y, css, words);
}

std::string rectangle(int x, int y, double width, int height, const char* css) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\" class=\"{}\"/>\n", x, y, width,
                     height, css);
}

/// Tokens per second where the limit would be reached; without a limit, where the test is.
double most(const BenchTest& test) {
  const double share = test.share().value_or(1.0);
  return share > 0 && share < 1 ? test.best() / share : test.best();
}

std::string row(const BenchTest& test, int y, double scale) {
  const std::string threads = fmt::format("{} thread{}", test.n_threads, test.n_threads == 1 ? "" : "s");
  std::string out = text(kMargin, y + kBar - 3, " class=\"minor\"", threads);
  out += rectangle(kBarsLeft, y, std::max(1.0, test.best() * scale), kBar, test.n_prompt > 0 ? "prompt" : "decode");
  if (test.share()) out += rectangle(kBarsLeft, y, most(test) * scale, kBar, "frame");
  std::string words = fmt::format("{:.{}f} tokens/s", test.best(), test.best() < 100 ? 1 : 0);
  if (const auto share = test.share()) {
    words += fmt::format(", {:.0f} % of {}", 100 * *share, test.nearer_limit() == Limit::read ? "reads" : "arithmetic");
  }
  return out + text(kBarsRight + 10, y + kBar - 3, "", words);
}

}  // namespace

std::string bench_svg(const BenchSubject& subject, const std::vector<BenchTest>& tests) {
  // Tests of one name stand together, each group on a scale of its own: prompts are many times as fast as decoding.
  std::vector<std::vector<const BenchTest*>> groups;
  for (const BenchTest& test : tests) {
    const auto same = [&](const auto& group) { return group.front()->name() == test.name(); };
    const auto group = std::find_if(groups.begin(), groups.end(), same);
    if (group != groups.end())
      group->push_back(&test);
    else
      groups.push_back({&test});
  }
  const int height =
      kTitle + static_cast<int>(groups.size()) * kHeading + static_cast<int>(tests.size()) * kRow + kLegend;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\" "
      "aria-label=\"tokens per second\">\n",
      kWidth, height);
  out += kStyle;
  out += rectangle(0, 0, kWidth, height, "page");
  out += text(kMargin, 32, " class=\"title\"", escaped(subject.name(), kTitleLetters));
  out += text(kMargin, 52, " class=\"minor\"",
              escaped(fmt::format("{}, libinfer {}; best runs", subject.facts(), infer_version_string()), kTextLetters));
  int y = kTitle;
  for (const auto& group : groups) {
    double longest = 0;
    for (const BenchTest* test : group) longest = std::max(longest, most(*test));
    out += text(kMargin, y + kHeading - 10, " class=\"title\"", group.front()->name());
    y += kHeading;
    for (const BenchTest* test : group) {
      out += row(*test, y, (kBarsRight - kBarsLeft) / longest);
      y += kRow;
    }
  }
  const bool has_limits =
      std::any_of(tests.begin(), tests.end(), [](const BenchTest& t) { return t.limits.has_value(); });
  constexpr const char* kFrames = "Frames: what the machine's nearer limit, measured in the same run, would allow.";
  if (has_limits) out += text(kMargin, y + 22, " class=\"minor\"", kFrames);
  return out + "</svg>\n";
}

}  // namespace tool
