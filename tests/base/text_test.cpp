// SPDX-License-Identifier: MIT
// Tests of libinfer/text.h: what counts as UTF-8, and that foreign text in messages can neither forge nor flood a log.
#include "libinfer/text.h"

#include <gtest/gtest.h>

#include <string>

namespace infer {
namespace {

TEST(IsUtf8, TakesTheFirstAndLastCharacterOfEachLength) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8(std::string_view("\0\x7f", 2)));
  EXPECT_TRUE(is_utf8("\xc2\x80\xdf\xbf"));
  EXPECT_TRUE(is_utf8("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"));
  EXPECT_TRUE(is_utf8("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
}

TEST(IsUtf8, RefusesWhatIsIllFormed) {
  for (const char* text : {"\x80", "\xbf", "\xff", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
                           "\xed\xa0\x80",       // a surrogate
                           "\xf4\x90\x80\x80",   // past U+10FFFF
                           "\xf5\x80\x80\x80", "\xc2", "\xe2\x82", "\xf0\x9f\x98", "\xc2\xc2\x80", "a\xe2\x82z"}) {
    EXPECT_FALSE(is_utf8(text)) << escaped(text);
  }
}

TEST(IsPrintableUtf8, RefusesControlCharacters) {
  EXPECT_TRUE(is_printable_utf8("blk.0.attn_q \xc3\xa4 \xe2\x96\x81 \xc2\xa0"));
  EXPECT_FALSE(is_printable_utf8(std::string_view("\0", 1)));
  EXPECT_FALSE(is_printable_utf8("a\nb"));
  EXPECT_FALSE(is_printable_utf8("\x1b[0m"));
  EXPECT_FALSE(is_printable_utf8("\x7f"));
  EXPECT_FALSE(is_printable_utf8("\xc2\x9b" "0m")) << "CSI as one character of C1";
  EXPECT_FALSE(is_printable_utf8("\xff"));
}

TEST(Escaped, LeavesReadableTextAlone) {
  EXPECT_EQ(escaped("llama.block_count"), "llama.block_count");
  EXPECT_EQ(escaped("\xe2\x96\x81the \xf0\x9f\x98\x80"), "\xe2\x96\x81the \xf0\x9f\x98\x80");
}

TEST(Escaped, ShowsControlsAndStrayBytesAsHex) {
  EXPECT_EQ(escaped(std::string_view("a\0b\n", 4)), "a\\x00b\\x0a");
  EXPECT_EQ(escaped("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(escaped("\xc2\x85"), "\\xc2\\x85");
  EXPECT_EQ(escaped("\xff" "a\xe2\x82"), "\\xffa\\xe2\\x82");
}

TEST(Escaped, LeavesOutTheMiddleOfLongText) {
  EXPECT_EQ(escaped(std::string(192, 'a')), std::string(192, 'a'));
  EXPECT_EQ(escaped(std::string(193, 'a')), std::string(128, 'a') + "..." + std::string(64, 'a'));
  EXPECT_EQ(escaped(std::string(1 << 20, 'a') + "end").size(), 128U + 3 + 64);
}

TEST(Escaped, CutsBetweenCharacters) {
  for (std::size_t lead = 0; lead < 4; ++lead) {
    std::string text(lead, 'a');
    while (text.size() < 400) text += "\xf0\x9f\x98\x80";
    EXPECT_EQ(escaped(text).find('\\'), std::string::npos) << lead;
  }
}

TEST(Escaped, IsAlwaysPrintable) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_TRUE(is_printable_utf8(escaped(all)));
  EXPECT_TRUE(is_printable_utf8(escaped(all + all)));
  EXPECT_TRUE(is_printable_utf8(escaped(std::string(1000, '\x80'))));
}

TEST(Quoted, PutsTheEscapedTextInQuotes) {
  EXPECT_EQ(quoted("a"), "'a'");
  EXPECT_EQ(quoted(""), "''");
  EXPECT_EQ(quoted("a\n"), "'a\\x0a'");
}

}  // namespace
}  // namespace infer
