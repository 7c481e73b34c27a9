// SPDX-License-Identifier: MIT
// Tests of src/runtime/session.cpp: the same logits however a prompt is fed, all or nothing, planned memory.
#include "libinfer/session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "tests/testing/bundled.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

using testing::bundled_model;
using testing::tokens_of;

constexpr std::string_view kText =
    "Prince Andrew was silent. He looked at the portrait of his wife and thought of all that had happened since. "
    "The regiment had been standing in reserve behind the village, under fire, and had lost more than two hundred men; "
    "of these the greater part in that last hour, when nothing was done.";   // more than two pages of the KV cache

std::unique_ptr<Session> session_of(const std::shared_ptr<const Model>& model, const SessionOptions& options) {
  Result<std::unique_ptr<Session>> s = Session::create(model, options);
  EXPECT_TRUE(s.ok()) << (s.ok() ? "" : s.status().message());
  return s.ok() ? std::move(s).value() : nullptr;
}

std::vector<float> row(const Session& s, std::size_t i) {
  const std::span<const float> r = s.logits(i).value();
  return {r.begin(), r.end()};
}

/// Logits of all positions, fed in pieces of `piece` with batches of `n_batch`.
std::vector<std::vector<float>> all_logits(Session& s, SequenceId seq, std::span<const Token> tokens, std::size_t piece) {
  std::vector<std::vector<float>> rows;
  for (std::size_t i = 0; i < tokens.size(); i += piece) {
    const std::size_t n = std::min(piece, tokens.size() - i);
    EXPECT_TRUE(s.feed(seq, tokens.subspan(i, n), WantLogits::all, nullptr).ok());
    for (std::size_t r = 0; r < n; ++r) rows.push_back(row(s, r));
  }
  return rows;
}

class SessionOf : public ::testing::TestWithParam<const char*> {};

TEST_P(SessionOf, GivesTheSameLogitsForAnySplitAndThreadCount) {
  const auto model = bundled_model();
  ASSERT_NE(model, nullptr);
  const std::vector<Token> tokens = tokens_of(*model, kText);
  ASSERT_GT(tokens.size(), 2u * kKvPageTokens);
  const auto reference_session = session_of(model, {.n_logits = 128, .n_threads = 1, .kv_type = GetParam()});
  const auto reference = all_logits(*reference_session, 0, tokens, tokens.size());
  for (const std::int64_t threads : {1, 2, 3, 5}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{16}, tokens.size()}) {
      const auto s = session_of(model, {.n_batch = static_cast<std::int64_t>(piece), .n_logits = 128, .n_threads = threads,
                                        .n_awake = threads, .kv_type = GetParam()});
      EXPECT_EQ(all_logits(*s, 0, tokens, piece), reference) << threads << " threads, pieces of " << piece;
    }
  }
}

TEST_P(SessionOf, GivesTheSameLogitsBesideAnotherSequence) {
  const auto model = bundled_model();
  ASSERT_NE(model, nullptr);
  const std::vector<Token> tokens = tokens_of(*model, kText);
  const std::vector<Token> other = tokens_of(*model, "The French were retreating along the road to Smolensk, and the snow");
  const auto alone = session_of(model, {.n_logits = 128, .kv_type = GetParam()});
  const auto reference = all_logits(*alone, 0, tokens, 1);

  const auto s = session_of(model, {.n_seq = 2, .n_logits = 128, .kv_type = GetParam()});
  const SequenceId second = s->open().value();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    // The neighbour stands before it, so rows, pages and logits rows all differ from the run alone.
    const SequenceId seqs[] = {second, 0};
    const Token pair[] = {other[i % other.size()], tokens[i]};
    ASSERT_TRUE(s->step(seqs, pair, nullptr).ok());
    ASSERT_EQ(row(*s, 1), reference[i]) << "position " << i;
  }
}

