// SPDX-License-Identifier: MIT
// Classes of characters, and normal form C with examples of the standard's annex 15.
#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "tokenizers/unicode.h"

namespace infer::unicode {
namespace {

Set set_of(std::string_view character) { return char_at(character, 0).set; }

std::string nfc(std::string_view text) {
  std::string storage;
  return std::string(to_nfc(text, storage));
}

TEST(Unicode, PutsEveryCharacterInOneSet) {
  EXPECT_EQ(set_of("A"), kUpper);
  EXPECT_EQ(set_of("\u01c5"), kUpper) << "title case";
  EXPECT_EQ(set_of("ß"), kLower);
  EXPECT_EQ(set_of("日"), kCaseless);
  EXPECT_EQ(set_of("\U00020000"), kCaseless);
  EXPECT_EQ(set_of("\u0301"), kMark);
  EXPECT_EQ(set_of("\U000e0100"), kMark);
  EXPECT_EQ(set_of("7"), kNumber);
  EXPECT_EQ(set_of("½"), kNumber);
  EXPECT_EQ(set_of("_"), kPunctuation);
  EXPECT_EQ(set_of("$"), kSymbol);
  EXPECT_EQ(set_of("😀"), kSymbol);
  EXPECT_EQ(set_of("\u3000"), kSpace);
  EXPECT_EQ(set_of("\t"), kSpace);
  EXPECT_EQ(set_of("\u0085"), kSpace);
  EXPECT_EQ(set_of("\u200b"), kOther) << "no White_Space";
  EXPECT_EQ(set_of("\x1c"), kOther);
  EXPECT_EQ(set_of("\U0010ffff"), kOther);
  EXPECT_EQ(set_of(""), 0);
}

TEST(Unicode, TakesIllFormedBytesForTheReplacementCharacter) {
  EXPECT_EQ(set_of("\xff"), kSymbol);
  EXPECT_EQ(char_at("\xe2\x82", 0).size, 2);
  EXPECT_EQ(code_of("\xc0"), char32_t{0xfffd});
}

TEST(Unicode, KnowsNonspacingMarksAndControls) {
  EXPECT_TRUE(is_nonspacing(0x301));
  EXPECT_FALSE(is_nonspacing(0x903)) << "a spacing mark";
  EXPECT_FALSE(is_nonspacing('a'));
  for (const std::uint32_t c : {0x0U, 0x1fU, 0x7fU, 0x9fU, 0xadU, 0x200bU, 0xe000U, 0x10fffdU}) EXPECT_TRUE(is_control(c)) << c;
  for (const std::uint32_t c : {0x20U, 0xa0U, 0x378U, 0xd7a4U, 0xfffdU, 0x10ffffU}) EXPECT_FALSE(is_control(c)) << c;
}

TEST(Unicode, LowersCharactersOneByOne) {
  const auto lower = [](char32_t code) {
    std::u32string out;
    append_lower(code, out);
    return out;
  };
  EXPECT_EQ(lower('A'), U"a");
  EXPECT_EQ(lower('a'), U"a");
  EXPECT_EQ(lower(U'\u0130'), U"i\u0307");
  EXPECT_EQ(lower(U'\u0131'), U"\u0131");
  EXPECT_EQ(lower(U'\u0100'), U"\u0101");
  EXPECT_EQ(lower(U'\u0101'), U"\u0101") << "every second one is a capital";
  EXPECT_EQ(lower(U'\u01c4'), U"\u01c6");
  EXPECT_EQ(lower(U'\u01c5'), U"\u01c6");
  EXPECT_EQ(lower(U'Σ'), U"σ");
  EXPECT_EQ(lower(U'\u1e9e'), U"ß");
  EXPECT_EQ(lower(U'\u2126'), U"ω");
  EXPECT_EQ(lower(U'\U00010400'), U"\U00010428");
  EXPECT_EQ(lower(U'日'), U"日");
}

TEST(Unicode, DecomposesWithTheMarksBehind) {
  std::u32string out;
  EXPECT_EQ(decompose_at("xé\u0323y", 1, out), 5U);
  EXPECT_EQ(out, U"e\u0323\u0301");
  out.clear();
  EXPECT_EQ(decompose_at("한x", 0, out), 3U);
  EXPECT_EQ(out, U"\u1112\u1161\u11ab");
  out.clear();
  EXPECT_EQ(decompose_at("\u0301", 0, out), 2U);
  EXPECT_EQ(out, U"\u0301");
}

TEST(Nfc, TellsWhatItChanged) {
  std::string storage;
  std::vector<Change> changes;
  EXPECT_EQ(to_nfc("xe\u0301y\u0301z", storage, &changes), "xé\u00fdz");
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].begin, 1U);
  EXPECT_EQ(changes[0].end, 4U);
  EXPECT_EQ(changes[0].n_normal, 2U);
  EXPECT_EQ(changes[1].begin, 4U);
  EXPECT_EQ(changes[1].end, 7U);
}

TEST(Nfc, LeavesTextAloneThatIsNormal) {
  std::string storage;
  const std::string_view text = "Größe, 日本語, é, \xff 각";
  EXPECT_EQ(to_nfc(text, storage).data(), text.data());
}

TEST(Nfc, ComposesAndOrdersMarks) {
  EXPECT_EQ(nfc("e\u0301"), "é");
  EXPECT_EQ(nfc("xe\u0301y"), "xéy");
  EXPECT_EQ(nfc("a\u0302\u0323"), "\u1ead") << "the dot below comes first";
  EXPECT_EQ(nfc("\u1e0b\u0323"), "\u1e0d\u0307");
  EXPECT_EQ(nfc("s\u0323\u0307"), "\u1e69");
  EXPECT_EQ(nfc("\u212b"), "Å") << "one character for another";
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c") << "excluded from composition";
  EXPECT_EQ(nfc("q\u0315\u0300\u05ae\u0301"), "q\u05ae\u0300\u0301\u0315");
}

TEST(Nfc, ComposesHangul) {
  EXPECT_EQ(nfc("\u1100\u1161"), "가");
  EXPECT_EQ(nfc("\u1112\u1161\u11ab"), "한");
  EXPECT_EQ(nfc("가\u11a8"), "각");
  EXPECT_EQ(nfc("\u1100\u1100\u1161"), "\u1100가");
}

TEST(Nfc, KeepsBytesThatAreNoCharacter) {
  EXPECT_EQ(nfc("\xff\u0301"), "\xff\u0301");
  EXPECT_EQ(nfc("e\u0301\xc3"), "é\xc3");
  EXPECT_EQ(nfc("\xc3"
                "e\u0301"),
            "\xc3é");
}

TEST(Nfc, IsQuickOnARunOfMarks) {
  std::string text = "a";
  while (text.size() < (1U << 20)) text += "\u0301\u0323";

  const auto start = std::chrono::steady_clock::now();
  const std::string normal = nfc(text);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

  EXPECT_TRUE(normal.starts_with("\u1ea1\u0323"));
  EXPECT_LT(elapsed.count(), 30.0) << "seconds";
}

}  // namespace
}  // namespace infer::unicode
