// SPDX-License-Identifier: MIT
// The sampler stages against full-sort specifications, the draw against an inverted cumulative distribution in plain
// doubles, and the chain's promises: order, replay, errors, no allocation.
#include "src/runtime/samplers/samplers.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/sampler.h"
#include "src/runtime/samplers/candidates.h"
#include "src/runtime/samplers/exponential.h"
#include "tests/testing/allocations.h"

namespace infer {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kMaxFloat = std::numeric_limits<float>::max();

constexpr std::size_t kSizes[] = {1,   2,   3,   5,   17,  63,   64,   65,   66,   100,  255,  256,
                                  257, 320, 321, 500, 999, 1024, 1025, 2048, 4095, 4096, 4999, 5000};

// A chain without any stage that changes something, to switch single ones on.
SamplerParams plain() {
  SamplerParams params;
  params.temperature = 1.0;
  params.top_k = 0;
  params.top_p = 1.0;
  params.min_p = 0.0;
  params.seed = 42;
  return params;
}

SamplerChain make(const SamplerParams& params, std::size_t n_vocab) {
  Result<SamplerChain> chain =
      SamplerChain::create(params, builtin_samplers(), static_cast<std::int32_t>(n_vocab));
  EXPECT_TRUE(chain.ok()) << chain.status().message();
  return std::move(chain).value();
}

Status creation_error(const SamplerParams& params) {
  Result<SamplerChain> chain = SamplerChain::create(params, builtin_samplers(), 100);
  return chain.ok() ? Status() : std::move(chain).status();
}

SampleResult sample(SamplerChain& chain, const std::vector<float>& logits) {
  SampleResult result;
  const Status status = chain.sample(logits, result);
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

std::vector<Token> sample_many(SamplerChain& chain, const std::vector<float>& logits, int n) {
  std::vector<Token> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(sample(chain, logits).token);
  return tokens;
}

// Bell-shaped logits. `step` > 0 rounds them to multiples, which makes ties.
std::vector<float> random_logits(std::size_t n, unsigned seed, float step = 0.0f) {
  std::mt19937_64 engine(seed);
  std::vector<float> logits(n);
  for (float& logit : logits) {
    double sum = -24.0;
    for (int i = 0; i < 8; ++i) sum += static_cast<double>(engine() >> 11) * 0x1p-53 * 6.0;
    logit = static_cast<float>(sum);
    if (step > 0.0f) logit = std::round(logit / step) * step;
  }
  return logits;
}

// ---- Specifications: everything sorted, plain doubles -------------------------------------------------------------

std::vector<Candidate> full_sort(const std::vector<float>& logits) {
  std::vector<Candidate> sorted;
  for (std::size_t i = 0; i < logits.size(); ++i) sorted.push_back({static_cast<Token>(i), logits[i]});
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Candidate& a, const Candidate& b) { return a.logit > b.logit; });
  return sorted;
}

std::vector<double> softmax(const std::vector<Candidate>& sorted) {
  std::vector<double> probabilities;
  double sum = 0;
  for (const Candidate& c : sorted) {
    probabilities.push_back(std::exp(static_cast<double>(c.logit) - static_cast<double>(sorted[0].logit)));
    sum += probabilities.back();
  }
  for (double& p : probabilities) p /= sum;
  return probabilities;
}

std::vector<Token> ids(std::span<const Candidate> candidates) {
  std::vector<Token> tokens;
  for (const Candidate& c : candidates) tokens.push_back(c.token);
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

std::vector<Token> spec_top_k(const std::vector<float>& logits, std::size_t k) {
  const std::vector<Candidate> sorted = full_sort(logits);
  return ids(std::span(sorted).first(std::min(k, sorted.size())));
}

std::vector<Token> spec_top_p(const std::vector<float>& logits, double p) {
  const std::vector<Candidate> sorted = full_sort(logits);
  const std::vector<double> probabilities = softmax(sorted);
  std::size_t n = 0;
  for (double sum = 0; n < sorted.size() && (n == 0 || sum < p); ++n) sum += probabilities[n];
  return ids(std::span(sorted).first(n));
}

std::vector<Token> spec_min_p(const std::vector<float>& logits, double p) {
  const std::vector<Candidate> sorted = full_sort(logits);
  const std::vector<double> probabilities = softmax(sorted);
  std::size_t n = 0;
  while (n < sorted.size() && probabilities[n] >= p * probabilities[0]) ++n;
  return ids(std::span(sorted).first(n));
}

Token spec_draw(const std::vector<float>& logits, double uniform) {
  const std::vector<Candidate> sorted = full_sort(logits);
  const std::vector<double> probabilities = softmax(sorted);
  double sum = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    sum += probabilities[i];
    if (sum > uniform) return sorted[i].token;
  }
  return sorted.back().token;
}

