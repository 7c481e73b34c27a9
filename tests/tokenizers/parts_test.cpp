// SPDX-License-Identifier: MIT
// Long texts are encoded in parts, by several threads. What is encoded in one piece is the truth: parts of every size and
// any number of threads give the same tokens, and the same errors.
#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/allocations.h"
#include "tests/testing/bundled.h"
#include "tests/tokenizers/golden.h"
#include "tests/tokenizers/random_texts.h"
#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/pretokenize.h"

namespace infer {
namespace {

using testing::RandomTexts;
using testing::Tokens;

constexpr std::size_t kWhole = SIZE_MAX;  // one part

EncodeOptions parts_of(std::size_t n_bytes, bool parse_special, int n_threads = 1) {
  return {.add_special = true, .parse_special = parse_special, .n_threads = n_threads, .part_bytes = n_bytes};
}

/// Many texts with parts as small as they get, fewer with threads.
void expect_same_in_parts(const Tokenizer& tokenizer, unsigned seed, int n_texts) {
  RandomTexts texts(seed);
  for (int i = 0; i < n_texts; ++i) {
    const std::string text = texts.mixed(texts.below(400));
    const bool parse = i % 2 == 0;
    const Tokens whole = testing::encode(tokenizer, text, parts_of(kWhole, parse));
    for (const std::size_t n_bytes : {1U, 7U, 50U}) {
      ASSERT_EQ(testing::encode(tokenizer, text, parts_of(n_bytes, parse)), whole) << "parts of " << n_bytes << ": " << text;
    }
    if (i % 20 == 0) {
      for (int n_threads = 2; n_threads <= 5; ++n_threads) {
        ASSERT_EQ(testing::encode(tokenizer, text, parts_of(30, parse, n_threads)), whole) << n_threads << " threads: " << text;
      }
    }
  }
}

/// With texts of marks and of odd user-defined tokens among the words.
std::string with_marks(RandomTexts& texts, const std::vector<std::string_view>& marks, std::size_t n) {
  std::string text;
  while (text.size() < n) {
    text += texts.below(2) == 0 ? texts.mixed(texts.below(12)) : std::string("ab c b  a").substr(texts.below(9));
    text += marks[texts.below(marks.size())];
  }
  return text;
}

TEST(Parts, MayBeCutWhereEveryRuleCutsBothSidesAsTheWhole) {
  std::string names = pretokenizer_names() + ", ";
  std::size_t n_rules = 0;
  for (std::size_t comma = 0; (comma = names.find(", ")) != std::string::npos; names.erase(0, comma + 2), ++n_rules) {
    const Pretokenizer& rule = *find_pretokenizer(names.substr(0, comma));
    const auto ends_of = [&rule](std::string_view text, std::size_t begin) {
      std::vector<std::uint32_t> ends;
      split(rule, text, ends);
      for (std::uint32_t& end : ends) end += static_cast<std::uint32_t>(begin);
      return ends;
    };
    RandomTexts texts(7);
    std::size_t n_cuts = 0;
    for (int i = 0; i < 4000; ++i) {
      const std::string text = texts.mixed(texts.below(80));
      const std::vector<std::uint32_t> whole = ends_of(text, 0);
      for (std::size_t at = 1; at < text.size(); ++at) {
        if (!may_cut(rule, text, at)) continue;
        std::vector<std::uint32_t> ends = ends_of(text.substr(0, at), 0);
        const std::vector<std::uint32_t> right = ends_of(std::string_view(text).substr(at), at);
        ends.insert(ends.end(), right.begin(), right.end());
        ASSERT_EQ(ends, whole) << rule.name << " at " << at << " of '" << text << "'";
        std::string one, other, all;
        const std::string sides = std::string(unicode::to_nfc(text.substr(0, at), one)) +
                                  std::string(unicode::to_nfc(text.substr(at), other));
        ASSERT_EQ(sides, unicode::to_nfc(text, all)) << "at " << at;
        ++n_cuts;
      }
    }
    EXPECT_GT(n_cuts, 1000U) << rule.name;
  }
  EXPECT_GT(n_rules, 30U);
}

TEST(Parts, OfByteLevelBpeGiveTheSameTokens) {
  for (const char* rule : {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "falcon", "bloom", "tekken"}) {
    TokenizerSpec spec = testing::gpt2_spec({"a b", "Ġ a", "Ġ Ġ", "t h", "th e", "Ġ the"});
    spec.pre = rule;
    spec.add_space_prefix = rule[0] == 'g';
    const std::vector<std::string_view> marks = {"<m>", "b c", " ", "a ", "\xc3", "\n\n"};
    for (std::size_t i = 0; i < marks.size(); ++i) {
      testing::add_token(spec, marks[i], i % 2 == 0 ? TokenType::user_defined : TokenType::control);
    }
    const auto tokenizer = testing::make(bpe_tokenizer, spec);
    expect_same_in_parts(*tokenizer, 1, 300);
    RandomTexts texts(2);
    for (int i = 0; i < 1000; ++i) {
      const std::string text = with_marks(texts, marks, texts.below(200));
      for (const bool parse : {false, true}) {
        ASSERT_EQ(testing::encode(*tokenizer, text, parts_of(1, parse)), testing::encode(*tokenizer, text, parts_of(kWhole, parse)))
            << rule << ": '" << text << "'";
      }
    }
  }
}

TEST(Parts, OfSentencePieceGiveTheSameTokens) {
  for (const bool with_bytes : {true, false}) {
    TokenizerSpec spec = testing::llama_spec(with_bytes);
    testing::add_pieces(spec, {"▁", "a", "b", "c", "ab", "▁a", "▁▁", "▁▁▁", "c▁a", "é", "日", "a日"});
    const std::vector<std::string_view> marks = {"<m>", "b c", "a\xc3", "▁b", " ▁", "日c", "\n\n", "c"};
    for (std::size_t i = 0; i < marks.size(); ++i) {
      testing::add_token(spec, marks[i], i % 3 != 2 ? TokenType::user_defined : TokenType::control);
    }
    const auto tokenizer = testing::make(spm_tokenizer, spec);
    expect_same_in_parts(*tokenizer, 3, 300);
    RandomTexts texts(4);
    for (int i = 0; i < 4000; ++i) {
      const std::string text = with_marks(texts, marks, texts.below(100));
      for (const bool parse : {false, true}) {
        ASSERT_EQ(testing::encode(*tokenizer, text, parts_of(1, parse)), testing::encode(*tokenizer, text, parts_of(kWhole, parse)))
            << "'" << text << "'";
      }
    }
  }
}

// A text may become a user-defined one by the space prefix that comes behind a mark, or where a text begins.
TEST(Parts, OfUserDefinedTextsThatThePrefixCompletes) {
  TokenizerSpec spec = testing::llama_spec();
  testing::add_pieces(spec, {"▁", "a", "b", "▁a"});
  testing::add_token(spec, "▁abcdefghij", TokenType::user_defined);
  const auto tokenizer = testing::make(spm_tokenizer, spec);
  const auto user_defined = static_cast<Token>(spec.tokens.size() - 1);
  for (const std::string text : {"abcdefghij", "</s>abcdefghij", "b</s>abcdefghijabcdefghij", "abcdefghij abcdefghij"}) {
    for (const bool parse : {false, true}) {
      const Tokens whole = testing::encode(*tokenizer, text, parts_of(kWhole, parse));
      EXPECT_TRUE(std::find(whole.begin(), whole.end(), user_defined) != whole.end() || (!parse && text[0] != 'a')) << text;
      for (std::size_t n = 1; n < text.size(); ++n) {
        EXPECT_EQ(testing::encode(*tokenizer, text, parts_of(n, parse)), whole) << "parts of " << n << ": " << text;
      }
    }
  }
}

/// A small vocabulary, with user-defined tokens of all sorts.
struct Small {
  const TokenizerKind* kind;
  TokenizerSpec spec;
};

const std::vector<std::string_view> kOddMarks = {"<m>", "<|User|>", "</s>", "▁abcdefghij", "b c", " ▁", "<s>", "\n\n", "[UNK]"};

bool has_token(const TokenizerSpec& spec, std::string_view text) {
  for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.tokens[i] == text) return true;
  }
  return false;
}

