// SPDX-License-Identifier: MIT
// SamplerChain: reads the order of stages, runs them over one row of logits, draws. Entry point: SamplerChain::sample.
// Tested by tests/runtime/samplers_test.cpp.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "libinfer/sampler.h"
#include "src/runtime/samplers/candidates.h"
#include "src/runtime/samplers/samplers.h"

namespace infer {

namespace {

constexpr std::int64_t kMaxWindow = std::int64_t{1} << 24;
constexpr std::string_view kSeparators = " ,\t\n";

Result<const SamplerKind*> find_kind(std::string_view name, std::span<const SamplerKind* const> kinds) {
  std::string known;
  for (const SamplerKind* kind : kinds) {
    if (kind->name == name) return kind;
    known += known.empty() ? "" : ", ";
    known += kind->name;
  }
  return Status::error(Code::sampler, fmt::format("unknown sampler '{}'; known: {}", name, known)).about(name);
}

Result<std::vector<const SamplerKind*>> parse_order(std::string_view order,
                                                    std::span<const SamplerKind* const> kinds) {
  std::vector<const SamplerKind*> stages;
  for (std::size_t at = order.find_first_not_of(kSeparators); at != order.npos;) {
    const std::size_t end = std::min(order.find_first_of(kSeparators, at), order.size());
    const std::string_view name = order.substr(at, end - at);
    INFER_ASSIGN(const SamplerKind* kind, find_kind(name, kinds));
    if (std::find(stages.begin(), stages.end(), kind) != stages.end()) {
      return Status::error(Code::sampler, fmt::format("sampler '{}' is named twice in '{}'", name, order)).about(name);
    }
    stages.push_back(kind);
    at = order.find_first_not_of(kSeparators, end);
  }
  return stages;
}

// The tokens with a finite logit, by ascending id. `storage` has room for all. No branch: where many tokens are masked nobody
// could foresee it.
Candidates gather(std::span<const float> logits, std::span<Candidate> storage) noexcept {
  std::size_t n = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    storage[n] = {static_cast<Token>(i), logits[i]};
    n += std::isfinite(logits[i]) ? 1 : 0;
  }
  return {.list = storage.first(n)};
}

Status explain_unusable(std::span<const float> logits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto n_bad =
      std::count_if(logits.begin(), logits.end(), [](float x) { return std::isnan(x) || x == kInfinity; });
  if (n_bad > 0) {
    return Status::error(Code::tensor,
                         fmt::format("logits: {} of {} are NaN or +inf; the model's weights may be damaged", n_bad,
                                     logits.size()));
  }
  return Status::error(Code::tensor, fmt::format("logits: all {} are -inf, no token can be chosen", logits.size()));
}

// Inverts the cumulative distribution over the candidates in descending order (ties: lower id first), sorting only as
// far as the draw reaches. kNoToken if a foreign stage left no candidate of any weight.
Token draw(Candidates& candidates, double uniform) noexcept {
  const Weights weights(candidates);
  if (weights.total() == 0) return kNoToken;
  // The product can round up to the total itself, which no prefix exceeds.
  const auto target = std::min(static_cast<std::uint64_t>(uniform * static_cast<double>(weights.total())),
                               weights.total() - 1);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < candidates.list.size(); ++i) {
    const Candidate& candidate = nth_best(candidates, i);
    sum += weights.of(candidate.logit);
    if (sum > target) return candidate.token;
  }
  return kNoToken;
}

}  // namespace

Result<SamplerChain> SamplerChain::create(const SamplerParams& params, std::span<const SamplerKind* const> kinds,
                                          std::int32_t n_vocab) {
  INFER_TRY(check_range("n_vocab", std::int64_t{n_vocab}, std::int64_t{1},
                        std::int64_t{std::numeric_limits<std::int32_t>::max()}));
  INFER_TRY(check_range("penalty_window", params.penalty_window, std::int64_t{0}, kMaxWindow));
  for (const SamplerKind* kind : kinds) INFER_TRY(kind->check(params));

  SamplerChain chain;
  INFER_ASSIGN(chain.stages_, parse_order(params.order, kinds));
  std::erase_if(chain.stages_, [&](const SamplerKind* kind) { return kind->describe(params).empty(); });
  if (params.seed) {
    chain.seed_ = *params.seed;
  } else {
    INFER_ASSIGN(chain.seed_, Rng::system_seed());
  }
  chain.params_ = params;
  chain.candidates_.resize(static_cast<std::size_t>(n_vocab));
  chain.counts_.resize(static_cast<std::size_t>(n_vocab));
  chain.recent_.resize(2 * static_cast<std::size_t>(params.penalty_window));
  chain.reset();
  return chain;
}