// ---- The exponential ------------------------------------------------------------------------------------------------

template <class T>
double worst_exp_error(double least) {
  double worst = 0;
  std::mt19937_64 engine(11);
  for (int i = 0; i < 200000; ++i) {
    const T x = static_cast<T>(least * static_cast<double>(engine() >> 11) * 0x1p-53);
    const double exact = std::exp(static_cast<double>(x));
    const double found = static_cast<double>(exp_not_above_1<T>(ExpVector<T>{} + x)[i % 2]);
    worst = std::max(worst, std::abs(found / exact - 1.0));
  }
  return worst;
}

TEST(Exponential, IsExactToALastPlaceOrTwo) {
  EXPECT_LT(worst_exp_error<float>(-79.0), 0x1p-22);
  EXPECT_LT(worst_exp_error<double>(-699.0), 0x1p-51);
}

TEST(Exponential, IsOneAtZeroAndZeroFarBelow) {
  EXPECT_EQ(exp_not_above_1<float>(ExpVector<float>{})[3], 1.0f);
  EXPECT_EQ(exp_not_above_1<double>(ExpVector<double>{})[1], 1.0);
  for (const float x : {-81.0f, -1e30f, -kMaxFloat, -kInf}) {
    EXPECT_EQ(exp_not_above_1<float>(ExpVector<float>{} + x)[0], 0.0f);
    EXPECT_EQ(exp_not_above_1<double>(ExpVector<double>{} + 10.0 * static_cast<double>(x))[0], 0.0);
  }
}

// ---- One stage alone ------------------------------------------------------------------------------------------------

const SamplerKind& kind(std::string_view name) {
  for (const SamplerKind* k : builtin_samplers()) {
    if (k->name == name) return *k;
  }
  std::abort();
}

// What stays after the stages named have run one after the other.
std::vector<Candidate> run(const SamplerParams& params, const std::vector<std::string_view>& stages,
                           const std::vector<float>& logits, std::size_t& n_sorted) {
  std::vector<Candidate> storage;
  for (std::size_t i = 0; i < logits.size(); ++i) storage.push_back({static_cast<Token>(i), logits[i]});
  Candidates candidates{.list = storage};
  for (const std::string_view stage : stages) {
    kind(stage).apply(SampleContext{.params = params, .recent = {}, .counts = {}}, candidates);
  }
  n_sorted = candidates.n_sorted;
  return {candidates.list.begin(), candidates.list.end()};
}

std::vector<Token> kept(const SamplerParams& params, const std::vector<std::string_view>& stages,
                        const std::vector<float>& logits) {
  std::size_t n_sorted = 0;
  return ids(run(params, stages, logits, n_sorted));
}

TEST(TopK, KeepsWhatAFullSortWould) {
  for (const std::size_t n : kSizes) {
    for (const float step : {0.0f, 1.0f}) {
      const std::vector<float> logits = random_logits(n, 1, step);
      for (const std::size_t k : {std::size_t{1}, std::size_t{2}, n / 100 + 1, n / 2 + 1, n - n / 8, n, n + 1}) {
        SamplerParams params = plain();
        params.top_k = static_cast<std::int64_t>(k);
        ASSERT_EQ(kept(params, {"top_k"}, logits), spec_top_k(logits, k)) << "n " << n << ", k " << k;
      }
    }
  }
}

TEST(TopK, PrefersLowerIdsAmongTies) {
  SamplerParams params = plain();
  params.top_k = 3;

  EXPECT_EQ(kept(params, {"top_k"}, {1, 2, 1, 1, 2, 1}), (std::vector<Token>{0, 1, 4}));
}

TEST(TopP, KeepsWhatAFullSortWould) {
  for (const std::size_t n : kSizes) {
    for (const float step : {0.0f, 1.0f}) {
      const std::vector<float> logits = random_logits(n, 2, step);
      for (const double p : {1e-9, 0.011, 0.3, 0.5003, 0.77, 0.95, 0.9999}) {
        SamplerParams params = plain();
        params.top_p = p;
        ASSERT_EQ(kept(params, {"top_p"}, logits), spec_top_p(logits, p)) << "n " << n << ", p " << p;
      }
    }
  }
}

