// SPDX-License-Identifier: MIT
// A small persistent pool: one job at a time, cut into chunks. Each thread has a share of them side by side, so that it reads
// memory in one stream, and takes several at once while many are left; one that has finished its share takes from the far ends
// of the others'. Whoever waits spins for a bounded time, because the next job of a forward pass is microseconds away, and then
// sleeps. Tested by tests/base/thread_pool_test.cpp.
//
// A share is one word: the chunks that nobody has begun, and how many one claim may take. To claim is to exchange it for one
// with fewer chunks; only then does the claimant read the job, which cannot end, nor another one begin, before the claimant
// reports its chunks in `unfinished`. So a worker that wakes late either finds nothing, or chunks of a job that is under way:
// there is no older job that it could mistake for it, and no worker whose arrival is waited for. `unclaimed` counts the chunks of
// all shares, for those who wait for work or have no more of their own: it is set before the shares are, and never too low. It may
// be too high for as long as another thread is kept from its core: who finds nothing for a while sleeps, whatever it says.
//
// The claim reads from the release sequence that the caller's store of the share heads, so it sees the job; the caller
// reads zero from the release sequence of the decrements of `unfinished`, so it sees the results.
#include "libinfer/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "src/base/float_mode.h"

namespace infer {
namespace {

constexpr std::chrono::microseconds kSpin{50};
constexpr std::size_t kCacheLine = 64;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Spins until `ready` or until the time is up; answers ready().
template <class Ready>
bool spin(const Ready& ready) noexcept {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

/// Blocks signals in the calling thread while it lives: threads inherit the mask of their creator. The four of a thread's
/// own faults stay, because POSIX leaves undefined what a blocked one does; the host's crash reporter wants them.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

/// infer-1, infer-2 ... in debuggers and in top.
void name_this_thread(int worker) noexcept {
#if defined(__linux__)
  char name[16] = "infer-";
  char* end = name + 6;
  for (int unit = worker >= 1000 ? 1000 : worker >= 100 ? 100 : worker >= 10 ? 10 : 1; unit > 0; unit /= 10) {
    *end++ = static_cast<char>('0' + worker / unit % 10);
  }
  pthread_setname_np(pthread_self(), name);
#else
  static_cast<void>(worker);
#endif
}

/// Chunks first .. end - 1, of which one claim takes at most so many.
struct Chunks {
  std::uint32_t first, end, most;

  static constexpr int kBits = 24, kMostBits = 64 - 2 * kBits;
  static constexpr std::int64_t kLimit = (std::int64_t{1} << kBits) - 1, kMostLimit = (std::int64_t{1} << kMostBits) - 1;
  static Chunks of(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word & kLimit), static_cast<std::uint32_t>(word >> kBits & kLimit),
            static_cast<std::uint32_t>(word >> 2 * kBits)};
  }
  std::uint64_t word() const noexcept {
    return std::uint64_t{first} | std::uint64_t{end} << kBits | std::uint64_t{most} << 2 * kBits;
  }
  std::uint32_t count() const noexcept { return end - first; }
};

/// The chunks of one thread.
struct alignas(kCacheLine) Share {
  std::atomic<std::uint64_t> left{0};

  /// Half of what is left, of its beginning or of its end: none where nothing is left.
  Chunks claim(bool of_end) noexcept {
    for (std::uint64_t word = left.load(std::memory_order_relaxed);;) {
      Chunks rest = Chunks::of(word), taken = rest;
      if (rest.count() == 0) return taken;
      const std::uint32_t n = std::min((rest.count() + 1) / 2, rest.most);
      if (of_end) {
        taken.first = rest.end -= n;
      } else {
        taken.end = rest.first += n;
      }
      if (left.compare_exchange_weak(word, rest.word(), std::memory_order_acquire, std::memory_order_relaxed)) return taken;
    }
  }
};

Status check_count(int n_threads) {
  if (n_threads >= 1 && n_threads <= ThreadPool::kMaxThreads) return {};
  return Status::error(Code::range, "n_threads = " + std::to_string(n_threads) + " is outside 1.." +
                                        std::to_string(ThreadPool::kMaxThreads));
}

}  // namespace

