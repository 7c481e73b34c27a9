// SPDX-License-Identifier: MIT
// Tests of src/runtime/generation.cpp: events, ends, stop strings, replays.
#include "libinfer/generation.h"

#include <gtest/gtest.h>

#include "tests/testing/bundled.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

using testing::bundled_model;
using testing::tokens_of;

struct Outcome {
  std::string text;
  std::vector<Token> tokens;
  FinishReason finish = FinishReason::none;
  std::string stop;
  int prompt_events = 0;
  std::uint64_t seed = 0;
};

Outcome generate(Session& session, SequenceId seq, std::string_view prompt, const GenerationOptions& options,
             const CancelFlag* cancel = nullptr) {
  Outcome run;
  auto g = Generation::start(session, seq, tokens_of(session.model(), prompt), options, cancel);
  EXPECT_TRUE(g.ok()) << (g.ok() ? "" : g.status().message());
  if (!g.ok()) return run;
  run.seed = g.value()->seed();
  for (;;) {
    const auto event = g.value()->next();
    EXPECT_TRUE(event.ok()) << (event.ok() ? "" : event.status().message());
    if (!event.ok() || event.value() == nullptr) return run;
    const GenerationEvent& e = *event.value();
    run.text += e.text;
    if (e.kind == GenerationEvent::Kind::prompt) ++run.prompt_events;
    if (e.kind == GenerationEvent::Kind::token) run.tokens.push_back(e.token);
    if (e.kind == GenerationEvent::Kind::end) {
      run.finish = e.finish;
      run.stop = e.stop_string;
    }
  }
}

std::unique_ptr<Session> session_of(const SessionOptions& options = {}) {
  return std::move(Session::create(bundled_model(), options)).value();
}

GenerationOptions greedy(std::int64_t n) { return {.sampler = {.temperature = 0}, .max_tokens = n}; }

TEST(Generation, GivesAsManyTokensAsAskedFor) {
  const auto s = session_of();
  const Outcome run = generate(*s, 0, "Pierre", greedy(12));
  EXPECT_EQ(run.tokens.size(), 12u);
  EXPECT_EQ(run.finish, FinishReason::length);
  EXPECT_FALSE(run.text.empty());
}

TEST(Generation, ShowsControlTokensOnRequest) {
  const testing::Loaded loaded(testing::make_tiny_model({}));   // 3 of its 320 tokens are control tokens or unknown
  ASSERT_NE(loaded.model, nullptr) << loaded.status.message();
  GenerationOptions options{.sampler = {.temperature = 100.0F}, .max_tokens = 200, .ignore_eog = true};
  bool seen = false;
  for (std::uint64_t seed = 0; !seen && seed < 50; ++seed) {
    options.sampler.seed = seed;
    options.show_special = false;
    const auto hidden = generate(*std::move(Session::create(loaded.model, {})).value(), 0, "a", options);
    options.show_special = true;
    const auto shown = generate(*std::move(Session::create(loaded.model, {})).value(), 0, "a", options);
    ASSERT_EQ(hidden.tokens, shown.tokens);
    EXPECT_EQ(hidden.text.find("<s>"), std::string::npos);
    seen = std::find(shown.tokens.begin(), shown.tokens.end(), 1) != shown.tokens.end();
    EXPECT_EQ(shown.text.find("<s>") != std::string::npos, seen);
  }
  EXPECT_TRUE(seen);
}

TEST(Generation, TextIsTheTextOfItsTokens) {
  const auto s = session_of();
  const Outcome run = generate(*s, 0, "Natasha", greedy(40));
  std::string pieces;
  for (Token t : run.tokens) pieces += s->model().tokenizer().value()->piece(t, false);
  EXPECT_EQ(run.text, pieces);
}

TEST(Generation, FeedsThePromptInBatches) {
  const auto whole = session_of(), pieces = session_of({.n_batch = 4});
  const std::string prompt = "The countess looked at her daughter and said nothing";
  const Outcome a = generate(*whole, 0, prompt, greedy(10)), b = generate(*pieces, 0, prompt, greedy(10));
  EXPECT_EQ(a.prompt_events, 1);
  EXPECT_GT(b.prompt_events, 2);
  EXPECT_EQ(a.tokens, b.tokens);
}