TEST(TopP, KeepsNoMoreThanReachesTheShareExactly) {
  SamplerParams params = plain();

  params.top_p = 0.5;
  EXPECT_EQ(kept(params, {"top_p"}, {3, 3}), (std::vector<Token>{0}));
  params.top_p = 0.75;
  EXPECT_EQ(kept(params, {"top_p"}, {0, 0, 0, 0}), (std::vector<Token>{0, 1, 2}));
  params.top_p = 0.7500001;
  EXPECT_EQ(kept(params, {"top_p"}, {0, 0, 0, 0}), (std::vector<Token>{0, 1, 2, 3}));
}

TEST(TopP, OfZeroKeepsTheLikeliest) {
  SamplerParams params = plain();
  params.top_p = 0.0;

  EXPECT_EQ(kept(params, {"top_p"}, {1, 5, 5, 2}), (std::vector<Token>{1}));
}

TEST(TopP, CountsSharesAmongWhatIsLeft) {
  SamplerParams params = plain();
  params.top_k = 4;
  params.top_p = 0.5;

  EXPECT_EQ(kept(params, {"top_k", "top_p"}, std::vector<float>(1000, 1.0f)), (std::vector<Token>{0, 1}));
}

TEST(MinP, KeepsWhatAFullSortWould) {
  for (const std::size_t n : kSizes) {
    for (const float step : {0.0f, 1.0f}) {
      const std::vector<float> logits = random_logits(n, 3, step);
      for (const double p : {1e-12, 0.001, 0.05, 0.3, 0.9, 1.0}) {
        SamplerParams params = plain();
        params.min_p = p;
        ASSERT_EQ(kept(params, {"min_p"}, logits), spec_min_p(logits, p)) << "n " << n << ", p " << p;
      }
    }
  }
}

TEST(MinP, LeavesTheSortedPartSorted) {
  const std::vector<float> logits = random_logits(5000, 4);
  SamplerParams params = plain();
  params.top_p = 0.95;
  params.min_p = 0.1;

  std::size_t n_sorted = 0;
  const std::vector<Candidate> left = run(params, {"top_p", "min_p"}, logits, n_sorted);

  const std::vector<Candidate> sorted = full_sort(logits);
  ASSERT_EQ(n_sorted, left.size());
  for (std::size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i].token, sorted[i].token);
}

TEST(Temperature, DividesLogits) {
  SamplerParams params = plain();
  params.temperature = 0.5;

  std::size_t n_sorted = 0;
  const std::vector<Candidate> left = run(params, {"temperature"}, {1, -2, 0}, n_sorted);

  EXPECT_EQ(left[0].logit, 2.0f);
  EXPECT_EQ(left[1].logit, -4.0f);
  EXPECT_EQ(left[2].logit, 0.0f);
}

TEST(Temperature, ThatIsTinyIsNearlyGreedy) {
  for (const double temperature : {1e-3, 1e-30, 1e-40, 1e-300, std::numeric_limits<double>::denorm_min()}) {
    for (const float sign : {1.0f, -1.0f}) {
      SamplerParams params = plain();
      params.temperature = temperature;
      SamplerChain chain = make(params, 3);

      const std::vector<float> logits = {sign * 9.0f, sign * 10.0f, sign * 9.0f};
      const std::vector<Token> tokens = sample_many(chain, logits, 50);

      const float largest = *std::max_element(logits.begin(), logits.end());
      const auto n_best = std::count_if(tokens.begin(), tokens.end(), [&](Token token) {
        return logits[static_cast<std::size_t>(token)] == largest;
      });
      EXPECT_EQ(n_best, 50) << temperature << " * " << sign;
    }
  }
}

// ---- Penalties ------------------------------------------------------------------------------------------------------

// The penalised logits are seen through a foreign stage that runs after the penalties.
std::map<Token, float> g_seen;
const SamplerKind kSpy{.name = "spy",
                       .check = [](const SamplerParams&) { return Status(); },
                       .describe = [](const SamplerParams&) { return std::string("spy"); },
                       .apply = [](const SampleContext&, Candidates& candidates) noexcept {
                         g_seen.clear();
                         for (const Candidate& c : candidates.list) g_seen[c.token] = c.logit;
                       }};

std::map<Token, float> penalised(SamplerParams params, const std::vector<Token>& history,
                                 const std::vector<float>& logits) {
  params.order = "penalties spy";
  std::vector<const SamplerKind*> kinds(builtin_samplers().begin(), builtin_samplers().end());
  kinds.push_back(&kSpy);
  Result<SamplerChain> chain = SamplerChain::create(params, kinds, static_cast<std::int32_t>(logits.size()));
  EXPECT_TRUE(chain.ok());
  for (const Token token : history) chain.value().accept(token);
  sample(chain.value(), logits);
  return g_seen;
}

