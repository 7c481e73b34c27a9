// SPDX-License-Identifier: MIT
// The n-th allocation fails, for every n, be it malloc or the host's allocator: each call of the C ABI answers
// INFER_E_NOMEM, nothing is leaked, nothing ends the process, and the same call succeeds when there is memory again.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "libinfer.h"
#include "tests/testing/allocations.h"
#include "tests/testing/bundled.h"
#include "tests/testing/temporary_directory.h"
#include "tests/testing/tiny_model.h"

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

/// No memory for the sentence that says so: the sequence is what it was all the same.
TEST(OutOfMemoryFeed, OfDamagedLogitsLeavesTheSequenceAsItWas) {
  testing::TinyModel tiny;
  testing::GgufWriter writer = testing::tiny_model_writer(tiny);
  std::vector<std::byte>& embedding = writer.find_tensor("token_embd.weight")->data;
  std::memset(embedding.data() + 5 * embedding.size() / static_cast<std::size_t>(tiny.n_vocab), 0xff, 16);   // NaN, of token 5
  const std::vector<std::byte> file = writer.build();
  infer_source* source = nullptr;
  infer_model* model = nullptr;
  infer_session* session = nullptr;
  ASSERT_EQ(infer_source_memory(file.data(), file.size(), nullptr, nullptr, &source, nullptr), INFER_OK);
  ASSERT_EQ(infer_model_load(nullptr, source, nullptr, nullptr, nullptr, nullptr, &model, nullptr), INFER_OK);
  ASSERT_EQ(infer_session_create(model, nullptr, &session, nullptr), INFER_OK);
  const std::int32_t sound[] = {1, 2, 3}, damaged[] = {4, 5};
  ASSERT_EQ(infer_feed(session, 0, sound, 3, INFER_LOGITS_LAST, nullptr, nullptr), INFER_OK);
  for (long n = 0; n < 8; ++n) {
    fail_allocation(n);
    const infer_status status = infer_feed(session, 0, damaged, 2, INFER_LOGITS_LAST, nullptr, nullptr);
    stop_failing();
    EXPECT_TRUE(status == INFER_E_TENSOR || status == INFER_E_NOMEM) << status;
    std::size_t length = 0;
    infer_seq_tokens(session, 0, nullptr, 0, &length, nullptr);
    ASSERT_EQ(length, 3U) << n;
  }
  EXPECT_EQ(infer_feed(session, 0, sound, 3, INFER_LOGITS_LAST, nullptr, nullptr), INFER_OK);
  infer_session_release(session);
  infer_model_release(model);
  infer_source_release(source);
}

