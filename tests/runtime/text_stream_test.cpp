// SPDX-License-Identifier: MIT
// Utf8Stream, StopMatcher and TextStream, by example and by property. Golden deltas are in
// tests/tokenizers/golden_test.cpp.
#include "libinfer/text_stream.h"

#include <random>

#include <gtest/gtest.h>

#include "src/base/utf8.h"
#include "tests/testing/allocations.h"

namespace infer {
namespace {

using Strings = std::vector<std::string>;

Strings utf8_deltas(const Strings& pieces) {
  Utf8Stream stream;
  Strings deltas;
  for (const std::string& piece : pieces) stream.push(piece, deltas.emplace_back());
  stream.flush(deltas.emplace_back());
  return deltas;
}

struct Outcome {
  Strings deltas;
  std::string text;
  std::string stop;
};

Outcome run(const Strings& pieces, Strings stops) {
  TextStream stream(std::move(stops));
  Outcome outcome;
  for (const std::string& piece : pieces) {
    if (stream.push(piece, outcome.deltas.emplace_back())) break;
  }
  stream.flush(outcome.deltas.emplace_back());
  for (const std::string& delta : outcome.deltas) outcome.text += delta;
  outcome.stop = stream.matched();
  return outcome;
}

TEST(Utf8, StepsOverCharactersAndIllFormedParts) {
  const auto step = [](std::string_view text) { return std::pair(utf8_step(text).state, int{utf8_step(text).size}); };

  EXPECT_EQ(step("a"), std::pair(Utf8State::valid, 1));
  EXPECT_EQ(step("é!"), std::pair(Utf8State::valid, 2));
  EXPECT_EQ(step("😀"), std::pair(Utf8State::valid, 4));
  EXPECT_EQ(step("\xf4\x8f\xbf\xbf"), std::pair(Utf8State::valid, 4)) << "U+10FFFF";
  EXPECT_EQ(step("\xf4\x90\x80\x80"), std::pair(Utf8State::ill_formed, 1)) << "beyond U+10FFFF";
  EXPECT_EQ(step("\xed\xa0\x80"), std::pair(Utf8State::ill_formed, 1)) << "a surrogate";
  EXPECT_EQ(step("\xe0\x9f\x80"), std::pair(Utf8State::ill_formed, 1)) << "overlong";
  EXPECT_EQ(step("\xc1\xbf"), std::pair(Utf8State::ill_formed, 1)) << "overlong";
  EXPECT_EQ(step("\xf0\x9f\x98!"), std::pair(Utf8State::ill_formed, 3));
  EXPECT_EQ(step("\xf0\x9f\x98"), std::pair(Utf8State::incomplete, 3));
  EXPECT_EQ(step("\x80"), std::pair(Utf8State::ill_formed, 1));
}

TEST(Utf8Stream, HoldsAnEmojiOfFourByteTokensUntilItIsWhole) {
  EXPECT_EQ(utf8_deltas({"\xf0", "\x9f", "\x98", "\x80", "!"}), (Strings{"", "", "", "😀", "!", ""}));
}

TEST(Utf8Stream, ReplacesWhatCanNoLongerBecomeACharacter) {
  EXPECT_EQ(utf8_deltas({"\xf0\x9f", "a"}), (Strings{"", "\ufffda", ""}));
  EXPECT_EQ(utf8_deltas({"\xe2\x82", "\xe2", "\x82\xac"}), (Strings{"", "\ufffd", "€", ""}));
  EXPECT_EQ(utf8_deltas({"\xff\xfe"}), (Strings{"\ufffd\ufffd", ""})) << "one for each";
}

TEST(Utf8Stream, ReplacesWhatIsCutAtTheEnd) { EXPECT_EQ(utf8_deltas({"a\xf0\x9f\x98"}), (Strings{"a", "\ufffd"})); }

TEST(Utf8Stream, StartsAnewAfterFlush) {
  Utf8Stream stream;
  std::string out;
  stream.push("\xc3", out);
  stream.flush(out);
  stream.push("\xa9", out);

  EXPECT_EQ(out, "\ufffd\ufffd");
}

TEST(Utf8Stream, GivesTheSameTextForEverySplit) {
  constexpr std::string_view kBytes("a\xf0\x9f\x98\x80\xc3\xa9\x80\xed\xa0\x80\xf0\x9f\x98z\xe2\x82\0\xf5\xff", 21);
  const Strings whole = utf8_deltas({std::string(kBytes)});
  for (std::size_t i = 0; i <= kBytes.size(); ++i) {
    for (std::size_t j = i; j <= kBytes.size(); ++j) {
      const Strings pieces{std::string(kBytes.substr(0, i)), std::string(kBytes.substr(i, j - i)),
                           std::string(kBytes.substr(j))};
      std::string text;
      for (const std::string& delta : utf8_deltas(pieces)) text += delta;
      EXPECT_EQ(text, whole[0] + whole[1]);
    }
  }
}

TEST(TextStream, FindsAStopStringThatSpansThreeTokens) {
  const Outcome outcome = run({"Hello", " E", "N", "D and", " more"}, {"END"});

  EXPECT_EQ(outcome.deltas, (Strings{"Hello", " ", "", "", ""}));
  EXPECT_EQ(outcome.text, "Hello ");
  EXPECT_EQ(outcome.stop, "END");
}

TEST(TextStream, GivesOutWhatWasHeldBackForNothing) {
  const Outcome outcome = run({"<|", "im_", "start"}, {"<|im_end|>"});

  EXPECT_EQ(outcome.deltas, (Strings{"", "", "<|im_start", ""}));
  EXPECT_EQ(outcome.stop, "");
}

TEST(TextStream, GivesOutTheHeldTailAtTheEnd) {
  EXPECT_EQ(run({"a E", "N"}, {"END"}).deltas, (Strings{"a ", "", "EN"}));
}

TEST(TextStream, HoldsTheLongestTailThatMayBecomeAnyStop) {
  EXPECT_EQ(run({"xab", "a"}, {"abac", "ba!"}).deltas, (Strings{"x", "", "aba"}));
  EXPECT_EQ(run({"xababac"}, {"abac"}).text, "xab");
}

TEST(TextStream, StopsAtTheStringThatIsCompleteFirst) {
  const Outcome whole = run({"xabcd"}, {"abcd", "bc"});
  const Outcome pieces = run({"x", "a", "b", "c", "d"}, {"abcd", "bc"});

  EXPECT_EQ(whole.text, "xa");
  EXPECT_EQ(pieces.text, "xa");
  EXPECT_EQ(whole.stop, "bc");
}

TEST(TextStream, PrefersTheLongestOfStopsThatEndTogether) { EXPECT_EQ(run({"xabc"}, {"c", "abc", "bc"}).stop, "abc"); }

TEST(TextStream, IgnoresEmptyStopStrings) {
  const Outcome outcome = run({"abc"}, {"", "zz"});

  EXPECT_EQ(outcome.text, "abc");
  EXPECT_EQ(outcome.stop, "");
}

TEST(TextStream, GivesNothingAfterAStop) {
  TextStream stream({"!"});
  std::string out;

  EXPECT_TRUE(stream.push("a!b", out));
  EXPECT_TRUE(stream.push("c", out));
  stream.flush(out);
  EXPECT_EQ(out, "a");
}

TEST(TextStream, FindsAStopInReplacedBytes) {
  EXPECT_EQ(run({"a\xf0\x9f", "b"}, {"\ufffd"}).text, "a");
  EXPECT_EQ(run({"a\xf0\x9f"}, {"\ufffd"}).stop, "\ufffd") << "complete at the flush";
}

TEST(StopMatcher, StartsAnewAfterReset) {
  StopMatcher matcher({"ab"});
  std::string out;
  ASSERT_TRUE(matcher.push("ab", out));
  matcher.reset();

  EXPECT_EQ(matcher.matched(), "");
  EXPECT_FALSE(matcher.push("b", out));
  EXPECT_EQ(out, "b");
}

// Short alphabets make overlaps and near misses common.
TEST(TextStream, GivesTheTextBeforeTheFirstStopForRandomSplits) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const auto word = [&](std::size_t n) {
      std::string s;
      for (std::size_t i = 0; i < n; ++i) s += std::vector<std::string>{"a", "b", "é", "😀"}[below(4)];
      return s;
    };
    const std::string text = word(below(40));
    Strings stops;
    for (std::size_t i = below(4); i > 0; --i) stops.push_back(word(1 + below(6)));
    Strings pieces;
    for (std::size_t i = 0; i < text.size();) {
      pieces.push_back(text.substr(i, 1 + below(5)));  // may cut a character
      i += pieces.back().size();
    }