TEST(Penalties, RepetitionDividesPositiveAndMultipliesNegativeOnce) {
  SamplerParams params = plain();
  params.repetition_penalty = 2.0;

  const auto seen = penalised(params, {0, 1, 1, 1}, {4, -4, 4, -4});

  EXPECT_EQ(seen, (std::map<Token, float>{{0, 2.0f}, {1, -8.0f}, {2, 4.0f}, {3, -4.0f}}));
}

TEST(Penalties, PresenceCountsOnceAndFrequencyEachTime) {
  SamplerParams params = plain();
  params.presence_penalty = 0.5;
  params.frequency_penalty = 0.25;

  const auto seen = penalised(params, {0, 1, 1, 1}, {4, -4, 4});

  EXPECT_EQ(seen, (std::map<Token, float>{{0, 3.25f}, {1, -5.25f}, {2, 4.0f}}));
}

TEST(Penalties, LookOnlyAtTheWindow) {
  SamplerParams params = plain();
  params.frequency_penalty = 1.0;
  params.penalty_window = 3;

  const auto seen = penalised(params, {0, 0, 0, 1, 1, 2, 1}, {8, 8, 8, 8});

  EXPECT_EQ(seen, (std::map<Token, float>{{0, 8.0f}, {1, 6.0f}, {2, 7.0f}, {3, 8.0f}}));
}

TEST(Penalties, AreOffWithoutAWindow) {
  SamplerParams params = plain();
  params.frequency_penalty = 1.0;
  params.penalty_window = 0;

  const auto seen = penalised(params, {0, 0, 0}, {8, 8});

  EXPECT_EQ(seen, (std::map<Token, float>{{0, 8.0f}, {1, 8.0f}}));
}

TEST(Penalties, WorkOnAListThatOtherStagesHaveShortened) {
  SamplerParams params = plain();
  params.order = "top_k penalties";
  params.top_k = 2;
  params.presence_penalty = 1000;
  SamplerChain chain = make(params, 4);
  chain.accept(3);

  // Of the likeliest two, 3 and 1, the penalty leaves 1; tokens 0 and 2 do not come back.
  EXPECT_EQ(sample_many(chain, {1, 2, 0, 3}, 50), std::vector<Token>(50, 1));
}

TEST(Penalties, StayFiniteAtTheirLimits) {
  SamplerParams params = plain();
  params.repetition_penalty = 1000;

  const auto seen = penalised(params, {0, 1}, {kMaxFloat, -kMaxFloat});

  EXPECT_TRUE(std::isfinite(seen.at(0)));
  EXPECT_EQ(seen.at(1), -kMaxFloat);
}

TEST(Context, HoldsRecentTokensOldestFirst) {
  static std::vector<Token> recent;
  static std::vector<std::int32_t> counts;
  const SamplerKind spy{.name = "spy",
                        .check = kSpy.check,
                        .describe = kSpy.describe,
                        .apply = [](const SampleContext& context, Candidates&) noexcept {
                          recent.assign(context.recent.begin(), context.recent.end());
                          counts.assign(context.counts.begin(), context.counts.end());
                        }};
  const SamplerKind* const kinds[] = {&spy};
  SamplerParams params = plain();
  params.order = "spy";
  params.penalty_window = 4;
  Result<SamplerChain> chain = SamplerChain::create(params, kinds, 8);
  ASSERT_TRUE(chain.ok());

  std::vector<Token> history;
  for (const Token token : {5, 3, 3, 7, 0, 3, 1, 1, 1, 1, 2}) {
    chain.value().accept(token);
    history.push_back(token);
    sample(chain.value(), std::vector<float>(8, 0.0f));

    const std::size_t n = std::min<std::size_t>(history.size(), 4);
    const std::vector<Token> expected(history.end() - static_cast<std::ptrdiff_t>(n), history.end());
    ASSERT_EQ(recent, expected);
    for (Token t = 0; t < 8; ++t) {
      ASSERT_EQ(counts[static_cast<std::size_t>(t)], std::count(expected.begin(), expected.end(), t));
    }
  }
}

// ---- The draw -------------------------------------------------------------------------------------------------------

TEST(Draw, InvertsTheCumulativeDistributionInDescendingOrder) {
  for (const std::size_t n : kSizes) {
    for (const float step : {0.0f, 1.0f}) {
      const std::vector<float> logits = random_logits(n, 5, step);
      SamplerChain chain = make(plain(), n);
      Rng rng(42);

      for (int i = 0; i < 30; ++i) {
        ASSERT_EQ(sample(chain, logits).token, spec_draw(logits, rng.uniform())) << "n " << n << ", draw " << i;
      }
    }
  }
}

