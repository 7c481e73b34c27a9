// SPDX-License-Identifier: MIT
// SentencePiece-style BPE on vocabularies small enough to follow by hand. Golden data is for golden_test.cpp.
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

using testing::add_pieces;
using testing::add_token;
using testing::llama_spec;
using testing::decode;
using testing::encode;
using testing::kParse;
using testing::kPlain;
using testing::Tokens;

constexpr Token kFirstPiece = 259;  // after the byte tokens of llama_spec()
constexpr Token byte_token(int byte) { return 3 + byte; }

std::unique_ptr<Tokenizer> make(const TokenizerSpec& spec) { return testing::make(spm_tokenizer, spec); }

// Pieces from kFirstPiece on: ▁=0 a=1 b=2 c=3 bc=4 ab=5 abc=6 ▁a=7
TokenizerSpec abc_spec() {
  TokenizerSpec spec = llama_spec();
  add_pieces(spec, {"▁", "a", "b", "c", "bc", "ab", "abc", "▁a"});
  spec.add_space_prefix = false;
  return spec;
}

TEST(Spm, IsTheKindOfLlama) {
  EXPECT_EQ(spm_tokenizer.name, "llama");
  EXPECT_EQ(std::count(builtin_tokenizers().begin(), builtin_tokenizers().end(), &spm_tokenizer), 1);
}

TEST(Spm, JoinsTheBestScoreFirst) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "ab"), (Tokens{kFirstPiece + 5}));
  EXPECT_EQ(encode(*t, "abc"), (Tokens{kFirstPiece + 6})) << "a bc, then abc";
  EXPECT_EQ(encode(*t, "cabb"), (Tokens{kFirstPiece + 3, kFirstPiece + 5, kFirstPiece + 2}));
}

TEST(Spm, JoinsTheLeftmostOfEqualScores) {
  TokenizerSpec spec = llama_spec();
  add_pieces(spec, {"a", "aa"});
  spec.add_space_prefix = false;
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "aaa"), (Tokens{kFirstPiece + 1, kFirstPiece}));
}

TEST(Spm, DoesNotJoinAcrossAPieceItCannotReach) {
  TokenizerSpec spec = llama_spec();
  add_pieces(spec, {"a", "b", "c", "abc"});  // neither ab nor bc
  spec.add_space_prefix = false;
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "abc"), (Tokens{kFirstPiece, kFirstPiece + 1, kFirstPiece + 2}));
}

TEST(Spm, PutsASpaceInFrontUnlessToldOtherwise) {
  TokenizerSpec spec = abc_spec();
  EXPECT_EQ(encode(*make(spec), "a a"), (Tokens{kFirstPiece + 1, kFirstPiece + 7}));

  spec.add_space_prefix.reset();
  EXPECT_EQ(encode(*make(spec), "a a"), (Tokens{kFirstPiece + 7, kFirstPiece + 7}));
  EXPECT_EQ(encode(*make(spec), " a"), (Tokens{kFirstPiece, kFirstPiece + 7})) << "even before a space";
  EXPECT_TRUE(encode(*make(spec), "").empty());
}

TEST(Spm, FallsBackToBytes) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "aé"), (Tokens{kFirstPiece + 1, byte_token(0xc3), byte_token(0xa9)}));
  EXPECT_EQ(decode(*t, encode(*t, "aé😀")), "aé😀");
}

TEST(Spm, EncodesInvalidUtf8AsItsBytes) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "\xff"), (Tokens{byte_token(0xff)}));
  EXPECT_EQ(encode(*t, "a\xc3"), (Tokens{kFirstPiece + 1, byte_token(0xc3)}));
  EXPECT_EQ(encode(*t,
                   "\x80"
                   "ab"),
            (Tokens{byte_token(0x80), kFirstPiece + 5}));
  EXPECT_EQ(decode(*t, encode(*t, "\xed\xa0\x80\xc0\xaf")), "\xed\xa0\x80\xc0\xaf");
}

