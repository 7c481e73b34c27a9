// SPDX-License-Identifier: MIT
// Session: everything that changes while a model runs. Sequences over one KV cache, activations, logits, threads; all
// memory is planned and taken at creation. One thread at a time. Tested by tests/runtime/session_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libinfer/activations.h"
#include "libinfer/architecture.h"
#include "libinfer/executor.h"
#include "libinfer/hooks.h"
#include "libinfer/importance.h"
#include "libinfer/kv_cache.h"
#include "libinfer/model.h"
#include "libinfer/status.h"
#include "libinfer/thread_pool.h"
#include "libinfer/workspace.h"

namespace infer {

struct SessionOptions {
  std::int64_t n_ctx = 0;         ///< positions per sequence; 0: the model's, at most kDefaultContext
  std::int64_t n_seq = 1;
  std::int64_t n_batch = 256;     ///< tokens in one forward pass
  std::int64_t n_logits = 0;      ///< rows of logits kept; 0: n_seq
  std::int64_t n_threads = 0;     ///< 0: all cores that the process may use, or as many as the executor says
  std::int64_t n_awake = 0;       ///< threads that run at once, with fewer cores too (for tests); 0: no more than cores
  std::string kv_type = "auto";   ///< storage of keys and values: src/runtime/kv_kinds.h has the names
  bool rope_ntk = false;          ///< raise RoPE's base where n_ctx is more than the model's original context
  Executor executor{};            ///< instead of threads of the session's own
};

inline constexpr std::int64_t kDefaultContext = 4096;

/// Limits of the options, also shown by the C ABI.
inline constexpr std::int64_t kMaxContext = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxSequences = 4096;
inline constexpr std::int64_t kMaxBatch = 65536;

enum class WantLogits : std::int32_t { none = 0, last = 1, all = 2 };

class Session {
 public:
  /// Errors: range, kv_type, state (a vocabulary-only model), budget, nomem, limit.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const SessionOptions& options);
  /// What create() will take: memory() of the session, to the byte. The model may be one of Model::plan.
  static Result<MemoryUse> plan(std::shared_ptr<const Model> model, const SessionOptions& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Model& model() const noexcept { return *model_; }
  /// What is in force: no zeros are left.
  const SessionOptions& options() const noexcept { return options_; }
  const MemoryUse& memory() const noexcept { return use_; }
  const KvCache& kv() const noexcept { return kv_; }

  Result<SequenceId> open();
  Status close(SequenceId seq);
  Status clear(SequenceId seq);
  /// Forgets all but the first `length` tokens. Errors: sequence, range, unsupported (a sliding window has passed what would be
  /// seen from there: clear() and feed again), forked.
  Status truncate(SequenceId seq, std::int64_t length);
  Status check(SequenceId seq) const;                        ///< Code::sequence when it is not open; forked
  /// Code::forked in a child of the process that made the session: its threads are not there, and what they were about to
  /// write is not either. All that changes a session says so; it can still be asked, and destroyed.
  Status check_process() const;
  std::int64_t length(SequenceId seq) const noexcept { return kv_.length(seq); }
  std::int64_t room(SequenceId seq) const noexcept { return kv_.context() - kv_.length(seq); }
  /// What an open sequence holds; borrowed until the next call that changes it.
  std::span<const Token> tokens(SequenceId seq) const noexcept {
    return tokens_of(seq).first(static_cast<std::size_t>(length(seq)));
  }

  /// Appends tokens in batches of n_batch. All or nothing: on failure (cancelled included) the sequence is as before.
  /// Errors: sequence, token, context_full (needed and available), range (more logits than n_logits), tensor (wanted logits
  /// are not finite), cancelled.
  Status feed(SequenceId seq, std::span<const Token> tokens, WantLogits want, const CancelFlag* cancel);

  /// One token for each of some different sequences, in one pass; logits row i belongs to seqs[i]. All or nothing.
  Status step(std::span<const SequenceId> seqs, std::span<const Token> tokens, const CancelFlag* cancel);

  /// From now on all that goes into the model's matrices is added to `importance`; null: no longer. Errors: argument (of another
  /// model).
  Status set_importance(std::shared_ptr<ImportanceMatrix> importance);

  /// Row i of the last feed or step. Errors: state (none kept), range.
  Result<std::span<const float>> logits(std::size_t row) const;

 private:
  explicit Session(std::shared_ptr<const Model> model);
  static Result<std::unique_ptr<Session>> configured(std::shared_ptr<const Model> model, const SessionOptions& options);
  void lay_out(Workspace& workspace) noexcept;
  Status check_tokens(std::span<const Token> tokens) const;
  std::span<Token> tokens_of(SequenceId seq) const noexcept {
    const auto context = static_cast<std::size_t>(kv_.context());
    return tokens_.subspan(static_cast<std::size_t>(seq) * context, context);
  }
  /// False when it was cancelled. `damaged`: the first row of its logits that has a value that is no number.
  bool forward(std::size_t n_rows, const CancelFlag* cancel, std::int64_t& damaged) noexcept;

  std::shared_ptr<const Model> model_;
  SessionOptions options_;
  std::int64_t process_;                 ///< that made it
  const KvKind* kv_kind_ = nullptr;
  std::unique_ptr<ThreadPool> pool_;
  MemoryUse use_;
  Charge charge_;                        ///< of what is not in the workspace
  Workspace workspace_;                  ///< owns what kv_, act_ and rows_ point into
  KvCache kv_;
  Activations act_;
  std::span<StepRow> rows_;              ///< (n_batch)
  std::span<Token> tokens_;              ///< (n_seq, n_ctx), as long as the sequences are
  std::int64_t n_logits_held_ = 0;
  std::shared_ptr<ImportanceMatrix> importance_;
};

}  // namespace infer