std::string SamplerChain::describe() const {
  std::string text;
  for (const SamplerKind* stage : stages_) text += stage->describe(params_) + " -> ";
  return text + (params_.greedy() ? std::string("greedy") : fmt::format("draw(seed {})", seed_));
}

std::uint64_t SamplerChain::memory() const noexcept {
  return sizeof *this + params_.order.capacity() + stages_.capacity() * sizeof stages_[0] +
         candidates_.capacity() * sizeof candidates_[0] + counts_.capacity() * sizeof counts_[0] +
         recent_.capacity() * sizeof recent_[0];
}

Status SamplerChain::sample(std::span<const float> logits, SampleResult& result) {
  if (logits.size() != candidates_.size()) {
    return Status::error(Code::argument, fmt::format("logits: {} values for a vocabulary of {}", logits.size(),
                                                     candidates_.size()));
  }
  Candidates candidates = gather(logits, candidates_);
  if (candidates.list.empty()) return explain_unusable(logits);
  if (candidates.list.size() < logits.size()) {   // masked, all the others?
    const auto n_masked = static_cast<std::size_t>(
        std::count(logits.begin(), logits.end(), -std::numeric_limits<float>::infinity()));
    if (candidates.list.size() + n_masked != logits.size()) return explain_unusable(logits);
  }

  const SampleContext context{.params = params_, .recent = recent(), .counts = counts_};
  for (const SamplerKind* stage : stages_) stage->apply(context, candidates);

  Token token = kNoToken;
  if (!candidates.list.empty()) {
    token = params_.greedy() ? best(candidates).token : draw(candidates, rng_.uniform());
  }
  const auto index = static_cast<std::size_t>(token);
  if (index >= logits.size()) {
    return Status::error(Code::sampler, fmt::format("sampler: the stages '{}' left no token to choose", params_.order));
  }
  const double logit = static_cast<double>(logits[index]);
  result = {.token = token, .logprob = static_cast<float>(logit - log_sum_exp(logits))};
  return {};
}

// Each token is written at `next` and one window further on, so the last n are contiguous wherever `next` stands.
void SamplerChain::accept(Token token) noexcept {
  const std::size_t window = recent_.size() / 2;
  if (window == 0 || token < 0 || static_cast<std::size_t>(token) >= counts_.size()) return;
  if (n_recent_ == window) {
    --counts_[static_cast<std::size_t>(recent_[next_recent_])];
  } else {
    ++n_recent_;
  }
  ++counts_[static_cast<std::size_t>(token)];
  recent_[next_recent_] = recent_[next_recent_ + window] = token;
  next_recent_ = (next_recent_ + 1) % window;
}

std::span<const Token> SamplerChain::recent() const noexcept {
  const std::size_t window = recent_.size() / 2;
  if (n_recent_ < window || window == 0) return {recent_.data(), n_recent_};
  return {recent_.data() + next_recent_, window};
}

void SamplerChain::reset() noexcept {
  rng_ = Rng(seed_);
  n_recent_ = next_recent_ = 0;
  std::fill(counts_.begin(), counts_.end(), 0);
}

void SamplerChain::top(std::span<const float> logits, std::span<SampleResult> best) noexcept {
  std::fill(best.begin(), best.end(), SampleResult{kNoToken, -std::numeric_limits<float>::infinity()});
  if (logits.size() != candidates_.size()) return;
  Candidates candidates = gather(logits, candidates_);
  if (candidates.list.empty()) return;
  const double norm = log_sum_exp(logits);
  for (std::size_t i = 0; i < std::min(best.size(), candidates.list.size()); ++i) {
    const Candidate& candidate = nth_best(candidates, i);
    best[i] = {candidate.token, static_cast<float>(static_cast<double>(candidate.logit) - norm)};
  }
}

}  // namespace infer