TEST(Spm, GivesOneUnknownForARunThatNothingStandsFor) {
  TokenizerSpec spec = llama_spec(false);
  add_pieces(spec, {"a"});
  spec.add_space_prefix = false;
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "axyaz"), (Tokens{3, 0, 3, 0}));
}

TEST(Spm, SaysWhenTextCannotBeEncoded) {
  TokenizerSpec spec;
  add_pieces(spec, {"a"});
  spec.add_space_prefix = false;
  const auto tokens = make(spec)->encode("ab", kPlain);

  ASSERT_FALSE(tokens.ok());
  EXPECT_EQ(tokens.status().code(), Code::utf8);
  EXPECT_EQ(tokens.status().message(), "text: the vocabulary has no token for byte 0x62 and no unknown token");
}

TEST(Spm, TakesControlTextAsTextByDefault) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a</s>", kParse), (Tokens{kFirstPiece + 1, 2}));
  const Tokens plain = encode(*t, "a</s>");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 2), 0);
  EXPECT_EQ(decode(*t, plain), "a</s>");
}

TEST(Spm, TakesControlTextWhereItIsTrusted) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);
  const std::vector<TextSpan> spans = {{5, 9}};
  const EncodeOptions options{.add_special = false, .parse_special = true, .special_in = spans};

  const Tokens tokens = encode(*t, "a</s></s>", options);
  EXPECT_EQ(tokens.back(), 2);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 2), 1);
  EXPECT_EQ(decode(*t, tokens), "a</s>");
}

TEST(Spm, TakesUserDefinedTextsThatLookLikeControlWhereTheyAreTrusted) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "<|User|>", TokenType::user_defined);
  const auto user = static_cast<Token>(spec.tokens.size() - 1);
  const auto t = make(spec);
  const std::vector<TextSpan> spans = {{0, 8}};
  const EncodeOptions options{.add_special = false, .parse_special = true, .special_in = spans};

  const Tokens tokens = encode(*t, "<|User|><|User|>", options);
  EXPECT_EQ(tokens.front(), user);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), user), 1);
}

TEST(Spm, NeverEndsAGenerationForAnUnknownCharacter) {
  TokenizerSpec spec = llama_spec(false);
  add_pieces(spec, {"▁", "a"});
  spec.eos = 0;
  std::vector<std::string> warnings;
  const auto t = testing::make(spm_tokenizer, spec, &warnings);
  const auto tokens = t->encode("ab", kPlain);
  ASSERT_FALSE(tokens.ok());
  EXPECT_EQ(tokens.status().code(), Code::utf8);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("begins a text or ends a generation"), std::string::npos) << warnings[0];
}

TEST(Spm, PutsNoSpaceInFrontOfWhatContinues) {
  TokenizerSpec spec = abc_spec();
  spec.add_space_prefix.reset();
  const EncodeOptions options{.add_special = false, .parse_special = true, .previous = kFirstPiece};
  const EncodeOptions behind_mark{.add_special = false, .parse_special = true, .previous = 2};

  EXPECT_EQ(encode(*make(spec), "a", behind_mark), (Tokens{kFirstPiece + 7}));
  EXPECT_EQ(encode(*make(spec), "a a", options), (Tokens{kFirstPiece + 1, kFirstPiece + 7}));
  EXPECT_EQ(encode(*make(spec), "a</s>a", options), (Tokens{kFirstPiece + 1, 2, kFirstPiece + 7})) << "but after a mark";
}

TEST(Spm, NeverReadsTheTextOfAByteTokenAsAByte) {
  TokenizerSpec spec = llama_spec();
  add_pieces(spec, {"<", "0", "x", "A", ">", "<0", "<0x", "<0x0", "<0x0A"});
  spec.add_space_prefix = false;
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "<0x0A>"), (Tokens{kFirstPiece + 8, kFirstPiece + 4}));
}

TEST(Spm, PrefixesEveryPartBetweenControlTokens) {
  TokenizerSpec spec = abc_spec();
  spec.add_space_prefix = true;
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a<s></s>a", kParse), (Tokens{kFirstPiece + 7, 1, 2, kFirstPiece + 7}));
}

