// SPDX-License-Identifier: MIT
// Planning a session's memory, and running tokens through the decoder. Tested by tests/runtime/session_test.cpp.
#include "libinfer/session.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include "src/base/finite.h"
#include "src/base/range.h"
#include "src/runtime/kv_kinds.h"

namespace infer {
namespace {

constexpr MemoryPurpose kPurpose{"the session", "use a smaller n_ctx, n_seq or n_batch"};

// What the session, its threads and their queue keep beside the workspace, generously.
constexpr std::uint64_t kPoolBytes = 2048;
constexpr std::uint64_t kThreadBytes = 512;

/// Checks the options and replaces the zeros that stand for defaults.
Result<SessionOptions> effective(const SessionOptions& given, const Decoder& decoder) {
  const DecoderConfig& config = decoder.config;
  SessionOptions o = given;
  INFER_TRY(check_range("n_ctx", o.n_ctx, 0, kMaxContext));
  INFER_TRY(check_range("n_seq", o.n_seq, 1, kMaxSequences));
  INFER_TRY(check_range("n_batch", o.n_batch, 1, kMaxBatch));
  INFER_TRY(check_range("n_logits", o.n_logits, 0, kMaxBatch));
  INFER_TRY(check_range("n_threads", o.n_threads, 0, ThreadPool::kMaxThreads));
  INFER_TRY(check_range("n_awake", o.n_awake, 0, ThreadPool::kMaxThreads));
  if (o.n_ctx == 0) o.n_ctx = std::min(config.context_length, kDefaultContext);
  if (config.max_positions > 0 && o.n_ctx > config.max_positions) {
    return Status::error(Code::range,
                         fmt::format("n_ctx = {}: the model has learned {} positions and has no more; choose at most so many",
                                     o.n_ctx, config.max_positions))
        .about("n_ctx");
  }
  const bool by_factor = config.rope.scaling == RopeScaling::linear || config.rope.scaling == RopeScaling::yarn;
  const bool by_divisors = config.rope.scaling == RopeScaling::longrope || !decoder.rope_factors.empty();
  const bool stretched = (by_factor && config.rope.factor != 1.0) || by_divisors;
  if (o.rope_ntk && (config.rope.n_rot == 0 || stretched)) {
    return Status::error(Code::unsupported,
                         config.rope.n_rot == 0
                             ? "rope_ntk: the model has no rotary positions; leave the option off"
                             : "rope_ntk: the model stretches its positions in another way already; leave the option off")
        .about("rope_ntk");
  }
  if (o.n_logits == 0) o.n_logits = o.n_seq;
  if (o.n_threads == 0) o.n_threads = default_threads(o.executor);
  o.n_batch = std::max(std::min(o.n_batch, o.n_ctx), std::min(o.n_batch, o.n_seq));   // more rows could never be used
  return o;
}

constexpr std::int64_t kSound = -1;   // no row is damaged

/// The first of rows [first, last) of the logits that has a value that is no number, or kSound.
std::int64_t find_damaged(Step& step, std::int64_t first, std::int64_t last) noexcept {
  std::atomic<std::int64_t> damaged{last};
  step.parallel_for(last - first, 1, [&](int, std::int64_t from, std::int64_t to) noexcept {
    for (std::int64_t i = first + from; i < first + to; ++i) {
      const std::span<const float> row(step.act.logits.row(i), static_cast<std::size_t>(step.act.logits.cols));
      if (find_non_finite(row) == row.size()) continue;
      std::int64_t lowest = damaged.load();
      while (i < lowest && !damaged.compare_exchange_weak(lowest, i)) {}
    }
  });
  return damaged.load() < last ? damaged.load() : kSound;
}

/// No kept logit may be no number: it would be sampled from. Sound weights can come to it where keys or values are beyond the
/// halves in which they are stored (f16), or that their scales are (i16, q8_0, q4_0).
Status not_finite(const MatF32& logits, std::int64_t i, KvType stored) {
  const bool halves = stored != KvType::f32 && stored != KvType::bf16;
  const char* const advice = halves ? ", and where it finds none, kv_type = bf16 or f32 holds larger keys and values" : "";
  const std::span<const float> row(logits.row(i), static_cast<std::size_t>(logits.cols));
  const std::size_t bad = find_non_finite(row);
  return Status::error(Code::tensor,
                       fmt::format("the logits of row {} are not finite ({} for token {}): weights or activations are not; "
                                   "infer_model_validate (infer info --validate) finds such weights{}",
                                   i, row[bad], bad, advice));
}

Status cancelled_after(std::int64_t done, std::int64_t n, std::int64_t before) {
  return Status::error(Code::cancelled, fmt::format("cancelled after {} of {} tokens; the sequence holds its {} tokens from before",
                                                    done, n, before));
}

Status cancelled_step() { return Status::error(Code::cancelled, "cancelled; the sequences hold what they held before"); }

std::int64_t block_of(const KvKind& kind) { return kKvBlocks[static_cast<std::size_t>(kind.type)].elems; }

/// "a, b": those that store heads of any size.
std::string kinds_without_blocks(const Registry<KvKind>& kinds) {
  std::string list;
  for (const KvKind* kind : kinds.all()) {
    if (block_of(*kind) == 1) list.append(list.empty() ? "" : ", ").append(kind->name);
  }
  return list;
}

/// The kind of that name, or the best, if keys and values are whole blocks of it.
Result<const KvKind*> choose_kind(const Registry<KvKind>& kinds, std::string_view name, const DecoderConfig& c) {
  if (name == kAutoKvKind) {
    for (const std::string_view best : kAutoKvKinds) {
      const KvKind* const kind = kinds.find(best);
      if (kind != nullptr && c.key_dim % block_of(*kind) == 0 && c.value_dim % block_of(*kind) == 0) return kind;
    }
  }
  Result<const KvKind*> named = kinds.require(name, Code::kv_type);
  if (!named.ok()) {
    const std::string known = fmt::format("{}, or {}", named.status().message(), kAutoKvKind);
    return Status::error(named.status().code(), known).about("kv_type");
  }
  const KvKind& kind = *named.value();
  const std::int64_t block = block_of(kind);
  for (const auto& [what, dim] : {std::pair{"keys", c.key_dim}, std::pair{"values", c.value_dim}}) {
    if (dim % block == 0) continue;
    return Status::error(Code::kv_type,
                         fmt::format("kv_type = {} stores {} in blocks of {}, and those of a head have {} entries, no multiple "
                                     "of it; {} store any",
                                     kind.name, what, block, dim, kinds_without_blocks(kinds)))
        .about("kv_type");
  }
  return &kind;
}

}  // namespace

Session::Session(std::shared_ptr<const Model> model) : model_(std::move(model)), process_(::getpid()) {}

Session::~Session() = default;

/// A session that knows its options and its plan and has taken no memory.
Result<std::unique_ptr<Session>> Session::configured(std::shared_ptr<const Model> model, const SessionOptions& options) {
  const Decoder* decoder = model->decoder();
  if (decoder == nullptr) {
    return Status::error(Code::state, "only the vocabulary was loaded (option vocab_only); load the model to run it");
  }
  std::unique_ptr<Session> s(new Session(std::move(model)));
  INFER_ASSIGN(s->options_, effective(options, *decoder));
  INFER_ASSIGN(s->kv_kind_, choose_kind(s->model_->library().kv_kinds, options.kv_type, decoder->config));
  s->lay_out(s->workspace_);
  s->use_ = s->workspace_.use();
  s->use_[MemoryClass::other] +=
      sizeof(Session) + kPoolBytes + kThreadBytes * static_cast<std::uint64_t>(s->options_.n_threads);
  return s;
}

Result<MemoryUse> Session::plan(std::shared_ptr<const Model> model, const SessionOptions& options) {
  INFER_ASSIGN(const std::unique_ptr<Session> s, configured(std::move(model), options));
  if (s->workspace_.overflow()) return Workspace::carve(s->workspace_, *s->model_->account(), kPurpose).status();
  return s->use_;
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const SessionOptions& options) {
  INFER_ASSIGN(std::unique_ptr<Session> s, configured(std::move(model), options));
  MemoryAccount& account = *s->model_->account();
  if (!s->workspace_.overflow()) INFER_TRY(account.check(s->use_, kPurpose));   // the whole of it, before any
  const std::uint64_t beside = s->use_[MemoryClass::other] - s->workspace_.use()[MemoryClass::other];
  INFER_ASSIGN(s->workspace_, Workspace::carve(s->workspace_, account, kPurpose));
  INFER_ASSIGN(s->charge_, account.charge(MemoryClass::other, beside, kPurpose));
  s->lay_out(s->workspace_);
  set_rotations(*s->model_->decoder(), s->options_.n_ctx, s->options_.rope_ntk, s->act_);
  const int n_threads = static_cast<int>(s->options_.n_threads), n_awake = static_cast<int>(s->options_.n_awake);
  INFER_ASSIGN(s->pool_, options.executor ? ThreadPool::create(n_threads, options.executor)
                                          : ThreadPool::create(n_threads, n_awake));
  INFER_ASSIGN([[maybe_unused]] const SequenceId first, s->open());
  return s;
}

void Session::lay_out(Workspace& workspace) noexcept {
  const DecoderConfig& c = model_->decoder()->config;
  kv_ = KvCache::layout(workspace,
                        {.n_layers = c.n_layers,
                         .n_kv_heads = c.n_kv_heads,
                         .key_dim = c.key_dim,
                         .value_dim = c.value_dim,
                         .n_sequences = options_.n_seq,
                         .context = options_.n_ctx,
                         .window = c.sliding_window,
                         .batch = options_.n_batch},
                        c.local, *kv_kind_);
  act_ = layout_activations(workspace, c,
                            {.batch = options_.n_batch,
                             .n_logits = options_.n_logits,
                             .n_threads = options_.n_threads,
                             .scratch_bytes = model_->kernels().scratch_bytes + model_->panel_scratch()});
  rows_ = workspace.take<StepRow>(MemoryClass::scratch, static_cast<std::uint64_t>(options_.n_batch));
  tokens_ = workspace.take<Token>(MemoryClass::kv,
                                  static_cast<std::uint64_t>(options_.n_seq) * static_cast<std::uint64_t>(options_.n_ctx));
}

Status Session::check_process() const {
  const std::int64_t process = ::getpid();
  if (process == process_) return {};
  return Status::error(Code::forked, fmt::format("the session was made by process {} and does not work in its child {}; "
                                                 "create a new session of the same model here",
                                                 process_, process));
}

Result<SequenceId> Session::open() {
  INFER_TRY(check_process());
  return kv_.open();
}

Status Session::check(SequenceId seq) const {
  INFER_TRY(check_process());
  if (kv_.is_open(seq)) return {};
  return Status::error(Code::sequence, fmt::format("sequence {} is not open; open one of the {} that the session has with infer_seq_open",
                                                   seq, kv_.n_sequences()));
}

Status Session::close(SequenceId seq) {
  INFER_TRY(check(seq));
  kv_.close(seq);
  return {};
}

Status Session::clear(SequenceId seq) {
  INFER_TRY(check(seq));
  kv_.clear(seq);
  return {};
}

Status Session::check_tokens(std::span<const Token> tokens) const {
  const std::int64_t n_vocab = model_->n_vocab();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < n_vocab) continue;
    return Status::error(Code::token, fmt::format("token {} at index {} is outside the vocabulary 0..{}", tokens[i], i,
                                                  n_vocab - 1));
  }
  return {};
}

