// SPDX-License-Identifier: MIT
// Once a session, a sampler, a decoder and a stream exist, feeding, stepping, sampling and streaming take no memory: not
// one call of malloc or operator new by any thread of the session.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "libinfer.h"
#include "tests/testing/allocations.h"
#include "tests/testing/bundled.h"

namespace infer {
namespace {

class NoAllocation : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(infer_model_load_path(path_.c_str(), INFER_STR_NUL, &model_, nullptr), INFER_OK);
    infer_options* options = nullptr;
    ASSERT_EQ(infer_options_create(INFER_OPTIONS_SESSION, &options, nullptr), INFER_OK);
    ASSERT_EQ(infer_options_parse(options, "n_threads=4\nn_seq=2\nn_ctx=256", INFER_STR_NUL, nullptr), INFER_OK);
    ASSERT_EQ(infer_session_create(model_, options, &session_, nullptr), INFER_OK);
    infer_options_release(options);
  }
  void TearDown() override {
    infer_session_release(session_);
    infer_model_release(model_);
  }
  /// A seed makes the same tokens every time; the stages are those that keep most.
  static infer_options* options(std::int32_t kind, const char* text) {
    infer_options* o = nullptr;
    EXPECT_EQ(infer_options_create(kind, &o, nullptr), INFER_OK);
    EXPECT_EQ(infer_options_parse(o, text, INFER_STR_NUL, nullptr), INFER_OK);
    return o;
  }

  const std::string path_ = testing::bundled_path();
  infer_model* model_ = nullptr;
  infer_session* session_ = nullptr;
};

constexpr int kSteps = 100;
constexpr const char* kSampling =
    "seed=7\ntemperature=1.5\ntop_k=0\ntop_p=0.99\nmin_p=0.001\nrepetition_penalty=1.1\nfrequency_penalty=0.1";

TEST_F(NoAllocation, InAHundredStepsOfTheTokenTier) {
  infer_options* const o = options(INFER_OPTIONS_SAMPLER, kSampling);
  infer_sampler* sampler = nullptr;
  infer_decoder* decoder = nullptr;
  ASSERT_EQ(infer_sampler_create(model_, o, &sampler, nullptr), INFER_OK);
  ASSERT_EQ(infer_decoder_create(model_, 0, &decoder, nullptr), INFER_OK);
  std::int32_t second = 0;
  ASSERT_EQ(infer_seq_open(session_, &second, nullptr), INFER_OK);
  std::int32_t token = 1;
  int n_failed = 0;
  std::size_t n_bytes = 0;
  infer_error* error = nullptr;

  const std::size_t before = testing::n_allocations();
  for (int i = 0; i < kSteps; ++i) {
    const char* text = nullptr;
    std::size_t length = 0;
    const std::int32_t seqs[] = {0, second};
    const std::int32_t tokens[] = {token, token};
    n_failed += i % 2 == 0 ? infer_feed(session_, 0, &token, 1, INFER_LOGITS_LAST, nullptr, &error) != INFER_OK
                           : infer_step(session_, seqs, tokens, 2, nullptr, &error) != INFER_OK;
    n_failed += infer_sample(session_, sampler, 0, &token, nullptr, &error) != INFER_OK;
    n_failed += infer_sampler_accept(sampler, token, &error) != INFER_OK;
    n_failed += infer_decoder_push(decoder, token, &text, &length, &error) != INFER_OK;
    n_bytes += length;
  }
  n_failed += infer_seq_clear(session_, 0, &error) != INFER_OK;
  const std::size_t after = testing::n_allocations();

  EXPECT_EQ(after - before, 0U);
  EXPECT_EQ(n_failed, 0);
  EXPECT_GT(n_bytes, 0U);
  infer_decoder_release(decoder);
  infer_sampler_release(sampler);
  infer_options_release(o);
}

TEST_F(NoAllocation, WhileAnImportanceMatrixIsFilled) {
  infer_imatrix* imatrix = nullptr;
  ASSERT_EQ(infer_imatrix_create(model_, &imatrix, nullptr), INFER_OK);
  ASSERT_EQ(infer_session_set_imatrix(session_, imatrix, nullptr), INFER_OK);
  const std::int32_t tokens[] = {1, 2, 3, 4, 5};

  const std::size_t before = testing::n_allocations();
  EXPECT_EQ(infer_feed(session_, 0, tokens, 5, INFER_LOGITS_LAST, nullptr, nullptr), INFER_OK);
  EXPECT_EQ(infer_feed(session_, 0, tokens, 1, INFER_LOGITS_LAST, nullptr, nullptr), INFER_OK);

  EXPECT_EQ(testing::n_allocations() - before, 0U);
  infer_imatrix_release(imatrix);
}

TEST_F(NoAllocation, InTheDecoderWhateverTheTokens) {
  infer_decoder* decoder = nullptr;
  std::int64_t n_vocab = 0;
  ASSERT_EQ(infer_decoder_create(model_, 0, &decoder, nullptr), INFER_OK);
  ASSERT_EQ(infer_model_get_i64(model_, "n_vocab", &n_vocab, nullptr), INFER_OK);
  const char* text = nullptr;
  std::size_t length = 0;

  const std::size_t before = testing::n_allocations();
  for (std::int64_t token = 0; token < n_vocab; ++token) {
    infer_decoder_push(decoder, static_cast<std::int32_t>(token), &text, &length, nullptr);
  }
  infer_decoder_flush(decoder, &text, &length, nullptr);

  EXPECT_EQ(testing::n_allocations() - before, 0U);
  infer_decoder_release(decoder);
}

TEST_F(NoAllocation, InAHundredEventsOfAStream) {
  infer_options* const o = options(INFER_OPTIONS_GENERATE, (std::string(kSampling) +
      "\nignore_eog=1\nlogprobs=5\nstop=a string that does not occur\nstop=the the the the").c_str());
  infer_stream* stream = nullptr;
  ASSERT_EQ(infer_stream_start_text(session_, 0, "The old prince", INFER_STR_NUL, o, nullptr, &stream, nullptr), INFER_OK);
  int n_tokens = 0;
  std::size_t n_bytes = 0;

  const std::size_t before = testing::n_allocations();
  for (int i = 0; i < kSteps; ++i) {
    const infer_event* event = nullptr;
    if (infer_stream_next(stream, &event, nullptr) != INFER_OK) break;
    std::size_t length = 0;
    infer_event_text(event, &length);
    n_bytes += length;
    n_tokens += infer_event_kind(event) == INFER_EVENT_TOKEN;
  }
  const std::size_t after = testing::n_allocations();

  EXPECT_EQ(after - before, 0U);
  EXPECT_EQ(n_tokens, kSteps - 1);   // the first event is the prompt's
  EXPECT_GT(n_bytes, 100U);
  infer_stream_release(stream);
  infer_options_release(o);
}

TEST_F(NoAllocation, ButTheCounterSeesMallocWhereItCan) {
  const std::size_t before = testing::n_allocations();
  infer_options* const o = options(INFER_OPTIONS_SAMPLER, "seed=7");
  EXPECT_GT(testing::n_allocations(), before);
  infer_options_release(o);
  if (!testing::counts_malloc()) GTEST_SKIP() << "sanitizers have a malloc of their own";
  const std::size_t n = testing::n_allocations();
  void* volatile memory = std::malloc(1);
  std::free(memory);
  memory = std::aligned_alloc(64, 64);
  std::free(memory);
  EXPECT_EQ(testing::n_allocations(), n + 2);
}

}  // namespace
}  // namespace infer