std::vector<Small> small_vocabularies() {
  const std::vector<std::string> pieces = {"▁", "a", "b", "c", "ab", "▁a", "▁the", "the", "c▁a", "é", "日"};
  const auto with_user_defined = [](TokenizerSpec spec) {
    for (const std::string_view mark : kOddMarks) {
      if (!has_token(spec, mark)) testing::add_token(spec, mark, TokenType::user_defined);
    }
    return spec;
  };
  std::vector<Small> all;
  TokenizerSpec llama = testing::llama_spec();
  testing::add_pieces(llama, pieces);
  all.push_back({&spm_tokenizer, with_user_defined(llama)});
  TokenizerSpec phi3 = llama;
  phi3.architecture = "phi3";
  phi3.types[2] = static_cast<std::int32_t>(TokenType::user_defined);   // </s>, as Phi 3 has it
  all.push_back({&spm_tokenizer, with_user_defined(phi3)});
  TokenizerSpec t5 = llama;
  t5.model = "t5";
  all.push_back({&unigram_tokenizer, with_user_defined(t5)});
  all.push_back({&bpe_tokenizer, with_user_defined(testing::gpt2_spec({"a b", "Ġ a", "Ġ Ġ", "t h", "th e", "Ġ the"}))});
  TokenizerSpec bert;
  bert.model = "bert";
  for (const char* mark : {"[UNK]", "<s>", "</s>"}) testing::add_token(bert, mark, TokenType::control);
  testing::add_pieces(bert, pieces);
  bert.unk = 0, bert.cls = 1, bert.sep = 2;
  all.push_back({&wordpiece_tokenizer, with_user_defined(bert)});
  return all;
}

