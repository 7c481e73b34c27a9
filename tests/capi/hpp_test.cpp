// SPDX-License-Identifier: MIT
// Tests of include/libinfer.hpp: errors as values and as exceptions, ownership, streams.
#include "libinfer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cfenv>
#include <iterator>
#include <thread>
#include <vector>

#if defined(__unix__)
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

const std::string kPath = INFER_TEST_DATA_DIR "/war-and-peace-2.6m-q8_0.gguf";

TEST(Hpp, AFailureIsAValueWithASentence) {
  const auto model = libinfer::Model::load("nowhere.gguf");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code(), INFER_E_NOFILE);
  EXPECT_NE(std::string(model.error().message()).find("nowhere.gguf"), std::string::npos);
}

TEST(Hpp, ValueOfAFailureThrows) {
  EXPECT_THROW(static_cast<void>(libinfer::Model::load("nowhere.gguf").value()), libinfer::Exception);
}

TEST(Hpp, ChildrenKeepTheirParents) {
  auto stream = [] {
    const auto model = libinfer::Model::load(kPath).value();
    const auto session = libinfer::Session::create(model).value();
    auto options = libinfer::Options::create(INFER_OPTIONS_GENERATE).value();
    options.parse("max_tokens=8\ntemperature=0").value();
    return libinfer::Stream::start(session, "Pierre", &options).value();
  }();
  std::string text;
  for (const libinfer::Event event : stream) text += event.text();
  EXPECT_TRUE(stream.status().ok());
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(stream.get_i64("generated_tokens").value(), 8);
}

TEST(Hpp, TokensGoAroundAndBack) {
  const auto model = libinfer::Model::load(kPath).value();
  const std::string text = "He was thinking — of what?";
  const std::vector<std::int32_t> ids = model.tokenize(text, 0).value();
  EXPECT_EQ(model.detokenize(ids).value(), text);
  const auto spans = model.tokenize_spans(text, 0).value();
  EXPECT_EQ(spans.tokens, ids);
  EXPECT_EQ(spans.ends.size(), ids.size());
  EXPECT_EQ(spans.ends.back(), text.size());
}

/// The logits and the next tokens after a prompt of many tokens; the host has float modes of its own where it is told to.
struct Results {
  std::vector<float> logits;
  std::vector<std::int32_t> tokens;
};
Results results(bool with_modes) {
  const auto model = libinfer::Model::load(kPath).value();
  const std::vector<std::int32_t> prompt = model.tokenize("In the middle of the night a shot was heard, and another", 0).value();
  auto options = libinfer::Options::create(INFER_OPTIONS_SAMPLER).value();
  options.parse("temperature=0.9\nseed=7").value();
  std::fenv_t before;
  std::fegetenv(&before);
  if (with_modes) {
    std::fesetround(FE_DOWNWARD);
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040);   // as in programs of -ffast-math
#endif
  }
  Results results;
  {
    auto session = libinfer::Session::create(model).value();
    auto sampler = libinfer::Sampler::create(model, &options).value();
    session.feed(prompt).value();
    for (int i = 0; i < 8; ++i) {
      for (const float logit : session.logits().value()) results.logits.push_back(logit);
      results.tokens.push_back(sampler.sample(session).value().token);
      session.feed(std::vector<std::int32_t>{results.tokens.back()}).value();
    }
  }
  EXPECT_EQ(std::fegetround(), with_modes ? FE_DOWNWARD : FE_TONEAREST);
  std::fesetenv(&before);
  return results;
}

TEST(Hpp, FloatModesOfTheHostDoNotMatter) {
  const Results plain = results(false), with_modes = results(true);
  EXPECT_EQ(plain.logits, with_modes.logits);
  EXPECT_EQ(plain.tokens, with_modes.tokens);
}

TEST(Hpp, TheMachineHasLimitsAndAModelAsksForWork) {
  const auto limits = libinfer::machine_probe(1).value();
  EXPECT_GT(limits.read_bytes_per_second, 0.0);
  EXPECT_GT(limits.dot_mul_adds_per_second, 0.0);
  EXPECT_GT(limits.fma_mul_adds_per_second, 0.0);
  EXPECT_EQ(libinfer::machine_probe(-1).error().code(), INFER_E_RANGE);

  const auto model = libinfer::Model::load(kPath).value();
  const auto one = model.work(1, 1).value(), batch = model.work(8, 1).value();
  EXPECT_EQ(one.bytes, batch.bytes);
  EXPECT_GT(batch.dot_mul_adds, one.dot_mul_adds);
  EXPECT_LT(batch.dot_mul_adds, 8 * one.dot_mul_adds);   // one row of logits
  EXPECT_EQ(model.work(1, 2).error().code(), INFER_E_RANGE);
  EXPECT_EQ(model.work(0, 0).error().code(), INFER_E_RANGE);

  const auto session = libinfer::Session::create(model).value();
  EXPECT_GT(session.get_i64("kv_position_bytes").value(), 0);
  EXPECT_EQ(session.get_i64("kv_window_position_bytes").value(), 0);
}

