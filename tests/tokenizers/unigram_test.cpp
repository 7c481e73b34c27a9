// SPDX-License-Identifier: MIT
// The unigram model on vocabularies small enough to follow by hand, and against its definition: all ways to cut a text.
#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "src/base/utf8.h"
#include "tests/tokenizers/encoding.h"
#include "tests/tokenizers/small_charsmap.h"
#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/tokenizers.h"

namespace infer {
namespace {

using testing::add_token;
using testing::decode;
using testing::encode;
using testing::kParse;
using testing::kPlain;
using testing::Tokens;

constexpr Token kUnknown = 2;

std::unique_ptr<Tokenizer> make(const TokenizerSpec& spec) { return testing::make(unigram_tokenizer, spec); }

struct Piece {
  std::string text;
  float score;
};

// <pad>=0 </s>=1 <unk>=2, then as given.
TokenizerSpec t5_spec(const std::vector<Piece>& pieces) {
  TokenizerSpec spec;
  spec.model = "t5";
  add_token(spec, "<pad>", TokenType::control);
  add_token(spec, "</s>", TokenType::control);
  add_token(spec, "<unk>", TokenType::unknown);
  for (const Piece& piece : pieces) add_token(spec, piece.text, TokenType::normal, piece.score);
  return spec;
}

TokenizerSpec without_prefix(const std::vector<Piece>& pieces) {
  TokenizerSpec spec = t5_spec(pieces);
  spec.add_space_prefix = false;
  return spec;
}

TEST(Unigram, IsTheKindOfT5) {
  EXPECT_EQ(unigram_tokenizer.name, "t5");
  EXPECT_EQ(std::count(builtin_tokenizers().begin(), builtin_tokenizers().end(), &unigram_tokenizer), 1);
}

TEST(Unigram, TakesTheBestSum) {
  const TokenizerSpec spec = without_prefix({{"a", -1}, {"b", -1}, {"ab", -1.5F}, {"bc", -1}, {"c", -3}});
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "ab"), (Tokens{5}));
  EXPECT_EQ(encode(*t, "abc"), (Tokens{3, 6})) << "-2 before -4.5";
}

TEST(Unigram, TakesUserDefinedTextsThatLookLikeControlWhereTheyAreTrusted) {
  TokenizerSpec spec = without_prefix({{"a", -1}});
  add_token(spec, "<|User|>", TokenType::user_defined);
  add_token(spec, "<m>", TokenType::user_defined);
  const auto t = make(spec);
  const std::vector<TextSpan> spans = {{0, 8}};
  EncodeOptions options{.add_special = false, .parse_special = true, .special_in = spans};

  EXPECT_EQ(encode(*t, "<|User|><|User|>a<m>", options), (Tokens{4, kUnknown, 3, 5}));
  options.parse_special = false;
  EXPECT_EQ(encode(*t, "<|User|><|User|>a<m>", options), (Tokens{4, 4, 3, 5})) << "not a prompt";
}

TEST(Unigram, StandsScoresWithoutEnd) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kMost = std::numeric_limits<float>::max();
  const TokenizerSpec spec = without_prefix({{"a", kMost}, {"b", -kMost}, {"c", kInfinity}, {"d", -kInfinity}, {"cd", 0}});
  EXPECT_EQ(encode(*make(spec), "aaabbbaccddab"), (Tokens{3, 3, 3, 4, 4, 4, 3, 5, 7, 6, 3, 4}));
}

TEST(Unigram, TakesTheLongestLastPieceOfEqualSums) {
  const TokenizerSpec spec = without_prefix({{"a", -1}, {"aa", -2}});
  EXPECT_EQ(encode(*make(spec), "aaa"), (Tokens{3, 4}));
}

TEST(Unigram, PutsOneSpaceInFrontAndJoinsTheOthers) {
  TokenizerSpec spec = t5_spec({{"▁", -2}, {"a", -2}, {"▁a", -1}});
  EXPECT_EQ(encode(*make(spec), "  a   a  "), (Tokens{5, 5}));
  EXPECT_TRUE(encode(*make(spec), "   ").empty());
  EXPECT_TRUE(encode(*make(spec), "").empty());
  EXPECT_EQ(decode(*make(spec), {5, 5}), "a a");

  spec.remove_extra_whitespaces = false;
  EXPECT_EQ(encode(*make(spec), " a  a "), (Tokens{3, 5, 3, 5, 3}));
  EXPECT_EQ(encode(*make(spec), "  "), (Tokens{3, 3, 3}));
  spec.add_space_prefix = false;
  EXPECT_EQ(encode(*make(spec), "a a"), (Tokens{4, 5}));
}

TEST(Unigram, EndsATextWithEos) {
  const TokenizerSpec spec = t5_spec({{"▁a", -1}});
  EXPECT_EQ(encode(*make(spec), "a", {}), (Tokens{3, 1}));
}

