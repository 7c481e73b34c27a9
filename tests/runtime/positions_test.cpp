// SPDX-License-Identifier: MIT
// Sessions and the positions that a model has: how many there are, and how a session stretches them.
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/logits.h"

namespace infer {
namespace {

using testing::Loaded;
using testing::random_tokens;
using testing::TinyModel;

TinyModel model_of(const char* architecture) {
  TinyModel tiny;
  tiny.architecture = architecture;
  tiny.n_kv_heads = tiny.n_heads;
  tiny.context = 64;
  return tiny;
}

TEST(Positions, ThatAreLearnedAreNoMoreThanTheFileHas) {
  const Loaded l(testing::make_tiny_model(model_of("gpt2")));
  ASSERT_NE(l.model, nullptr) << l.status.message();

  EXPECT_TRUE(Session::create(l.model, {.n_ctx = 64}).ok());
  EXPECT_EQ(Session::create(l.model, {}).value()->options().n_ctx, 64);
  const Status beyond = Session::create(l.model, {.n_ctx = 65}).status();
  EXPECT_EQ(beyond.code(), Code::range);
  EXPECT_EQ(beyond.subject(), "n_ctx");
  EXPECT_EQ(beyond.message(), "n_ctx = 65: the model has learned 64 positions and has no more; choose at most so many");
  EXPECT_EQ(Session::plan(l.model, {.n_ctx = 65}).status().code(), Code::range);
}

TEST(Positions, ThatRotateGoOnPastTheContextOfTheTraining) {
  const Loaded l(testing::make_tiny_model(model_of("llama")));
  EXPECT_TRUE(Session::create(l.model, {.n_ctx = 1000}).ok());
}

/// The logits of the last of some tokens.
std::vector<float> last_logits(const std::shared_ptr<const Model>& model, const SessionOptions& options) {
  const auto session = std::move(Session::create(model, options)).value();
  EXPECT_TRUE(session->feed(0, random_tokens(3, 50, 320), WantLogits::last, nullptr).ok());
  const std::span<const float> row = session->logits(0).value();
  return {row.begin(), row.end()};
}

TEST(Positions, AreStretchedByNtkWhereTheContextIsLonger) {
  const Loaded l(testing::make_tiny_model(model_of("llama")));
  const std::vector<float> plain = last_logits(l.model, {.n_ctx = 64});

  EXPECT_EQ(last_logits(l.model, {.n_ctx = 64, .rope_ntk = true}), plain);   // as long as that of the training
  EXPECT_EQ(last_logits(l.model, {.n_ctx = 256}), plain);                    // not asked for
  EXPECT_NE(last_logits(l.model, {.n_ctx = 256, .rope_ntk = true}), plain);
}

TEST(Positions, AreNotStretchedTwice) {
  const auto refusal = [](const TinyModel& tiny) {
    const Loaded l(testing::make_tiny_model(tiny));
    const Status status = Session::create(l.model, {.rope_ntk = true}).status();
    EXPECT_EQ(status.code(), Code::unsupported);
    EXPECT_EQ(status.subject(), "rope_ntk");
    return std::string(status.message());
  };
  TinyModel yarn = model_of("llama"), long_factors = model_of("phi3");
  yarn.rope_scaling = "yarn";
  yarn.rope_factor = 2.0;
  long_factors.long_factors = true;
  long_factors.original_context = 32;
  const std::string already = "rope_ntk: the model stretches its positions in another way already; leave the option off";
  EXPECT_EQ(refusal(yarn), already);
  EXPECT_EQ(refusal(long_factors), already);
  TinyModel factors = model_of("llama");
  factors.rope_factors = true;
  EXPECT_EQ(refusal(factors), already);
  EXPECT_EQ(refusal(model_of("gpt2")), "rope_ntk: the model has no rotary positions; leave the option off");
}

}  // namespace
}  // namespace infer