TEST(Hpp, TheHostsThreadsDoTheWork) {
  std::atomic<int> jobs{0};
  auto env = libinfer::Env::create().value();
  EXPECT_GE(env.get_i64("cores").value(), 1);
  env.set_executor(2, [&](std::size_t n, const std::function<void(std::size_t)>& task) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < n; ++i) threads.emplace_back(task, i);
    for (std::thread& t : threads) t.join();
    ++jobs;
  }).value();
  libinfer::Load how;
  how.env = &env;
  const auto model = libinfer::Model::load(kPath, how).value();
  auto session = libinfer::Session::create(model).value();
  EXPECT_EQ(session.get_i64("n_threads").value(), 2);
  const std::vector<std::int32_t> tokens = {11, 12, 13};
  EXPECT_TRUE(session.feed(tokens, INFER_LOGITS_LAST).ok());
  EXPECT_GT(jobs.load(), 0);
  EXPECT_EQ(env.set_executor(1, nullptr).error().code(), INFER_E_STATE);
}

TEST(Hpp, TheLogGetsWholeRecords) {
  std::vector<std::string> records;
  {
    auto env = libinfer::Env::create().value();
    env.set_log(INFER_LOG_INFO, [&](std::int32_t, const char*, const char* message) { records.emplace_back(message); }).value();
    libinfer::Load how;
    how.env = &env;
    static_cast<void>(libinfer::Model::load(kPath, how).value());
  }
  ASSERT_FALSE(records.empty());
  EXPECT_NE(records[0].find("GGUF v3"), std::string::npos) << records[0];
}

TEST(Hpp, MemoryIsPlannedAndBounded) {
  auto env = libinfer::Env::create().value();
  libinfer::Load how;
  how.env = &env;
  const auto source = libinfer::Source::path(kPath).value();
  const infer_memory_plan plan = libinfer::Model::plan(source, how).value();

  env.set_budget(plan.owned).value();
  const auto model = libinfer::Model::load(source, how).value();
  const infer_memory_plan alone = libinfer::Session::plan(model).value();
  const auto session = libinfer::Session::create(model);

  ASSERT_TRUE(session.ok()) << session.error().message();
  EXPECT_EQ(alone.kv, plan.kv);
  EXPECT_EQ(env.memory(INFER_MEMORY_OWNED).value().now, plan.owned);
  EXPECT_EQ(libinfer::Session::create(model).error().code(), INFER_E_BUDGET);
  EXPECT_EQ(env.set_allocator(nullptr, nullptr).error().code(), INFER_E_STATE);
}

TEST(Hpp, ACallbackMayReleaseTheSessionThatRuns) {
  const auto model = libinfer::Model::load(kPath).value();
  infer_session* session = nullptr;
  ASSERT_EQ(infer_session_create(model.get(), nullptr, &session, nullptr), INFER_OK);
  auto options = libinfer::Options::create(INFER_OPTIONS_GENERATE).value();
  options.parse("max_tokens=4").value();
  const auto release = [](void* user, const char*, std::size_t) -> std::int32_t {
    infer_session_release(*static_cast<infer_session**>(user));
    *static_cast<infer_session**>(user) = nullptr;   // NULL is fine to release
    return 0;
  };
  EXPECT_EQ(infer_generate(session, 0, "Pierre", INFER_STR_NUL, options.get(), nullptr, release, &session, nullptr, nullptr), INFER_OK);
  EXPECT_EQ(session, nullptr);
}

#ifdef __cpp_exceptions
TEST(Hpp, WhatCallbacksThrowIsTheHostsFailure) {
  auto env = libinfer::Env::create().value();
  env.set_log(INFER_LOG_DEBUG, [](std::int32_t, const char*, const char*) { throw 1; }).value();
  libinfer::Load how;
  how.env = &env;
  const auto model = libinfer::Model::load(kPath, how).value();
  how.progress = [](std::uint64_t, std::uint64_t) -> bool { throw 2; };
  EXPECT_EQ(libinfer::Model::load(kPath, how).error().code(), INFER_E_CALLBACK);

  const auto session = libinfer::Session::create(model).value();
  const auto text = [](void*, const char*, std::size_t) -> std::int32_t { throw 3; };
  infer_error* error = nullptr;
  EXPECT_EQ(infer_generate(session.get(), 0, "Pierre", INFER_STR_NUL, nullptr, nullptr, text, nullptr, nullptr, &error), INFER_E_CALLBACK);
  EXPECT_NE(std::string(infer_error_message(error)).find("threw"), std::string::npos);
  infer_error_release(error);
}
#endif

