// SPDX-License-Identifier: MIT
// Generation: prompt in, events out, one piece of work per next(). Samples, streams text, knows when to end.
// Tested by tests/runtime/generation_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/hooks.h"
#include "libinfer/sampler.h"
#include "libinfer/session.h"
#include "libinfer/status.h"
#include "libinfer/text_stream.h"

namespace infer {

struct GenerationOptions {
  SamplerParams sampler{};
  std::int64_t max_tokens = 0;        ///< 0: until the end of the context
  std::vector<std::string> stop{};    ///< stop strings; none is empty
  bool ignore_eog = false;            ///< go on after an end-of-generation token
  bool show_special = false;          ///< control tokens show as their text instead of as nothing; one that ends the generation does not
  std::int64_t logprobs = 0;          ///< likeliest tokens reported with each token
};

inline constexpr std::int64_t kMaxLogprobs = 20;

enum class FinishReason : std::int32_t { none = 0, eog = 1, stop = 2, length = 3, context = 4, cancelled = 5 };

struct GenerationEvent {
  enum class Kind : std::int32_t { prompt = 1, token = 2, end = 3 };
  Kind kind = Kind::prompt;
  std::string text;                   ///< whole characters that are ready
  Token token = kNoToken;
  float logprob = 0.0f;
  std::span<const SampleResult> top;  ///< borrowed until the next event
  FinishReason finish = FinishReason::none;
  std::string_view stop_string;
  std::int64_t prompt_done = 0, prompt_total = 0;

  /// As new, but `text` keeps its memory.
  void clear() noexcept {
    std::string room = std::move(text);
    room.clear();
    *this = {};
    text = std::move(room);
  }
};

struct GenerationStats {
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
  double prompt_seconds = 0.0;        ///< computing the prompt
  double decode_seconds = 0.0;        ///< from the first token to the last
  double first_token_seconds = 0.0;   ///< from the first next() to the first token
};

class Generation {
 public:
  /// Checks everything, computes nothing. `session` and `cancel` must outlive it. Errors: argument (no prompt, an empty
  /// stop string), token, sequence, context_full, range, sampler, utf8 (a stop string); vocab when the model has no usable tokenizer.
  static Result<std::unique_ptr<Generation>> start(Session& session, SequenceId seq, std::span<const Token> prompt,
                                                   const GenerationOptions& options, const CancelFlag* cancel);

  /// The next event: one batch of the prompt, one token, or the end. The event is borrowed until the next call; null
  /// after the end. Errors: those of feed and sample; they end the generation, the sequence keeps what was fed. Nothing is
  /// allocated but the message of an error.
  Result<const GenerationEvent*> next();

  const GenerationStats& stats() const noexcept { return stats_; }
  /// All tokens that were reported, the end-of-generation token too.
  std::span<const Token> tokens() const noexcept { return tokens_; }
  /// What the events say in all, what is still held back included.
  std::string text() const;
  std::uint64_t seed() const noexcept { return chain_.seed(); }
  std::int64_t position() const noexcept { return session_.length(seq_); }
  /// The flag that ends it is set.
  bool is_cancelled() const noexcept { return infer::is_cancelled(cancel_); }

 private:
  Generation(Session& session, SequenceId seq, const Tokenizer& tokenizer, std::span<const Token> prompt, SamplerChain chain,
             const GenerationOptions& options, const CancelFlag* cancel);
  Status feed(std::span<const Token> tokens);
  Status choose();
  void emit_token();
  bool push_text(Token token, TextStream& stream, bool& strip_space, std::string& out) const;
  void end(FinishReason reason);

  Session& session_;
  SequenceId seq_;
  const Tokenizer& tokenizer_;
  SamplerChain chain_;
  TextStream text_;
  GenerationOptions options_;
  const CancelFlag* cancel_;
  std::vector<Token> prompt_;
  std::size_t n_fed_ = 0;             ///< of the prompt
  bool chosen_ready_ = false;         ///< chosen_ was not reported yet
  SampleResult chosen_;               ///< the last token; fed by the call after the one that reports it
  const bool begins_text_;            ///< the first piece of the text loses one leading space
  bool strip_space_;                  ///< it has not come yet
  std::vector<Token> tokens_;         ///< reported; has room for all
  FinishReason pending_ = FinishReason::none;
  std::vector<SampleResult> top_;
  GenerationEvent event_;
  GenerationStats stats_;
  Charge charge_;
  double started_ = -1.0, first_token_at_ = 0.0;
  bool ended_ = false;
};

}  // namespace infer
