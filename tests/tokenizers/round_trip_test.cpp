// SPDX-License-Identifier: MIT
// decode(encode(x)) == x for 100,000 random texts of each vocabulary: half of them any bytes, half well-formed Unicode, 0 to
// 64 bytes long. The exceptions: where a rule asks for normal form C, x is in it. Where a vocabulary has no token for a byte,
// x does not have it. SentencePiece writes a space as U+2581, so that one that was in x comes back as a space. And Phi 3 has one
// mark that is always recognised, `</s>`, behind which white space is left out and a prefix is put: x does not have its text.
#include <array>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/testing/bundled.h"
#include "tests/tokenizers/golden.h"
#include "tests/tokenizers/random_texts.h"
#include "tokenizers/pretokenize.h"

namespace infer {
namespace {

using testing::RandomTexts;

constexpr int kTexts = 50000;   // of each sort

std::string there_and_back(const Tokenizer& tokenizer, std::string_view text) {
  return testing::decode(tokenizer, testing::encode(tokenizer, text));
}

std::string as_spaces(std::string text) {
  for (std::size_t at = 0; (at = text.find("\u2581", at)) != std::string::npos;) text.replace(at, 3, " ");
  return text;
}

/// Without the text of a mark; taking it out may make another one.
std::string without(std::string text, std::string_view mark) {
  for (std::size_t at = 0; (at = text.find(mark)) != std::string::npos;) text.erase(at, mark.size());
  return text;
}

void expect_sentence_piece_round_trips(const Tokenizer& tokenizer, bool is_phi_3) {
  RandomTexts texts(1);
  for (int i = 0; i < 2 * kTexts; ++i) {
    std::string text = i % 2 == 0 ? texts.bytes(texts.below(65)) : texts.unicode(texts.below(65));
    if (is_phi_3) text = without(std::move(text), "</s>");
    ASSERT_EQ(as_spaces(there_and_back(tokenizer, text)), as_spaces(text)) << "text " << i;
  }
}

std::array<bool, 256> bytes_without_token(const Tokenizer& tokenizer) {
  std::array<bool, 256> lacking{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(static_cast<unsigned char>(byte)));
    lacking[byte] = there_and_back(tokenizer, text) != text;
  }
  return lacking;
}

void expect_byte_level_round_trips(const Tokenizer& tokenizer, bool nfc) {
  const std::array<bool, 256> lacking = bytes_without_token(tokenizer);
  RandomTexts texts(2);
  std::string normal;
  int n_texts = 0;
  while (n_texts < 2 * kTexts) {
    std::string text = n_texts % 2 == 0 ? texts.bytes(texts.below(65)) : texts.unicode(texts.below(65));
    std::erase_if(text, [&](char c) { return lacking[static_cast<unsigned char>(c)]; });
    if (nfc) text = std::string(unicode::to_nfc(text, normal));
    ASSERT_EQ(there_and_back(tokenizer, text), text) << "text " << n_texts;
    ++n_texts;
  }
}

TEST(RoundTrip, OfTheBundledVocabularyIsExact) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  expect_sentence_piece_round_trips(*model->tokenizer().value(), false);
}

class RoundTrip : public ::testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, IsExact) {
  if (testing::golden_directory().empty()) GTEST_SKIP() << "INFER_SHARED does not name the directory with golden/";
  const testing::GoldenVocabulary loaded = testing::load_golden(GetParam());
  if (loaded.spec->model == "llama") {
    expect_sentence_piece_round_trips(*loaded.tokenizer, loaded.spec->architecture == "phi3");
  } else {
    expect_byte_level_round_trips(*loaded.tokenizer, find_pretokenizer(loaded.spec->pre)->nfc);
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, RoundTrip,
                         ::testing::Values("llama-spm", "mistral-v1", "mistral-v2", "mistral-v3", "mistral-v7", "phi-3", "baichuan",
                                           "synth-spm-noprefix", "llama-bpe", "qwen2", "gpt-2", "phi-2", "falcon", "mpt", "starcoder",
                                           "refact", "deepseek-llm", "deepseek-coder"),
                         testing::vocabulary_name);

// What the files lack, to the byte. No piece of these vocabularies has such a byte in it, so that there is no way to encode
// one: a text that has it does not come back. But for the control characters of Falcon and F1, F2 (planes 4 to 11, which are
// not assigned) no well-formed text has one.
TEST(GoldenBytes, AreAllThereButThese) {
  if (testing::golden_directory().empty()) GTEST_SKIP() << "INFER_SHARED does not name the directory with golden/";
  const std::string kNeverInUtf8 = "\xc0\xc1\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff";
  const std::string kFalcon = "\x03\x04\x05\x0b\x11\x13\x14\x15\x16\x17\x19\x1c\x1d\x1e\xf2" + kNeverInUtf8;
  const std::pair<const char*, std::string> kLacking[] = {
      {"llama-bpe", ""},         {"qwen2", ""},
      {"gpt-2", ""},             {"phi-2", ""},
      {"falcon", kFalcon},       {"mpt", kNeverInUtf8},
      {"starcoder", "\xf1" + kNeverInUtf8}, {"refact", "\xf1" + kNeverInUtf8},
      {"deepseek-llm", kNeverInUtf8}, {"deepseek-coder", kNeverInUtf8}};
  for (const auto& [name, lacking] : kLacking) {
    const testing::GoldenVocabulary loaded = testing::load_golden(name);
    const std::array<bool, 256> found = bytes_without_token(*loaded.tokenizer);
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(static_cast<unsigned char>(byte));
      EXPECT_EQ(found[byte], lacking.find(c) != std::string::npos) << name << ", byte " << byte;
    }
    for (Token token = 0; token < loaded.tokenizer->size(); ++token) {
      if (loaded.tokenizer->type(token) != TokenType::normal) continue;
      EXPECT_EQ(loaded.tokenizer->piece(token, true).find_first_of(lacking), std::string_view::npos) << name << ", " << token;
    }
  }
}

}  // namespace
}  // namespace infer