TEST(Generation, TheSameSeedGivesTheSameTextAndAnotherAnother) {
  GenerationOptions o{.sampler = {.seed = 7}, .max_tokens = 30};
  const auto a = session_of(), b = session_of(), c = session_of();
  const Outcome first = generate(*a, 0, "War", o), again = generate(*b, 0, "War", o);
  EXPECT_EQ(first.text, again.text);
  EXPECT_EQ(first.seed, 7u);
  o.sampler.seed = 8;
  EXPECT_NE(generate(*c, 0, "War", o).text, first.text);
}

TEST(Generation, ADrawnSeedCanBeReplayed) {
  const auto a = session_of(), b = session_of();
  const Outcome drawn = generate(*a, 0, "Peace", {.max_tokens = 20});
  const Outcome replayed = generate(*b, 0, "Peace", {.sampler = {.seed = drawn.seed}, .max_tokens = 20});
  EXPECT_EQ(drawn.text, replayed.text);
}

TEST(Generation, AStopStringOverThreeTokensNeverShows) {
  const auto plain = session_of();
  const Outcome whole = generate(*plain, 0, "Pierre", greedy(60));
  const Tokenizer& t = *plain->model().tokenizer().value();
  // The text of three consecutive tokens in the middle, less its first and last byte: it begins and ends inside tokens.
  std::string stop;
  for (std::size_t i = 20; i + 3 < whole.tokens.size(); ++i) {
    std::string joined;
    for (std::size_t j = i; j < i + 3; ++j) joined += t.piece(whole.tokens[j], false);
    const std::string middle(t.piece(whole.tokens[i + 1], false));
    if (joined.size() > middle.size() + 3 && whole.text.find(joined) == whole.text.rfind(joined)) {
      stop = joined.substr(1, joined.size() - 2);
      break;
    }
  }
  ASSERT_FALSE(stop.empty());
  GenerationOptions o = greedy(60);
  o.stop = {"never in the text", stop};
  const auto s = session_of();
  const Outcome run = generate(*s, 0, "Pierre", o);
  EXPECT_EQ(run.finish, FinishReason::stop);
  EXPECT_EQ(run.stop, stop);
  EXPECT_EQ(run.text, whole.text.substr(0, whole.text.find(stop)));
}

TEST(Generation, APromptThatDoesNotFitIsRefusedBeforeAnyWork) {
  const auto s = session_of({.n_ctx = 8});
  const std::vector<Token> prompt(9, 300);
  const auto g = Generation::start(*s, 0, prompt, {}, nullptr);
  ASSERT_FALSE(g.ok());
  EXPECT_EQ(g.status().code(), Code::context_full);
  EXPECT_EQ(g.status().message(), "the prompt needs 9 positions, 8 of 8 are free; shorten it or create the session with a "
                                  "larger n_ctx");
  EXPECT_EQ(s->length(0), 0);
}

TEST(Generation, ACountBeyondAllMemoryIsAnError) {
  const auto s = session_of();
  const Token token = 300;
  const auto g = Generation::start(*s, 0, std::span<const Token>(&token, SIZE_MAX), {}, nullptr);
  ASSERT_FALSE(g.ok());
  EXPECT_EQ(g.status().code(), Code::context_full);
}

TEST(Generation, CountsTokensThatWereReported) {
  const auto s = session_of();
  CancelFlag cancel;
  const auto g = std::move(Generation::start(*s, 0, tokens_of(s->model(), "Pierre"), greedy(0), &cancel)).value();
  ASSERT_EQ(g->next().value()->kind, GenerationEvent::Kind::prompt);   // the first token has been chosen
  cancel.set = true;
  EXPECT_EQ(g->next().value()->finish, FinishReason::cancelled);
  EXPECT_EQ(g->stats().generated_tokens, 0);
}

TEST(Generation, CountsTheMemoryOfStopStrings) {
  const auto s = session_of();
  const auto& account = *s->model().account();
  const std::uint64_t before = account.owned();
  const GenerationOptions options{.stop = std::vector<std::string>(100, std::string(10000, 'a'))};
  const auto g = std::move(Generation::start(*s, 0, tokens_of(s->model(), "Pierre"), options, nullptr)).value();
  EXPECT_GE(account.owned() - before, 100U * 10000U * (1 + 1 + 4));   // the text twice, and a number for each byte
}

TEST(Generation, EndsWhenTheContextIsFull) {
  const auto s = session_of({.n_ctx = 24});
  const Outcome run = generate(*s, 0, "Pierre", greedy(0));
  EXPECT_EQ(run.finish, FinishReason::context);
  EXPECT_EQ(s->length(0), 24);
}

