// SPDX-License-Identifier: MIT
// Where in a text its tokens stand, for all kinds. What must hold of any text is checked on the golden corpus in
// golden_test.cpp.
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/tokenizers/encoding.h"
#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/spans.h"
#include "tokenizers/tokenizers.h"

namespace infer {

void PrintTo(const TextSpan& span, std::ostream* out) { *out << span.begin << "-" << span.end; }

namespace {

using testing::add_pieces;
using testing::add_token;
using testing::gpt2_spec;
using testing::llama_spec;
using Spans = std::vector<TextSpan>;

Spans spans_of(const TokenizerKind& kind, const TokenizerSpec& spec, std::string_view text, EncodeOptions options = testing::kPlain) {
  Spans spans{{7, 7}};   // what is in it goes
  options.spans = &spans;
  const auto tokenizer = testing::make(kind, spec);
  const testing::Tokens tokens = testing::encode(*tokenizer, text, options);
  EXPECT_EQ(tokens.size(), spans.size());
  options.spans = nullptr;
  EXPECT_EQ(testing::encode(*tokenizer, text, options), tokens) << "asking changes nothing";
  return spans;
}

TEST(SpanNotes, GoBackThroughCopiedAndChangedStretches) {
  Spans spans;
  SpanNotes notes(&spans);
  notes.begin_part(10);
  notes.copied(2);
  notes.changed(3, 1);  // text 12-15, normal 2-3
  notes.changed(1, 0);  // text 15-16, gone
  notes.copied(2);      // text 16-18, normal 3-5
  for (const auto& [begin, end] : {std::pair<std::size_t, std::size_t>{0, 1}, {1, 3}, {2, 3}, {3, 4}, {3, 5}, {5, 5}}) {
    notes.add(begin, end);
  }
  EXPECT_EQ(spans, (Spans{{10, 11}, {11, 15}, {12, 15}, {16, 17}, {16, 18}, {18, 18}}));
}

TEST(SpanNotes, AreNotKeptUnlessAskedFor) {
  SpanNotes notes;
  notes.changed(1, 2);
  notes.add(0, 1);
  notes.extend(2);
  EXPECT_FALSE(notes.wanted());
}

TEST(Spans, OfBytesAreExact) {
  EXPECT_EQ(spans_of(bpe_tokenizer, gpt2_spec({"a b", "Ġ ab"}), "ab abé"), (Spans{{0, 2}, {2, 5}, {5, 6}, {6, 7}}));
}

TEST(Spans, OfAddedTokensAreEmpty) {
  TokenizerSpec spec = gpt2_spec({"a b"});
  add_token(spec, "<s>", TokenType::control);
  spec.bos = spec.eos = 257;
  spec.add_bos = spec.add_eos = true;
  EXPECT_EQ(spans_of(bpe_tokenizer, spec, "abc", {}), (Spans{{0, 0}, {0, 2}, {2, 3}, {3, 3}}));
  EXPECT_EQ(spans_of(bpe_tokenizer, spec, "ab<s>c", testing::kParse), (Spans{{0, 2}, {2, 5}, {5, 6}}));
}

TEST(Spans, OfANormalFormAreThoseOfItsWholeStretch) {
  TokenizerSpec spec = gpt2_spec();
  spec.pre = "mpt";
  // x stands before; é is two bytes of normal form, both from "e" and the accent.
  EXPECT_EQ(spans_of(bpe_tokenizer, spec, "xe\u0301y"), (Spans{{0, 1}, {1, 4}, {1, 4}, {4, 5}}));
  spec.add_space_prefix = true;
  EXPECT_EQ(spans_of(bpe_tokenizer, spec, "xe\u0301"), (Spans{{0, 0}, {0, 1}, {1, 4}, {1, 4}}));
  EXPECT_EQ(spans_of(bpe_tokenizer, spec, "\u0301"), (Spans{{0, 2}, {0, 2}, {0, 2}})) << "the prefix is in the stretch";
}

TEST(Spans, OfAWordThatLosesBytesAreThatWord) {
  TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  add_token(spec, "a", TokenType::normal);
  add_token(spec, "Ġ", TokenType::normal);
  EXPECT_EQ(spans_of(bpe_tokenizer, spec, "aa axa"), (Spans{{0, 1}, {1, 2}, {2, 6}, {2, 6}, {2, 6}}));
}

TEST(Spans, OfASpacePrefixAreEmpty) {
  TokenizerSpec spec = llama_spec();
  add_pieces(spec, {"▁", "a", "b", "▁a"});
  EXPECT_EQ(spans_of(spm_tokenizer, spec, "a a b"), (Spans{{0, 1}, {1, 3}, {3, 4}, {4, 5}}));
  EXPECT_EQ(spans_of(spm_tokenizer, spec, "b"), (Spans{{0, 0}, {0, 1}}));
  EXPECT_EQ(spans_of(spm_tokenizer, spec, "a</s>a", testing::kParse), (Spans{{0, 1}, {1, 5}, {5, 6}}));
}

TEST(Spans, OfByteTokensAreTheirBytes) {
  TokenizerSpec spec = llama_spec();
  add_pieces(spec, {"a"});
  spec.add_space_prefix = false;
  EXPECT_EQ(spans_of(spm_tokenizer, spec, "aé"), (Spans{{0, 1}, {1, 2}, {2, 3}}));
}

TEST(Spans, OfUnknownRunsAreTheRun) {
  TokenizerSpec spec = llama_spec(false);
  add_pieces(spec, {"a"});
  spec.add_space_prefix = false;
  EXPECT_EQ(spans_of(spm_tokenizer, spec, "axyéa"), (Spans{{0, 1}, {1, 5}, {5, 6}}));
}

TEST(Spans, OfWordpiecesLeaveSpacesAndAccentsOut) {
  TokenizerSpec spec;
  spec.model = "bert";
  for (const char* text : {"▁ab", "c", "▁!", "[UNK]", "▁日"}) add_token(spec, text, TokenType::normal);
  spec.unk = 3;
  EXPECT_EQ(spans_of(wordpiece_tokenizer, spec, " AbC\t!x"), (Spans{{1, 3}, {3, 4}, {5, 6}, {6, 7}}));
  EXPECT_EQ(spans_of(wordpiece_tokenizer, spec, "a\u0301bç日x"), (Spans{{0, 4}, {4, 6}, {6, 9}, {9, 10}}));
}

TEST(Spans, OfUnigramPiecesSkipSpacesThatGo) {
  TokenizerSpec spec;
  spec.model = "t5";
  add_token(spec, "<unk>", TokenType::unknown);
  for (const char* text : {"▁a", "a", "▁", "b"}) add_token(spec, text, TokenType::normal, -1.0F);
  spec.unk = 0;
  EXPECT_EQ(spans_of(unigram_tokenizer, spec, "  a  ab "), (Spans{{2, 3}, {3, 6}, {6, 7}}));
  EXPECT_EQ(spans_of(unigram_tokenizer, spec, "b??a"), (Spans{{0, 0}, {0, 1}, {1, 3}, {3, 4}}));
}

}  // namespace
}  // namespace infer
