// SPDX-License-Identifier: MIT
// The normaliser of SentencePiece: right ones against a list that is searched, wrong ones until nothing breaks.
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/tokenizers/small_charsmap.h"
#include "tokenizers/charsmap.h"

namespace infer {
namespace {

using testing::CharsmapBuilder;
using testing::StringMap;

Status failure(const std::string& bytes) {
  const Result<Charsmap> map = Charsmap::build(bytes, nullptr);
  EXPECT_FALSE(map.ok());
  return map.status().clone();
}

/// Units, then texts.
std::string charsmap(const std::vector<std::uint32_t>& units, const std::string& texts) {
  std::string bytes;
  CharsmapBuilder::put(static_cast<std::uint32_t>(units.size() * 4), bytes);
  for (const std::uint32_t unit : units) CharsmapBuilder::put(unit, bytes);
  return bytes + texts;
}

TEST(Charsmap, MapsNothingWhenEmpty) {
  const Result<Charsmap> map = Charsmap::build("", nullptr);
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map.value().match("a").size, 0U);
}

TEST(Charsmap, TakesTheLongestStringThatStandsThere) {
  const std::string bytes = CharsmapBuilder::build({{"a", "x"}, {"abc", ""}, {"\xc2\xa0", " "}});
  const Result<Charsmap> map = Charsmap::build(bytes, nullptr);
  ASSERT_TRUE(map.ok()) << map.status().message();

  EXPECT_EQ(map.value().match("abd").size, 1U);
  EXPECT_EQ(map.value().match("abd").replacement, "x");
  EXPECT_EQ(map.value().match("abcd").size, 3U);
  EXPECT_EQ(map.value().match("abcd").replacement, "");
  EXPECT_EQ(map.value().match("\xc2\xa0").replacement, " ");
  EXPECT_EQ(map.value().match("\xc2").size, 0U);
  EXPECT_EQ(map.value().match(std::string_view("\0", 1)).size, 0U);
  EXPECT_EQ(map.value().match("").size, 0U);
}

TEST(Charsmap, AgreesWithASearchedListOnRandomStrings) {
  std::mt19937 random(1);
  const auto string = [&random](std::size_t least, std::size_t most) {
    std::string s;
    for (std::size_t n = least + random() % (most - least + 1); n > 0; --n) s += "ab\xc3\xa9"[random() % 4];
    return s;
  };
  for (int round = 0; round < 200; ++round) {
    StringMap list;
    for (int i = 0; i < 12; ++i) list[string(1, 4)] = string(0, 3);
    const std::string bytes = CharsmapBuilder::build(list);
    const Result<Charsmap> map = Charsmap::build(bytes, nullptr);
    ASSERT_TRUE(map.ok()) << map.status().message();
    for (int i = 0; i < 50; ++i) {
      const std::string text = string(0, 6);
      Charsmap::Match expected;
      for (const auto& [from, to] : list) {
        if (text.starts_with(from) && from.size() > expected.size) expected = {from.size(), to};
      }
      EXPECT_EQ(map.value().match(text).size, expected.size) << text;
      EXPECT_EQ(map.value().match(text).replacement, expected.replacement) << text;
    }
  }
}

TEST(Charsmap, IsRefusedWhereItIsCut) {
  const std::string whole = CharsmapBuilder::build({{"a", "x"}, {"ab", "yz"}});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const Status status = failure(whole.substr(0, size));
    EXPECT_EQ(status.code(), Code::vocab) << size;
    EXPECT_EQ(status.subject(), "tokenizer.ggml.precompiled_charsmap");
  }
}

TEST(Charsmap, IsRefusedWhereItLeadsAstray) {
  constexpr std::uint32_t kValue = 0x80000000U;
  const auto to = [](std::uint32_t offset) { return offset << 10; };
  const std::uint32_t ends = 1U << 8;
  EXPECT_NE(failure(charsmap({to(1000)}, "")).message().find("leads from unit 0 to 1000, past its 1 units"), std::string_view::npos);
  EXPECT_NE(failure(charsmap({ends | to(1), kValue | 5}, "x")).message().find("the text at 5 of 1 bytes"), std::string_view::npos);
  EXPECT_NE(failure(charsmap({ends | to(1), kValue}, "x")).message().find("which has no end"), std::string_view::npos);
  const std::string long_text = std::string(257, 'x') + '\0';
  EXPECT_NE(failure(charsmap({ends | to(1), kValue}, long_text)).message().find("within 256 bytes"), std::string_view::npos);
  EXPECT_NE(failure("\x03" + std::string(3, '\0') + "abc").message().find("whole units"), std::string_view::npos);
  // Unit 3 for byte 2 follows the root (base 1) and, by its own offset, itself.
  EXPECT_NE(failure(charsmap({to(1), kValue, kValue, 2 | to(2)}, "")).message().find("circle by unit 3"), std::string_view::npos);
  // A chain of units for byte 1, each at the place of the one before plus 2.
  std::vector<std::uint32_t> chain = {to(3)};  // 0 -> 2
  for (std::uint32_t at = 2; at < 2 * 260; at += 2) chain.insert(chain.end(), {kValue, 1 | to(at ^ (at + 3))});
  EXPECT_NE(failure(charsmap(chain, "")).message().find("strings of more than 256 bytes"), std::string_view::npos)
      << failure(charsmap(chain, "")).message();
  EXPECT_EQ(failure(std::string(Charsmap::kMaxBytes + 1, '\0')).code(), Code::limit);
}

TEST(Charsmap, SurvivesAnyBytes) {
  std::mt19937 random(1);
  const std::string whole = CharsmapBuilder::build({{"a", "x"}, {"ab", "yz"}, {"b", ""}, {"\xe2\x82\xac", "EUR"}});
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole;
    for (std::size_t n = 1 + random() % 3; n > 0; --n) bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(random() & 0xff);
    const Result<Charsmap> map = Charsmap::build(bytes, nullptr);
    if (!map.ok()) continue;
    for (const std::string_view text : {"abab", "ba", "\xe2\x82\xac", "\xff"}) {
      const Charsmap::Match match = map.value().match(text);
      EXPECT_LE(match.size, text.size());
      EXPECT_LE(match.replacement.size(), Charsmap::kMaxReplacement);
    }
  }
}

TEST(Charsmap, StopsLoadingWhenCancelled) {
  const CancelFlag cancel{true};
  EXPECT_EQ(Charsmap::build(CharsmapBuilder::build({{"a", "x"}}), &cancel).status().code(), Code::cancelled);
}

}  // namespace
}  // namespace infer
