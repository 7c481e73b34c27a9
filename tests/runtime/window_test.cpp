// SPDX-License-Identifier: MIT
// Sessions of models with a sliding window: old pages are given away, and a feed that fails can go back all the same.
#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/session.h"
#include "tests/testing/random.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

constexpr std::int64_t kContext = 2048;

/// A model and the bytes it points into.
struct Windowed {
  explicit Windowed(std::int64_t window) {
    testing::TinyModel tiny;
    tiny.sliding_window = window;
    tiny.context = kContext;
    file = testing::make_tiny_model(tiny);
    model = std::move(Model::load(Library::builtin(), Source::from_memory(file), {})).value();
  }
  std::vector<std::byte> file;
  std::shared_ptr<const Model> model;
};

std::vector<Token> some_tokens(std::int64_t n) {
  testing::Random random(7);
  std::vector<Token> tokens(static_cast<std::size_t>(n));
  for (Token& t : tokens) t = static_cast<Token>(random.below(320));
  return tokens;
}

/// Threads of the host's, which count loops, and set a flag after so many.
struct Canceller {
  CancelFlag flag;
  int loops_left = -1;   ///< negative: never
  int loops = 0;

  Executor executor() {
    return {.n_threads = 2,
            .parallel_for =
                [](void* user, std::size_t n, void (*task)(void*, std::size_t), void* arg) {
                  Canceller& self = *static_cast<Canceller*>(user);
                  ++self.loops;
                  if (self.loops_left >= 0 && self.loops_left-- == 0) self.flag.set = true;
                  for (std::size_t i = 0; i < n; ++i) task(arg, i);
                },
            .user = this};
  }
};

TEST(Window, ACancelledFeedLeavesTheSequenceAsItWas) {
  const Windowed w(40);
  const std::vector<Token> prompt = some_tokens(100), more = some_tokens(1500);
  const Token next = 17;
  const auto fresh = std::move(Session::create(w.model, {.n_ctx = kContext, .n_threads = 1})).value();
  ASSERT_TRUE(fresh->feed(0, prompt, WantLogits::none, nullptr).ok());
  ASSERT_TRUE(fresh->feed(0, {&next, 1}, WantLogits::last, nullptr).ok());
  const std::span<const float> expected = fresh->logits(0).value();

  Canceller canceller;
  const auto session =
      std::move(Session::create(w.model, {.n_ctx = kContext, .n_batch = 32, .executor = canceller.executor()})).value();
  ASSERT_TRUE(session->feed(0, prompt, WantLogits::none, nullptr).ok());
  // How many a feed takes that is not cancelled, in another session.
  Canceller counter;
  const auto other =
      std::move(Session::create(w.model, {.n_ctx = kContext, .n_batch = 32, .executor = counter.executor()})).value();
  ASSERT_TRUE(other->feed(0, prompt, WantLogits::none, nullptr).ok());
  counter.loops = 0;
  ASSERT_TRUE(other->feed(0, more, WantLogits::last, nullptr).ok());
  ASSERT_GT(counter.loops, 200);
  for (const int loops : {0, 5, 100, counter.loops / 2, counter.loops - 1}) {
    canceller.flag.set = false;
    canceller.loops_left = loops;
    const Status fed = session->feed(0, more, WantLogits::last, &canceller.flag);
    ASSERT_EQ(fed.code(), Code::cancelled) << loops << " loops: " << fed.message();
    ASSERT_EQ(session->length(0), 100);
  }
  ASSERT_TRUE(session->feed(0, {&next, 1}, WantLogits::last, nullptr).ok());

  const std::span<const float> found = session->logits(0).value();
  EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()));
}

TEST(Window, TakesMemoryForTheWindowAlone) {
  const Windowed narrow(64), wide(kContext);
  const SessionOptions options{.n_ctx = kContext, .n_batch = 32};
  const std::uint64_t kv_narrow = Session::plan(narrow.model, options).value()[MemoryClass::kv];
  const std::uint64_t kv_wide = Session::plan(wide.model, options).value()[MemoryClass::kv];

  // 64 pages of 32 positions; 3 for the window, 4 for what is being fed beside it. The tokens themselves are kept all.
  const double tokens = static_cast<double>(kContext * sizeof(Token));
  EXPECT_NEAR(static_cast<double>(kv_narrow) - tokens, (static_cast<double>(kv_wide) - tokens) * 7.0 / 64.0, 2000.0);
}

TEST(Window, AFullContextIsReachedInAnyPieces) {
  const Windowed w(33);
  const std::vector<Token> tokens = some_tokens(kContext);
  const auto whole = std::move(Session::create(w.model, {.n_ctx = kContext, .n_batch = 512, .n_threads = 2})).value();
  ASSERT_TRUE(whole->feed(0, tokens, WantLogits::last, nullptr).ok());
  const std::span<const float> expected = whole->logits(0).value();

  const auto pieces =
      std::move(Session::create(w.model, {.n_ctx = kContext, .n_seq = 2, .n_batch = 48, .n_threads = 1})).value();
  ASSERT_EQ(pieces->open().value(), 1);
  std::size_t n = 1;
  for (std::size_t i = 0; i < tokens.size(); i += n, n = n % 61 + 5) {   // a neighbour takes pages in between
    ASSERT_TRUE(pieces->feed(1, std::span(tokens).first(7), WantLogits::none, nullptr).ok());
    n = std::min(n, tokens.size() - i);
    ASSERT_TRUE(pieces->feed(0, std::span(tokens).subspan(i, n), WantLogits::last, nullptr).ok());
  }

  EXPECT_EQ(pieces->room(0), 0);
  const std::span<const float> found = pieces->logits(0).value();
  EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()));
}

}  // namespace
}  // namespace infer