TEST(Generation, ACancelIsAnEndAndTheSessionGoesOn) {
  const auto s = session_of();
  CancelFlag cancel;
  auto g = std::move(Generation::start(*s, 0, tokens_of(s->model(), "Pierre"), greedy(0), &cancel)).value();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(g->next().ok());
  cancel.set = true;
  const auto event = g->next();
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event.value()->finish, FinishReason::cancelled);
  EXPECT_EQ(g->next().value(), nullptr);
  const std::int64_t held = s->length(0);
  EXPECT_GT(held, 0);
  cancel.set = false;
  EXPECT_EQ(generate(*s, 0, " and", greedy(3)).tokens.size(), 3u);
}

TEST(Generation, StreamsOfOneSessionMayTakeTurns) {
  const auto alone_a = session_of(), alone_b = session_of();
  const Outcome a = generate(*alone_a, 0, "Pierre", greedy(20)), b = generate(*alone_b, 0, "The snow", greedy(20));
  const auto both = session_of({.n_seq = 2});
  const SequenceId second = both->open().value();
  auto ga = std::move(Generation::start(*both, 0, tokens_of(both->model(), "Pierre"), greedy(20), nullptr)).value();
  auto gb = std::move(Generation::start(*both, second, tokens_of(both->model(), "The snow"), greedy(20), nullptr)).value();
  std::string text_a, text_b;
  for (bool more = true; more;) {
    const auto ea = ga->next(), eb = gb->next();
    ASSERT_TRUE(ea.ok() && eb.ok());
    if (ea.value() != nullptr) text_a += ea.value()->text;
    if (eb.value() != nullptr) text_b += eb.value()->text;
    more = ea.value() != nullptr || eb.value() != nullptr;
  }
  EXPECT_EQ(text_a, a.text);
  EXPECT_EQ(text_b, b.text);
}

TEST(Generation, ReportsLogProbabilitiesOfTheLikeliest) {
  const auto s = session_of();
  GenerationOptions o = greedy(1);
  o.logprobs = 3;
  auto g = std::move(Generation::start(*s, 0, tokens_of(s->model(), "Pierre"), o, nullptr)).value();
  static_cast<void>(g->next());
  const GenerationEvent& e = *g->next().value();
  ASSERT_EQ(e.kind, GenerationEvent::Kind::token);
  ASSERT_EQ(e.top.size(), 3u);
  EXPECT_EQ(e.top[0].token, e.token);   // greedy
  EXPECT_EQ(e.top[0].logprob, e.logprob);
  EXPECT_LT(e.logprob, 0.0f);
  EXPECT_GE(e.top[0].logprob, e.top[1].logprob);
  EXPECT_GE(e.top[1].logprob, e.top[2].logprob);
}

TEST(Generation, TheSequenceHoldsAllThatWasReported) {
  const auto s = session_of();
  const std::vector<Token> prompt = tokens_of(s->model(), "Pierre");
  const Outcome run = generate(*s, 0, "Pierre", greedy(7));
  ASSERT_EQ(s->length(0), static_cast<std::int64_t>(prompt.size() + 7));

  // Another prompt continues exactly that text.
  std::vector<Token> all = prompt;
  all.insert(all.end(), run.tokens.begin(), run.tokens.end());
  all.push_back(300);
  const auto fresh = session_of();
  ASSERT_TRUE(fresh->feed(0, all, WantLogits::last, nullptr).ok());
  ASSERT_TRUE(s->feed(0, std::span(all).last(1), WantLogits::last, nullptr).ok());
  const std::span<const float> a = s->logits(0).value(), b = fresh->logits(0).value();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
}

TEST(Generation, RefusesWhatCannotBeMeant) {
  const auto s = session_of();
  const std::vector<Token> prompt = tokens_of(s->model(), "Pierre");
  GenerationOptions empty_stop;
  empty_stop.stop = {""};
  EXPECT_EQ(Generation::start(*s, 0, prompt, empty_stop, nullptr).status().code(), Code::argument);
  EXPECT_EQ(Generation::start(*s, 0, {}, {}, nullptr).status().code(), Code::argument);
  EXPECT_EQ(Generation::start(*s, 3, prompt, {}, nullptr).status().code(), Code::sequence);
  EXPECT_EQ(Generation::start(*s, 0, prompt, {.logprobs = 21}, nullptr).status().code(), Code::range);
  const Token beyond[] = {2000};
  EXPECT_EQ(Generation::start(*s, 0, beyond, {}, nullptr).status().code(), Code::token);
}

}  // namespace
}  // namespace infer