/// Some stretches of a text of `n` bytes, ascending and apart.
std::vector<TextSpan> random_spans(RandomTexts& texts, std::size_t n) {
  std::vector<TextSpan> spans;
  for (std::size_t at = texts.below(20); at < n; at += 1 + texts.below(30)) {
    const std::size_t end = std::min(n, at + 1 + texts.below(40));
    spans.push_back({at, end});
    at = end;
  }
  return spans;
}

TEST(Parts, OfEveryKindGiveTheSameTokensWhateverElseIsAskedFor) {
  for (const Small& small : small_vocabularies()) {
    const auto tokenizer = testing::make(*small.kind, small.spec);
    RandomTexts texts(11);
    for (int i = 0; i < 2000; ++i) {
      const std::string text = with_marks(texts, kOddMarks, texts.below(150));
      const std::vector<TextSpan> trusted = random_spans(texts, text.size());
      EncodeOptions options{.add_special = i % 2 == 0, .parse_special = i % 3 != 0, .part_bytes = kWhole};
      if (i % 5 != 0) options.special_in = trusted;
      options.previous = static_cast<Token>(texts.below(small.spec.tokens.size() + 2)) - 1;
      const Tokens whole = testing::encode(*tokenizer, text, options);
      for (const std::size_t n_bytes : {1U, 7U, 40U}) {
        options.part_bytes = n_bytes;
        options.n_threads = i % 50 == 0 ? 3 : 1;
        ASSERT_EQ(testing::encode(*tokenizer, text, options), whole)
            << small.spec.model << small.spec.architecture << ", parts of " << n_bytes << ": " << text;
      }
      std::vector<TextSpan> spans;
      options.spans = &spans;
      ASSERT_EQ(testing::encode(*tokenizer, text, options), whole) << small.spec.model << ", with spans: " << text;
      ASSERT_EQ(spans.size(), whole.size());
    }
  }
}

/// Runs tasks on threads of its own.
struct Host {
  std::atomic<std::size_t> n_tasks{0};
  Executor executor() {
    return {.n_threads = 3, .parallel_for = [](void* user, std::size_t n, void (*task)(void*, std::size_t), void* arg) {
              static_cast<Host*>(user)->n_tasks += n;
              std::vector<std::thread> threads;
              for (std::size_t i = 0; i < n; ++i) threads.emplace_back(task, arg, i);
              for (std::thread& thread : threads) thread.join();
            },
            .user = this};
  }
};

TEST(Parts, OfTheBundledVocabularyAreTheSameOnAnyThreads) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const Tokenizer& tokenizer = *model->tokenizer().value();
  expect_same_in_parts(tokenizer, 5, 500);

  std::string book;
  for (RandomTexts texts(6); book.size() < (1 << 20) + 1000;) book += texts.mixed(5000) + std::string(texts.below(3000), 'x') + " the end";
  const Tokens whole = testing::encode(tokenizer, book, parts_of(kWhole, false));
  EXPECT_EQ(testing::encode(tokenizer, book, {}), whole) << "as many threads as there are cores";
  for (int n_threads = 1; n_threads <= 5; ++n_threads) {
    EXPECT_EQ(testing::encode(tokenizer, book, {.n_threads = n_threads}), whole) << n_threads;
  }
  Host host;
  EXPECT_EQ(testing::encode(tokenizer, book, {.executor = host.executor()}), whole);
  EXPECT_EQ(host.n_tasks, 3U);
  EXPECT_EQ(testing::encode(tokenizer, book, {.n_threads = 1, .executor = host.executor()}), whole);
  EXPECT_EQ(testing::encode(tokenizer, std::string(1 << 20, 'x'), {.executor = host.executor()}).size() > 0, true);
  EXPECT_EQ(host.n_tasks, 3U) << "one thread was asked for, or the text is short";
}

