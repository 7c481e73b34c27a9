// SPDX-License-Identifier: MIT
// What the tests of tokenizer kinds share: tokenizers made, texts encoded and decoded where nothing may fail.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/tokenizer.h"

namespace infer::testing {

using Tokens = std::vector<Token>;

inline constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
inline constexpr EncodeOptions kParse{.add_special = false, .parse_special = true};

inline std::unique_ptr<Tokenizer> make(const TokenizerKind& kind, const TokenizerSpec& spec,
                                       std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> unread;
  Result<std::unique_ptr<Tokenizer>> tokenizer = kind.make(spec, nullptr, warnings != nullptr ? *warnings : unread);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(tokenizer).value();
}

inline Tokens encode(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options = kPlain) {
  Result<Tokens> tokens = tokenizer.encode(text, options);
  EXPECT_TRUE(tokens.ok()) << tokens.status().message();
  return std::move(tokens).value();
}

inline std::string decode(const Tokenizer& tokenizer, const Tokens& tokens, const DecodeOptions& options = {}) {
  Result<std::string> text = tokenizer.decode(tokens, options);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return std::move(text).value();
}

/// A mebibyte of one letter, of which sixteen are a token.
inline void expect_quick_on_one_letter(const Tokenizer& tokenizer, Token of_sixteen) {
  const auto start = std::chrono::steady_clock::now();
  const Tokens tokens = encode(tokenizer, std::string(1 << 20, 'a'));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

  EXPECT_EQ(tokens, Tokens(1 << 16, of_sixteen));
  EXPECT_LT(elapsed.count(), 30.0) << "seconds; a quadratic algorithm takes hours";
}

/// A mebibyte of each of these again and again.
inline void expect_quick_on_repeated(const Tokenizer& tokenizer, const std::vector<std::string>& units) {
  for (const std::string& unit : units) {
    std::string text;
    while (text.size() < 1 << 20) text += unit;
    const auto start = std::chrono::steady_clock::now();
    encode(tokenizer, text);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_LT(elapsed.count(), 30.0) << unit << ": seconds; a quadratic algorithm takes hours";
  }
}

}  // namespace infer::testing
