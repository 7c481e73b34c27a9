// SPDX-License-Identifier: MIT
// What an embedder does with threads and processes: many sessions and models at once, a cancel from elsewhere, the host's
// own executor, a fork. Logits are held against those of a session that ran alone. Run this under the thread sanitizer.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include <gtest/gtest.h>

#include "libinfer.h"
#include "libinfer/generation.h"
#include "tests/testing/bundled.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using testing::bundled_model;
using testing::make_tiny_model;
using testing::TinyModel;
using Clock = std::chrono::steady_clock;

std::unique_ptr<Session> session_of(const std::shared_ptr<const Model>& model, const SessionOptions& options) {
  Result<std::unique_ptr<Session>> s = Session::create(model, options);
  EXPECT_TRUE(s.ok()) << (s.ok() ? "" : s.status().message());
  return s.ok() ? std::move(s).value() : nullptr;
}

std::shared_ptr<const Model> model_of(const std::vector<std::byte>& file) {
  Result<std::shared_ptr<const Model>> model = Model::load(Library::builtin(), Source::from_memory(file), {});
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.status().message());
  return model.ok() ? model.value() : nullptr;
}

std::vector<Token> some_tokens(std::size_t n, Token salt = 0) {
  std::vector<Token> tokens(n);
  for (std::size_t i = 0; i < n; ++i) tokens[i] = static_cast<Token>((i * 7 + static_cast<std::size_t>(salt) * 13) % 300);
  return tokens;
}

/// A prompt and a few tokens after it; the logits of the last. Empty when something failed.
std::vector<float> run(Session& s, std::span<const Token> prompt) {
  if (!s.clear(0).ok() || !s.feed(0, prompt, WantLogits::last, nullptr).ok()) return {};
  for (const Token t : {5, 6, 7}) {
    const SequenceId seq = 0;
    if (!s.step(std::span(&seq, 1), std::span(&t, 1), nullptr).ok()) return {};
  }
  const std::span<const float> row = s.logits(0).value();
  return {row.begin(), row.end()};
}

std::vector<float> run_alone(const std::shared_ptr<const Model>& model, std::span<const Token> prompt) {
  return run(*session_of(model, {.n_ctx = 128, .n_threads = 1}), prompt);
}

TEST(Concurrency, EightSessionsOfOneModelOnFourThreads) {
  const auto model = bundled_model();
  ASSERT_NE(model, nullptr);
  std::vector<std::vector<float>> alone;
  for (Token i = 0; i < 8; ++i) alone.push_back(run_alone(model, some_tokens(40, i)));
  std::atomic<int> same{0};

  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto a = Session::create(model, {.n_ctx = 128, .n_threads = 3, .n_awake = 3});
      const auto b = Session::create(model, {.n_ctx = 128, .n_batch = 16, .n_threads = 2});
      if (!a.ok() || !b.ok()) return;
      for (int round = 0; round < 2; ++round) {
        same += run(*a.value(), some_tokens(40, 2 * t)) == alone[static_cast<std::size_t>(2 * t)];
        same += run(*b.value(), some_tokens(40, 2 * t + 1)) == alone[static_cast<std::size_t>(2 * t + 1)];
      }
    });
  }
  for (std::thread& t : threads) t.join();

  EXPECT_EQ(same.load(), 16);
}

TEST(Concurrency, TwoModelsAtOnce) {
  const std::vector<std::byte> file = make_tiny_model({.seed = 3});
  const std::shared_ptr<const Model> models[] = {bundled_model(), model_of(file)};
  const std::vector<Token> prompt = some_tokens(50);
  const std::vector<float> alone[] = {run_alone(models[0], prompt), run_alone(models[1], prompt)};
  std::atomic<int> same{0};

  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto s = Session::create(models[t % 2], {.n_ctx = 128, .n_threads = 2, .n_awake = 2});
      for (int round = 0; round < 3; ++round) same += s.ok() && run(*s.value(), prompt) == alone[t % 2];
    });
  }
  for (std::thread& t : threads) t.join();

  EXPECT_EQ(same.load(), 12);
}

