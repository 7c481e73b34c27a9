// SPDX-License-Identifier: MIT
// Byte-level BPE on vocabularies small enough to follow by hand. Golden data is for golden_test.cpp.
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
using testing::gpt2_spec;
using testing::decode;
using testing::encode;
using testing::kParse;
using testing::kPlain;
using testing::Tokens;

constexpr Token kFirstMerge = 256;  // after the byte tokens of gpt2_spec()

std::unique_ptr<Tokenizer> make(const TokenizerSpec& spec, std::vector<std::string>* warnings = nullptr) {
  return testing::make(bpe_tokenizer, spec, warnings);
}

Result<std::unique_ptr<Tokenizer>> failure(const TokenizerSpec& spec) {
  std::vector<std::string> warnings;
  Result<std::unique_ptr<Tokenizer>> tokenizer = bpe_tokenizer.make(spec, nullptr, warnings);
  EXPECT_FALSE(tokenizer.ok());
  return tokenizer;
}

// From kFirstMerge on: bc=0 ab=1 abc=2 Ġa=3
TokenizerSpec abc_spec() { return gpt2_spec({"b c", "a b", "a bc", "Ġ a"}); }

TEST(Bpe, IsTheKindOfGpt2) {
  EXPECT_EQ(bpe_tokenizer.name, "gpt2");
  EXPECT_EQ(std::count(builtin_tokenizers().begin(), builtin_tokenizers().end(), &bpe_tokenizer), 1);
}

TEST(Bpe, JoinsTheLowestRankFirst) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "ab"), (Tokens{kFirstMerge + 1}));
  EXPECT_EQ(encode(*t, "abc"), (Tokens{kFirstMerge + 2})) << "a bc, then abc";
  EXPECT_EQ(encode(*t, "cabb"), (Tokens{'c', kFirstMerge + 1, 'b'}));
}

TEST(Bpe, JoinsTheLeftmostOfEqualRanks) {
  const TokenizerSpec spec = gpt2_spec({"a a"});
  EXPECT_EQ(encode(*make(spec), "aaa"), (Tokens{kFirstMerge, 'a'}));
}

TEST(Bpe, DoesNotJoinAcrossWords) {
  const TokenizerSpec spec = gpt2_spec({"a Ġ", "Ġ a"});
  EXPECT_EQ(encode(*make(spec), "a a"), (Tokens{'a', kFirstMerge + 1}));
}

TEST(Bpe, TakesAWordThatNoMergeLeadsToOnlyWhereTheRuleSaysSo) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "cba", TokenType::normal);
  EXPECT_EQ(encode(*make(spec), "cba"), (Tokens{'c', 'b', 'a'}));

  spec.pre = "llama-bpe";
  EXPECT_EQ(encode(*make(spec), "cba"), (Tokens{kFirstMerge + 4}));
}

TEST(Bpe, EncodesAnyBytes) {
  const TokenizerSpec spec = abc_spec();
  const auto t = make(spec);
  EXPECT_EQ(encode(*t, "\xff"), (Tokens{0xff}));
  EXPECT_EQ(encode(*t, std::string_view("\0\xad ", 3)), (Tokens{0, 0xad, ' '}));
  for (const std::string text : {"", " ", "a b", "äöü\n\t日本語 abc", "a\xc3", "\xed\xa0\x80\xc0\xaf", "<|end|> Ġa"}) {
    EXPECT_EQ(decode(*t, encode(*t, text)), text);
  }
}

TEST(Bpe, BringsTextToNormalFormWhereTheRuleSaysSo) {
  TokenizerSpec spec = abc_spec();
  EXPECT_EQ(decode(*make(spec), encode(*make(spec), "e\u0301")), "e\u0301");
  spec.pre = "qwen2";
  EXPECT_EQ(decode(*make(spec), encode(*make(spec), "e\u0301")), "é");
}

TEST(Bpe, TakesControlTextAsTextByDefault) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "<|end|>", TokenType::control);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a<|end|>a", kParse), (Tokens{'a', kFirstMerge + 4, 'a'}));
  const Tokens plain = encode(*t, "a<|end|>");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), kFirstMerge + 4), 0);
  EXPECT_EQ(decode(*t, plain), "a<|end|>");
}

TEST(Bpe, TakesControlTextWhereItIsTrusted) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "<|end|>", TokenType::control);
  add_token(spec, "  ", TokenType::user_defined);
  const auto t = make(spec);
  const std::vector<TextSpan> spans = {{0, 1}, {10, 17}};
  const EncodeOptions options{.add_special = false, .parse_special = true, .special_in = spans};

  const Tokens tokens = encode(*t, "a<|end|>  <|end|>", options);
  EXPECT_EQ(tokens.back(), kFirstMerge + 4);
  EXPECT_EQ(tokens[tokens.size() - 2], kFirstMerge + 5) << "user-defined texts are found everywhere";
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), kFirstMerge + 4), 1);
}