// Plain handles, and atomics that wait on their own address: nothing here minds that a fork has left the threads behind.
struct ThreadPool::State {
  struct Worker {
    State* state;
    int index;
    pthread_t thread;
  };

  pid_t process = ::getpid();
  std::vector<Worker> workers;            ///< their indices are 1, 2 ...; never grows after the first has started
  Executor executor;                      ///< when set there are no workers

  // The job: written while nothing of it is claimed, read by those who have claimed.
  std::int64_t n = 0, chunk = 1;          ///< items, of all and of a chunk
  std::size_t n_tasks = 0;                ///< that the executor was asked for
  RangeFn call = nullptr;
  const void* fn = nullptr;

  std::vector<Share> shares;              ///< of each that may claim
  alignas(kCacheLine) std::atomic<std::uint32_t> unclaimed{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> unfinished{0};

  // For those who gave up spinning. A sleeper counts itself before it looks again, a waker publishes before it looks at the
  // count, all sequentially consistent: one of them sees the other.
  alignas(kCacheLine) std::atomic<std::uint32_t> wakings{0};
  std::atomic<std::uint32_t> asleep{0};
  std::atomic<bool> stop{false};

  /// Works on chunks while there are any, its own first. Answers whether there were.
  bool work(int worker) noexcept {
    const DefaultFloatMode mode;
    std::uint32_t done = 0;
    for (std::size_t i = 0; i < shares.size() && (i == 0 || unclaimed.load(std::memory_order_relaxed) != 0); ++i) {
      Share& share = shares[(static_cast<std::size_t>(worker) + i) % shares.size()];
      for (Chunks taken; (taken = share.claim(i > 0)).count() > 0; done += taken.count()) {
        unclaimed.fetch_sub(taken.count(), std::memory_order_relaxed);
        const std::int64_t first = taken.first * chunk;
        call(fn, worker, first, first + std::min(taken.count() * chunk, n - first));
      }
    }
    if (done > 0 && unfinished.fetch_sub(done, std::memory_order_acq_rel) == done) unfinished.notify_one();
    return done > 0;
  }

  /// From here on workers may claim chunks of this job, `most` of them at a time.
  void publish(std::int64_t items, std::int64_t of_chunk, std::int64_t most, RangeFn range_fn, const void* f) noexcept {
    n = items;
    chunk = of_chunk;
    call = range_fn;
    fn = f;
    const std::uint64_t n_chunks = static_cast<std::uint64_t>((items - 1) / of_chunk + 1), n_shares = std::min(shares.size(), n_chunks);
    unfinished.store(static_cast<std::uint32_t>(n_chunks), std::memory_order_relaxed);
    unclaimed.store(static_cast<std::uint32_t>(n_chunks));
    const auto begin_of = [&](std::uint64_t share) { return static_cast<std::uint32_t>(n_chunks * share / n_shares); };
    for (std::size_t i = 0; i < n_shares; ++i) {
      const auto order = i + 1 < n_shares ? std::memory_order_release : std::memory_order_seq_cst;   // all, before looking who sleeps
      shares[i].left.store(Chunks{begin_of(i), begin_of(i + 1), static_cast<std::uint32_t>(most)}.word(), order);
    }
  }

  void wait_until_finished() noexcept {
    if (spin([&] { return unfinished.load(std::memory_order_acquire) == 0; })) return;
    while (const std::uint32_t left = unfinished.load(std::memory_order_acquire)) {
      unfinished.wait(left, std::memory_order_acquire);
    }
  }

  /// Wakes at most `most` sleepers.
  void wake(std::uint32_t most) noexcept {
    const std::uint32_t sleepers = asleep.load();
    if (sleepers == 0) return;
    wakings.fetch_add(1);
    if (most >= sleepers) {
      wakings.notify_all();
    } else {
      for (std::uint32_t i = 0; i < most; ++i) wakings.notify_one();
    }
  }

  /// Answers whether there was any work.
  bool look_for_work(int worker, std::memory_order order) noexcept { return unclaimed.load(order) != 0 && work(worker); }

  void sleep_unless_needed(int worker) noexcept {
    const std::uint32_t before = wakings.load();
    asleep.fetch_add(1);
    if (!stop.load() && !look_for_work(worker, std::memory_order_seq_cst)) wakings.wait(before);
    asleep.fetch_sub(1);
  }

  void loop(int worker) noexcept {
    name_this_thread(worker);
    while (!stop.load()) {
      const auto busy = [&] { return stop.load(std::memory_order_relaxed) || look_for_work(worker, std::memory_order_relaxed); };
      if (!spin(busy)) sleep_unless_needed(worker);
    }
  }

  /// Workers 1 .. count. They find work only when the pool is complete.
  Status start(int count) {
    workers.reserve(static_cast<std::size_t>(count));
    const SignalsBlocked for_workers;
    for (int index = 1; index <= count; ++index) {
      Worker& w = workers.emplace_back(Worker{this, index, {}});
      const auto body = [](void* p) -> void* {
        Worker& self = *static_cast<Worker*>(p);
        self.state->loop(self.index);
        return nullptr;
      };
      if (pthread_create(&w.thread, nullptr, body, &w) == 0) continue;
      workers.pop_back();
      return Status::error(Code::nomem, "the system gave " + std::to_string(index) + " of " + std::to_string(count + 1) +
                                            " threads; use a smaller n_threads");
    }
    return {};
  }

  /// Also ends a pool that was never completed.
  ~State() {
    if (process != ::getpid()) return;   // after a fork only the forking thread exists
    stop.store(true);
    wake(std::numeric_limits<std::uint32_t>::max());
    for (const Worker& w : workers) pthread_join(w.thread, nullptr);
  }
};

ThreadPool::ThreadPool(int size, std::unique_ptr<State> state) noexcept : size_(size), state_(std::move(state)) {}

ThreadPool::~ThreadPool() = default;

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int n_threads, int most_awake) {
  INFER_TRY(check_count(n_threads));
  auto state = std::make_unique<State>();
  const int awake = std::min(n_threads, most_awake > 0 ? most_awake : available_cores());
  state->shares = std::vector<Share>(static_cast<std::size_t>(awake));
  INFER_TRY(state->start(awake - 1));
  return std::unique_ptr<ThreadPool>(new ThreadPool(n_threads, std::move(state)));
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int n_threads, const Executor& executor) {
  INFER_TRY(check_count(n_threads));
  auto state = std::make_unique<State>();
  state->executor = executor;
  state->shares = std::vector<Share>(static_cast<std::size_t>(n_threads));
  return std::unique_ptr<ThreadPool>(new ThreadPool(n_threads, std::move(state)));
}

