// SPDX-License-Identifier: MIT
// The splitting rules: a few texts here, the splits of the reference tokenizers where the golden data is.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tokenizers/pretokenize.h"
#include "tokenizers/unicode.h"

namespace infer {
namespace {

using nlohmann::json;
using Pieces = std::vector<std::string>;

Pieces split(std::string_view rule, std::string_view text) {
  const Pretokenizer* found = find_pretokenizer(rule);
  EXPECT_NE(found, nullptr) << rule;
  std::vector<std::uint32_t> ends;
  split(*found, text, ends);
  Pieces pieces;
  std::size_t begin = 0;
  for (const std::uint32_t end : ends) {
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return pieces;
}

TEST(Pretokenize, SplitsAsGpt2) {
  EXPECT_EQ(split("gpt-2", "It's  we'LL 12345 a_b\n\n x"),
            (Pieces{"It", "'s", " ", " we", "'", "LL", " 12345", " a", "_", "b", "\n\n", " x"}));
  EXPECT_EQ(split("gpt-2", "a \t "), (Pieces{"a", " \t "}));
}

TEST(Pretokenize, SplitsAsLlama3) {
  EXPECT_EQ(split("llama-bpe", "It'S 12345!\n\n  x\ty"),
            (Pieces{"It", "'S", " ", "123", "45", "!\n\n", " ", " x", "\ty"}));
  EXPECT_EQ(split("llama-bpe", "it'\u017f"), (Pieces{"it", "'\u017f"})) << "the long s is an s in any case";
}

TEST(Pretokenize, SplitsAsQwen) {
  EXPECT_EQ(split("qwen2", "a12 \n b"), (Pieces{"a", "1", "2", " \n", " b"}));
  EXPECT_EQ(split("qwen2", "e\u0301x"), (Pieces{"e", "\u0301x"}));
  EXPECT_EQ(split("qwen35", "e\u0301x"), (Pieces{"e\u0301x"}));
}

TEST(Pretokenize, SplitsAsTekkenAndGpt4o) {
  EXPECT_EQ(split("tekken", "HelloWORLDdone's //\n 12"), (Pieces{"Hello", "WORLDdone", "'s", " //\n", " ", "1", "2"}));
  EXPECT_EQ(split("gpt-4o", "HelloWORLDdone's 1234"), (Pieces{"Hello", "WORLDdone's", " ", "123", "4"}));
  EXPECT_EQ(split("tekken", "AB日CD"), (Pieces{"AB日", "CD"})) << "upper letters are given back to the first form";
  EXPECT_EQ(split("tekken", "\u0301AB"), (Pieces{"\u0301", "AB"}));
}

TEST(Pretokenize, SplitsInSteps) {
  EXPECT_EQ(split("starcoder", "x = 12"), (Pieces{"x", " =", " ", "1", "2"}));
  EXPECT_EQ(split("falcon", "a, 12345"), (Pieces{"a", ",", " ", "123", "45"}));
  EXPECT_EQ(split("deepseek-llm", "a b  \n!"), (Pieces{"a", " b", "  ", "\n", "!"}));
  EXPECT_EQ(split("deepseek-coder", "日本x1"), (Pieces{"日本", "x", "1"}));
  EXPECT_EQ(split("deepseek-v3", "(foo) 1234日本"), (Pieces{"(foo", ")", " ", "123", "4", "日本"}));
  EXPECT_EQ(split("bloom", "a, b"), (Pieces{"a", ",", " b"}));
}

TEST(Pretokenize, KnowsNoOtherNames) {
  EXPECT_EQ(find_pretokenizer("gpt-3"), nullptr);
  EXPECT_EQ(find_pretokenizer(""), nullptr);
  EXPECT_NE(pretokenizer_names().find("gpt-2, phi-2, mpt"), std::string::npos);
}

TEST(Pretokenize, IsLinear) {
  const std::size_t n = std::size_t{1} << 17;
  std::string names = pretokenizer_names() + ", ";
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t end; (end = names.find(", ")) != std::string::npos; names.erase(0, end + 2)) {
    for (const std::string unit :
         {"a", "A", " ", "\n", "1", "'", "!", "日", "😀", "\u0301", "\xff", " \n", "aA", "Aa\u0301"}) {
      std::string text;
      while (text.size() < n) text += unit;
      split(names.substr(0, end), text);
    }
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(elapsed.count(), 300.0) << "seconds; a quadratic rule takes hours";
}

std::vector<std::uint32_t> lengths(const Pieces& pieces) {
  std::vector<std::uint32_t> n;
  for (const std::string& piece : pieces) n.push_back(static_cast<std::uint32_t>(piece.size()));
  return n;
}

/// Falcon's own tokenizer looks for digits when bytes have become characters, golden splits for those of the text. So
/// the space in front of a number such as U+2177 stays with it.
Pieces with_spaces_joined(const Pieces& pieces) {
  Pieces joined;
  for (const std::string& piece : pieces) {
    const unicode::Char first = unicode::char_at(piece, 0);
    const bool is_wide_number = first.size > 1 && (first.set & unicode::kNumber) != 0;
    if (is_wide_number && !joined.empty() && joined.back() == " ") {
      joined.back() += piece;
    } else {
      joined.push_back(piece);
    }
  }
  return joined;
}

TEST(Pretokenize, EqualsTheReferences) {
  const char* shared = std::getenv("INFER_SHARED");
  if (shared == nullptr || *shared == '\0') GTEST_SKIP() << "INFER_SHARED does not name the directory with golden/";
  const std::string folder = std::string(shared) + "/golden/text/tokenize/";
  std::map<std::string, std::string> corpus;
  std::ifstream lines(folder + "corpus.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const json entry = json::parse(line);
    const std::string hex = entry["hex"];
    std::string& text = corpus[entry["id"]];
    for (std::size_t i = 0; i < hex.size(); i += 2) text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  const std::map<std::string, std::string> rules = {{"gpt2", "gpt-2"},
                                                    {"llama3", "llama-bpe"},
                                                    {"qwen2", "qwen2"},
                                                    {"qwen35", "qwen35"},
                                                    {"tekken", "tekken"},
                                                    {"gpt4o", "gpt-4o"},
                                                    {"falcon", "falcon"},
                                                    {"deepseek3", "deepseek-v3"},
                                                    {"starcoder", "starcoder"},
                                                    {"deepseek-coder", "deepseek-coder"},
                                                    {"deepseek-llm", "deepseek-llm"}};
  for (const auto& [file, rule] : rules) {
    std::ifstream stream(folder + "pretok/" + file + ".json");
    const json golden = json::parse(stream);
    EXPECT_GT(golden["cases"].size(), 200U) << file;
    for (const json& c : golden["cases"]) {
      const std::string& text = corpus.at(c["id"]);
      Pieces expected;
      std::size_t begin = 0;
      for (const std::size_t n : c["bytes"].get<std::vector<std::size_t>>()) {
        expected.push_back(text.substr(begin, n));
        begin += n;
      }
      if (rule == "falcon") expected = with_spaces_joined(expected);
      EXPECT_EQ(lengths(split(rule, text)), lengths(expected)) << file << ", " << c["id"];
    }
  }
}

}  // namespace
}  // namespace infer