    std::size_t end = std::string::npos;
    std::string expected = text;
    std::string stop;
    for (const std::string& s : stops) {
      const std::size_t found = text.find(s);
      if (found == std::string::npos) continue;
      if (found + s.size() > end || (found + s.size() == end && s.size() <= stop.size())) continue;
      end = found + s.size();
      expected = text.substr(0, found);
      stop = s;
    }
    const Outcome outcome = run(pieces, stops);
    EXPECT_EQ(outcome.text, expected) << "seed " << seed;
    EXPECT_EQ(outcome.stop, stop) << "seed " << seed;
    for (const std::string& delta : outcome.deltas) {
      for (std::string_view rest = delta; !rest.empty(); rest.remove_prefix(utf8_step(rest).size)) {
        ASSERT_EQ(utf8_step(rest).state, Utf8State::valid) << "a delta of broken characters, seed " << seed;
      }
    }
  }
}

TEST(TextStreamMemory, IsTakenAtCreationForTheLongestPiece) {
  constexpr std::size_t kLongest = 12;
  const std::string ill_formed(kLongest, '\xff'), cut = std::string(kLongest - 3, 'a') + "\xf0\x9f\x98";
  const std::string stop = std::string(40, 'b') + "c", nearly(kLongest, 'b');
  TextStream text({stop, "zz"}, kLongest);
  std::string out;
  out.reserve(text.most_out());
  std::size_t longest = 0;

  const std::size_t before = testing::n_allocations();
  for (int i = 0; i < 3; ++i) {
    for (const std::string* piece : {&cut, &nearly, &nearly, &nearly, &ill_formed, &cut, &nearly}) {
      out.clear();
      text.push(*piece, out);
      longest = std::max(longest, out.size());
    }
  }
  const std::size_t most = text.most_out();
  out.clear();
  text.flush(out);

  EXPECT_EQ(testing::n_allocations() - before, 0U);
  EXPECT_LE(std::max(longest, out.size()), most);
  EXPECT_GE(longest, 36U + 3U * kLongest);   // what was held and what came, at once
}

}  // namespace
}  // namespace infer