TEST(Hpp, AnEmptyLogIsSilent) {
  auto env = libinfer::Env::create().value();
  env.set_log(INFER_LOG_DEBUG, {}).value();
  libinfer::Load how;
  how.env = &env;
  EXPECT_TRUE(libinfer::Model::load(kPath, how).ok());
}

TEST(Hpp, ACancelIsSeenWhileTextIsTokenised) {
  const auto model = libinfer::Model::load(kPath).value();
  const auto session = libinfer::Session::create(model).value();
  auto options = libinfer::Options::create(INFER_OPTIONS_GENERATE).value();
  const auto cancel = libinfer::Cancel::create().value();
  infer_cancel_trigger(cancel.get());
  const std::string text(std::size_t{1} << 20, 'a');
  EXPECT_EQ(libinfer::Stream::start(session, text, &options, &cancel).error().code(), INFER_E_CANCELLED);
  const auto drop = [](void*, const char*, std::size_t) -> std::int32_t { return 0; };
  std::int32_t reason = INFER_FINISH_NONE;
  EXPECT_EQ(infer_generate(session.get(), 0, text.data(), text.size(), nullptr, cancel.get(), drop, nullptr, &reason, nullptr), INFER_OK);
  EXPECT_EQ(reason, INFER_FINISH_CANCELLED);
}

TEST(Hpp, ASamplerCountsTokensOfItsVocabulary) {
  const auto model = libinfer::Model::load(kPath).value();
  infer_sampler* sampler = nullptr;
  ASSERT_EQ(infer_sampler_create(model.get(), nullptr, &sampler, nullptr), INFER_OK);
  EXPECT_EQ(infer_sampler_accept(sampler, 1023, nullptr), INFER_OK);
  for (const std::int32_t token : {-1, 1024, 2147483647}) EXPECT_EQ(infer_sampler_accept(sampler, token, nullptr), INFER_E_TOKEN);
  infer_sampler_release(sampler);
}

#if defined(__cpp_lib_concepts)
static_assert(std::input_iterator<libinfer::Stream::Iterator>);
#endif

TEST(Hpp, CancelFunctionsLeaveOtherHandlesAlone) {
  const auto env = libinfer::Env::create().value();
  auto* const other = reinterpret_cast<infer_cancel*>(env.get());
  infer_cancel_trigger(other);
  infer_cancel_reset(other);
  EXPECT_EQ(infer_cancel_is_set(other), 0);
  EXPECT_GE(env.get_i64("cores").value(), 1);
}

TEST(Hpp, AStopStringIsUtf8) {
  const auto model = libinfer::Model::load(kPath).value();
  const auto session = libinfer::Session::create(model).value();
  auto options = libinfer::Options::create(INFER_OPTIONS_GENERATE).value();
  options.set("stop", "\xA9").value();
  EXPECT_EQ(libinfer::Stream::start(session, "Pierre", &options).error().code(), INFER_E_UTF8);
}

#if defined(__unix__)
/// Reads a file and waits for threads, where a thread may be cancelled.
[[gnu::noinline]] void load_and_release(infer_status& status) {
  infer_model* model = nullptr;
  infer_session* session = nullptr;
  infer_options* options = nullptr;
  status = infer_model_load_path(kPath.c_str(), INFER_STR_NUL, &model, nullptr);
  infer_options_create(INFER_OPTIONS_SESSION, &options, nullptr);
  infer_options_parse(options, "n_threads=2", INFER_STR_NUL, nullptr);
  infer_session_create(model, options, &session, nullptr);
  infer_options_release(options);
  infer_model_release(model);
  infer_session_release(session);
}

/// Not inside of a call, which could only end the process.
TEST(Hpp, AThreadThatIsCancelledInACallEndsBehindIt) {
  infer_status status = INFER_E_INTERNAL;
  const auto work = [](void* user) -> void* {   // no variables: the address sanitizer does not see a cancelled frame go
    pthread_cancel(pthread_self());
    load_and_release(*static_cast<infer_status*>(user));
    pthread_testcancel();
    return nullptr;
  };
  pthread_t thread{};
  ASSERT_EQ(pthread_create(&thread, nullptr, work, &status), 0);
  void* result = nullptr;
  ASSERT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  EXPECT_EQ(status, INFER_OK);
}
#endif

}  // namespace