TEST(Bpe, TakesUserDefinedTextsThatLookLikeControlWhereTheyAreTrusted) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "<|EOT|>", TokenType::user_defined);
  const auto t = make(spec);
  const std::vector<TextSpan> spans = {{0, 7}};
  const EncodeOptions options{.add_special = false, .parse_special = true, .special_in = spans};

  const Tokens tokens = encode(*t, "<|EOT|><|EOT|>", options);
  EXPECT_EQ(tokens.front(), kFirstMerge + 4);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), kFirstMerge + 4), 1);
  EXPECT_EQ(encode(*t, "<|EOT|><|EOT|>"), (Tokens{kFirstMerge + 4, kFirstMerge + 4})) << "outside of prompts as the file has it";
}

TEST(Bpe, TakesUserDefinedTextsAlways) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "  ", TokenType::user_defined);
  add_token(spec, "    ", TokenType::user_defined);
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a     a"), (Tokens{'a', kFirstMerge + 5, kFirstMerge + 3})) << "four spaces, then a word";
  EXPECT_EQ(t->piece(kFirstMerge + 5, false), "    ");
}

TEST(Bpe, AddsBosAndEosWhereTheVocabularySaysSo) {
  TokenizerSpec spec = abc_spec();
  spec.bos = 7, spec.eos = 8;
  EXPECT_EQ(encode(*make(spec), "c", {}), (Tokens{'c'}));

  spec.pre = "llama-bpe";
  EXPECT_EQ(encode(*make(spec), "c", {}), (Tokens{7, 'c'})) << "what files with this rule leave out";

  spec.add_bos = false, spec.add_eos = true;
  EXPECT_EQ(encode(*make(spec), "c", {}), (Tokens{'c', 8}));
}

TEST(Bpe, PutsASpaceInFrontWhereToldTo) {
  TokenizerSpec spec = abc_spec();
  spec.add_space_prefix = true;
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a"), (Tokens{kFirstMerge + 3}));
  EXPECT_EQ(encode(*t, " a"), (Tokens{kFirstMerge + 3}));
  EXPECT_EQ(decode(*t, encode(*t, "a a")), "a a");
  EXPECT_EQ(encode(*t, "a", {.add_special = false, .previous = 'a'}), (Tokens{'a'}));
}

TEST(Bpe, ShowsPiecesAsBytes) {
  TokenizerSpec spec = abc_spec();
  add_token(spec, "日本", TokenType::normal);
  add_token(spec, "[PAD]", TokenType::unused);
  add_token(spec, "<|fim_middle|>", TokenType::user_defined);
  const auto t = make(spec);

  EXPECT_EQ(t->text(kFirstMerge + 3), "Ġa");
  EXPECT_EQ(t->piece(kFirstMerge + 3, false), " a");
  EXPECT_EQ(t->piece(kFirstMerge + 4, false), "日本") << "not written in characters of bytes";
  EXPECT_EQ(t->piece(kFirstMerge + 5, true), "");
  EXPECT_EQ(t->piece(kFirstMerge + 6, true), "<|fim_middle|>");
  EXPECT_EQ(t->piece(kFirstMerge + 6, false), "");
}

TEST(Bpe, LeavesOutWhatTheVocabularyHasNoBytesFor) {
  TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  for (const char* text : {"a", "ï", "¿", "½"}) add_token(spec, text, TokenType::normal);  // a and the bytes of U+FFFD
  std::vector<std::string> warnings;
  auto t = make(spec, &warnings);

  EXPECT_EQ(encode(*t, "aba"), (Tokens{0, 0}));
  EXPECT_EQ(encode(*t, "a\xff"), (Tokens{0, 1, 2, 3}));
  EXPECT_NE(
      std::find(warnings.begin(), warnings.end(),
                "tokenizer.ggml.tokens: 252 of the 256 bytes have no token; in a text they are left out, or become "
                "U+FFFD if beyond ASCII"),
      warnings.end());

  add_token(spec, "<unk>", TokenType::unknown);
  spec.unk = 4;
  t = make(spec);
  EXPECT_EQ(encode(*t, "aba"), (Tokens{0, 4, 0}));
}

TEST(Bpe, NeverGivesAControlTokenForAByte) {
  TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  add_token(spec, "a", TokenType::normal);
  add_token(spec, "<|end|>", TokenType::control);
  add_token(spec, "b", TokenType::control);
  spec.unk = 1;

  EXPECT_EQ(encode(*make(spec), "abx"), (Tokens{0}));
}

TEST(Bpe, RefusesAnUnknownRule) {
  TokenizerSpec spec = abc_spec();
  spec.pre = "gpt-3";
  const auto failed = failure(spec);
  const Status& status = failed.status();

  EXPECT_EQ(status.code(), Code::pretokenizer);
  EXPECT_EQ(status.subject(), "tokenizer.ggml.pre");
  EXPECT_TRUE(status.message().starts_with("tokenizer.ggml.pre is 'gpt-3', which is unknown; known: default, gpt-2, "))
      << status.message();
}