Status Session::truncate(SequenceId seq, std::int64_t length) {
  INFER_TRY(check(seq));
  INFER_TRY(check_range("length", length, 0, this->length(seq)));
  if (kv_.cut(seq, length)) return {};
  return Status::error(Code::unsupported,
                       fmt::format("sequence {} cannot go back from {} to {} tokens: the model's sliding window has passed what "
                                   "it would see there; clear the sequence and feed it again",
                                   seq, this->length(seq), length))
      .about("length");
}

Status Session::feed(SequenceId seq, std::span<const Token> tokens, WantLogits want, const CancelFlag* cancel) {
  INFER_TRY(check(seq));
  if (tokens.empty()) return Status::error(Code::argument, "no tokens to feed");
  if (tokens.size() > static_cast<std::size_t>(room(seq))) {   // before any is read: a wrong count may be of any size
    return Status::error(Code::context_full,
                         fmt::format("{} tokens do not fit: the sequence holds {} of {} positions, {} are free; shorten the "
                                     "text or create the session with a larger n_ctx",
                                     tokens.size(), length(seq), kv_.context(), room(seq)));
  }
  INFER_TRY(check_tokens(tokens));
  const std::int64_t n = static_cast<std::int64_t>(tokens.size());
  if (want == WantLogits::all && n > options_.n_logits) {
    return Status::error(Code::range, fmt::format("logits of {} tokens are wanted, the session keeps {} rows; feed fewer at "
                                                  "once or create it with a larger n_logits",
                                                  n, options_.n_logits))
        .about("n_logits");
  }

  const std::int64_t before = length(seq);
  bool cancelled = is_cancelled(cancel);   // remembered: the flag may be reset at any time
  if (cancelled) return cancelled_after(0, n, before);   // and the logits of before stay
  n_logits_held_ = 0;
  if (importance_) importance_->mark();
  std::int64_t damaged = kSound;
  std::int64_t done = 0;
  while (done < n) {
    const std::int64_t batch = std::min(options_.n_batch, n - done);
    cancelled = is_cancelled(cancel);
    if (cancelled || !kv_.append(seq, batch)) break;
    for (std::int64_t i = 0; i < batch; ++i) {
      const bool wanted = want == WantLogits::all || (want == WantLogits::last && done + i == n - 1);
      rows_[static_cast<std::size_t>(i)] = {.token = tokens[static_cast<std::size_t>(done + i)],
                                            .seq = seq,
                                            .position = before + done + i,
                                            .logits_row = !wanted ? -1 : want == WantLogits::all ? done + i : 0};
      tokens_of(seq)[static_cast<std::size_t>(before + done + i)] = tokens[static_cast<std::size_t>(done + i)];
    }
    cancelled = !forward(static_cast<std::size_t>(batch), cancel, damaged);
    if (cancelled || damaged != kSound) break;
    done += batch;
    if (done == n) {
      n_logits_held_ = want == WantLogits::all ? n : want == WantLogits::last ? 1 : 0;
      kv_.commit(seq);
      return {};
    }
  }
  kv_.roll_back(seq);
  if (importance_) importance_->roll_back();
  if (cancelled) return cancelled_after(done, n, before);
  if (damaged != kSound) return not_finite(act_.logits, damaged, kv_.type());
  return Status::error(Code::context_full, "the page pool of the KV cache is exhausted; close a sequence");
}