TEST(Draw, HasTheFrequenciesOfTheSoftmax) {
  constexpr int kDraws = 100000;
  const std::vector<float> logits = {0.5f, 2.0f, -1.0f, 1.0f, 0.0f, 1.5f, -0.5f, 1.0f, -kInf, 0.25f};
  SamplerChain chain = make(plain(), logits.size());

  std::vector<int> hits(logits.size());
  for (int i = 0; i < kDraws; ++i) ++hits[static_cast<std::size_t>(sample(chain, logits).token)];

  const std::vector<Candidate> sorted = full_sort(logits);
  const std::vector<double> probabilities = softmax(sorted);
  double chi_square = 0;
  for (std::size_t i = 0; i + 1 < sorted.size(); ++i) {
    const double expected = kDraws * probabilities[i];
    const double difference = hits[static_cast<std::size_t>(sorted[i].token)] - expected;
    chi_square += difference * difference / expected;
  }
  EXPECT_LT(chi_square, 26.1);  // 8 degrees of freedom, 0.1 %
  EXPECT_EQ(hits[8], 0);
}

TEST(Draw, FollowsTheTemperature) {
  constexpr int kDraws = 50000;
  SamplerParams params = plain();
  params.temperature = 2.0;
  SamplerChain chain = make(params, 2);

  const std::vector<Token> tokens = sample_many(chain, {3.0f, 1.0f}, kDraws);

  // exp(-2 / 2) to 1; five standard deviations.
  const double expected = kDraws * std::exp(-1.0) / (1 + std::exp(-1.0));
  EXPECT_NEAR(static_cast<double>(std::count(tokens.begin(), tokens.end(), 1)), expected, 5 * std::sqrt(expected));
}

TEST(Draw, SurvivesTheLargestLogits) {
  SamplerChain chain = make(SamplerParams{.seed = 1}, 4);

  for (const Token token : sample_many(chain, {-kMaxFloat, kMaxFloat, 0, kMaxFloat}, 100)) {
    EXPECT_TRUE(token == 1 || token == 3);
  }
}

// The tokens come from a Python implementation of generator, stages and draw; they must never change.
TEST(Draw, KeepsItsTokensForAStatedSeed) {
  std::vector<float> logits;
  for (int i = 0; i < 1000; ++i) logits.push_back(static_cast<float>(i * 7919 % 1000) / 64.0f);
  SamplerParams params;
  params.temperature = 0.8;
  params.top_k = 40;
  params.top_p = 0.95;
  params.min_p = 0.3;
  params.seed = 42;
  SamplerChain chain = make(params, logits.size());

  const std::vector<Token> expected = {963, 852, 383, 914, 198, 667, 25, 951, 667, 99, 383, 889};
  EXPECT_EQ(sample_many(chain, logits, 12), expected);
}

// ---- The chain ------------------------------------------------------------------------------------------------------

TEST(Chain, RunsStagesInTheStatedOrder) {
  const std::vector<float> logits = {2, 1, 0};
  SamplerParams params = plain();
  params.temperature = 10.0;
  params.top_p = 0.6;
  params.order = "top_p temperature";
  SamplerChain cut_first = make(params, 3);
  params.order = "temperature,top_p";
  SamplerChain flatten_first = make(params, 3);

  const std::vector<Token> cut = sample_many(cut_first, logits, 200);
  const std::vector<Token> flat = sample_many(flatten_first, logits, 200);

  // 0.67 of the probability is with token 0, but only 0.37 at temperature 10, where two are needed for 0.6.
  EXPECT_EQ(std::count(cut.begin(), cut.end(), 0), 200);
  EXPECT_GT(std::count(flat.begin(), flat.end(), 1), 50);
  EXPECT_EQ(std::count(flat.begin(), flat.end(), 2), 0);
}

TEST(Chain, LeavesOutStagesThatAreNotNamed) {
  SamplerParams params = plain();
  params.top_k = 1;
  params.order = "";
  SamplerChain chain = make(params, 2);

  const std::vector<Token> tokens = sample_many(chain, {0, 0}, 100);

  EXPECT_GT(std::count(tokens.begin(), tokens.end(), 1), 20);
}

TEST(Chain, DescribesTheStagesThatHaveAnEffect) {
  SamplerParams params;
  params.seed = 42;
  EXPECT_EQ(make(params, 10).describe(),
            "top_k(40) -> top_p(0.95) -> min_p(0.05) -> temperature(0.8) -> draw(seed 42)");

  params.repetition_penalty = 1.1;
  params.temperature = 0.0;
  EXPECT_EQ(make(params, 10).describe(),
            "penalties(window 64, repetition 1.1, presence 0, frequency 0) -> greedy");

  EXPECT_EQ(make(plain(), 10).describe(), "draw(seed 42)");
}