TEST(Bpe, WarnsWhereNoRuleIsNamed) {
  TokenizerSpec spec = abc_spec();
  spec.pre.clear();
  std::vector<std::string> warnings;
  make(spec, &warnings);

  ASSERT_FALSE(warnings.empty());
  EXPECT_EQ(warnings[0],
            "tokenizer.ggml.pre is missing: text is split by the rule 'default', which may not be the model's");
}

TEST(Bpe, RefusesMergesThatMakeNoSense) {
  const auto message = [](std::string_view merge) {
    TokenizerSpec spec = abc_spec();
    spec.merges.push_back(merge);
    const auto failed = failure(spec);
    EXPECT_EQ(failed.status().code(), Code::vocab);
    EXPECT_EQ(failed.status().subject(), "tokenizer.ggml.merges");
    return std::string(failed.status().message());
  };
  EXPECT_EQ(message(""), "tokenizer.ggml.merges: merge 4 ('') is not two texts with one space between them");
  EXPECT_EQ(message("ab"), "tokenizer.ggml.merges: merge 4 ('ab') is not two texts with one space between them");
  EXPECT_EQ(message("a b c"), "tokenizer.ggml.merges: merge 4 ('a b c') is not two texts with one space between them");
  EXPECT_EQ(message(" a"), "tokenizer.ggml.merges: merge 4 (' a') has an empty half");
  EXPECT_EQ(message("a "), "tokenizer.ggml.merges: merge 4 ('a ') has an empty half");
  EXPECT_EQ(message("日 a"), "tokenizer.ggml.merges: merge 4 ('日 a') has a left half that is no token");
  EXPECT_EQ(message("a 日"), "tokenizer.ggml.merges: merge 4 ('a 日') has a right half that is no token");
  EXPECT_EQ(message("c a"), "tokenizer.ggml.merges: merge 4 ('c a') gives a text that is no token");
}

TEST(Bpe, KeepsTheFirstOfRepeatedMerges) {
  TokenizerSpec spec = gpt2_spec({"b c", "a b"});
  spec.merges.push_back("b c");
  std::vector<std::string> warnings;
  const auto t = make(spec, &warnings);

  EXPECT_EQ(encode(*t, "abc"), (Tokens{'a', kFirstMerge}));
  EXPECT_NE(
      std::find(
          warnings.begin(), warnings.end(),
          "tokenizer.ggml.merges: 1 of 3 merges repeat an earlier one, 2 the first of them; the earlier ones count"),
      warnings.end());
}

TEST(Bpe, StopsLoadingWhenCancelled) {
  const TokenizerSpec spec = abc_spec();
  const CancelFlag cancel{true};
  std::vector<std::string> warnings;
  EXPECT_EQ(bpe_tokenizer.make(spec, &cancel, warnings).status().code(), Code::cancelled);
}

// Joins by looking at all pairs again after every join: the definition, without words, heap or links.
Tokens encode_slowly(const std::vector<std::string>& merges, const TokenizerSpec& spec, const std::string& text) {
  std::vector<std::string> parts;
  for (const char c : text) parts.emplace_back(1, c);
  while (true) {
    std::size_t best = parts.size();
    std::ptrdiff_t best_rank = static_cast<std::ptrdiff_t>(merges.size());
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const std::ptrdiff_t rank =
          std::find(merges.begin(), merges.end(), parts[i] + " " + parts[i + 1]) - merges.begin();
      if (rank < best_rank) best = i, best_rank = rank;
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Tokens tokens;
  for (const std::string& part : parts) {
    std::size_t id = 0;
    while (spec.tokens[id] != part) ++id;
    tokens.push_back(static_cast<Token>(id));
  }
  return tokens;
}

TEST(Bpe, AgreesWithTheDefinitionOnRandomMerges) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    std::vector<std::string> texts = {"a", "b", "c"};
    std::vector<std::string> merges;
    for (int i = 0; i < 25; ++i) {
      const std::string left = texts[below(texts.size())];
      const std::string right = texts[below(texts.size())];
      const std::string merge = left + " " + right;
      if (left.size() + right.size() > 6 || std::find(merges.begin(), merges.end(), merge) != merges.end()) continue;
      merges.push_back(merge);
      texts.push_back(left + right);
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const TokenizerSpec spec = gpt2_spec(merges);  // with equal texts, too, of which the first counts
    const auto t = make(spec);

    std::string text;  // one word, on either side of the length from which a heap is used
    for (std::size_t i = below(120); i > 0; --i) text += "abc"[below(3)];
    EXPECT_EQ(encode(*t, text), encode_slowly(merges, spec, text)) << "seed " << seed << ", text '" << text << "'";
  }
}

TEST(Bpe, IsQuickOnOneRepeatedCharacter) {
  const TokenizerSpec spec = gpt2_spec({"a a", "aa aa", "aaaa aaaa", "aaaaaaaa aaaaaaaa"});
  const auto t = make(spec);
  testing::expect_quick_on_one_letter(*t, kFirstMerge + 3);
}

}  // namespace
}  // namespace infer