void ThreadPool::run(std::int64_t n, Grain grain, RangeFn call, const void* fn) noexcept {
  State& s = *state_;
  const std::int64_t chunk = std::max({std::int64_t{1}, grain.least, n / Chunks::kLimit + 1});
  const std::int64_t most_chunks = std::clamp<std::int64_t>(grain.most / chunk, 1, Chunks::kMostLimit), most = most_chunks * chunk;
  const DefaultFloatMode mode;
  if (n <= most || size_ == 1 || (s.workers.empty() && !s.executor)) {
    for (std::int64_t first = 0; first < n;) {
      const std::int64_t last = first + std::min(most, n - first);
      call(fn, 0, first, last);
      first = last;
    }
    return;
  }
  const std::int64_t n_chunks = (n - 1) / chunk + 1;
  s.publish(n, chunk, most_chunks, call, fn);
  if (s.executor) {
    s.n_tasks = static_cast<std::size_t>(std::min<std::int64_t>(size_, n_chunks));
    s.executor.parallel_for(s.executor.user, s.n_tasks, [](void* arg, std::size_t i) {
      State& state = *static_cast<State*>(arg);
      if (i < state.n_tasks) state.work(static_cast<int>(i));   // any other index has no scratch
    }, &s);
  } else {
    s.wake(static_cast<std::uint32_t>(n_chunks - 1));
  }
  s.work(0);   // the caller's share, or what an executor left undone
  s.wait_until_finished();
}

}  // namespace infer