TEST(Unigram, GivesOneUnknownForARun) {
  const TokenizerSpec spec = without_prefix({{"a", -1}});
  EXPECT_EQ(encode(*make(spec), "axéa\xff"), (Tokens{3, kUnknown, 3, kUnknown}));
}

TEST(Unigram, PrefersAnyPiecesToAnUnknownCharacter) {
  const TokenizerSpec spec = without_prefix({{"xy", -20}, {"a", -1}});
  EXPECT_EQ(encode(*make(spec), "xy"), (Tokens{3})) << "two unknown ones are -60";
  EXPECT_EQ(encode(*make(spec), "xa"), (Tokens{kUnknown, 4}));
}

TEST(Unigram, FallsBackToBytes) {
  TokenizerSpec spec = testing::llama_spec();
  spec.model = "t5";
  add_token(spec, "a", TokenType::normal, -1);
  add_token(spec, "▁", TokenType::normal, -1);
  spec.add_space_prefix = false;
  spec.unk = 0;
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "aé"), (Tokens{259, 3 + 0xc3, 3 + 0xa9}));
  EXPECT_EQ(decode(*t, encode(*t, "aé \xff\xe2\x82")), "aé \xff\xe2\x82");
}

TEST(Unigram, TakesUserDefinedTextsBeforeBetterPieces) {
  TokenizerSpec spec = without_prefix({{"▁", -1}, {"a", -1}, {"b", -1}, {"ab", -0.5F}});
  add_token(spec, "b A", TokenType::user_defined);
  spec.charsmap = testing::CharsmapBuilder::build({{"A", "a"}});
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "ab A"), (Tokens{4, 7})) << "and does not normalise them";
  EXPECT_EQ(encode(*t, "abA"), (Tokens{6, 4}));
  EXPECT_EQ(decode(*t, {7}), "b A");
}

TEST(Unigram, TakesControlTextAsTextByDefault) {
  const TokenizerSpec spec = t5_spec({{"▁a", -1}, {"<", -1}, {"/", -1}, {"s", -1}, {">", -1}});
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "a</s>a", kParse), (Tokens{3, 1, 3}));
  EXPECT_EQ(encode(*t, "a</s>"), (Tokens{3, 4, 5, 6, 7}));
}

TEST(Unigram, NormalisesByTheCharsmap) {
  TokenizerSpec spec = t5_spec({{"▁", -2}, {"a", -2}, {"▁a", -1}, {"b", -2}});
  spec.charsmap = testing::CharsmapBuilder::build({{"A", "a"}, {"\u3000", " "}, {"\u200b", ""}, {"ab", "b a"}, {"½", " 1 "}});
  const auto t = make(spec);

  EXPECT_EQ(encode(*t, "A\u3000\u3000A"), (Tokens{5, 5}));
  EXPECT_EQ(encode(*t, "a\u200b A"), (Tokens{5, 5}));
  EXPECT_EQ(encode(*t, "\u200b"), Tokens{}) << "the prefix goes with nothing behind it";
  EXPECT_EQ(encode(*t, "ab"), (Tokens{3, 6, 5}));
  EXPECT_EQ(encode(*t, "½a"), (Tokens{3, kUnknown, 5}));
}

TEST(Unigram, RefusesTextThatACharsmapMakesManyTimesLonger) {
  TokenizerSpec spec = t5_spec({{"a", -2}, {"b", -2}});
  spec.charsmap = testing::CharsmapBuilder::build({{"a", std::string(256, 'b')}});
  const auto t = make(spec);

  EXPECT_EQ(t->encode(std::string(10000, 'a'), kPlain).status().code(), Code::limit);
  EXPECT_EQ(encode(*t, "aaaa").size(), 4 * 256 + 1U) << "a short text may";
}

TEST(Unigram, RefusesWhatItCannotUse) {
  const auto code = [](const TokenizerSpec& spec) {
    std::vector<std::string> warnings;
    return unigram_tokenizer.make(spec, nullptr, warnings).status().code();
  };
  TokenizerSpec spec = t5_spec({{"a", -1}});
  spec.scores.clear();
  EXPECT_EQ(code(spec), Code::vocab);
  spec = t5_spec({{"a", -1}});
  spec.charsmap = "abc";
  EXPECT_EQ(code(spec), Code::vocab);
  EXPECT_EQ(code(t5_spec({{std::string(513, 'a'), -1}})), Code::limit);
}

std::vector<std::string> characters(const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < text.size(); i += all.back().size()) all.push_back(text.substr(i, utf8_step(text.substr(i)).size));
  return all;
}