Status Session::step(std::span<const SequenceId> seqs, std::span<const Token> tokens, const CancelFlag* cancel) {
  INFER_TRY(check_process());
  if (seqs.empty() || seqs.size() != tokens.size()) {
    return Status::error(Code::argument, fmt::format("{} sequences and {} tokens; one token for each of at least one "
                                                     "sequence is expected",
                                                     seqs.size(), tokens.size()));
  }
  if (seqs.size() > static_cast<std::size_t>(std::min(options_.n_batch, options_.n_logits))) {
    return Status::error(Code::range, fmt::format("a step of {} sequences is beyond n_batch = {} or n_logits = {}", seqs.size(),
                                                  options_.n_batch, options_.n_logits));
  }
  INFER_TRY(check_tokens(tokens));
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    INFER_TRY(check(seqs[i]));
    if (std::find(seqs.begin(), seqs.begin() + static_cast<std::ptrdiff_t>(i), seqs[i]) !=
        seqs.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Status::error(Code::sequence, fmt::format("sequence {} appears twice in one step", seqs[i]));
    }
    if (room(seqs[i]) < 1) {
      return Status::error(Code::context_full,
                           fmt::format("sequence {} is full: 1 token is needed, {} of {} positions are held; create the "
                                       "session with a larger n_ctx",
                                       seqs[i], length(seqs[i]), kv_.context()));
    }
  }

  if (is_cancelled(cancel)) return cancelled_step();
  n_logits_held_ = 0;
  if (importance_) importance_->mark();
  std::size_t appended = 0;
  while (appended < seqs.size() && kv_.append(seqs[appended], 1)) {
    rows_[appended] = {.token = tokens[appended],
                       .seq = seqs[appended],
                       .position = length(seqs[appended]) - 1,
                       .logits_row = static_cast<std::int64_t>(appended)};
    tokens_of(seqs[appended])[static_cast<std::size_t>(rows_[appended].position)] = tokens[appended];
    ++appended;
  }
  const bool fits = appended == seqs.size();
  std::int64_t damaged = kSound;
  if (fits && forward(appended, cancel, damaged) && damaged == kSound) {
    n_logits_held_ = static_cast<std::int64_t>(appended);
    for (const SequenceId seq : seqs) kv_.commit(seq);
    return {};
  }
  for (std::size_t i = 0; i < appended; ++i) kv_.roll_back(seqs[i]);
  if (importance_) importance_->roll_back();
  if (damaged != kSound) return not_finite(act_.logits, damaged, kv_.type());
  if (fits) return cancelled_step();
  return Status::error(Code::context_full, "the page pool of the KV cache is exhausted; close a sequence");
}