TEST_P(SessionOf, GoesBackAndOnToTheSameLogits) {
  const auto model = bundled_model();
  ASSERT_NE(model, nullptr);
  const std::vector<Token> tokens = tokens_of(*model, kText), other = tokens_of(*model, "The snow lay deep on the road to Smolensk.");
  const auto s = session_of(model, {.n_logits = 128, .kv_type = GetParam()});
  const auto reference = all_logits(*s, 0, tokens, tokens.size());
  for (const std::int64_t length : {40, 32, 31, 1}) {
    ASSERT_TRUE(s->truncate(0, length).ok());
    ASSERT_TRUE(s->feed(0, other, WantLogits::none, nullptr).ok());   // over what was stored
    ASSERT_TRUE(s->truncate(0, length).ok());
    EXPECT_EQ(all_logits(*s, 0, std::span(tokens).subspan(static_cast<std::size_t>(length)), 50).back(), reference.back()) << length;
  }
}

TEST(Session, StoresKeysAndValuesNearThoseOfF32) {
  testing::TinyModel tiny;   // of float weights: activations that are rounded to codes would hide what the cache rounds
  tiny.key_length = tiny.value_length = 64;
  const testing::Loaded l(testing::make_tiny_model(tiny));
  ASSERT_NE(l.model, nullptr) << l.status.message();
  const std::vector<Token> tokens = testing::random_tokens(7, 150, tiny.n_vocab);
  const auto logits = [&](const char* kv_type) {
    std::vector<float> all;
    for (const auto& r : all_logits(*session_of(l.model, {.n_logits = 150, .kv_type = kv_type}), 0, tokens, tokens.size())) {
      all.insert(all.end(), r.begin(), r.end());
    }
    return all;
  };
  const std::vector<float> exact = logits("f32");
  struct Case {
    const char* kv_type;
    double least, most;   // rms of the difference, of the logits' deviation
  };
  for (const Case& c : {Case{"f16", 0.0002, 0.001}, Case{"i16", 0.0001, 0.001}, Case{"bf16", 0.002, 0.008},
                        Case{"q8_0", 0.008, 0.025}, Case{"q4_0", 0.1, 0.35}}) {
    const double rms = testing::difference(logits(c.kv_type), exact).rms / testing::deviation(exact);
    EXPECT_GE(rms, c.least) << c.kv_type;   // it is stored so
    EXPECT_LE(rms, c.most) << c.kv_type;
  }
}

TEST(Session, TakesTheBestStorageThatHeadsFill) {
  testing::TinyModel tiny;
  for (const auto& [dim, best] : {std::pair{16, "f16"}, std::pair{64, "i16"}}) {
    tiny.key_length = tiny.value_length = dim;
    const testing::Loaded l(testing::make_tiny_model(tiny));
    ASSERT_NE(l.model, nullptr) << l.status.message();
    EXPECT_EQ(session_of(l.model, {})->kv().position_bytes(), session_of(l.model, {.kv_type = best})->kv().position_bytes()) << dim;
  }
}

TEST(Session, RefusesBlocksThatHeadsDoNotFill) {
  testing::TinyModel tiny;   // heads of 16
  for (const bool keys : {true, false}) {
    const testing::Loaded l(testing::make_tiny_model(tiny));
    ASSERT_NE(l.model, nullptr) << l.status.message();
    const auto s = Session::create(l.model, {.kv_type = "q8_0"});
    ASSERT_FALSE(s.ok());
    EXPECT_EQ(s.status().code(), Code::kv_type);
    EXPECT_EQ(s.status().subject(), "kv_type");
    EXPECT_EQ(s.status().message(), std::string("kv_type = q8_0 stores ") + (keys ? "keys" : "values") +
                                        " in blocks of 32, and those of a head have 16 entries, no multiple of it; "
                                        "f16, f32, bf16 store any");
    tiny.key_length = 64;
    tiny.value_length = 16;
  }
}

