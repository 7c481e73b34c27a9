// SPDX-License-Identifier: MIT
// Malformed vocabularies of every kind, by the numbers of the list of hostile input (75 to 88). What is the same for all
// kinds is tested on whole models in tests/runtime/model_hostile_test.cpp; the rows here are those that a kind has a part
// in. Nothing crashes, hangs or is taken in silence: a row ends in its code and a sentence with the place, or in a warning.
#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/library.h"
#include "libinfer/model.h"
#include "tests/testing/gguf_writer.h"
#include "tests/tokenizers/small_charsmap.h"
#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/merges.h"
#include "tokenizers/tokenizers.h"

namespace infer {
namespace {

using testing::add_token;
using testing::GgufWriter;

const std::string kTokens = "tokenizer.ggml.tokens";
const std::string kMerges = "tokenizer.ggml.merges";
const std::string kCharsmap = "tokenizer.ggml.precompiled_charsmap";

TokenizerSpec bpe() {
  TokenizerSpec spec = testing::gpt2_spec({"a b", "ab ab"});
  add_token(spec, "<|end|>", TokenType::control);
  spec.eos = 258;
  return spec;
}

TokenizerSpec wordpiece() {
  TokenizerSpec spec;
  spec.model = "bert";
  for (const char* text : {"[UNK]", "[CLS]", "[SEP]"}) add_token(spec, text, TokenType::control);
  for (const char* text : {"▁a", "b"}) add_token(spec, text, TokenType::normal);
  spec.unk = 0;
  spec.cls = 1;
  spec.sep = 2;
  return spec;
}

TokenizerSpec unigram() {
  TokenizerSpec spec;
  spec.model = "t5";
  for (const char* text : {"<pad>", "</s>"}) add_token(spec, text, TokenType::control);
  add_token(spec, "<unk>", TokenType::unknown);
  for (const char* text : {"▁", "a", "b", "ab"}) add_token(spec, text, TokenType::normal, -1);
  return spec;
}

using Change = std::function<void(TokenizerSpec&)>;

struct Row {
  std::string name;  // begins with its number
  TokenizerSpec (*kind)();
  Change change;
  Code code;                       // ok: it is taken, and `words` are in a warning, if there are any
  std::vector<std::string> words;  // in the message or warning
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

Change merge(std::string text) {
  return [text](TokenizerSpec& spec) { spec.merges.push_back(text); };
}
Change text_of(std::size_t token, std::string text) {
  return [=](TokenizerSpec& spec) {
    StringList changed;
    for (std::size_t i = 0; i < spec.tokens.size(); ++i) changed.push_back(i == token ? std::string_view(text) : spec.tokens[i]);
    spec.tokens = std::move(changed);
  };
}
Change charsmap(std::string bytes) {
  return [bytes](TokenizerSpec& spec) { spec.charsmap = bytes; };
}

std::vector<Row> rows() {
  const std::string long_text(65537, 'x');
  const std::string map = testing::CharsmapBuilder::build({{"A", "a"}, {"AB", "ab"}});
  std::vector<Row> all = {
      {"76_bpe_unknown_rule", bpe, [](TokenizerSpec& s) { s.pre = "x"; }, Code::pretokenizer,
       {"tokenizer.ggml.pre is 'x'", "known: default", "allow_default_pretokenizer"}},
      {"76_bpe_no_rule", bpe, [](TokenizerSpec& s) { s.pre.clear(); }, Code::ok, {"tokenizer.ggml.pre is missing"}},
      {"82_bpe_empty", bpe, merge(""), Code::vocab, {kMerges, "merge 2", "not two texts"}},
      {"82_bpe_no_space", bpe, merge("ab"), Code::vocab, {kMerges, "merge 2 ('ab')", "not two texts"}},
      {"82_bpe_two_spaces", bpe, merge("a  b"), Code::vocab, {kMerges, "merge 2 ('a  b')", "not two texts"}},
      {"82_bpe_empty_left", bpe, merge(" b"), Code::vocab, {kMerges, "merge 2", "empty half"}},
      {"82_bpe_empty_right", bpe, merge("b "), Code::vocab, {kMerges, "merge 2", "empty half"}},
      {"82_bpe_unknown_piece", bpe, merge("a nothing"), Code::vocab, {kMerges, "merge 2", "right half that is no token"}},
      {"82_bpe_unknown_result", bpe, merge("b a"), Code::vocab, {kMerges, "merge 2", "gives a text that is no token"}},
      {"82_bpe_gives_a_control_token", bpe,
       [](TokenizerSpec& s) {
         s.merges.push_back("a c");
         add_token(s, "ac", TokenType::control);
       },
       Code::vocab, {kMerges, "merge 2 ('a c')", "token 259", "plain text must not become"}},
      // The list's 10^8 merges, at the first number that is too many.
      {"82_bpe_too_many", bpe,
       [](TokenizerSpec& s) {
         while (s.merges.size() <= Merges::kMaxMerges) s.merges.push_back("a b");
       },
       Code::limit, {kMerges, "4194305 entries", "4194304"}},
      {"83_bpe_repeated", bpe, merge("a b"), Code::ok, {kMerges, "1 of 3 merges repeat", "2 the first"}},
      {"83_bpe_of_itself", bpe, merge("ab ab"), Code::ok, {"repeat"}},
      {"84_bpe_without_bytes", bpe, text_of(' ', "nothing"), Code::ok, {kTokens, "1 of the 256 bytes have no token"}},
      {"84_unigram_without_bytes", unigram, [](TokenizerSpec&) {}, Code::ok,
       {kTokens, "256 of the 256 byte tokens", "unknown token"}},
      {"84_unigram_without_unknown", unigram, [](TokenizerSpec& s) { s.types[2] = 1; }, Code::ok, {"cannot be encoded"}},
      {"84_unigram_unknown_ends", unigram, [](TokenizerSpec& s) { s.eos = 2; }, Code::ok,
       {"cannot be encoded", "unknown token begins a text or ends a generation"}},
      {"84_wordpiece_unknown_ends", wordpiece, [](TokenizerSpec& s) { s.unk = 2; }, Code::vocab,
       {"tokenizer.ggml.unknown_token_id is 2", "ends a generation"}},
      {"84_wordpiece_without_unknown", wordpiece, [](TokenizerSpec& s) { s.unk.reset(); }, Code::vocab,
       {"tokenizer.ggml.unknown_token_id", "missing"}},
      {"86_bpe_nothing_ends", bpe, [](TokenizerSpec& s) { s.eos.reset(), s.types[258] = 1; }, Code::ok,
       {"no token ends a generation"}},
      {"86_unigram_nothing_ends", unigram, [](TokenizerSpec& s) { s.types[1] = 1; }, Code::ok, {"no token ends a generation"}},
      {"86_wordpiece_nothing_ends", wordpiece, [](TokenizerSpec& s) { s.sep.reset(); }, Code::ok, {"no token ends a generation"}},
      {"88_unigram_charsmap_of_3_bytes", unigram, charsmap("abc"), Code::vocab, {kCharsmap, "3 bytes"}},
      {"88_unigram_charsmap_cut", unigram, charsmap(map.substr(0, map.size() - 1)), Code::vocab, {kCharsmap, "no end"}},
      {"88_unigram_charsmap_without_texts", unigram, charsmap(map.substr(0, map.size() - 5)), Code::vocab, {kCharsmap, "text"}},
      {"88_unigram_charsmap_cut_in_the_trie", unigram, charsmap(map.substr(0, 64)), Code::vocab, {kCharsmap, "trie"}},
      {"88_unigram_charsmap_offset_beyond", unigram, charsmap(std::string("\4\0\0\0\0\xfc\xff\x7f", 8)), Code::vocab,
       {kCharsmap, "leads from unit 0", "past its 1 units"}},
      // The root's unit, two that are values, and one for byte 2 that follows the root and itself.
      {"88_unigram_charsmap_cyclic", unigram,
       charsmap(std::string("\x10\0\0\0\0\4\0\0\0\0\0\x80\0\0\0\x80\2\x8\0\0", 20)), Code::vocab, {kCharsmap, "circle by unit 3"}},
      {"88_unigram_charsmap_too_long", unigram, [](TokenizerSpec& s) { s.charsmap.assign((std::size_t{4} << 20) + 1, '\0'); }, Code::limit,
       {kCharsmap, "4194305 bytes"}},
  };
  for (const auto kind : {bpe, wordpiece, unigram}) {
    const auto row = [&](const std::string& number, const std::string& what, Change change, Code code, std::vector<std::string> words) {
      all.push_back({number + "_" + kind().model + "_" + what, kind, std::move(change), code, std::move(words)});
    };
    row("77", "no_tokens", [](TokenizerSpec& s) { s.tokens = {}; }, Code::vocab, {kTokens, "missing or empty"});
    row("79", "text_too_long", text_of(4, long_text), Code::limit, {kTokens, "65537"});
    row("79", "texts_twice", text_of(4, std::string(kind().tokens[3])), Code::ok, {kTokens, "repeat", "4 the first"});
    row("79", "text_empty", text_of(4, ""), Code::ok, {});
    row("79", "text_not_utf8", text_of(4, "\xff\xc0\x80\xe2"), Code::ok, {});
    row("81", "fewer_scores", [](TokenizerSpec& s) { s.scores.pop_back(); }, Code::vocab, {"tokenizer.ggml.scores", "tokens"});
    row("81", "score_nan", [](TokenizerSpec& s) { s.scores[3] = std::numeric_limits<float>::quiet_NaN(); }, Code::vocab,
        {"tokenizer.ggml.scores", "token 3"});
    row("81", "score_infinite", [](TokenizerSpec& s) { s.scores[4] = -std::numeric_limits<float>::infinity(); }, Code::ok, {});
    row("81", "fewer_types", [](TokenizerSpec& s) { s.types.pop_back(); }, Code::vocab, {"tokenizer.ggml.token_type"});
    row("81", "type_99", [](TokenizerSpec& s) { s.types[3] = 99; }, Code::vocab, {"tokenizer.ggml.token_type", "99", "token 3"});
    row("85", "eos_beyond", [](TokenizerSpec& s) { s.eos = static_cast<std::int64_t>(s.tokens.size()); }, Code::vocab,
        {"tokenizer.ggml.eos_token_id", "outside the vocabulary"});
    row("85", "eos_minus_2", [](TokenizerSpec& s) { s.eos = -2; }, Code::vocab, {"tokenizer.ggml.eos_token_id", "-2"});
    row("85", "cls_minus_1", [](TokenizerSpec& s) { s.cls = -1; }, Code::ok, {});
    row("85", "cls_minus_2", [](TokenizerSpec& s) { s.cls = -2; }, Code::ok, {"tokenizer.ggml.cls_token_id", "-2"});
  }
  return all;
}

bool has_all(std::string_view text, const std::vector<std::string>& words) {
  return std::all_of(words.begin(), words.end(), [&](const std::string& w) { return text.find(w) != std::string_view::npos; });
}

class HostileVocabulary : public ::testing::TestWithParam<Row> {};

TEST_P(HostileVocabulary, IsRefusedOrUsable) {
  const Row& row = GetParam();
  TokenizerSpec spec = row.kind();
  row.change(spec);
  std::vector<std::string> warnings;
  for (const TokenizerKind* kind : builtin_tokenizers()) {
    if (kind->name != spec.model) continue;
    const Result<std::unique_ptr<Tokenizer>> made = kind->make(spec, nullptr, warnings);
    EXPECT_EQ(made.ok() ? Code::ok : made.status().code(), row.code) << (made.ok() ? "" : made.status().message());
    if (!made.ok()) {
      EXPECT_TRUE(has_all(made.status().message(), row.words)) << made.status().message();
      return;
    }
    const bool is_told = std::any_of(warnings.begin(), warnings.end(), [&](const std::string& w) { return has_all(w, row.words); });
    EXPECT_TRUE(row.words.empty() || is_told) << ::testing::PrintToString(warnings);
    for (const std::string_view text : {"ab abab", "A \xff\xc0 AB", "\xe2\x96", ""}) {
      std::vector<TextSpan> spans;
      const auto tokens = made.value()->encode(text, {.spans = &spans});
      if (!tokens.ok()) {
        EXPECT_EQ(tokens.status().code(), Code::utf8) << tokens.status().message();
        continue;
      }
      EXPECT_EQ(spans.size(), tokens.value().size());
      EXPECT_TRUE(made.value()->decode(tokens.value(), {}).ok());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, HostileVocabulary, ::testing::ValuesIn(rows()),
                         [](const ::testing::TestParamInfo<Row>& row) { return "Row" + row.param.name; });

// ---- as files

using File = std::vector<std::byte>;

/// The file must outlive the model.
Result<std::shared_ptr<const Model>> load(const File& file, bool allow_default_pretokenizer = false) {
  return Model::load(Library::builtin(), Source::from_memory(file),
                     {.vocab_only = true, .allow_default_pretokenizer = allow_default_pretokenizer});
}

GgufWriter file_of(const TokenizerSpec& spec) {
  GgufWriter writer;
  std::vector<std::string> tokens, merges;
  for (std::size_t i = 0; i < spec.tokens.size(); ++i) tokens.emplace_back(spec.tokens[i]);
  for (std::size_t i = 0; i < spec.merges.size(); ++i) merges.emplace_back(spec.merges[i]);
  writer.set("general.architecture", "llama").set("tokenizer.ggml.model", spec.model).set("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.scores", spec.scores).set("tokenizer.ggml.token_type", spec.types);
  if (spec.eos) writer.set("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(*spec.eos));
  if (spec.unk) writer.set("tokenizer.ggml.unknown_token_id", static_cast<std::uint32_t>(*spec.unk));
  if (!merges.empty()) writer.set("tokenizer.ggml.merges", merges).set("tokenizer.ggml.pre", spec.pre);
  return writer;
}

TEST(HostileVocabularyFile, Row76_AnUnknownRuleIsTakenForTheDefaultOnlyWhereThatIsAllowed) {
  TokenizerSpec spec = bpe();
  spec.pre = "runes";
  const File file = file_of(spec).build();
  const auto refused = load(file);
  ASSERT_TRUE(refused.ok()) << refused.status().message();
  EXPECT_EQ(refused.value()->tokenizer().status().code(), Code::pretokenizer);

  const auto allowed = load(file, true);
  ASSERT_TRUE(allowed.ok()) << allowed.status().message();
  ASSERT_TRUE(allowed.value()->tokenizer().ok());
  EXPECT_EQ(allowed.value()->tokenizer().value()->encode("abab", {}).value(), (std::vector<Token>{257}));
  const auto& warnings = allowed.value()->descriptor().warnings;
  const std::vector<std::string> words = {"tokenizer.ggml.pre is 'runes'", "'default'", "allow_default_pretokenizer"};
  EXPECT_TRUE(std::any_of(warnings.begin(), warnings.end(), [&](const std::string& w) { return has_all(w, words); }))
      << ::testing::PrintToString(warnings);
}

TEST(HostileVocabularyFile, Row76_TheOptionChangesNothingForAKnownRule) {
  const File file = file_of(bpe()).build();
  const auto model = load(file, true);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model.value()->descriptor().tokenizer.pre, "gpt-2");
  EXPECT_TRUE(model.value()->descriptor().warnings.empty()) << ::testing::PrintToString(model.value()->descriptor().warnings);
}

TEST(HostileVocabularyFile, Row87_FlagsOfTheNormaliserAreFlags) {
  for (const char* key : {"normalizer.lowercase", "normalizer.strip_accents", "remove_extra_whitespaces", "add_space_prefix"}) {
    const File file = file_of(wordpiece()).set(std::string("tokenizer.ggml.") + key, std::uint32_t{1}).build();
    const auto model = load(file);
    ASSERT_FALSE(model.ok()) << key;
    EXPECT_EQ(model.status().code(), Code::metadata);
    EXPECT_TRUE(has_all(model.status().message(), {key, "expected bool, found u32"})) << model.status().message();
  }
}

TEST(HostileVocabularyFile, Row88_TheCharsmapIsAnArrayOfBytes) {
  const std::string map = testing::CharsmapBuilder::build({{"A", "a"}});
  const auto with = [](auto values) { return file_of(unigram()).set(kCharsmap, values).build(); };
  const File right = with(std::vector<std::uint8_t>(map.begin(), map.end()));
  const auto model = load(right);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model.value()->tokenizer().value()->encode("Ab", {}).value(), (std::vector<Token>{3, 6, 1}));

  const File of_integers = with(std::vector<std::int32_t>{1, 2});
  const auto refused = load(of_integers);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::vocab);
  EXPECT_TRUE(has_all(refused.status().message(), {kCharsmap, "expected array of u8, found array of i32"})) << refused.status().message();

  const File cut = with(std::vector<std::uint8_t>(map.begin(), map.end() - 1));
  const auto without = load(cut);
  ASSERT_TRUE(without.ok()) << "the model is there, its tokenizer is not";
  EXPECT_EQ(without.value()->tokenizer().status().code(), Code::vocab);
}

}  // namespace
}  // namespace infer
