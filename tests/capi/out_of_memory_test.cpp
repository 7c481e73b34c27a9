// SPDX-License-Identifier: MIT
// The n-th allocation fails, for every n: each call of the C ABI answers INFER_E_NOMEM, nothing is leaked (the sanitizer
// looks), nothing ends the process, and the same call succeeds when there is memory again.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "libinfer.h"
#include "tests/testing/allocations.h"
#include "tests/testing/bundled.h"

namespace infer {
namespace {

using testing::fail_allocation;
using testing::stop_failing;

/// Calls `call` with the n-th allocation failing, n = 0, 1, 2 ... until none fails any more. `undo` takes a success back.
void sweep(const std::function<infer_status(infer_error**)>& call, const std::function<void()>& undo) {
  constexpr long kMost = 100000;
  for (long n = 0; n < kMost; ++n) {
    infer_error* error = nullptr;
    fail_allocation(n);
    const infer_status status = call(&error);
    const bool failed = stop_failing();
    if (status == INFER_OK) undo();
    // A failure inside is either the answer, or was not needed (a message that was not made).
    ASSERT_TRUE(status == INFER_OK || status == INFER_E_NOMEM) << n << ": " << infer_error_message(error);
    ASSERT_TRUE(failed || status == INFER_OK) << n;
    ASSERT_EQ(infer_error_code(error), status);
    ASSERT_TRUE(status == INFER_OK || infer_error_message(error)[0] != 0);
    infer_error_release(error);
    if (!failed) return;
  }
  FAIL() << "still failing after " << kMost << " allocations";
}

class OutOfMemory : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(infer_model_load_path(path_.c_str(), INFER_STR_NUL, &model_, nullptr), INFER_OK); }
  void TearDown() override { infer_model_release(model_); }

  const std::string path_ = testing::bundled_path();
  infer_model* model_ = nullptr;
};

TEST_F(OutOfMemory, InALoadIsAnError) {
  infer_model* model = nullptr;
  sweep([&](infer_error** e) { return infer_model_load_path(path_.c_str(), INFER_STR_NUL, &model, e); },
        [&] { infer_model_release(model); });
}

TEST_F(OutOfMemory, InASessionWithThreadsIsAnError) {
  infer_options* options = nullptr;
  ASSERT_EQ(infer_options_create(INFER_OPTIONS_SESSION, &options, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_parse(options, "n_threads=4\nn_ctx=64", INFER_STR_NUL, nullptr), INFER_OK);
  infer_session* session = nullptr;
  sweep([&](infer_error** e) { return infer_session_create(model_, options, &session, e); },
        [&] { infer_session_release(session); });
  infer_options_release(options);
}

TEST_F(OutOfMemory, InATextIsAnError) {
  std::int32_t tokens[64];
  std::size_t need = 0;
  char text[64];
  sweep([&](infer_error** e) { return infer_tokenize(model_, "The old prince", INFER_STR_NUL, 1, tokens, 64, &need, e); }, [] {});
  const std::size_t n = need;
  sweep([&](infer_error** e) { return infer_detokenize(model_, tokens, n, 0, text, sizeof text, &need, e); }, [] {});
}

TEST_F(OutOfMemory, InAGenerationIsAnErrorAndTheSessionGoesOn) {
  infer_session* session = nullptr;
  infer_options* options = nullptr;
  ASSERT_EQ(infer_session_create(model_, nullptr, &session, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_create(INFER_OPTIONS_GENERATE, &options, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_parse(options, "max_tokens=3\ntemperature=0", INFER_STR_NUL, nullptr), INFER_OK);
  const auto drop = [](void*, const char*, std::size_t) -> std::int32_t { return 0; };
  sweep(
      [&](infer_error** e) {
        infer_seq_clear(session, 0, nullptr);
        return infer_generate(session, 0, "The old prince", INFER_STR_NUL, options, nullptr, drop, nullptr, nullptr, e);
      },
      [] {});
  infer_options_release(options);
  infer_session_release(session);
}

}  // namespace
}  // namespace infer