bool Session::forward(std::size_t n_rows, const CancelFlag* cancel, std::int64_t& damaged) noexcept {
  const Decoder& decoder = *model_->decoder();
  Step step{.rows = rows_.first(n_rows),
            .config = decoder.config,
            .act = act_,
            .kv = kv_,
            .kernels = model_->kernels(),
            .pool = *pool_,
            .cancel = cancel,
            .observer = importance_ ? &importance_->observer() : nullptr};
  if (!decoder_forward(decoder, step)) return false;
  std::int64_t n_wanted = 0, last = 0;
  for (const StepRow& row : step.rows) {
    if (row.logits_row < 0) continue;
    ++n_wanted;
    last = row.logits_row + 1;
  }
  damaged = find_damaged(step, last - n_wanted, last);
  return !step.cancelled.load();   // only what was seen
}

Status Session::set_importance(std::shared_ptr<ImportanceMatrix> importance) {
  INFER_TRY(check_process());
  if (importance && &importance->model() != model_.get()) {
    return Status::error(Code::argument, "the importance matrix is of another model than the session");
  }
  importance_ = std::move(importance);
  return {};
}

Result<std::span<const float>> Session::logits(std::size_t row) const {
  if (n_logits_held_ == 0) {
    return Status::error(Code::state, "no logits are held; feed or step first, and say which are wanted");
  }
  if (row >= static_cast<std::size_t>(n_logits_held_)) {
    return Status::error(Code::range, fmt::format("logits row {} is outside 0..{}", row, n_logits_held_ - 1));
  }
  return std::span<const float>(act_.logits.row(static_cast<std::int64_t>(row)), static_cast<std::size_t>(act_.logits.cols));
}

}  // namespace infer