/// Loads are no W calls: what another thread sets meanwhile counts for a load as a whole, or is refused.
TEST(Concurrency, AnEnvironmentIsSetWhileModelsAreLoadedWithIt) {
  const std::string path = testing::bundled_path();
  for (int round = 0; round < 4; ++round) {
    infer_env* env = nullptr;
    infer_source* source = nullptr;
    ASSERT_EQ(infer_env_create(&env, nullptr), INFER_OK);
    ASSERT_EQ(infer_source_path(path.c_str(), INFER_STR_NUL, &source, nullptr), INFER_OK);
    std::atomic<int> n_loaded{0};
    std::vector<std::thread> loads;
    for (int i = 0; i < 2; ++i) {
      loads.emplace_back([&] {
        infer_model* model = nullptr;
        if (infer_model_load(env, source, nullptr, nullptr, nullptr, nullptr, &model, nullptr) == INFER_OK) ++n_loaded;
        infer_model_release(model);
      });
    }
    infer_status status = INFER_OK;
    while (status == INFER_OK || status == INFER_E_BUSY) {
      status = infer_env_set_allocator(env, nullptr, nullptr, nullptr, nullptr, nullptr);
      if (status == INFER_OK) status = infer_env_set_log(env, INFER_LOG_OFF, nullptr, nullptr, nullptr, nullptr);
    }
    for (std::thread& load : loads) load.join();
    EXPECT_EQ(status, INFER_E_STATE);
    EXPECT_EQ(n_loaded, 2);
    infer_source_release(source);
    infer_env_release(env);
  }
}

TEST(Concurrency, ModelsAreLoadedWhileOthersGo) {
  const std::vector<std::byte> file = make_tiny_model({.seed = 4});
  const std::vector<Token> prompt = some_tokens(20);
  const std::vector<float> bundled = run_alone(bundled_model(), prompt), tiny = run_alone(model_of(file), prompt);
  std::atomic<int> same{0};

  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 4; ++round) {
        const bool mine = (t + round) % 2 == 0;
        same += run_alone(mine ? bundled_model() : model_of(file), prompt) == (mine ? bundled : tiny);
      }
    });
  }
  for (std::thread& t : threads) t.join();

  EXPECT_EQ(same.load(), 16);
}

// ---- cancel

/// Batches that take seconds, a loop of which takes more than a tenth: a cancel must be seen within the loops.
const TinyModel kWide{.seed = 5, .n_embd = 512, .n_heads = 8, .n_kv_heads = 8, .n_ff = 1024, .context = 8192};

constexpr double kLimitMs = 500.0;   // the promise is 50 ms; tests run on loaded machines, and instrumented

CancelFlag cancel_flag;
std::atomic<Clock::duration::rep> cancelled_at{0};

extern "C" void cancel_now(int) {
  cancelled_at = Clock::now().time_since_epoch().count();
  cancel_flag.set = true;
}

double milliseconds_since_cancel() {
  const Clock::duration late = Clock::now().time_since_epoch() - Clock::duration(cancelled_at.load());
  return std::chrono::duration<double, std::milli>(late).count();
}

class Cancel : public ::testing::TestWithParam<int> {
 protected:
  Cancel() : file_(make_tiny_model(kWide)), model_(model_of(file_)) {
    cancel_flag.set = false;
    session_ = session_of(model_, {.n_ctx = 8192, .n_batch = 8192, .n_threads = GetParam(), .n_awake = GetParam()});
  }