TEST(Chain, IsGreedyAtTemperatureZeroWhateverTheOrder) {
  const std::vector<float> logits = random_logits(5000, 7, 1.0f);
  for (const char* order : {"penalties top_k top_p min_p temperature", "temperature top_p", ""}) {
    SamplerParams params;
    params.temperature = 0.0;
    params.order = order;
    SamplerChain chain = make(params, logits.size());

    EXPECT_EQ(sample(chain, logits).token, full_sort(logits)[0].token) << order;
  }
}

TEST(Chain, CountsPenaltiesWhenGreedy) {
  SamplerParams params;
  params.temperature = 0.0;
  params.presence_penalty = 2.0;
  SamplerChain chain = make(params, 3);

  EXPECT_EQ(sample(chain, {1, 3, 2}).token, 1);
  chain.accept(1);
  EXPECT_EQ(sample(chain, {1, 3, 2}).token, 2);
}

TEST(Chain, ReplaysAfterReset) {
  const std::vector<float> logits = random_logits(500, 8);
  SamplerParams params;
  params.frequency_penalty = 1.0;
  SamplerChain chain = make(params, logits.size());
  const auto generate = [&] {
    std::vector<Token> tokens;
    for (int i = 0; i < 100; ++i) {
      tokens.push_back(sample(chain, logits).token);
      chain.accept(tokens.back());
    }
    return tokens;
  };

  const std::vector<Token> first = generate();
  const std::vector<Token> continued = generate();
  chain.reset();

  EXPECT_EQ(generate(), first);
  EXPECT_NE(continued, first);
}

TEST(Chain, ReplaysFromTheSeedItReports) {
  const std::vector<float> logits = random_logits(500, 9);
  SamplerParams params;
  SamplerChain chain = make(params, logits.size());
  params.seed = chain.seed();
  SamplerChain again = make(params, logits.size());

  EXPECT_EQ(sample_many(chain, logits, 50), sample_many(again, logits, 50));
}

TEST(Chain, DiffersBetweenSeeds) {
  const std::vector<float> logits = random_logits(500, 10);
  SamplerParams params;
  params.seed = 1;
  SamplerChain one = make(params, logits.size());
  params.seed = 2;
  SamplerChain two = make(params, logits.size());

  EXPECT_NE(sample_many(one, logits, 50), sample_many(two, logits, 50));
}

TEST(Chain, CopiesGoOnIndependently) {
  const std::vector<float> logits = random_logits(100, 11);
  SamplerChain chain = make(SamplerParams{}, logits.size());
  sample_many(chain, logits, 5);
  SamplerChain copy = chain;

  EXPECT_EQ(sample_many(copy, logits, 20), sample_many(chain, logits, 20));
}

TEST(Chain, SamplingDoesNotChangeWhatWasAccepted) {
  SamplerParams params;
  params.temperature = 0.0;
  params.presence_penalty = 2.0;
  SamplerChain chain = make(params, 2);

  EXPECT_EQ(sample_many(chain, {1, 2}, 10), std::vector<Token>(10, 1));
}

TEST(Chain, AcceptIgnoresIdsOutsideTheVocabulary) {
  SamplerParams params;
  params.temperature = 0.0;
  params.presence_penalty = 2.0;
  SamplerChain chain = make(params, 2);

  for (const Token token : {kNoToken, 2, std::numeric_limits<Token>::max(), std::numeric_limits<Token>::min()}) {
    chain.accept(token);
  }

  EXPECT_EQ(sample(chain, {1, 2}).token, 1);
}

TEST(Chain, ReportsItsMemory) {
  SamplerParams params;
  params.penalty_window = 1000;

  EXPECT_GE(make(params, 32000).memory(), 32000u * 12u + 8000u);
}

TEST(Chain, DoesNotAllocateOnceCreated) {
  const std::vector<float> logits = random_logits(5000, 12);
  SamplerParams params;
  params.repetition_penalty = 1.1;
  std::vector<SamplerChain> chains;
  chains.push_back(make(params, logits.size()));
  params.temperature = 0.0;
  chains.push_back(make(params, logits.size()));
  chains.push_back(make(plain(), logits.size()));
  std::array<SampleResult, 20> best;

  const std::size_t before = testing::n_allocations();
  bool all_ok = true;
  for (SamplerChain& chain : chains) {
    for (int i = 0; i < 100; ++i) {
      SampleResult result;
      all_ok = all_ok && chain.sample(logits, result).ok();
      chain.accept(result.token);
      chain.top(logits, best);
    }
    chain.reset();
  }
  const std::size_t after = testing::n_allocations();

  EXPECT_TRUE(all_ok);
  EXPECT_EQ(after, before);
  EXPECT_GT(before, 0u);
}