// The texts of Phi 3, as its file gives them: </s> is user-defined.
TEST(Spm, LeavesOutWhiteSpaceBehindMarksOfPhi3) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "<|user|>", TokenType::control);
  add_token(spec, "<|endoftext|>", TokenType::control);
  add_token(spec, "<|x|>", TokenType::user_defined);
  TokenizerSpec spec_of_phi3 = spec;
  spec_of_phi3.architecture = "phi3";
  const auto others = make(spec);
  const auto phi3 = make(spec_of_phi3);
  const Token user = kFirstPiece + 8, end = kFirstPiece + 9, always = kFirstPiece + 10;

  EXPECT_EQ(encode(*others, "<|user|> a", kParse), (Tokens{user, kFirstPiece + 7}));
  EXPECT_EQ(encode(*phi3, "<|user|> \n\u00a0a", kParse), (Tokens{user, kFirstPiece + 1}));
  EXPECT_EQ(encode(*phi3, "a <|user|>", kParse), (Tokens{kFirstPiece + 1, kFirstPiece, user})) << "what stands before stays";
  EXPECT_EQ(encode(*phi3, "<|endoftext|> a<s> a", kParse), (Tokens{end, kFirstPiece + 7, 1, kFirstPiece + 7}));
  EXPECT_EQ(encode(*phi3, "<|x|> a"), (Tokens{always, kFirstPiece + 1}));
  EXPECT_EQ(encode(*others, "<|x|> a"), (Tokens{always, kFirstPiece + 7}));
}

TEST(Spm, TakesUserDefinedTextsWhole) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "bca", TokenType::user_defined);
  add_token(spec, "bcab", TokenType::user_defined);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "abcac"), (Tokens{kFirstPiece + 1, kFirstPiece + 8, kFirstPiece + 3}));
  EXPECT_EQ(encode(*t, "abcabc"), (Tokens{kFirstPiece + 1, kFirstPiece + 9, kFirstPiece + 3}));
}

TEST(Spm, TakesUserDefinedSpacesInEitherForm) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "  ", TokenType::user_defined);
  add_token(spec, "▁▁▁", TokenType::user_defined);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a  a"), (Tokens{kFirstPiece + 1, kFirstPiece + 8, kFirstPiece + 1}));
  EXPECT_EQ(encode(*t, "a   a"), (Tokens{kFirstPiece + 1, kFirstPiece + 9, kFirstPiece + 1}));
  EXPECT_EQ(t->piece(kFirstPiece + 9, false), "   ");
}

TEST(Spm, PrefixesAUserDefinedTextOnlyWhenItIsNoMark) {
  TokenizerSpec spec = abc_spec();
  spec.add_space_prefix = true;
  add_token(spec, "[X]", TokenType::user_defined);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "[X]a"), (Tokens{kFirstPiece, kFirstPiece + 8, kFirstPiece + 1}));
  EXPECT_EQ(encode(*t, "[X]a", kParse), (Tokens{kFirstPiece + 8, kFirstPiece + 7}));
}

TEST(Spm, AddsBosAndEosWhereTheVocabularySaysSo) {
  TokenizerSpec spec = abc_spec();
  EXPECT_EQ(encode(*make(spec), "a", {}), (Tokens{1, kFirstPiece + 1}));

  spec.add_bos = false;
  spec.add_eos = true;
  EXPECT_EQ(encode(*make(spec), "a", {}), (Tokens{kFirstPiece + 1, 2}));
}

TEST(Spm, ShowsPiecesAsBytesAndHidesControlTokens) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);

  EXPECT_EQ(t->text(kFirstPiece + 7), "▁a");
  EXPECT_EQ(t->piece(kFirstPiece + 7, false), " a");
  EXPECT_EQ(t->piece(byte_token(0), false), std::string_view("\0", 1));
  EXPECT_EQ(t->piece(2, false), "");
  EXPECT_EQ(t->piece(2, true), "</s>");
}

