// SPDX-License-Identifier: MIT
// WordPiece on a vocabulary small enough to follow by hand, and against the plain definition of its last step. Golden data
// is for golden_test.cpp.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/tokenizers/encoding.h"
#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/tokenizers.h"

namespace infer {
namespace {

using testing::add_token;
using testing::decode;
using testing::encode;
using testing::kParse;
using testing::Tokens;

std::unique_ptr<Tokenizer> make(const TokenizerSpec& spec) { return testing::make(wordpiece_tokenizer, spec); }

// [UNK]=0 [CLS]=1 [SEP]=2, then as given.
TokenizerSpec bert_spec(const std::vector<std::string>& texts) {
  TokenizerSpec spec;
  spec.model = "bert";
  for (const char* text : {"[UNK]", "[CLS]", "[SEP]"}) add_token(spec, text, TokenType::control);
  for (const std::string& text : texts) add_token(spec, text, TokenType::normal);
  spec.unk = 0;
  spec.cls = 1;
  spec.sep = 2;
  return spec;
}

// Words and what continues them, from 3 on.
const std::vector<std::string> kTexts = {"▁un", "▁una", "aff", "able", "▁,", "▁日", "▁a", "▁b", "b", "▁\u0131", "▁ß"};

TEST(Wordpiece, IsTheKindOfBert) {
  EXPECT_EQ(wordpiece_tokenizer.name, "bert");
  EXPECT_EQ(std::count(builtin_tokenizers().begin(), builtin_tokenizers().end(), &wordpiece_tokenizer), 1);
}

TEST(Wordpiece, TakesTheLongestPieceFromLeftToRight) {
  const TokenizerSpec spec = bert_spec(kTexts);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "unaffable"), (Tokens{0})) << "una, and nothing for ff";
  EXPECT_EQ(encode(*t, "unable ab"), (Tokens{0, 9, 11}));
  EXPECT_EQ(encode(*t, "unaff"), (Tokens{0}));
  EXPECT_EQ(encode(*t, "unbaff"), (Tokens{3, 11, 5}));
}

TEST(Wordpiece, CutsAtSpacesPunctuationAndIdeographs) {
  const TokenizerSpec spec = bert_spec(kTexts);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, " a,b\t\na\u00a0\u3000b,"), (Tokens{9, 7, 10, 9, 10, 7}));
  EXPECT_EQ(encode(*t, "a日日b"), (Tokens{9, 8, 8, 10}));
  EXPECT_EQ(encode(*t, "a$"), (Tokens{9, 0})) << "signs of ASCII are punctuation";
  EXPECT_EQ(encode(*t, "a€"), (Tokens{0})) << "others are not";
}

TEST(Wordpiece, LeavesOutWhatIsNoText) {
  const TokenizerSpec spec = bert_spec(kTexts);
  EXPECT_EQ(encode(*make(spec), std::string_view("a\0b \x7f" "a\xff" "b\u200d\ufeff \ufffd\x0b\u0085", 21)), (Tokens{9, 11, 9, 11}));
}

TEST(Wordpiece, StripsCaseAndAccentsUnlessToldOtherwise) {
  TokenizerSpec spec = bert_spec(kTexts);
  EXPECT_EQ(encode(*make(spec), "Á a\u0308B \u0301"), (Tokens{9, 9, 11}));
  EXPECT_EQ(encode(*make(spec), "\u0131 \u1e9e"), (Tokens{12, 13})) << "dotless i stays, capital sharp s is lowered";

  spec.lowercase = false;
  EXPECT_EQ(encode(*make(spec), "Á A a á"), (Tokens{0, 0, 9, 0})) << "accents go along with case";
  spec.strip_accents = true;
  EXPECT_EQ(encode(*make(spec), "Á A a á"), (Tokens{0, 0, 9, 9}));
  spec.lowercase = true;
  spec.strip_accents = false;
  EXPECT_EQ(encode(*make(spec), "Á A a á"), (Tokens{0, 9, 9, 0}));
}

TEST(Wordpiece, KnowsNoWordBeyondAHundredCharacters) {
  const TokenizerSpec spec = bert_spec(kTexts);
  const auto t = make(spec);

  Tokens hundred(100, 11);
  hundred[0] = 10;
  EXPECT_EQ(encode(*t, std::string(100, 'b')), hundred);
  EXPECT_EQ(encode(*t, std::string(101, 'b') + " a"), (Tokens{0, 9}));
}

TEST(Wordpiece, FramesATextWithClsAndSep) {
  TokenizerSpec spec = bert_spec(kTexts);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a", {}), (Tokens{1, 9, 2}));
  EXPECT_EQ(encode(*t, "", {}), (Tokens{1, 2}));
  EXPECT_EQ(decode(*t, {1, 9, 2}, {.remove_special = true, .unparse_special = true}), "a");
  EXPECT_EQ(t->special().bos, 1);
  EXPECT_EQ(t->special().eos, 2);
  EXPECT_TRUE(t->ends_generation(2));
}

TEST(Wordpiece, TakesControlTextAsTextByDefault) {
  const TokenizerSpec spec = bert_spec(kTexts);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a[SEP]b", kParse), (Tokens{9, 2, 10}));
  EXPECT_EQ(encode(*t, "a[SEP]b"), (Tokens{9, 0, 0, 0, 10}));
}

TEST(Wordpiece, ShowsWordsWithSpacesBetweenThem) {
  const TokenizerSpec spec = bert_spec(kTexts);
  const auto t = make(spec);

  EXPECT_EQ(t->piece(3, false), " un");
  EXPECT_EQ(decode(*t, encode(*t, "UN b, ab")), "un b , ab");
}

TEST(Wordpiece, NeedsAnUnknownToken) {
  TokenizerSpec spec = bert_spec(kTexts);
  spec.unk.reset();
  std::vector<std::string> warnings;
  const auto made = wordpiece_tokenizer.make(spec, nullptr, warnings);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), Code::vocab);
  EXPECT_EQ(made.status().subject(), "tokenizer.ggml.unknown_token_id");
}

// The definition: of the longest piece that the rest begins with, tried from the longest on.
Tokens define(const std::vector<std::string>& texts, std::string word) {
  Tokens tokens;
  for (std::string mark = "▁"; !word.empty(); mark.clear()) {
    std::size_t size = word.size();
    auto found = texts.end();
    while (size > 0 && (found = std::find(texts.begin(), texts.end(), mark + word.substr(0, size))) == texts.end()) --size;
    if (size == 0) return {0};
    tokens.push_back(static_cast<Token>(found - texts.begin()) + 3);
    word.erase(0, size);
  }
  return tokens;
}

TEST(Wordpiece, AgreesWithTheDefinitionOnRandomPieces) {
  std::mt19937 random(1);
  const auto word = [&random](std::size_t most) {
    std::string letters;
    for (std::size_t n = 1 + random() % most; n > 0; --n) letters += "abc"[random() % 3];
    return letters;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    for (int i = 0; i < 12; ++i) {
      std::string text = (random() % 2 != 0 ? "▁" : "") + word(4);
      if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(std::move(text));
    }
    const TokenizerSpec spec = bert_spec(texts);
    const auto t = make(spec);
    for (int i = 0; i < 20; ++i) {
      const std::string text = word(12);
      EXPECT_EQ(encode(*t, text), define(texts, text)) << text;
    }
  }
}

TEST(Wordpiece, IsQuickOnLongText) {
  const TokenizerSpec spec = bert_spec(kTexts);
  testing::expect_quick_on_repeated(*make(spec), {"b", "b\u0301", " ", "日", "b,"});
}

}  // namespace
}  // namespace infer