TEST(Session, ValuesBeyondTheirStorageAreAnErrorThatSaysWhatStoresThem) {
  testing::TinyModel tiny;
  tiny.biases = true;
  testing::GgufWriter writer = testing::tiny_model_writer(tiny);
  std::vector<std::byte>& bias = writer.find_tensor("blk.0.attn_v.bias")->data;
  const float large = 1e5f;   // 65504 is the largest half
  std::memcpy(bias.data(), &large, sizeof large);
  const testing::Loaded l(writer.build());
  ASSERT_NE(l.model, nullptr) << l.status.message();
  EXPECT_TRUE(l.model->validate(nullptr).ok());
  const std::vector<Token> tokens = testing::random_tokens(7, 3, tiny.n_vocab);

  const Status stored = session_of(l.model, {.kv_type = "f16"})->feed(0, tokens, WantLogits::last, nullptr);

  EXPECT_EQ(stored.code(), Code::tensor);
  EXPECT_NE(stored.message().find("row 0 "), std::string::npos) << stored.message();
  EXPECT_NE(stored.message().find("kv_type = bf16 or f32"), std::string::npos) << stored.message();
  for (const char* kv_type : {"bf16", "f32"}) {
    EXPECT_TRUE(session_of(l.model, {.kv_type = kv_type})->feed(0, tokens, WantLogits::last, nullptr).ok()) << kv_type;
  }
}

INSTANTIATE_TEST_SUITE_P(KvTypes, SessionOf, ::testing::Values("f16", "f32", "bf16", "i16", "q8_0", "q4_0"),
                         [](const auto& p) { return std::string(p.param); });

TEST(Session, AFullContextSaysWhatIsNeededAndAvailable) {
  const auto model = bundled_model();
  const auto s = session_of(model, {.n_ctx = 16});
  const std::vector<Token> tokens(20, 300);
  const Status status = s->feed(0, tokens, WantLogits::last, nullptr);
  EXPECT_EQ(status.code(), Code::context_full);
  EXPECT_NE(status.message().find("20 tokens"), std::string_view::npos) << status.message();
  EXPECT_NE(status.message().find("16 are free"), std::string_view::npos) << status.message();
  EXPECT_EQ(s->length(0), 0);
  EXPECT_TRUE(s->feed(0, std::span(tokens).first(16), WantLogits::last, nullptr).ok());
  const SequenceId seq = 0;
  EXPECT_EQ(s->step(std::span(&seq, 1), std::span(tokens).first(1), nullptr).code(), Code::context_full);
}

TEST(Session, ACancelledFeedLeavesTheSequenceAsItWas) {
  const auto model = bundled_model();
  const auto s = session_of(model, {});
  const std::vector<Token> tokens = tokens_of(*model, kText);
  ASSERT_TRUE(s->feed(0, std::span(tokens).first(5), WantLogits::last, nullptr).ok());
  CancelFlag cancel;
  cancel.set = true;
  const Status status = s->feed(0, std::span(tokens).subspan(5), WantLogits::last, &cancel);
  EXPECT_EQ(status.code(), Code::cancelled);
  EXPECT_EQ(status.message(), "cancelled after 0 of " + std::to_string(tokens.size() - 5) +
                                  " tokens; the sequence holds its 5 tokens from before");
  EXPECT_EQ(s->length(0), 5);
  ASSERT_TRUE(s->feed(0, std::span(tokens).subspan(5), WantLogits::last, nullptr).ok());
  const auto fresh = session_of(model, {});
  ASSERT_TRUE(fresh->feed(0, tokens, WantLogits::last, nullptr).ok());
  EXPECT_EQ(row(*s, 0), row(*fresh, 0));
}

TEST(Session, ACallThatIsCancelledBeforeItBeginsKeepsTheLogits) {
  const auto s = session_of(bundled_model(), {});
  const std::vector<Token> tokens(3, 300);
  ASSERT_TRUE(s->feed(0, tokens, WantLogits::last, nullptr).ok());
  const std::vector<float> before = row(*s, 0);
  CancelFlag cancel;
  cancel.set = true;
  const SequenceId seq = 0;
  EXPECT_EQ(s->feed(0, tokens, WantLogits::last, &cancel).code(), Code::cancelled);
  EXPECT_EQ(s->step(std::span(&seq, 1), std::span(tokens).first(1), &cancel).code(), Code::cancelled);
  EXPECT_EQ(row(*s, 0), before);
}

/// A wrong count, such as the C ABI's INFER_STR_NUL, is told from the room; no token is read.
TEST(Session, ACountBeyondAllMemoryIsAnError) {
  const auto s = session_of(bundled_model(), {});
  const Token token = 300;
  const SequenceId seq = 0;
  for (const std::size_t n : {SIZE_MAX / sizeof(Token), SIZE_MAX, std::size_t{1} << 40}) {
    const std::span<const Token> tokens(&token, n);
    EXPECT_EQ(s->feed(0, tokens, WantLogits::last, nullptr).code(), Code::context_full);
    EXPECT_EQ(s->step(std::span<const SequenceId>(&seq, n), tokens, nullptr).code(), Code::range);
  }
}