TEST_F(OutOfMemory, InAConversationIsAnError) {
  infer_session* session = nullptr;
  infer_options* options = nullptr;
  ASSERT_EQ(infer_session_create(model_, nullptr, &session, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_create(INFER_OPTIONS_GENERATE, &options, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_parse(options, "max_tokens=2\ntemperature=0", INFER_STR_NUL, nullptr), INFER_OK);
  sweep(
      [&](infer_error** e) {
        infer_template* chat_template = nullptr;
        infer_chat* chat = nullptr;
        infer_messages* messages = nullptr;
        infer_stream* stream = nullptr;
        infer_status status = infer_template_builtin("zephyr", &chat_template, e);
        if (status == INFER_OK) status = infer_chat_create(session, 0, chat_template, &chat, e);
        if (status == INFER_OK) status = infer_chat_messages(chat, &messages, e);
        if (status == INFER_OK) status = infer_messages_add(messages, "user", "Hello", INFER_STR_NUL, e);
        if (status == INFER_OK) status = infer_chat_answer(chat, options, nullptr, &stream, e);
        const infer_event* event = nullptr;
        while (status == INFER_OK && (status = infer_stream_next(stream, &event, e)) == INFER_OK) {
        }
        if (status == INFER_DONE) status = infer_messages_count(messages) == 2 ? INFER_OK : INFER_E_INTERNAL;
        infer_stream_release(stream);
        // Whatever failed, the answer is there or not, never half of it.
        const std::size_t n = infer_messages_count(messages);
        EXPECT_TRUE(n <= 2 && (status != INFER_OK || n == 2));
        infer_chat_release(chat);
        infer_template_release(chat_template);
        return status;
      },
      [] {});
  infer_options_release(options);
  infer_session_release(session);
}

TEST_F(OutOfMemory, InAQuantisationIsAnErrorAndLeavesNoFile) {
  const std::vector<std::byte> bytes = testing::make_tiny_model({.n_layers = 1, .n_vocab = 64});
  const testing::TemporaryDirectory directory;
  const std::string out = directory.file("out.gguf");
  infer_source* source = nullptr;
  infer_options* options = nullptr;
  ASSERT_EQ(infer_source_memory(bytes.data(), bytes.size(), nullptr, nullptr, &source, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_create(INFER_OPTIONS_QUANT, &options, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_parse(options, "type=F16\nn_threads=2\ntensor_type=*ffn*=Q8_0", INFER_STR_NUL, nullptr), INFER_OK);
  bool there = false;
  sweep(
      [&](infer_error** e) {
        const infer_status status = infer_quantize(nullptr, source, out.c_str(), out.size(), options, nullptr, nullptr, nullptr, e);
        there = status == INFER_OK;
        return status;
      },
      [&] { EXPECT_EQ(std::remove(out.c_str()), 0); });
  EXPECT_TRUE(there);
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(out).parent_path()));   // no temporary files either
  infer_options_release(options);
  infer_source_release(source);
}

/// From nothing to text and back: an environment, a load, a session, three steps, a stream, a plan, and all released. Stops
/// at the first call that fails.
class Journey {
 public:
  explicit Journey(const char* load_options) : load_options_(load_options) {}
  ~Journey() {
    infer_stream_release(stream_);
    infer_sampler_release(sampler_);
    infer_decoder_release(decoder_);
    infer_session_release(session_);
    infer_model_release(model_);
    for (infer_options* o : options_) infer_options_release(o);
    infer_source_release(source_);
    infer_env_release(env_);
  }
  Journey(const Journey&) = delete;
  Journey& operator=(const Journey&) = delete;

  infer_status go(const std::string& path, infer_alloc_fn alloc, infer_free_fn free_memory, void* user, infer_error** err) {
    const auto parsed = [&](std::size_t i, std::int32_t kind, const char* text) {
      const infer_status made = infer_options_create(kind, &options_[i], err);
      return made != INFER_OK ? made : infer_options_parse(options_[i], text, INFER_STR_NUL, err);
    };
    return in_turn(
        [&] { return infer_env_create(&env_, err); },
        [&] { return infer_env_set_allocator(env_, alloc, free_memory, user, nullptr, err); },
        [&] { return infer_env_set_budget(env_, std::uint64_t{1} << 40, err); },
        [&] { return infer_source_path(path.c_str(), INFER_STR_NUL, &source_, err); },
        [&] { return parsed(0, INFER_OPTIONS_MODEL, load_options_); },
        [&] { return parsed(1, INFER_OPTIONS_SESSION, "n_threads=1\nn_ctx=64"); },
        [&] { return parsed(2, INFER_OPTIONS_GENERATE, "max_tokens=3\nseed=1\nstop=zzz\nlogprobs=2"); },
        [&] { return infer_model_load(env_, source_, options_[0], nullptr, nullptr, nullptr, &model_, err); },
        [&] { return infer_session_create(model_, options_[1], &session_, err); },
        [&] { return infer_sampler_create(model_, options_[2], &sampler_, err); },
        [&] { return infer_decoder_create(model_, 0, &decoder_, err); },
        [&] { return step(err); },
        [&] { return step(err); },
        [&] { return step(err); },
        [&] {
          return infer_stream_start_text(session_, 0, " The old prince", INFER_STR_NUL, options_[2], nullptr, &stream_, err);
        },
        [&] { return pull(err); },
        [&] {
          infer_memory_plan plan{};
          plan.struct_size = sizeof plan;
          return infer_model_plan(env_, source_, options_[0], options_[1], &plan, err);
        });
  }

 private:
  /// Calls one after the other while they succeed. (No std::function: it would allocate.)
  template <class... Calls>
  static infer_status in_turn(const Calls&... calls) {
    infer_status status = INFER_OK;
    static_cast<void>((((status = calls()) == INFER_OK) && ...));
    return status;
  }
  infer_status step(infer_error** err) {
    const char* text = nullptr;
    std::size_t length = 0;
    infer_status status = infer_feed(session_, 0, &token_, 1, INFER_LOGITS_LAST, nullptr, err);
    if (status == INFER_OK) status = infer_sample(session_, sampler_, 0, &token_, nullptr, err);
    return status == INFER_OK ? infer_decoder_push(decoder_, token_, &text, &length, err) : status;
  }
  infer_status pull(infer_error** err) {
    const infer_event* event = nullptr;
    infer_status status = INFER_OK;
    while ((status = infer_stream_next(stream_, &event, err)) == INFER_OK) {
    }
    return status == INFER_DONE ? INFER_OK : status;
  }

  const char* load_options_;
  infer_env* env_ = nullptr;
  infer_source* source_ = nullptr;
  infer_options* options_[3] = {};
  infer_model* model_ = nullptr;
  infer_session* session_ = nullptr;
  infer_sampler* sampler_ = nullptr;
  infer_decoder* decoder_ = nullptr;
  infer_stream* stream_ = nullptr;
  std::int32_t token_ = 1;
};

TEST_F(OutOfMemory, ForWhatAChatWasToldKeepsTheLastEventOfItsAnswer) {
  infer_options* options = nullptr;
  ASSERT_EQ(infer_options_create(INFER_OPTIONS_GENERATE, &options, nullptr), INFER_OK);
  ASSERT_EQ(infer_options_parse(options, "max_tokens=1\ntemperature=0", INFER_STR_NUL, nullptr), INFER_OK);
  bool failed = true, was_refused = false;
  for (long n = 0; failed; ++n) {
    infer_session* session = nullptr;
    infer_template* form = nullptr;
    infer_chat* chat = nullptr;
    infer_messages* messages = nullptr;
    infer_stream* stream = nullptr;
    const infer_event* event = nullptr;
    ASSERT_EQ(infer_session_create(model_, nullptr, &session, nullptr), INFER_OK);
    ASSERT_EQ(infer_template_compile("{% for m in messages %}{{ m.content }}{% endfor %}", INFER_STR_NUL, &form, nullptr), INFER_OK);
    ASSERT_EQ(infer_chat_create(session, 0, form, &chat, nullptr), INFER_OK);
    ASSERT_EQ(infer_chat_messages(chat, &messages, nullptr), INFER_OK);
    ASSERT_EQ(infer_messages_add(messages, "user", "Prince", INFER_STR_NUL, nullptr), INFER_OK);
    ASSERT_EQ(infer_chat_answer(chat, options, nullptr, &stream, nullptr), INFER_OK);
    for (int n_tokens = 0; n_tokens < 1; n_tokens += infer_event_kind(event) == INFER_EVENT_TOKEN) {
      ASSERT_EQ(infer_stream_next(stream, &event, nullptr), INFER_OK);
    }
    fail_allocation(n);
    infer_status status = infer_stream_next(stream, &event, nullptr);
    failed = stop_failing();
    if (status == INFER_E_NOMEM) {
      was_refused = true;
      status = infer_stream_next(stream, &event, nullptr);
    }
    ASSERT_EQ(status, INFER_OK) << n;
    EXPECT_EQ(infer_event_kind(event), INFER_EVENT_END) << n;
    EXPECT_EQ(infer_stream_next(stream, &event, nullptr), INFER_DONE) << n;
    EXPECT_EQ(infer_messages_count(messages), 2U) << n;
    infer_stream_release(stream);
    infer_chat_release(chat);
    infer_template_release(form);
    infer_session_release(session);
  }
  EXPECT_TRUE(was_refused);
  infer_options_release(options);
}

/// The host's allocator: the n-th call of it fails, once.
struct Host {
  static constexpr long kNever = -1;
  long until_failure = kNever;
  bool failed = false;
  bool throws = false;   ///< as `operator new` does
  std::size_t live = 0;

  static void* take(void* user, std::size_t size, std::size_t alignment) {
    Host& host = *static_cast<Host*>(user);
    if (host.until_failure != kNever && host.until_failure-- == 0) {
      host.failed = true;
      if (host.throws) throw std::bad_alloc();
      return nullptr;
    }
    host.live += size;
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  }
  static void give_back(void* user, void* memory, std::size_t size) {
    static_cast<Host*>(user)->live -= size;
    std::free(memory);
  }
};

class WholeJourney : public ::testing::TestWithParam<const char*> {
 protected:
  const std::string path_ = testing::bundled_path();
};
INSTANTIATE_TEST_SUITE_P(MappedAndRead, WholeJourney, ::testing::Values("use_mmap=true", "use_mmap=false"));

TEST_P(WholeJourney, EndsInAnErrorWithoutALeakWhicheverAllocationFails) {
  constexpr long kRetryEvery = 64;
  // First what the C library keeps for ever.
  ASSERT_EQ(Journey(GetParam()).go(path_, nullptr, nullptr, nullptr, nullptr), INFER_OK);
  bool failed = true;
  for (long n = 0; failed; ++n) {
    const std::size_t before = testing::live_bytes();
    infer_error* error = nullptr;
    fail_allocation(n);
    const infer_status status = Journey(GetParam()).go(path_, nullptr, nullptr, nullptr, &error);
    failed = stop_failing();
    ASSERT_TRUE(status == INFER_OK || (failed && status == INFER_E_NOMEM)) << n << ": " << infer_error_message(error);
    ASSERT_EQ(infer_error_code(error), status) << n;
    infer_error_release(error);
    ASSERT_EQ(testing::live_bytes(), before) << n;
    if (n % kRetryEvery == 0) {
      ASSERT_EQ(Journey(GetParam()).go(path_, nullptr, nullptr, nullptr, nullptr), INFER_OK) << n << ": a retry";
    }
  }
}

TEST_P(WholeJourney, EndsInAnErrorWithoutALeakWhicheverCallOfTheHostsAllocatorFails) {
  long n = 0;
  for (bool failed = true; failed; ++n) {
    Host host;
    host.until_failure = n;
    host.throws = n % 2 == 1;
    infer_error* error = nullptr;
    const infer_status status = Journey(GetParam()).go(path_, Host::take, Host::give_back, &host, &error);
    failed = host.failed;
    ASSERT_EQ(status, failed ? INFER_E_NOMEM : INFER_OK) << n << ": " << infer_error_message(error);
    EXPECT_EQ(host.live, 0U) << n;
    infer_error_release(error);
    host.until_failure = Host::kNever;
    EXPECT_EQ(Journey(GetParam()).go(path_, Host::take, Host::give_back, &host, nullptr), INFER_OK) << n << ": a retry";
    EXPECT_EQ(host.live, 0U) << n;
  }
  EXPECT_GT(n, 5);   // norms, the session, and the file where it is read
}

}  // namespace
}  // namespace infer
