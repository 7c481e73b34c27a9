// SPDX-License-Identifier: MIT
// Real vocabularies against answers of the reference tokenizers: ids, decoded bytes, single pieces, streams. The data
// is described in its own README (golden/text in the directory that INFER_SHARED names).
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "libinfer/text_stream.h"
#include "tests/tokenizers/golden.h"

namespace infer {
namespace {

using nlohmann::json;
using testing::golden_directory;
using testing::load_golden;
using testing::GoldenVocabulary;
using testing::read_file;
using testing::Tokens;

constexpr const char* kVocabularies[] = {
    "llama-spm", "phi-3",      "mistral-v1", "mistral-v2", "mistral-v3", "mistral-v7",   "baichuan",      "synth-spm-noprefix",
    "llama-bpe", "qwen2",      "gpt-2",      "phi-2",      "falcon",       "mpt",           "starcoder",
    "refact",    "deepseek-llm", "deepseek-coder"};

void for_each_line(const std::string& path, const std::function<void(const json&)>& act) {
  std::ifstream file(path);
  std::size_t n_lines = 0;
  for (std::string line; std::getline(file, line); ++n_lines) act(json::parse(line));
  EXPECT_GT(n_lines, 0U) << path;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

void append_le32(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
}

// FIPS 180-4. The constants are fractional parts of roots of primes; they are computed as the standard defines them.
std::string sha256(std::string bytes) {
  const auto root_bits = [](std::uint64_t prime, bool cube) {  // floor(2^32 * root) without its integer part
    std::uint64_t low = 0;
    std::uint64_t high = std::uint64_t{1} << 37;
    while (high - low > 1) {
      const std::uint64_t middle = low + (high - low) / 2;
      __extension__ using Wide = unsigned __int128;
      const Wide square = Wide{middle} * middle;
      // The cube is compared by a quotient, because it needs more than 128 bits.
      const bool fits = cube ? square <= (Wide{prime} << 96) / middle : square <= Wide{prime} << 64;
      (fits ? low : high) = middle;
    }
    return static_cast<std::uint32_t>(low);
  };
  std::array<std::uint32_t, 8> state{};
  std::array<std::uint32_t, 64> k{};
  std::size_t n_primes = 0;
  for (std::uint64_t n = 2; n_primes < 64; ++n) {
    bool prime = true;
    for (std::uint64_t d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
    if (!prime) continue;
    if (n_primes < 8) state[n_primes] = root_bits(n, false);
    k[n_primes++] = root_bits(n, true);
  }

  const std::uint64_t n_bits = std::uint64_t{bytes.size()} * 8;
  bytes += '\x80';
  bytes.append((120 - bytes.size() % 64) % 64, '\0');
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(n_bits >> shift & 0xff);
  for (std::size_t block = 0; block < bytes.size(); block += 64) {
    std::array<std::uint32_t, 64> w{};
    for (std::size_t i = 0; i < 64; ++i) w[i / 4] = w[i / 4] << 8 | static_cast<unsigned char>(bytes[block + i]);
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
      const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + k[i] + w[i];
      const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const std::array<std::uint32_t, 8> sum{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state[i] += sum[i];
  }
  std::string digest;
  for (const std::uint32_t word : state) {
    for (int shift = 24; shift >= 0; shift -= 8) digest += static_cast<char>(word >> shift & 0xff);
  }
  return to_hex(digest);
}

TEST(Sha256, MatchesTheStandardsExample) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// One vocabulary at a time.
class Golden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (golden_directory().empty()) GTEST_SKIP() << "INFER_SHARED does not name the directory with golden/";
    GoldenVocabulary loaded = load_golden(GetParam());
    spec_ = std::move(loaded.spec);
    tokenizer_ = std::move(loaded.tokenizer);
    ASSERT_NE(tokenizer_, nullptr) << "no tokenizer for '" << spec_->model << "'";
  }

  static std::string path(const std::string& name) { return golden_directory() + "/tokenize/" + name; }
  static std::string path(const std::string& kind, const char* ending) { return path(kind + GetParam() + ending); }

  Tokens encode(std::string_view text, bool add_special, bool parse_special) const {
    Result<Tokens> ids = tokenizer_->encode(text, {.add_special = add_special, .parse_special = parse_special});
    EXPECT_TRUE(ids.ok()) << ids.status().message();
    return std::move(ids).value();
  }

  std::unique_ptr<TokenizerSpec> spec_;  // outlives the tokenizer
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(Golden, EncodesTheBasicTexts) {
  for_each_line(path("basic.jsonl"), [&](const json& c) {
    EXPECT_EQ(encode(c["text"].get<std::string>(), false, false), c["ids"][GetParam()].get<Tokens>()) << c["text"];
  });
}

TEST_P(Golden, EncodesTheCorpus) {
  std::map<std::string, std::string> corpus;
  for_each_line(path("corpus.jsonl"), [&](const json& c) { corpus[c["id"]] = from_hex(c["hex"]); });
  for_each_line(path("", ".jsonl"), [&](const json& c) {
    const auto text = corpus.find(c["id"]);
    if (text == corpus.end() || c["ids"].is_null()) return;
    if (spec_->model != "llama" && c["verdict"] == "invalid_input") {  // see EncodesInvalidUtf8AsItsBytes
      encode(text->second, c["add_special"], c["parse_special"]);
      return;
    }
    EXPECT_EQ(encode(text->second, c["add_special"], c["parse_special"]), c["ids"].get<Tokens>()) << c["id"];
  });
}

TEST_P(Golden, SaysWhereTokensStand) {
  // With a token for each byte and no normal form, tokens stand for what they show.
  const bool is_exact = std::string_view("llama-bpe gpt-2").find(GetParam()) != std::string_view::npos;
  for_each_line(path("corpus.jsonl"), [&](const json& c) {
    const std::string text = from_hex(c["hex"]);
    for (const bool special : {false, true}) {
      std::vector<TextSpan> spans;
      const Result<Tokens> ids = tokenizer_->encode(text, {.add_special = special, .parse_special = special, .spans = &spans});
      ASSERT_TRUE(ids.ok()) << ids.status().message();
      EXPECT_EQ(ids.value(), encode(text, special, special)) << c["id"];
      ASSERT_EQ(spans.size(), ids.value().size()) << c["id"];
      TextSpan last;
      for (std::size_t i = 0; i < spans.size(); ++i) {
        const TextSpan s = spans[i];
        ASSERT_TRUE(s.begin <= s.end && s.end <= text.size()) << c["id"];
        ASSERT_TRUE(s.begin >= last.begin && s.end >= last.end) << c["id"] << " token " << i << ": in the order of the text";
        if (is_exact && s.end > s.begin) {
          ASSERT_EQ(tokenizer_->piece(ids.value()[i], true), std::string_view(text).substr(s.begin, s.end - s.begin)) << c["id"];
        }
        if (is_exact && !special) {
          ASSERT_EQ(s.begin, last.end) << c["id"] << ": nothing is left out";
        }
        last = s;
      }
    }
  });
}

// But for bytes that the vocabulary has no token for.
TEST_P(Golden, EncodesInvalidUtf8AsItsBytes) {
  if (spec_->model != "gpt2") GTEST_SKIP() << "for SentencePiece the golden ids say how";
  const auto there_and_back = [this](const std::string& text) {
    return tokenizer_->decode(encode(text, false, false), {}).value();
  };
  std::array<std::string, 256> kept;
  std::size_t n_exact = 0;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(static_cast<unsigned char>(byte)));
    kept[byte] = there_and_back(text);
    n_exact += kept[byte] == text;
  }
  EXPECT_GE(n_exact, spec_->pre == "falcon" ? 228U : 242U);
  if (spec_->pre == "llama-bpe" || spec_->pre == "qwen2" || spec_->pre == "gpt-2") {
    EXPECT_EQ(n_exact, 256U);
  }

  for_each_line(path("corpus.jsonl"), [&](const json& c) {
    if (c["valid_utf8"]) return;
    const std::string text = from_hex(c["hex"]);
    std::string expected;
    for (const char byte : text) expected += kept[static_cast<unsigned char>(byte)];
    EXPECT_EQ(to_hex(there_and_back(text)), to_hex(expected)) << c["id"];
  });
}

TEST(GoldenWholeWords, AreFoundWithoutMerges) {
  const std::string path = golden_directory() + "/tokenize/ignore-merges.jsonl";
  if (golden_directory().empty()) GTEST_SKIP() << "INFER_SHARED does not name the directory with golden/";
  const auto [spec, tokenizer] = load_golden("llama-bpe");
  for_each_line(path, [&tokenizer = tokenizer](const json& c) {
    EXPECT_EQ(tokenizer->encode(from_hex(c["hex"]), {.add_special = false}).value(), c["ids"].get<Tokens>()) << c["text"];
  });
}

class GoldenBook : public Golden {};  // for the vocabularies that full-text.json has

TEST_P(GoldenBook, EncodesABook) {
  const json golden = json::parse(read_file(path("full-text.json")))["vocabs"][GetParam()];
  const Tokens ids = encode(read_file(path("war-and-peace.txt")), false, false);

  std::string bytes;
  for (const Token id : ids) append_le32(bytes, static_cast<std::uint32_t>(id));
  EXPECT_EQ(ids.size(), golden["n_ids"].get<std::size_t>());
  EXPECT_EQ(sha256(bytes), golden["sha256_ids"].get<std::string>());
}

class GoldenDecoding : public Golden {};  // there is no data of this sort for bert-bge

TEST_P(GoldenDecoding, DecodesToTheExactBytes) {
  for_each_line(path("detok-", ".jsonl"), [&](const json& c) {
    const Tokens ids = c["ids"];
    const DecodeOptions options{.remove_special = c["remove_special"], .unparse_special = c["unparse_special"]};
    const Result<std::string> text = tokenizer_->decode(ids, options);
    ASSERT_TRUE(text.ok()) << text.status().message();
    EXPECT_EQ(to_hex(text.value()), c["hex"].get<std::string>()) << c["id"];
  });
}

TEST_P(GoldenDecoding, ShowsEveryPiece) {
  const json golden = json::parse(read_file(path("pieces-", ".json")));
  ASSERT_EQ(tokenizer_->size(), golden["n_tokens"].get<Token>());
  for (const bool shown : {true, false}) {
    std::string pieces;
    for (Token token = 0; token < tokenizer_->size(); ++token) {
      const std::string_view piece = tokenizer_->piece(token, shown);
      append_le32(pieces, static_cast<std::uint32_t>(piece.size()));
      pieces += piece;
    }
    const char* key = shown ? "sha256_pieces_special_shown" : "sha256_pieces_special_hidden";
    EXPECT_EQ(sha256(pieces), golden[key].get<std::string>());
  }
  for (const json& sample : golden["samples"]) {
    EXPECT_EQ(to_hex(tokenizer_->piece(sample[0], true)), sample[1].get<std::string>()) << sample;
    EXPECT_EQ(to_hex(tokenizer_->piece(sample[0], false)), sample[2].get<std::string>()) << sample;
  }
}

TEST_P(GoldenDecoding, StreamsWholeCharacters) {
  for_each_line(path("stream-", ".jsonl"), [&](const json& c) {
    TextStream stream({});
    std::vector<std::string> deltas;
    for (const Token token : c["ids"].get<Tokens>())
      stream.push(tokenizer_->piece(token, false), deltas.emplace_back());
    std::string rest;
    stream.flush(rest);
    EXPECT_EQ(deltas, c["deltas"].get<std::vector<std::string>>()) << c["id"];
    EXPECT_EQ(rest, c["flush"].get<std::string>()) << c["id"];
  });
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, Golden, ::testing::ValuesIn(kVocabularies), testing::vocabulary_name);
INSTANTIATE_TEST_SUITE_P(WordPiece, Golden, ::testing::Values("bert-bge"), testing::vocabulary_name);
INSTANTIATE_TEST_SUITE_P(Vocabularies, GoldenDecoding, ::testing::ValuesIn(kVocabularies), testing::vocabulary_name);
INSTANTIATE_TEST_SUITE_P(Vocabularies, GoldenBook, ::testing::Values("llama-spm", "phi-3", "mistral-v3", "synth-spm-noprefix", "llama-bpe",
                                                                "gpt-2", "qwen2", "starcoder", "deepseek-llm"),
                         testing::vocabulary_name);

}  // namespace
}  // namespace infer