// ---- Log-probabilities ----------------------------------------------------------------------------------------------

TEST(LogProbability, IsThatOfTheUnmodifiedLogits) {
  for (const std::size_t n : kSizes) {
    const std::vector<float> logits = random_logits(n, 13);
    SamplerParams params;
    params.repetition_penalty = 1.5;
    params.temperature = 0.3;
    SamplerChain chain = make(params, n);

    const SampleResult result = sample(chain, logits);

    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const double expected = static_cast<double>(logits[static_cast<std::size_t>(result.token)]) - std::log(sum);
    ASSERT_NEAR(static_cast<double>(result.logprob), expected, 1e-6 * std::max(1.0, std::abs(expected)));
  }
}

/// Weights, one by one, as the integers that they are said to be: all but a last place or two of 2^-52.
TEST(SamplerWeights, AreTheSoftmaxInIntegers) {
  for (const std::size_t n : kSizes) {
    std::vector<Candidate> sorted = full_sort(random_logits(n, 9));
    const Candidates candidates{.list = sorted};
    const Weights weights(candidates);
    const double one = std::ldexp(1.0, 63 - static_cast<int>(std::bit_width(n)));
    std::uint64_t total = 0;
    for (const Candidate& c : sorted) {
      const double exact = std::exp(static_cast<double>(c.logit) - static_cast<double>(sorted[0].logit)) * one;
      ASSERT_NEAR(static_cast<double>(weights.of(c.logit)), exact, 0.5 + exact * 0x1p-51) << n;
      total += weights.of(c.logit);
    }
    EXPECT_EQ(weights.total(), total);
  }
}

TEST(LogProbability, OfTheOnlyPossibleTokenIsZero) {
  SamplerChain chain = make(SamplerParams{}, 3);

  const SampleResult result = sample(chain, {-kInf, 5, -kInf});

  EXPECT_EQ(result.token, 1);
  EXPECT_EQ(result.logprob, 0.0f);
}

TEST(Top, ListsTheLikeliestBestFirst) {
  for (const std::size_t n : kSizes) {
    const std::vector<float> logits = random_logits(n, 14, 0.5f);
    SamplerChain chain = make(SamplerParams{}, n);
    std::vector<SampleResult> best(n);

    chain.top(logits, best);

    const std::vector<Candidate> sorted = full_sort(logits);
    const std::vector<double> probabilities = softmax(sorted);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(best[i].token, sorted[i].token);
      ASSERT_NEAR(static_cast<double>(best[i].logprob), std::log(probabilities[i]), 1e-5);
    }
  }
}

TEST(Top, LeavesPlacesFreeWithoutCandidates) {
  SamplerChain chain = make(SamplerParams{}, 3);
  std::array<SampleResult, 4> best;

  chain.top(std::vector<float>{1, -kInf, 2}, best);

  EXPECT_EQ(best[0].token, 2);
  EXPECT_EQ(best[1].token, 0);
  EXPECT_EQ(best[2].token, kNoToken);
  EXPECT_EQ(best[3].logprob, -kInf);
}

TEST(Top, OfAnotherSizeIsEmpty) {
  SamplerChain chain = make(SamplerParams{}, 3);
  std::array<SampleResult, 1> best;

  chain.top(std::vector<float>{1, 2, 3, 4}, best);

  EXPECT_EQ(best[0].token, kNoToken);
}

TEST(Top, DoesNotTouchTheGenerator) {
  const std::vector<float> logits = random_logits(100, 15);
  SamplerChain chain = make(plain(), 100);
  SamplerChain undisturbed = make(plain(), 100);
  std::array<SampleResult, 5> best;

  chain.top(logits, best);

  EXPECT_EQ(sample_many(chain, logits, 20), sample_many(undisturbed, logits, 20));
}

// ---- Errors ---------------------------------------------------------------------------------------------------------

void expect_refused(const SamplerParams& params, Code code, std::string_view message) {
  const Status status = creation_error(params);
  EXPECT_EQ(status.code(), code);
  EXPECT_EQ(status.message(), message);
}