  /// Feeds for seconds, unless cancelled by then.
  void expect_a_quick_end() {
    ASSERT_TRUE(session_->feed(0, some_tokens(3), WantLogits::last, nullptr).ok());
    const Status status = session_->feed(0, some_tokens(8000), WantLogits::last, &cancel_flag);
    const double late = milliseconds_since_cancel();
    std::printf("             cancelled after %.2f ms\n", late);
    EXPECT_EQ(status.code(), Code::cancelled) << status.message();
    EXPECT_EQ(status.message(), "cancelled after 0 of 8000 tokens; the sequence holds its 3 tokens from before");
    EXPECT_LT(late, kLimitMs);
  }

  void expect_a_usable_session() {
    EXPECT_EQ(session_->length(0), 3);
    EXPECT_EQ(run(*session_, some_tokens(20)), run_alone(model_, some_tokens(20)));
  }

  const std::vector<std::byte> file_;
  const std::shared_ptr<const Model> model_;
  std::unique_ptr<Session> session_;
};

TEST_P(Cancel, FromAnotherThreadEndsAPromptAtOnce) {
  for (const int delay : {5, 60, 200}) {
    cancel_flag.set = false;
    ASSERT_TRUE(session_->clear(0).ok());
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(delay));
      cancel_now(0);
    });
    expect_a_quick_end();
    other.join();
  }
  expect_a_usable_session();
}

TEST_P(Cancel, FromASignalHandlerEndsAPromptAtOnce) {
  struct sigaction action {}, before {};
  action.sa_handler = cancel_now;
  sigaction(SIGUSR1, &action, &before);
  const pthread_t here = pthread_self();
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    pthread_kill(here, SIGUSR1);
  });
  expect_a_quick_end();
  other.join();
  sigaction(SIGUSR1, &before, nullptr);
  expect_a_usable_session();
}

TEST_P(Cancel, EndsADecodeAtOnce) {
  ASSERT_TRUE(session_->feed(0, some_tokens(3), WantLogits::last, nullptr).ok());
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel_now(0);
  });
  Status status;
  const SequenceId seq = 0;
  const Token token = 7;
  while (status.ok() && session_->room(0) > 0) {
    status = session_->step(std::span(&seq, 1), std::span(&token, 1), &cancel_flag);
  }
  const double late = milliseconds_since_cancel();
  other.join();
  std::printf("             cancelled after %.2f ms\n", late);
  EXPECT_EQ(status.code(), Code::cancelled);
  EXPECT_LT(late, kLimitMs);
}

INSTANTIATE_TEST_SUITE_P(Threads, Cancel, ::testing::Values(1, 3));

TEST(Step, ACancelStaysSeenWhenTheFlagIsReset) {
  const auto model = bundled_model();
  const auto pool = std::move(ThreadPool::create(1)).value();
  Activations act;
  KvCache kv;
  CancelFlag flag;
  Step step{.rows = {}, .config = model->decoder()->config, .act = act, .kv = kv, .kernels = model->kernels(), .pool = *pool,
            .cancel = &flag};
  std::vector<std::int64_t> done;

  step.parallel_for(10, 2, [&](int, std::int64_t first, std::int64_t) noexcept {
    done.push_back(first);
    if (first == 4) flag.set = true;
  });
  flag.set = false;
  step.parallel_for(10, 2, [&](int, std::int64_t first, std::int64_t) noexcept { done.push_back(first); });

  EXPECT_EQ(done, (std::vector<std::int64_t>{0, 2, 4}));
  EXPECT_TRUE(step.is_cancelled());
}

// ---- the host's executor

using Task = void(void* arg, std::size_t i);

constexpr Executor kThreads{.n_threads = 3, .parallel_for = [](void*, std::size_t n, Task* task, void* arg) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < n; ++i) threads.emplace_back(task, arg, i);
  for (std::thread& t : threads) t.join();
}};

constexpr Executor kSequential{.n_threads = 4, .parallel_for = [](void*, std::size_t n, Task* task, void* arg) {
  for (std::size_t i = 0; i < n; ++i) task(arg, i);
}};

