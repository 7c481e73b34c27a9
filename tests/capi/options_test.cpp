// SPDX-License-Identifier: MIT
// Tests of capi/options.cpp: the table and the library's structs agree.
#include "capi/options.h"

#include <gtest/gtest.h>

#include "libinfer.h"

namespace infer::capi {
namespace {

constexpr std::int32_t kKinds[] = {INFER_OPTIONS_MODEL, INFER_OPTIONS_SESSION, INFER_OPTIONS_SAMPLER, INFER_OPTIONS_GENERATE,
                                  INFER_OPTIONS_QUANT};

TEST(Options, EveryDefaultTextObeysItsOwnTable) {
  for (std::int32_t kind : kKinds) {
    for (const OptionSpec& spec : option_specs(kind)) {
      if (spec.type == OptionType::str_list) continue;
      OptionValues values(kind);
      EXPECT_TRUE(values.parse(spec.key, spec.default_text).ok()) << spec.key;
    }
  }
}

TEST(Options, DefaultsOfTheTableAreThoseOfTheStructs) {
  OptionValues session(INFER_OPTIONS_SESSION), generate(INFER_OPTIONS_GENERATE);
  for (const OptionSpec& s : option_specs(INFER_OPTIONS_SESSION)) ASSERT_TRUE(session.parse(s.key, s.default_text).ok());
  for (const OptionSpec& s : option_specs(INFER_OPTIONS_GENERATE)) {
    if (s.type == OptionType::str_list) continue;
    ASSERT_TRUE(generate.parse(s.key, s.default_text).ok());
  }
  const SessionOptions a = to_session_options(&session).value(), b = to_session_options(nullptr).value();
  EXPECT_EQ(std::tie(a.n_ctx, a.n_seq, a.n_batch, a.n_logits, a.n_threads, a.kv_type),
            std::tie(b.n_ctx, b.n_seq, b.n_batch, b.n_logits, b.n_threads, b.kv_type));
  const GenerationOptions c = to_generation_options(&generate).value(), d = to_generation_options(nullptr).value();
  const SamplerParams &p = c.sampler, &q = d.sampler;
  EXPECT_EQ(std::tie(p.order, p.temperature, p.top_k, p.top_p, p.min_p, p.repetition_penalty, p.presence_penalty),
            std::tie(q.order, q.temperature, q.top_k, q.top_p, q.min_p, q.repetition_penalty, q.presence_penalty));
  EXPECT_EQ(std::tie(p.frequency_penalty, p.penalty_window, p.seed), std::tie(q.frequency_penalty, q.penalty_window, q.seed));
  EXPECT_EQ(std::tie(c.max_tokens, c.stop, c.ignore_eog, c.show_special, c.logprobs),
            std::tie(d.max_tokens, d.stop, d.ignore_eog, d.show_special, d.logprobs));
}

TEST(Options, EverySetValueReachesItsStruct) {
  OptionValues o(INFER_OPTIONS_GENERATE);
  ASSERT_TRUE(o.set("top_k", std::int64_t{3}).ok());
  ASSERT_TRUE(o.set("min_p", 0.5).ok());
  ASSERT_TRUE(o.set("temperature", std::int64_t{1}).ok());   // an integer where a number is wanted
  ASSERT_TRUE(o.set("seed", std::int64_t{-2}).ok());
  ASSERT_TRUE(o.set("stop", std::string_view("x")).ok());
  ASSERT_TRUE(o.parse("ignore_eog", "true").ok());
  const GenerationOptions g = to_generation_options(&o).value();
  EXPECT_EQ(g.sampler.top_k, 3);
  EXPECT_EQ(g.sampler.min_p, 0.5);
  EXPECT_EQ(g.sampler.temperature, 1.0);
  EXPECT_EQ(g.sampler.seed, ~std::uint64_t{1});
  EXPECT_EQ(g.stop, std::vector<std::string>{"x"});
  EXPECT_TRUE(g.ignore_eog);
}

TEST(Options, EveryLimitOfTheTableIsOneOfTheLibrary) {
  const auto library = Library::builtin();
  for (const OptionSpec& spec : option_specs(INFER_OPTIONS_SAMPLER)) {
    if (spec.type != OptionType::i64 && spec.type != OptionType::f64) continue;
    if (std::string_view(spec.key) == "seed") continue;
    for (const double limit : {spec.min, spec.max}) {
      OptionValues o(INFER_OPTIONS_SAMPLER);
      const Status set = spec.type == OptionType::f64 ? o.set(spec.key, limit) : o.set(spec.key, static_cast<std::int64_t>(limit));
      ASSERT_TRUE(set.ok()) << spec.key;
      const auto chain = SamplerChain::create(to_sampler_params(&o).value(), library->samplers.all(), 100);
      EXPECT_TRUE(chain.ok()) << spec.key << " = " << limit << ": " << (chain.ok() ? "" : chain.status().message());
    }
  }
}

TEST(Options, NotANumberIsOutsideEveryRange) {
  OptionValues o(INFER_OPTIONS_SAMPLER);
  EXPECT_EQ(o.set("temperature", std::numeric_limits<double>::quiet_NaN()).code(), Code::range);
}

}  // namespace
}  // namespace infer::capi