TEST(Parameters, OutsideTheirLimitsAreRefusedWithTheLimits) {
  expect_refused({.temperature = -0.5}, Code::range, "temperature = -0.5 is outside 0..1000");
  expect_refused({.top_k = -1}, Code::range, "top_k = -1 is outside 0..2147483647");
  expect_refused({.top_p = 1.5}, Code::range, "top_p = 1.5 is outside 0..1");
  expect_refused({.min_p = -0.1}, Code::range, "min_p = -0.1 is outside 0..1");
  expect_refused({.repetition_penalty = 0.0}, Code::range, "repetition_penalty = 0 is outside 0.001..1000");
  expect_refused({.presence_penalty = 2000}, Code::range, "presence_penalty = 2000 is outside -1000..1000");
  expect_refused({.frequency_penalty = -2000}, Code::range, "frequency_penalty = -2000 is outside -1000..1000");
  expect_refused({.penalty_window = -1}, Code::range, "penalty_window = -1 is outside 0..16777216");
}

TEST(Parameters, ThatAreNotNumbersAreRefused) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  expect_refused({.temperature = kNaN}, Code::range, "temperature = nan is outside 0..1000");
  expect_refused({.top_p = kNaN}, Code::range, "top_p = nan is outside 0..1");
  expect_refused({.min_p = kNaN}, Code::range, "min_p = nan is outside 0..1");
  expect_refused({.repetition_penalty = kNaN}, Code::range, "repetition_penalty = nan is outside 0.001..1000");
  expect_refused({.presence_penalty = kNaN}, Code::range, "presence_penalty = nan is outside -1000..1000");
  expect_refused({.frequency_penalty = kNaN}, Code::range, "frequency_penalty = nan is outside -1000..1000");
}

TEST(Parameters, AreCheckedForStagesThatAreNotNamed) {
  expect_refused({.order = "temperature", .top_p = 7}, Code::range, "top_p = 7 is outside 0..1");
}

TEST(Parameters, AtTheirLimitsAreTaken) {
  EXPECT_TRUE(creation_error({.temperature = 1000, .top_k = 2147483647, .top_p = 0, .min_p = 1}).ok());
}

TEST(Chain, RefusesUnknownStages) {
  expect_refused({.order = "topk temperature"}, Code::sampler,
                 "unknown sampler 'topk'; known: penalties, top_k, top_p, min_p, temperature");
}

TEST(Chain, RefusesRepeatedStages) {
  expect_refused({.order = "top_k top_p top_k"}, Code::sampler,
                 "sampler 'top_k' is named twice in 'top_k top_p top_k'");
}

TEST(Chain, RefusesAnEmptyVocabulary) {
  const Result<SamplerChain> chain = SamplerChain::create({}, builtin_samplers(), 0);

  ASSERT_FALSE(chain.ok());
  EXPECT_EQ(chain.status().message(), "n_vocab = 0 is outside 1..2147483647");
}

void expect_sample_error(const std::vector<float>& logits, Code code, std::string_view message) {
  SamplerChain chain = make(SamplerParams{}, 4);
  SampleResult result{.token = 77, .logprob = 7.0f};
  const Status status = chain.sample(logits, result);
  EXPECT_EQ(status.code(), code);
  EXPECT_EQ(status.message(), message);
  EXPECT_EQ(result.token, 77);
}

TEST(Logits, ThatAreNotFiniteAreRefusedAndCounted) {
  expect_sample_error({0, kNan, kInf, -kInf}, Code::tensor,
                      "logits: 2 of 4 are NaN or +inf; the model's weights may be damaged");
}

TEST(Logits, ThatAreAllImpossibleAreRefused) {
  expect_sample_error({-kInf, -kInf, -kInf, -kInf}, Code::tensor,
                      "logits: all 4 are -inf, no token can be chosen");
}

TEST(Logits, OfAnotherSizeAreRefused) {
  expect_sample_error({1, 2}, Code::argument, "logits: 2 values for a vocabulary of 4");
}

TEST(Chain, ReportsAForeignStageThatLeavesNothing) {
  const SamplerKind void_stage{.name = "void",
                               .check = kSpy.check,
                               .describe = kSpy.describe,
                               .apply = [](const SampleContext&, Candidates& candidates) noexcept {
                                 candidates.list = {};
                                 candidates.n_sorted = 0;
                               }};
  const SamplerKind* const kinds[] = {&void_stage};
  Result<SamplerChain> chain = SamplerChain::create({.order = "void"}, kinds, 2);
  ASSERT_TRUE(chain.ok());

  SampleResult result;
  const Status status = chain.value().sample(std::vector<float>{1, 2}, result);

  EXPECT_EQ(status.code(), Code::sampler);
  EXPECT_EQ(status.message(), "sampler: the stages 'void' left no token to choose");
}

}  // namespace
}  // namespace infer