TEST(Parts, TakeNoOddNumberOfThreads) {
  const TokenizerSpec spec = testing::llama_spec();
  const auto tokenizer = testing::make(spm_tokenizer, spec);
  for (const int n_threads : {-1, 1025}) {
    const auto tokens = tokenizer->encode("a", {.n_threads = n_threads});
    ASSERT_FALSE(tokens.ok());
    EXPECT_EQ(tokens.status().code(), Code::range);
    EXPECT_EQ(tokens.status().message(), "n_threads = " + std::to_string(n_threads) + " is outside 0..1024");
  }
}

TEST(Parts, TellTheFirstErrorOfTheText) {
  TokenizerSpec spec;
  testing::add_pieces(spec, {"a", "▁", "▁a"});
  const auto tokenizer = testing::make(spm_tokenizer, spec);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += i == 1000 ? " ab" : i == 2000 ? " ac" : " aa";
  for (int n_threads = 1; n_threads <= 5; ++n_threads) {
    const auto tokens = tokenizer->encode(text, parts_of(64, false, n_threads));
    ASSERT_FALSE(tokens.ok());
    EXPECT_EQ(tokens.status().message(), "text: the vocabulary has no token for byte 0x62 and no unknown token");
  }
}

// Whatever thread fails to get memory: the answer is right, or the caller learns that there was none.
TEST(Parts, SurviveEveryFailureOfAnAllocation) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const Tokenizer& tokenizer = *model->tokenizer().value();
  std::string text;
  for (RandomTexts texts(8); text.size() < 5000;) text += texts.unicode(100) + " the end";
  for (const int n_threads : {1, 3}) {
    EncodeOptions options = parts_of(500, false, n_threads);
    options.executor.parallel_for = [](void*, std::size_t n, void (*task)(void*, std::size_t), void* arg) {
      for (std::size_t i = n; i > 0; --i) task(arg, i - 1);   // needs no memory itself
    };
    const Tokens expected = testing::encode(tokenizer, text, options);
    int n_refused = 0;
    for (long n = 0;; ++n) {
      testing::fail_allocation(n);
      Tokens tokens;
      bool refused = false;
      try {
        auto answer = tokenizer.encode(text, options);
        refused = !answer.ok();
        if (!refused) tokens = std::move(answer).value();
      } catch (const std::bad_alloc&) {   // which guard() of the C ABI makes a status
        refused = true;
      }
      const bool failed = testing::stop_failing();
      n_refused += refused;
      ASSERT_TRUE(refused || tokens == expected) << n;
      if (!failed) break;
    }
    EXPECT_GT(n_refused, 0);
  }
}

class GoldenParts : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenParts, GiveTheSameTokens) {
  if (testing::golden_directory().empty()) GTEST_SKIP() << "INFER_SHARED does not name the directory with golden/";
  const testing::GoldenVocabulary loaded = testing::load_golden(GetParam());
  expect_same_in_parts(*loaded.tokenizer, 9, 1000);

  std::string book = testing::read_file(testing::golden_directory() + "/tokenize/war-and-peace.txt").substr(0, 400000);
  RandomTexts texts(10);
  for (std::size_t at = 0; at < book.size(); at += 20000) book.insert(at, texts.mixed(400) + std::string(texts.below(900), ' '));
  const Tokens whole = testing::encode(*loaded.tokenizer, book, parts_of(kWhole, true));
  for (int n_threads = 1; n_threads <= 5; ++n_threads) {
    EXPECT_EQ(testing::encode(*loaded.tokenizer, book, parts_of(10000, true, n_threads)), whole) << n_threads;
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, GoldenParts,
                         ::testing::Values("llama-spm", "mistral-v3", "baichuan", "phi-3", "synth-spm-noprefix", "llama-bpe", "qwen2",
                                           "gpt-2", "falcon", "mpt", "starcoder", "deepseek-llm", "deepseek-coder"),
                         testing::vocabulary_name);

}  // namespace
}  // namespace infer
