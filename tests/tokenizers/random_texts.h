// SPDX-License-Identifier: MIT
// Random texts for tokenizers, made of what is difficult: runs of one class, characters of all lengths, marks that
// combine, contractions, line ends, and bytes that are not UTF-8.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/unicode.h"

namespace infer::testing {

class RandomTexts {
 public:
  explicit RandomTexts(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  /// Any bytes.
  std::string bytes(std::size_t n) {
    std::string text;
    while (text.size() < n) text += static_cast<char>(static_cast<unsigned char>(below(256)));
    return text;
  }

  /// Runs of characters until there are `n` bytes or a few more; well-formed.
  std::string unicode(std::size_t n) {
    std::string text;
    while (text.size() < n) {
      const std::size_t kind = below(10);
      for (std::size_t i = 1 + below(below(3) == 0 ? 12 : 3); i > 0; --i) text += character(kind);
    }
    return text;
  }

  /// Both: clusters of text with bytes thrown in.
  std::string mixed(std::size_t n) {
    std::string text;
    while (text.size() < n) text += below(4) == 0 ? bytes(1 + below(5)) : unicode(1 + below(20));
    return text;
  }

 private:
  std::string character(std::size_t kind) {
    static const std::vector<std::string_view> kWords = {"the", "The", "'s", "'LL", "'re", "we", " a", "e\u0301", "\r\n",
                                                         "<s>", "</s>", "<|endoftext|>", "123", "...", "\u3002", "\uff0c"};
    static const std::vector<std::string_view> kSpaces = {" ", " ", " ", "\n", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\v"};
    switch (kind) {
      case 0: return std::string(kSpaces[below(kSpaces.size())]);
      case 1: return std::string(kWords[below(kWords.size())]);
      case 2: return " ";
      case 3: return code(0x30, 0x39);
      case 4: return code(0x21, 0x7e);
      case 5: return code(0x00, 0x24f);
      case 6: return below(2) == 0 ? code(0x300, 0x36f) : code(0x370, 0x5ff);
      case 7: return below(2) == 0 ? code(0x3000, 0x30ff) : code(0x4e00, 0x9fff);
      case 8: return below(2) == 0 ? code(0x1f300, 0x1f6ff) : code(0x1100, 0x11ff);
      default: {
        const std::string any = code(0, 0x10ffff);
        return below(2) == 0 ? any : code(0x61, 0x7a);
      }
    }
  }
  /// One of a range, which holds more than surrogates.
  std::string code(char32_t first, char32_t last) {
    char32_t c = 0;
    do c = first + static_cast<char32_t>(below(last - first + 1));
    while (c >= 0xd800 && c <= 0xdfff);
    std::string text;
    unicode::append(c, text);
    return text;
  }

  std::mt19937 random_;
};

}  // namespace infer::testing