TEST(HostExecutor, GivesTheSameLogits) {
  const auto model = bundled_model();
  const std::vector<Token> prompt = some_tokens(60);
  const std::vector<float> alone = run_alone(model, prompt);

  for (const Executor& executor : {kThreads, kSequential}) {
    const auto s = session_of(model, {.n_ctx = 128, .executor = executor});
    EXPECT_EQ(s->options().n_threads, executor.n_threads);
    EXPECT_EQ(run(*s, prompt), alone);
    const auto two = session_of(model, {.n_ctx = 128, .n_threads = 2, .executor = executor});
    EXPECT_EQ(two->options().n_threads, 2);
    EXPECT_EQ(run(*two, prompt), alone);
  }
}

// ---- fork

#if defined(__SANITIZE_THREAD__)
constexpr int kThreadsOfAChild = 1;   // its run time cannot start threads in the child of a process that had several
#else
constexpr int kThreadsOfAChild = 3;
#endif

/// Runs `body` in a child process and answers its exit code, or -1 when a signal or a hang of half a minute ended it.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    _exit(body());
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Fork, ASessionOfTheParentSaysSoAndIsReleased) {
  const auto model = bundled_model();
  auto s = session_of(model, {.n_ctx = 128, .n_seq = 2, .n_threads = 3, .n_awake = 3});
  const std::vector<Token> prompt = some_tokens(30);
  const std::vector<float> before = run(*s, prompt);
  auto generation = Generation::start(*s, 0, prompt, {}, nullptr);
  ASSERT_TRUE(generation.ok());

  EXPECT_EQ(in_child([&] {
    const SequenceId seq = 0;
    const Token token = 5;
    for (int again = 0; again < 2; ++again) {
      if (s->feed(0, prompt, WantLogits::last, nullptr).code() != Code::forked) return 1;
      if (s->step(std::span(&seq, 1), std::span(&token, 1), nullptr).code() != Code::forked) return 2;
      if (s->clear(0).code() != Code::forked || s->close(0).code() != Code::forked) return 3;
      if (s->open().ok() || s->open().status().code() != Code::forked) return 4;
      if (generation.value()->next().status().code() != Code::forked) return 5;
    }
    if (s->clear(0).message().find("create a new session of the same model") == std::string_view::npos) return 6;
    generation.value().reset();
    s.reset();
    return 42;
  }), 42);

  EXPECT_EQ(run(*s, prompt), before);   // the parent has noticed nothing
}

TEST(Fork, AModelOfTheParentServesNewSessions) {
  const auto model = bundled_model();
  const auto inherited = session_of(model, {.n_ctx = 128, .n_threads = 2, .n_awake = 2});
  const std::vector<Token> prompt = some_tokens(30);
  const std::vector<float> before = run(*inherited, prompt);

  EXPECT_EQ(in_child([&] {
    const auto s = Session::create(model, {.n_ctx = 128, .n_threads = kThreadsOfAChild, .n_awake = kThreadsOfAChild});
    if (!s.ok()) return 1;
    if (run(*s.value(), prompt) != before) return 2;
    return in_child([&] { return s.value()->clear(0).code() == Code::forked ? 42 : 3; });   // a grandchild
  }), 42);

  EXPECT_EQ(run(*inherited, prompt), before);
}

TEST(Fork, WhileAnotherThreadIsInsideTheSession) {
  const auto model = bundled_model();
  auto s = session_of(model, {.n_ctx = 4096, .n_threads = 3, .n_awake = 3});
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      if (!s->clear(0).ok() || !s->feed(0, some_tokens(500), WantLogits::last, nullptr).ok()) return;
    }
  });

  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    EXPECT_EQ(in_child([&] {
      if (s->clear(0).code() != Code::forked) return 1;
      s.reset();
      return 42;
    }), 42);
  }
  stop = true;
  busy.join();

  EXPECT_EQ(run(*s, some_tokens(30)), run_alone(model, some_tokens(30)));
}

}  // namespace
}  // namespace infer