TEST(Session, ACancelFromAnotherThreadEndsALongFeed) {
  const auto model = bundled_model();
  const auto s = session_of(model, {.n_ctx = 8192, .n_threads = 1});
  const std::vector<Token> tokens(8000, 300);
  CancelFlag cancel;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancel.set = true;
  });
  EXPECT_EQ(s->feed(0, tokens, WantLogits::last, &cancel).code(), Code::cancelled);
  other.join();
  EXPECT_EQ(s->length(0), 0);
}

TEST(Session, ATokenOutsideTheVocabularyIsNamed) {
  const auto s = session_of(bundled_model(), {});
  const Token bad[] = {5, 1024};
  const Status status = s->feed(0, bad, WantLogits::last, nullptr);
  EXPECT_EQ(status.code(), Code::token);
  EXPECT_EQ(status.message(), "token 1024 at index 1 is outside the vocabulary 0..1023");
  const Token negative[] = {-1};
  EXPECT_EQ(s->feed(0, negative, WantLogits::last, nullptr).code(), Code::token);
}

TEST(Session, MoreLogitsThanKeptIsRefused) {
  const auto s = session_of(bundled_model(), {.n_logits = 4});
  const std::vector<Token> tokens(5, 300);
  const Status status = s->feed(0, tokens, WantLogits::all, nullptr);
  EXPECT_EQ(status.code(), Code::range);
  EXPECT_EQ(status.subject(), "n_logits");
}

TEST(Session, LogitsBeforeAnyFeedAreAStateError) {
  const auto s = session_of(bundled_model(), {});
  EXPECT_EQ(s->logits(0).status().code(), Code::state);
  const Token t[] = {300};
  ASSERT_TRUE(s->feed(0, t, WantLogits::none, nullptr).ok());
  EXPECT_EQ(s->logits(0).status().code(), Code::state);
  ASSERT_TRUE(s->feed(0, t, WantLogits::last, nullptr).ok());
  EXPECT_EQ(s->logits(1).status().code(), Code::range);
}

TEST(Session, ClosedAndRepeatedSequencesAreRefused) {
  const auto s = session_of(bundled_model(), {.n_seq = 2});
  const Token pair[] = {300, 301};
  EXPECT_EQ(s->feed(1, pair, WantLogits::last, nullptr).code(), Code::sequence);
  const SequenceId twice[] = {0, 0};
  EXPECT_EQ(s->step(twice, pair, nullptr).code(), Code::sequence);
  EXPECT_EQ(s->close(7).code(), Code::sequence);
}

TEST(Session, AClearedSequenceStartsAnew) {
  const auto model = bundled_model();
  const auto s = session_of(model, {});
  const std::vector<Token> tokens = tokens_of(*model, kText);
  ASSERT_TRUE(s->feed(0, tokens, WantLogits::last, nullptr).ok());
  const std::vector<float> first = row(*s, 0);
  ASSERT_TRUE(s->clear(0).ok());
  ASSERT_TRUE(s->feed(0, tokens, WantLogits::last, nullptr).ok());
  EXPECT_EQ(row(*s, 0), first);
}

TEST(Session, OptionsOutsideTheirLimitsNameKeyValueAndLimit) {
  const auto model = bundled_model();
  struct Case {
    SessionOptions options;
    Code code;
    const char* message;
  };
  const Case cases[] = {
      {{.n_ctx = -1}, Code::range, "n_ctx = -1 is outside 0..16777216"},
      {{.n_seq = 0}, Code::range, "n_seq = 0 is outside 1..4096"},
      {{.n_batch = 0}, Code::range, "n_batch = 0 is outside 1..65536"},
      {{.n_threads = 5000}, Code::range, "n_threads = 5000 is outside 0..1024"},
      {{.kv_type = "q8"}, Code::kv_type, "unknown KV type 'q8'; known: f16, f32, bf16, i16, q8_0, q4_0, or auto"},
  };
  for (const Case& c : cases) {
    const auto s = Session::create(model, c.options);
    ASSERT_FALSE(s.ok());
    EXPECT_EQ(s.status().code(), c.code);
    EXPECT_EQ(s.status().message(), c.message);
  }
}

