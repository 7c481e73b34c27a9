// SPDX-License-Identifier: MIT
// libinfer.hpp as the program uses it: options, buffers, tokens by hand, log, progress and cancel. Errors and ownership
// are in tests/capi/hpp_test.cpp. Needs INFER_TEST_MODEL (the bundled model).
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "libinfer.hpp"

namespace {

using namespace libinfer;

class LibinferHpp : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("INFER_TEST_MODEL");
    if (path == nullptr || *path == '\0') GTEST_SKIP() << "INFER_TEST_MODEL does not name a model";
    path_ = path;
  }

  Options greedy(std::int64_t n) const {
    Options options = Options::create(INFER_OPTIONS_GENERATE).value();
    options.set("temperature", 0.0).value();
    options.set("max_tokens", n).value();
    return options;
  }

  static std::string text_of(Stream& stream) {
    std::string text;
    for (const Event& event : stream) text += event.text();
    return text;
  }

  std::string path_;
};

TEST_F(LibinferHpp, ErrorOutlivesWhatItCameFrom) {
  Error kept;
  EXPECT_EQ(kept.code(), INFER_OK);
  {
    auto options = Options::create(INFER_OPTIONS_SESSION).value();
    kept = options.set("n_tcx", 5).error();
  }
  EXPECT_EQ(kept.code(), INFER_E_ARGUMENT);
  EXPECT_NE(std::string(kept.message()).find("n_ctx"), std::string::npos) << kept.message();
}

TEST_F(LibinferHpp, WeightsCanBeReadAndMeasured) {
  auto vocabulary = Options::create(INFER_OPTIONS_MODEL).value();
  vocabulary.set("vocab_only", true).value();
  Load how;
  how.options = &vocabulary;
  const auto file = Model::load(path_, how).value();
  std::vector<float> whole(256), part(3);
  file.read_tensor(0, 0, whole.data(), whole.size()).value();
  file.read_tensor(0, 77, part.data(), part.size()).value();
  EXPECT_EQ(part[2], whole[79]);
  EXPECT_EQ(file.read_tensor(file.tensor_count(), 0, part.data(), 1).error().code(), INFER_E_RANGE);
  EXPECT_EQ(Imatrix::create(file).error().code(), INFER_E_STATE);

  const auto model = Model::load(path_).value();
  auto session = Session::create(model).value();
  auto imatrix = Imatrix::create(model).value();
  imatrix.attach(session).value();
  session.feed(model.tokenize("Natasha", 0).value()).value();
  Imatrix::detach(session).value();
  EXPECT_EQ(imatrix.save("/no/such/folder/file", "a name", 1).error().code(), INFER_E_NOFILE);
}

TEST_F(LibinferHpp, OptionsKeepEveryType) {
  auto options = greedy(7);
  options.set("stop", "a").value();
  options.set("stop", std::string("b")).value();
  options.set("ignore_eog", true).value();
  EXPECT_EQ(options.get_i64("max_tokens").value(), 7);
  EXPECT_EQ(options.get_f64("temperature").value(), 0.0);
  EXPECT_EQ(options.get_str("stop").value(), "a\nb");
  EXPECT_EQ(options.get_i64("ignore_eog").value(), 1);
  EXPECT_GT(Options::describe(INFER_OPTIONS_GENERATE).size(), Options::describe(INFER_OPTIONS_SAMPLER).size());
}

TEST_F(LibinferHpp, CopiesAreTheSameObjectAndStreamsDoNotCopy) {
  const Model model = Model::load(path_).value();
  Model copy = model;
  EXPECT_EQ(copy.get(), model.get());
  const Model moved = std::move(copy);
  EXPECT_EQ(moved.get(), model.get());
  static_assert(!std::is_copy_constructible_v<Stream> && std::is_nothrow_move_constructible_v<Session>);
}

TEST_F(LibinferHpp, TextRoundTripsThroughBuffersOfAnySize) {
  const Model model = Model::load(path_).value();
  const std::string text(5000, '\xfe');  // more tokens than the first guess has room for
  const auto ids = model.tokenize(text, 0).value();
  EXPECT_GE(ids.size(), text.size());
  EXPECT_EQ(model.detokenize(ids).value(), text);
  EXPECT_TRUE(model.tokenize("", 0).value().empty());
  const std::vector<std::int32_t> long_tokens(100, model.tokenize(" Andrew", 0).value().back());
  EXPECT_FALSE(model.detokenize(long_tokens).value().empty());
}

TEST_F(LibinferHpp, TokenTierGivesTheTextOfTheStream) {
  const Model model = Model::load(path_).value();
  const Session streaming = Session::create(model).value();
  const auto options = greedy(6);
  Stream stream = Stream::start(streaming, "Prince Andrew", &options).value();
  const std::string expected = text_of(stream);

  Session session = Session::create(model).value();
  Sampler sampler = Sampler::create(model, &options).value();
  Decoder decoder = Decoder::create(model).value();
  session.feed(model.tokenize("Prince Andrew", INFER_TOKENIZE_ADD_SPECIAL).value()).value();
  std::string text;
  for (int i = 0; i < 6; ++i) {
    const auto choice = sampler.sample(session).value();
    EXPECT_LE(choice.logprob, 0.0F);
    text += decoder.push(choice.token).value();
    session.step(choice.token).value();
  }
  text += decoder.flush().value();
  EXPECT_EQ(text, expected);
  EXPECT_EQ(session.logits().value().size(), static_cast<std::size_t>(model.get_i64("n_vocab").value()));
}

TEST_F(LibinferHpp, LogAndProgressReachTheirFunctions) {
  int records = 0;
  std::uint64_t last = 0, total = 0;
  Env env = Env::create().value();
  env.set_log(INFER_LOG_DEBUG, [&](std::int32_t, const char*, const char*) { ++records; }).value();
  auto options = Options::create(INFER_OPTIONS_MODEL).value();
  options.set("use_mmap", false).value();
  Load how;
  how.env = &env;
  how.options = &options;
  how.progress = [&](std::uint64_t done, std::uint64_t all) { return last = done, total = all, true; };
  Model::load(path_, how).value();
  EXPECT_GT(records, 0);
  EXPECT_GT(total, 0U);
  EXPECT_EQ(last, total);
}

TEST_F(LibinferHpp, ProgressMayStopTheLoad) {
  auto options = Options::create(INFER_OPTIONS_MODEL).value();
  options.set("use_mmap", false).value();  // a mapped file is not read while loading
  Load how;
  how.options = &options;
  how.progress = [](std::uint64_t, std::uint64_t) { return false; };
  EXPECT_EQ(Model::load(path_, how).error().code(), INFER_E_CALLBACK);
}

TEST_F(LibinferHpp, CancelledStreamEndsWithItsReason) {
  const Model model = Model::load(path_).value();
  const Session session = Session::create(model).value();
  const Cancel cancel = Cancel::create().value();
  const auto options = greedy(100);
  Stream stream = Stream::start(session, "Prince", &options, &cancel).value();
  std::int32_t reason = INFER_FINISH_NONE;
  for (const Event& event : stream) {
    if (event.kind() == INFER_EVENT_TOKEN) cancel.trigger();
    if (event.kind() == INFER_EVENT_END) reason = event.finish_reason();
  }
  EXPECT_TRUE(stream.status().ok());
  EXPECT_EQ(reason, INFER_FINISH_CANCELLED);
}

}  // namespace
