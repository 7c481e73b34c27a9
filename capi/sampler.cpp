// SPDX-License-Identifier: MIT
// Samplers of the token tier.
#include <fmt/format.h>

#include "capi/handles.h"

using infer::Code;
using infer::Status;
using namespace infer::capi;

extern "C" {

infer_status infer_sampler_create(const infer_model* model, const infer_options* options, infer_sampler** out,
                                  infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_optional(options, "options"));
    INFER_ASSIGN(const infer::SamplerParams params, to_sampler_params(options == nullptr ? nullptr : &options->values));
    const infer::Model& m = *model->model;
    INFER_ASSIGN(infer::SamplerChain chain, infer::SamplerChain::create(params, m.library().samplers.all(),
                                                                         static_cast<std::int32_t>(m.n_vocab())));
    auto sampler = std::make_unique<infer_sampler>(std::move(chain));
    sampler->charge = m.account()->count(infer::MemoryClass::other, sampler->chain.memory());
    *out = sampler.release();
    return {};
  });
}
void infer_sampler_release(infer_sampler* sampler) { release(sampler); }

infer_status infer_sample(const infer_session* session, infer_sampler* sampler, size_t row, int32_t* token, float* logprob,
                          infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(token, "token"));
    if (logprob != nullptr) *logprob = 0.0f;
    INFER_TRY(check(session, "session"));
    INFER_TRY(check(sampler, "sampler"));
    INFER_ENTER(sampler, "sampler");
    INFER_ASSIGN(const std::span<const float> logits, session->session->logits(row));
    infer::SampleResult result;
    INFER_TRY(sampler->chain.sample(logits, result));
    *token = result.token;
    if (logprob != nullptr) *logprob = result.logprob;
    return {};
  });
}

infer_status infer_sampler_accept(infer_sampler* sampler, int32_t token, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(sampler, "sampler"));
    if (const std::int32_t n = sampler->chain.n_vocab(); token < 0 || token >= n) {
      return Status::error(Code::token, fmt::format("token {} is outside the vocabulary 0..{}", token, n - 1));
    }
    INFER_ENTER(sampler, "sampler");
    sampler->chain.accept(token);
    return {};
  });
}

infer_status infer_sampler_reset(infer_sampler* sampler, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(sampler, "sampler"));
    INFER_ENTER(sampler, "sampler");
    sampler->chain.reset();
    return {};
  });
}

infer_status infer_sampler_seed(const infer_sampler* sampler, uint64_t* seed, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(seed, "seed"));
    INFER_TRY(check(sampler, "sampler"));
    *seed = sampler->chain.seed();
    return {};
  });
}

infer_status infer_sampler_describe(const infer_sampler* sampler, char* buffer, size_t capacity, size_t* need,
                                    infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    INFER_TRY(check(sampler, "sampler"));
    return copy_out(sampler->chain.describe(), buffer, capacity, need);
  });
}

}  // extern "C"
