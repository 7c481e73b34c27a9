// SPDX-License-Identifier: MIT
// From logits to a token: a chain of stages over a list of candidates. The stages and their order are stated by
// SamplerParams::order; each is one file in src/runtime/samplers. Tested by tests/runtime/samplers_test.cpp and
// rng_test.cpp.
//
// The same seed and logits give the same tokens on every machine: the generator is stated (Rng), ties go to the lower
// id, and probabilities are summed as integers (src/runtime/samplers/candidates.h), so that no sum depends on an order.
// What is left to the C library is log() in double, in min-p and in log-probabilities.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/status.h"
#include "libinfer/tokenizer.h"

namespace infer {

struct Candidate {
  Token token;
  float logit;
};

/// The tokens that may still be chosen. A stage changes logits, reorders, or drops tokens by shortening the list; it
/// never empties it, and every logit in it is finite and stays so. Beyond the sorted part the order means nothing.
struct Candidates {
  std::span<Candidate> list;
  /// The first n_sorted are the best of all, by descending logit (ties: lower token id first). A stage that changes
  /// logits other than in step sets it to 0.
  std::size_t n_sorted = 0;
};

/// All probabilities that a stage speaks of are those among the tokens that earlier stages left over. Limits are
/// inclusive; NaN is outside all of them.
struct SamplerParams {
  /// Names of stages in the order they run, separated by spaces or commas. The draw comes last and is not named here.
  std::string order = "penalties top_k top_p min_p temperature";
  double temperature = 0.8;          ///< divides logits; 0: greedy (largest logit, ties: lowest id). 0..1000
  std::int64_t top_k = 40;           ///< keep the k likeliest; 0: all. 0..2147483647
  double top_p = 0.95;               ///< keep the smallest set with this share of the probability; 1: all. 0..1
  double min_p = 0.05;               ///< keep tokens with this share of the likeliest's probability; 0: all. 0..1
  double repetition_penalty = 1.0;   ///< recent tokens: divides logits > 0, multiplies others; 1: off. 0.001..1000
  double presence_penalty = 0.0;     ///< subtracted once from the logit of a recent token; 0: off. -1000..1000
  double frequency_penalty = 0.0;    ///< subtracted once per occurrence; 0: off. -1000..1000
  std::int64_t penalty_window = 64;  ///< how many recent tokens count; 0: none. 0..16777216
  std::optional<std::uint64_t> seed{};  ///< nullopt: drawn from the system; SamplerChain::seed() says which

  /// Penalties (and other stages that change logits) still count then; those that drop unlikely tokens do not run.
  bool greedy() const noexcept { return temperature == 0.0; }
};

struct SampleResult {
  Token token = kNoToken;
  float logprob = 0.0f;   ///< natural log of the model's own probability (softmax of the unmodified logits)
};

/// xoshiro256** seeded through splitmix64 (Blackman and Vigna, public domain: https://prng.di.unimi.it). The same
/// numbers on every machine.
class Rng {
 public:
  explicit Rng(std::uint64_t seed = 0) noexcept;
  std::uint64_t next() noexcept;
  /// In [0, 1): the upper 53 bits of next(), divided by 2^53.
  double uniform() noexcept;

  /// A seed from the operating system: 53 bits, so that it can be read back through JSON and signed options.
  /// Errors: io (the system has no random numbers to give).
  static Result<std::uint64_t> system_seed();

 private:
  std::array<std::uint64_t, 4> s_{};
};

/// What a stage may look at beside the candidates.
struct SampleContext {
  const SamplerParams& params;
  std::span<const Token> recent;           ///< the last penalty_window tokens, oldest first, prompt included
  std::span<const std::int32_t> counts;    ///< (n_vocab) how often each token occurs in `recent`
};

/// A stage of the chain; the table is src/runtime/samplers/samplers.cpp.
struct SamplerKind {
  std::string_view name;
  /// Refuses bad values of the parameters that the stage reads, whether or not the chain names it. Errors: range.
  Status (*check)(const SamplerParams& params);
  /// "top_k(40)"; empty when the stage changes nothing with these parameters: the chain then leaves it out.
  std::string (*describe)(const SamplerParams& params);
  void (*apply)(const SampleContext& context, Candidates& candidates) noexcept;
};

/// The stages of one generation with what they remember. One thread at a time; a copy is independent and draws on from
/// the same state.
class SamplerChain {
 public:
  /// All memory is taken here. `kinds` are the stages that may be named (Library) and must outlive the chain. Errors:
  /// range (a parameter, with its limits), sampler (unknown or repeated stage), io (no seed given and none to be had).
  static Result<SamplerChain> create(const SamplerParams& params, std::span<const SamplerKind* const> kinds,
                                     std::int32_t n_vocab);

  const SamplerParams& params() const noexcept { return params_; }
  std::uint64_t seed() const noexcept { return seed_; }
  /// "penalties(...) -> top_k(40) -> ... -> draw(seed 42)", or "... -> greedy": the stages that have an effect.
  std::string describe() const;
  /// Bytes of memory held.
  std::uint64_t memory() const noexcept;

  /// Chooses from one row of logits (n_vocab); a draw takes exactly one number from the generator, greedy and refused
  /// logits none. Does not change what accept() recorded. A logit of -inf is a token that cannot be chosen. Allocates
  /// nothing unless it fails; then `result` is untouched. Errors: argument (not n_vocab logits), tensor (NaN or +inf,
  /// says how many; no finite logit), sampler (a foreign stage left nothing to choose).
  Status sample(std::span<const float> logits, SampleResult& result);

  /// Counts a token as seen, for the penalties. Both prompt and generated tokens. Ids outside the vocabulary are
  /// ignored.
  void accept(Token token) noexcept;
  std::int32_t n_vocab() const noexcept { return static_cast<std::int32_t>(counts_.size()); }
  /// Forgets accepted tokens and starts the generator again from seed().
  void reset() noexcept;

  /// The best.size() likeliest tokens of a row (n_vocab) with their log-probabilities, best first. Tokens without a
  /// finite logit are not listed; places that remain free hold kNoToken and -inf. Beside a logit of NaN or +inf all
  /// log-probabilities are NaN.
  void top(std::span<const float> logits, std::span<SampleResult> best) noexcept;

 private:
  SamplerParams params_;
  std::uint64_t seed_ = 0;
  Rng rng_;
  std::vector<const SamplerKind*> stages_;   ///< those with an effect, in order
  std::vector<Candidate> candidates_;        ///< (n_vocab)
  std::vector<std::int32_t> counts_;         ///< (n_vocab) occurrences in the window
  std::vector<Token> recent_;                ///< (2 * window) a ring written twice: any window of it is contiguous
  std::size_t n_recent_ = 0, next_recent_ = 0;

  std::span<const Token> recent() const noexcept;
};

}  // namespace infer
