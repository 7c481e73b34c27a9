// SPDX-License-Identifier: MIT
// Vocab: what it accepts and refuses, the reverse map, roles of tokens; and TextMatcher.
#include "tokenizers/vocab.h"

#include <limits>

#include <gtest/gtest.h>

#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/text_matcher.h"

namespace infer {
namespace {

using testing::add_token;
using testing::llama_spec;

constexpr VocabDefaults kLlama{.bos = 1, .eos = 2, .unk = 0, .add_bos = true, .add_eos = false};

Vocab build(const TokenizerSpec& spec) {
  Result<Vocab> vocab = Vocab::build(spec, kLlama);
  EXPECT_TRUE(vocab.ok()) << vocab.status().message();
  return std::move(vocab).value();
}

Vocab build(TokenizerSpec&&) = delete;  // the spec must outlive the vocabulary

void expect_error(const TokenizerSpec& spec, Code code, std::string_view subject, std::string_view message) {
  const Result<Vocab> vocab = Vocab::build(spec, kLlama);
  ASSERT_FALSE(vocab.ok());
  EXPECT_EQ(vocab.status().code(), code);
  EXPECT_EQ(vocab.status().subject(), subject);
  EXPECT_EQ(vocab.status().message(), message);
}

TEST(Vocab, RefusesAnEmptyVocabulary) {
  expect_error(TokenizerSpec{}, Code::vocab, "tokenizer.ggml.tokens",
               "tokenizer.ggml.tokens is missing or empty: there is no vocabulary");
}

TEST(Vocab, RefusesScoresOfAnotherNumber) {
  TokenizerSpec spec = llama_spec(false);
  spec.scores.pop_back();
  expect_error(spec, Code::vocab, "tokenizer.ggml.scores", "tokenizer.ggml.scores has 2 entries for 3 tokens");
}

TEST(Vocab, RefusesTypesOfAnotherNumber) {
  TokenizerSpec spec = llama_spec(false);
  spec.types.push_back(1);
  expect_error(spec, Code::vocab, "tokenizer.ggml.token_type", "tokenizer.ggml.token_type has 4 entries for 3 tokens");
}

TEST(Vocab, RefusesAScoreThatIsNotANumber) {
  TokenizerSpec spec = llama_spec(false);
  spec.scores[1] = std::numeric_limits<float>::quiet_NaN();
  expect_error(spec, Code::vocab, "tokenizer.ggml.scores", "tokenizer.ggml.scores has no number for token 1: nan");
}

TEST(Vocab, RefusesAnUnknownType) {
  TokenizerSpec spec = llama_spec(false);
  spec.types[2] = 99;
  expect_error(spec, Code::vocab, "tokenizer.ggml.token_type",
               "tokenizer.ggml.token_type has unknown type 99 for token 2; types are 1 to 6");
}

TEST(Vocab, RefusesSpecialIdsOutsideTheVocabulary) {
  TokenizerSpec spec = llama_spec(false);
  spec.eos = 3;
  expect_error(spec, Code::vocab, "tokenizer.ggml.eos_token_id",
               "tokenizer.ggml.eos_token_id is 3, outside the vocabulary of 3 tokens");
  spec.eos = -2;
  expect_error(spec, Code::vocab, "tokenizer.ggml.eos_token_id",
               "tokenizer.ggml.eos_token_id is -2, outside the vocabulary of 3 tokens");
  spec.eos = std::int64_t{1} << 32;
  expect_error(spec, Code::vocab, "tokenizer.ggml.eos_token_id",
               "tokenizer.ggml.eos_token_id is 4294967296, outside the vocabulary of 3 tokens");
  for (const auto role : {&TokenizerSpec::bos, &TokenizerSpec::unk, &TokenizerSpec::eot, &TokenizerSpec::eom}) {
    TokenizerSpec other = llama_spec(false);
    other.*role = 3;
    EXPECT_EQ(Vocab::build(other, kLlama).status().code(), Code::vocab);
  }
}

TEST(Vocab, TakesMinusOneForNoToken) {
  for (const std::int64_t none : {std::int64_t{-1}, std::int64_t{4294967295}}) {
    TokenizerSpec spec = llama_spec(false);
    spec.bos = spec.eos = spec.unk = spec.sep = spec.pad = spec.cls = spec.mask = spec.eot = spec.eom = none;
    std::vector<std::string> warnings;
    const Vocab vocab = build(spec);
    vocab.judge(warnings);

    EXPECT_EQ(warnings, std::vector<std::string>());
    EXPECT_EQ(vocab.special().bos, 1) << "as if the key were absent";
    EXPECT_EQ(vocab.special().eos, 2);
    EXPECT_EQ(vocab.special().unk, 0);
    EXPECT_EQ(vocab.special().sep, kNoToken);
    EXPECT_EQ(vocab.special().pad, kNoToken);
    EXPECT_EQ(vocab.special().eot, kNoToken);
    EXPECT_EQ(vocab.special().eom, kNoToken);
  }
}

TEST(Vocab, TellsOfIdleIdsOutsideTheVocabulary) {
  TokenizerSpec spec = llama_spec(false);
  spec.sep = 3, spec.pad = -2, spec.cls = 4, spec.mask = std::int64_t{1} << 32;
  std::vector<std::string> warnings;
  const Vocab vocab = build(spec);
  vocab.judge(warnings);

  EXPECT_EQ(vocab.special().sep, kNoToken);
  EXPECT_EQ(vocab.special().pad, kNoToken);
  EXPECT_EQ(warnings, (std::vector<std::string>{
                          "tokenizer.ggml.seperator_token_id is 3, outside the vocabulary of 3 tokens; it is ignored",
                          "tokenizer.ggml.padding_token_id is -2, outside the vocabulary of 3 tokens; it is ignored",
                          "tokenizer.ggml.cls_token_id is 4, outside the vocabulary of 3 tokens; it is ignored",
                          "tokenizer.ggml.mask_token_id is 4294967296, outside the vocabulary of 3 tokens; it is ignored"}));
}

TEST(Vocab, RefusesATokenOfMoreThan64KiB) {
  TokenizerSpec spec = llama_spec(false);
  add_token(spec, std::string(kMaxTokenBytes + 1, 'a'), TokenType::normal);
  expect_error(spec, Code::limit, "tokenizer.ggml.tokens",
               "tokenizer.ggml.tokens: token 3 has 65537 bytes; at most 65536 are supported");
}

TEST(Vocab, RefusesAMarkOfMoreThan256Bytes) {
  for (const TokenType type : {TokenType::control, TokenType::user_defined, TokenType::unknown}) {
    TokenizerSpec spec = llama_spec(false);
    add_token(spec, std::string(256, 'a'), type);
    build(spec);
    add_token(spec, std::string(257, 'b'), type);
    expect_error(spec, Code::limit, "tokenizer.ggml.tokens",
                 "tokenizer.ggml.tokens: control or user-defined token 4 has 257 bytes; at most 256 are supported");
  }
}

TEST(Vocab, KnowsWhatLooksLikeControl) {
  TokenizerSpec spec = llama_spec(false);   // 0 is <unk>, 1 <s>, 2 </s>
  for (const char* text : {"<mark>", "<|User|>", "<｜User｜>", "<start_of_turn>", "<end_of_turn>", "<EOT>", "<s", "a", "b"}) {
    add_token(spec, text, TokenType::user_defined);
  }
  spec.types[2] = static_cast<std::int32_t>(TokenType::user_defined);
  spec.sep = 10;
  spec.eos = 11;
  const Vocab vocab = build(spec);
  for (const Token token : {0, 3, 9}) EXPECT_FALSE(vocab.looks_like_control(token)) << vocab.text(token);
  for (const Token token : {1, 2, 4, 5, 6, 7, 8, 10, 11}) EXPECT_TRUE(vocab.looks_like_control(token)) << vocab.text(token);
}

TEST(Vocab, HasNoUnknownTokenWithARole) {
  TokenizerSpec spec = llama_spec(false);
  EXPECT_EQ(build(spec).unknown(), 0);
  spec.bos = 0;
  EXPECT_EQ(build(spec).unknown(), kNoToken);
  spec.bos = 1, spec.eot = 0;
  EXPECT_EQ(build(spec).unknown(), kNoToken);
  EXPECT_EQ(build(spec).special().unk, 0) << "its text is a mark still";
}

TEST(Vocab, RefusesTooManyMarks) {
  TokenizerSpec spec = llama_spec(false);
  for (std::size_t i = 2; i <= Vocab::kMaxMarks; ++i) add_token(spec, std::to_string(i), TokenType::control);
  expect_error(spec, Code::limit, "tokenizer.ggml.tokens",
               "tokenizer.ggml.tokens: token 65537 is one more than the 65536 control and user-defined tokens that are "
               "supported");
}

TEST(Vocab, TellsOfEqualTextsAndOfNoEnd) {
  TokenizerSpec spec;
  for (const char* text : {"a", "b", "a", "a"}) add_token(spec, text, TokenType::normal);
  std::vector<std::string> warnings;
  build(spec).judge(warnings);
  EXPECT_EQ(warnings, (std::vector<std::string>{
                          "tokenizer.ggml.tokens: 2 of 4 tokens repeat an earlier text, 2 the first of them; text becomes the "
                          "earlier one",
                          "tokenizer.ggml: no token ends a generation; it goes on until its limit of tokens"}));
}

TEST(Vocab, CanBeCancelled) {
  const TokenizerSpec spec = llama_spec();
  CancelFlag cancel;
  cancel.set = true;
  EXPECT_EQ(Vocab::build(spec, kLlama, &cancel).status().code(), Code::cancelled);
}

TEST(Vocab, AcceptsEmptyTextsAndNeverFindsThem) {
  TokenizerSpec spec = llama_spec(false);
  add_token(spec, "", TokenType::normal);
  const Vocab vocab = build(spec);

  EXPECT_EQ(vocab.size(), 4);
  EXPECT_EQ(vocab.find(""), kNoToken);
}

TEST(Vocab, FindsTheFirstOfEqualTexts) {
  TokenizerSpec spec = llama_spec(false);
  add_token(spec, "a", TokenType::normal);
  add_token(spec, "a", TokenType::normal);

  EXPECT_EQ(build(spec).find("a"), 3);
}

TEST(Vocab, FindsEveryTextOfEveryLength) {
  TokenizerSpec spec = llama_spec();
  for (std::size_t n = 1; n < 100; ++n) add_token(spec, std::string(n, 'x'), TokenType::normal);
  const Vocab vocab = build(spec);

  for (Token token = 0; token < vocab.size(); ++token) EXPECT_EQ(vocab.find(vocab.text(token)), token);
  EXPECT_EQ(vocab.find(std::string(100, 'x')), kNoToken);
  EXPECT_EQ(vocab.longest(), 99U);
}

TEST(Vocab, FindsTextsWithZeroBytes) {
  TokenizerSpec spec = llama_spec(false);
  add_token(spec, std::string_view("a\0b", 3), TokenType::normal);
  const Vocab vocab = build(spec);

  EXPECT_EQ(vocab.find(std::string_view("a\0b", 3)), 3);
  EXPECT_EQ(vocab.find("a"), kNoToken);
}

TEST(Vocab, KnowsByteTokens) {
  const TokenizerSpec spec = llama_spec();
  const Vocab vocab = build(spec);

  EXPECT_EQ(vocab.byte_token(0x00), 3);
  EXPECT_EQ(vocab.byte_token(0xff), 258);
  EXPECT_EQ(vocab.byte_value(13), 10);
  EXPECT_EQ(vocab.byte_value(0), -1);
}

TEST(Vocab, LeavesAByteTokenOfAnotherFormWithoutAByte) {
  TokenizerSpec spec = llama_spec(false);
  add_token(spec, "<0xG0>", TokenType::byte);

  EXPECT_EQ(build(spec).byte_value(3), -1);
}

TEST(Vocab, AssumesUsualIdsWhereTheFileIsSilent) {
  const TokenizerSpec spec = llama_spec(false);
  const SpecialTokens special = build(spec).special();

  EXPECT_EQ(special.unk, 0);
  EXPECT_EQ(special.bos, 1);
  EXPECT_EQ(special.eos, 2);
  EXPECT_TRUE(special.add_bos);
  EXPECT_FALSE(special.add_eos);
}

TEST(Vocab, AssumesNoRoleForTokensOfAnotherType) {
  TokenizerSpec spec;
  for (const char* text : {"a", "b", "c"}) add_token(spec, text, TokenType::normal);
  const SpecialTokens special = build(spec).special();

  EXPECT_EQ(special.unk, kNoToken);
  EXPECT_EQ(special.bos, kNoToken);
  EXPECT_EQ(special.eos, kNoToken);
}

TEST(Vocab, TellsTypesFromTextsWhenTheFileHasNone) {
  TokenizerSpec spec = llama_spec();
  spec.types.clear();
  const Vocab vocab = build(spec);

  EXPECT_EQ(vocab.type(0), TokenType::unknown);
  EXPECT_EQ(vocab.type(1), TokenType::control);
  EXPECT_EQ(vocab.type(3), TokenType::byte);
}

TEST(Vocab, TakesIdsOfTheFileBeforeUsualOnes) {
  TokenizerSpec spec = llama_spec(false);
  spec.bos = 2;
  spec.add_bos = false;
  const SpecialTokens special = build(spec).special();

  EXPECT_EQ(special.bos, 2);
  EXPECT_FALSE(special.add_bos);
}

TEST(Vocab, EndsGenerationAtEosEotAndEom) {
  TokenizerSpec spec = llama_spec(false);
  for (const char* text : {"<end>", "<call>", "word"}) add_token(spec, text, TokenType::control);
  spec.eot = 3;
  spec.eom = 4;
  const Vocab vocab = build(spec);

  EXPECT_TRUE(vocab.ends_generation(2));
  EXPECT_TRUE(vocab.ends_generation(3));
  EXPECT_TRUE(vocab.ends_generation(4));
  EXPECT_FALSE(vocab.ends_generation(1));
  EXPECT_FALSE(vocab.ends_generation(5));
}

TEST(Vocab, EndsGenerationAtKnownControlTextsWhenNoEotIsNamed) {
  TokenizerSpec spec = llama_spec(false);
  add_token(spec, "<|im_end|>", TokenType::control);
  add_token(spec, "<|end|>", TokenType::normal);
  EXPECT_TRUE(build(spec).ends_generation(3));
  EXPECT_FALSE(build(spec).ends_generation(4)) << "an ordinary text";

  spec.eot = 2;
  EXPECT_FALSE(build(spec).ends_generation(3));
}

TEST(TextMatcher, FindsTheLeftmostThenLongest) {
  const TextMatcher matcher({{"ab", 1}, {"abcd", 2}, {"bc", 3}, {"d", 4}});

  EXPECT_EQ(matcher.find("xabcx", 0).token, 1);
  EXPECT_EQ(matcher.find("xabcd", 0).token, 2);
  EXPECT_EQ(matcher.find("xabcd", 0).begin, 1U);
  EXPECT_EQ(matcher.find("xabcd", 2).token, 3);
  EXPECT_FALSE(matcher.find("xacx", 0).found());
}

TEST(TextMatcher, FindsWithinSpansWhatLiesInOneAsAWhole) {
  const TextMatcher special({{"<a>", 1}, {"<a>>", 2}, {"x", 3}});
  const TextMatcher always({{"x", 3}, {"<a>>y", 4}}), none;
  const auto find = [&](std::vector<TextSpan> spans, std::string_view text, const TextMatcher& elsewhere, std::size_t begin = 0) {
    const TextMatcher::Match match = special.find_within(spans, elsewhere, text, begin);
    return std::pair(match.token, match.found() ? match.begin : 0);
  };
  EXPECT_EQ(find({{0, 8}}, "..<a>>..", none), std::pair(2, std::size_t{2}));
  EXPECT_EQ(find({{0, 5}}, "..<a>>..", none), std::pair(1, std::size_t{2}));   // what follows the span does not matter
  EXPECT_EQ(find({{0, 4}}, "..<a>>..", none).first, kNoToken);
  EXPECT_EQ(find({{3, 8}}, "..<a>>..", none).first, kNoToken);
  EXPECT_EQ(find({}, "..<a>>..", none).first, kNoToken);
  EXPECT_EQ(find({{0, 4}, {4, 5}}, "..<a>>..", none).first, kNoToken);   // neighbours are not one span
  EXPECT_EQ(find({{1, 2}, {5, 8}}, "<a>..<a>", none), std::pair(1, std::size_t{5}));
  EXPECT_EQ(find({{1, 2}, {5, 8}}, "<a>..<a>", none, 6).first, kNoToken);
  EXPECT_EQ(find({}, "<a>x", always), std::pair(3, std::size_t{3}));
  EXPECT_EQ(find({{0, 3}}, "<a>>y", always), std::pair(1, std::size_t{0}));
  EXPECT_EQ(find({{1, 3}}, "<a>>y", always), std::pair(4, std::size_t{0}));
}

TEST(TextMatcher, TakesTheFirstOfEqualTextsAndNoEmptyOnes) {
  const TextMatcher matcher({{"", 1}, {"a", 2}, {"a", 3}});

  EXPECT_EQ(matcher.find("a", 0).token, 2);
  EXPECT_FALSE(matcher.find("b", 0).found());
}

TEST(TextMatcher, MatchesBytesAboveAscii) {
  const TextMatcher matcher({{"\xff", 1}, {"\xff\xfe", 2}, {"\x7f", 3}});

  EXPECT_EQ(matcher.find("\xff\xff\xfe", 0).token, 1);
  EXPECT_EQ(matcher.find("\xff\xff\xfe", 1).token, 2);
}

}  // namespace
}  // namespace infer