TEST(Spm, StripsOneLeadingSpaceWhenItAddedOne) {
  TokenizerSpec spec = abc_spec();
  EXPECT_EQ(decode(*make(spec), {kFirstPiece + 7}), " a");

  spec.add_space_prefix = true;
  EXPECT_EQ(decode(*make(spec), {kFirstPiece + 7, kFirstPiece + 7}), "a a");
  EXPECT_EQ(decode(*make(spec), {1, kFirstPiece + 7}), " a") << "BOS is the first piece";
  EXPECT_EQ(decode(*make(spec), {1, kFirstPiece + 7}, {.remove_special = true}), "a");
}

TEST(Spm, RefusesToDecodeAnIdOutsideTheVocabulary) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);
  const Tokens tokens{1, 267};
  const auto text = t->decode(tokens, {});

  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.status().code(), Code::token);
  EXPECT_EQ(text.status().message(), "token 267 at index 1 is outside the vocabulary of 267 tokens");
}

TEST(Spm, NeedsScores) {
  TokenizerSpec spec = abc_spec();
  spec.scores.clear();
  std::vector<std::string> warnings;
  const auto tokenizer = spm_tokenizer.make(spec, nullptr, warnings);

  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().code(), Code::vocab);
  EXPECT_EQ(tokenizer.status().subject(), "tokenizer.ggml.scores");
}

// Joins by looking at all pairs again after every join: the definition, without cuts, heap or links.
Tokens encode_slowly(const Tokenizer& tokenizer, const TokenizerSpec& spec, std::string text) {
  std::vector<std::string> parts;
  for (const char c : text) parts.push_back(c == ' ' ? "▁" : std::string(1, c));
  const auto find = [&](const std::string& piece) {
    for (std::size_t i = kFirstPiece; i < spec.tokens.size(); ++i) {
      if (spec.tokens[i] == piece) return static_cast<Token>(i);
    }
    return kNoToken;
  };
  while (true) {
    std::size_t best = parts.size();
    float best_score = 0.0F;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const Token joined = find(parts[i] + parts[i + 1]);
      if (joined == kNoToken || (best < parts.size() && tokenizer.score(joined) <= best_score)) continue;
      best = i;
      best_score = tokenizer.score(joined);
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Tokens tokens;
  for (const std::string& part : parts) tokens.push_back(find(part));
  return tokens;
}

TEST(Spm, AgreesWithTheDefinitionOnRandomVocabularies) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const auto word = [&](std::size_t n) {
      std::string s;
      for (std::size_t i = 0; i < n; ++i) s += std::vector<std::string>{"a", "b", "c", "▁"}[below(4)];
      return s;
    };
    TokenizerSpec spec = llama_spec();
    add_pieces(spec, {"a", "b", "c", "▁"});
    for (int i = 0; i < 25; ++i) {
      add_token(spec, word(2 + below(3)), TokenType::normal, static_cast<float>(below(5)));  // many equal scores
    }
    spec.add_space_prefix = false;
    const auto t = make(spec);

    std::string text;
    for (std::size_t i = below(60); i > 0; --i) text += "abc "[below(4)];
    EXPECT_EQ(encode(*t, text), encode_slowly(*t, spec, text)) << "seed " << seed << ", text '" << text << "'";
  }
}

TEST(Spm, GivesTheTextBack) {
  TokenizerSpec spec = abc_spec();
  spec.add_space_prefix = true;
  const auto t = make(spec);
  for (const std::string text : {"", " ", "a", " a  b ", "äöü\n\t日本語 abc", "a\xc3", "</s> <0x0A>"}) {
    EXPECT_EQ(decode(*t, encode(*t, text)), text);
    EXPECT_EQ(decode(*t, encode(*t, text, {}), {.remove_special = true}), text);
  }
}

TEST(Spm, IsQuickOnOneRepeatedCharacter) {
  TokenizerSpec spec = llama_spec();
  add_pieces(spec, {"a", "aa", "aaaa", "aaaaaaaa", "aaaaaaaaaaaaaaaa"});
  spec.add_space_prefix = false;
  const auto t = make(spec);
  testing::expect_quick_on_one_letter(*t, kFirstPiece + 4);
}

}  // namespace
}  // namespace infer