TEST(Session, KnowsItsTokensAndGoesBackToAnyOfThem) {
  const auto model = bundled_model();
  ASSERT_NE(model, nullptr);
  const std::vector<Token> tokens = tokens_of(*model, kText);
  const auto s = session_of(model, {.n_seq = 2, .n_logits = 128});
  const SequenceId other = s->open().value();
  const std::vector<std::vector<float>> reference = all_logits(*s, other, tokens, tokens.size());
  ASSERT_TRUE(s->feed(0, tokens, WantLogits::none, nullptr).ok());
  for (const std::size_t length : {tokens.size(), tokens.size() - 1, std::size_t{40}, std::size_t{31}, std::size_t{1}, std::size_t{0}}) {
    ASSERT_TRUE(s->truncate(0, static_cast<std::int64_t>(length)).ok());
    EXPECT_TRUE(std::equal(s->tokens(0).begin(), s->tokens(0).end(), tokens.begin(),
                           tokens.begin() + static_cast<std::ptrdiff_t>(length)));
    if (length == tokens.size()) continue;
    EXPECT_EQ(all_logits(*s, 0, std::span(tokens).subspan(length), 50).back(), reference.back());
    EXPECT_TRUE(std::equal(s->tokens(0).begin(), s->tokens(0).end(), tokens.begin(), tokens.end()));
  }
  const SequenceId seqs[] = {0, other};
  const Token pair[] = {tokens[1], tokens[2]};
  ASSERT_TRUE(s->step(seqs, pair, nullptr).ok());
  EXPECT_EQ(s->tokens(0).back(), tokens[1]);
  EXPECT_EQ(s->tokens(other).back(), tokens[2]);
  EXPECT_EQ(s->truncate(0, -1).code(), Code::range);
  EXPECT_EQ(s->truncate(0, s->length(0) + 1).code(), Code::range);
  EXPECT_EQ(s->truncate(7, 0).code(), Code::sequence);
}

TEST(Session, APlanBeyondAllMemoryIsAnError) {
  const auto s = Session::create(bundled_model(), {.n_ctx = kMaxContext, .n_seq = kMaxSequences});
  ASSERT_FALSE(s.ok());
  EXPECT_TRUE(s.status().code() == Code::nomem || s.status().code() == Code::limit) << s.status().message();
}

TEST(Session, ReportsItsMemoryByClass) {
  const auto model = bundled_model();
  const auto s = session_of(model, {.n_ctx = 64, .n_seq = 2});
  // 4 layers, keys and values, 2 KV heads of 64 integers and 2 scales, 64 positions (two pages), 2 sequences; and five lists: pages,
  // free ones, places of layers, sequences, and the tokens, which fill 64 positions of 2 sequences.
  const std::uint64_t pages = 4 * 2 * 2 * (64 + 2) * 2 * 64 * 2;
  EXPECT_GE(s->memory()[MemoryClass::kv], pages);
  EXPECT_LE(s->memory()[MemoryClass::kv], pages + 4 * Workspace::kAlignment + 64 * 2 * sizeof(Token));
  EXPECT_GT(s->memory()[MemoryClass::scratch], 0u);
  EXPECT_EQ(s->memory()[MemoryClass::weights], 0u);
}

TEST(Session, ManySessionsShareOneModelOnManyThreads) {
  const auto model = bundled_model();
  const std::vector<Token> tokens = tokens_of(*model, kText);
  const auto alone = session_of(model, {.n_threads = 1});
  ASSERT_TRUE(alone->feed(0, tokens, WantLogits::last, nullptr).ok());
  const std::vector<float> reference = row(*alone, 0);
  std::vector<std::thread> threads;
  std::vector<int> same(4, 0);
  for (std::size_t i = 0; i < same.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto s = Session::create(model, {.n_threads = 2});
      same[i] = s.ok() && s.value()->feed(0, tokens, WantLogits::last, nullptr).ok() && row(*s.value(), 0) == reference;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(same, std::vector<int>(4, 1));
}

}  // namespace
}  // namespace infer