/// The best sum of all ways to cut the text, each tried.
float best_of_all_ways(const std::vector<Piece>& pieces, float unknown, const std::vector<std::string>& text, std::size_t at = 0) {
  if (at == text.size()) return 0;
  float best = -std::numeric_limits<float>::infinity();
  std::string piece;
  for (std::size_t end = at; end < text.size(); ++end) {
    piece += text[end];
    const auto found = std::find_if(pieces.begin(), pieces.end(), [&](const Piece& p) { return p.text == piece; });
    if (found == pieces.end() && end > at) continue;
    const float score = found != pieces.end() ? found->score : unknown;
    best = std::max(best, score + best_of_all_ways(pieces, unknown, text, end + 1));
  }
  return best;
}

/// The tokens by the plainest form of the recurrence: for every place the best way to it, earlier beginnings first.
Tokens define(const std::vector<Piece>& pieces, float unknown, const std::vector<std::string>& text) {
  struct Way {
    float score = 0;
    std::size_t begin = 0;
    Token token = kNoToken;
  };
  std::vector<Way> ways(1);
  for (std::size_t end = 1; end <= text.size(); ++end) {
    Way best;
    for (std::size_t begin = 0; begin < end; ++begin) {
      std::string piece;
      for (std::size_t i = begin; i < end; ++i) piece += text[i];
      const auto found = std::find_if(pieces.begin(), pieces.end(), [&](const Piece& p) { return p.text == piece; });
      if (found == pieces.end() && end > begin + 1) continue;
      const bool is_known = found != pieces.end();
      const double score = double{ways[begin].score} + (is_known ? found->score : unknown);
      if (best.token != kNoToken && !(score > best.score)) continue;
      best = {static_cast<float>(score), begin, is_known ? static_cast<Token>(found - pieces.begin()) + 3 : kUnknown};
    }
    ways.push_back(best);
  }
  Tokens tokens;
  for (std::size_t at = text.size(); at > 0; at = ways[at].begin) {
    if (ways[at].token == kUnknown && !tokens.empty() && tokens.back() == kUnknown) continue;
    tokens.push_back(ways[at].token);
  }
  std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

class RandomPieces {
 public:
  std::string text(std::size_t most) {
    static const std::string kCharacters[] = {"a", "b", "é", "▁", "c"};
    std::string s;
    for (std::size_t n = 1 + random_() % most; n > 0; --n) s += kCharacters[random_() % 5];
    return s;
  }
  /// Scores are sixteenths, which add up exactly.
  std::vector<Piece> pieces() {
    std::vector<Piece> all;
    for (int i = 0; i < 14; ++i) {
      const std::string piece = text(4);
      const bool is_new = std::none_of(all.begin(), all.end(), [&](const Piece& p) { return p.text == piece; });
      if (is_new) all.push_back({piece, -static_cast<float>(random_() % 200) / 16.0F});
    }
    return all;
  }

 private:
  std::mt19937 random_{1};
};

float worst_of(const std::vector<Piece>& pieces) {
  return std::min_element(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.score < b.score; })->score;
}

TEST(Unigram, FindsTheBestOfAllWays) {
  RandomPieces random;
  for (int round = 0; round < 100; ++round) {
    const std::vector<Piece> pieces = random.pieces();
    const float unknown = worst_of(pieces) - 10;
    const TokenizerSpec spec = without_prefix(pieces);
    const auto t = make(spec);
    for (int i = 0; i < 20; ++i) {
      const std::string text = "a" + random.text(8) + "a";
      const std::vector<std::string> cut = characters(text);
      std::vector<TextSpan> spans;
      float sum = 0;
      const Tokens tokens = encode(*t, text, {.add_special = false, .spans = &spans});
      for (std::size_t k = 0; k < tokens.size(); ++k) {
        const std::string run = text.substr(spans[k].begin, spans[k].end - spans[k].begin);
        sum += tokens[k] == kUnknown ? unknown * static_cast<float>(characters(run).size()) : t->score(tokens[k]);
      }
      EXPECT_EQ(sum, best_of_all_ways(pieces, unknown, cut)) << text;
    }
  }
}

TEST(Unigram, AgreesWithTheDefinitionOnRandomPieces) {
  RandomPieces random;
  for (int round = 0; round < 200; ++round) {
    const std::vector<Piece> pieces = random.pieces();
    const TokenizerSpec spec = without_prefix(pieces);
    const auto t = make(spec);
    for (int i = 0; i < 10; ++i) {
      const std::string text = "a" + random.text(60) + "a";
      EXPECT_EQ(encode(*t, text), define(pieces, worst_of(pieces) - 10, characters(text))) << text;
    }
  }
}

TEST(Unigram, IsQuickOnLongText) {
  TokenizerSpec spec = t5_spec({{"a", -1}, {std::string(512, 'a'), -2}, {"▁", -1}});
  spec.remove_extra_whitespaces = false;
  testing::expect_quick_on_repeated(*make(spec), {"a", " ", "x", "é"});
}

}  // namespace
}  // namespace infer
