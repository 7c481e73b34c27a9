// SPDX-License-Identifier: MIT
// What the machine can do at most, and what a model asks of it.
#include "libinfer/machine.h"

#include "capi/handles.h"
#include "src/base/range.h"

using infer::Status;
using namespace infer::capi;

extern "C" {

infer_status infer_machine_probe(infer_env* env, int32_t n_threads, infer_machine_limits* limits, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (limits == nullptr) return null_argument("limits");
    INFER_TRY(fill(limits, infer_machine_limits{}));
    INFER_TRY(check_optional(env, "env"));
    const Ref<infer_env> owner = owner_of(env);
    INFER_ASSIGN(const infer_env::Host work, owner->begin_work());
    INFER_ASSIGN(const infer::KernelTable* const kernels, infer::choose_kernels(*owner->library));
    INFER_ASSIGN(const infer::MachineLimits seen,
                 infer::probe_machine(*kernels, {.n_threads = n_threads, .executor = work.executor, .memory = work.memory}));
    return fill(limits, infer_machine_limits{.struct_size = 0,
                                             .read_bytes_per_second = seen.read_bytes,
                                             .dot_mul_adds_per_second = seen.dot_mul_adds,
                                             .fma_mul_adds_per_second = seen.fma_mul_adds,
                                             .bf16_mul_adds_per_second = seen.bf16_mul_adds});
  });
}

infer_status infer_model_work(const infer_model* model, int64_t n_tokens, int64_t n_logits, infer_work* work, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (work == nullptr) return null_argument("work");
    INFER_TRY(fill(work, infer_work{}));
    INFER_TRY(check(model, "model"));
    INFER_TRY(infer::check_range("n_tokens", n_tokens, 1, infer::kMaxContext));
    INFER_TRY(infer::check_range("n_logits", n_logits, 0, n_tokens));
    const infer::Decoder* const decoder = model->model->decoder();
    if (decoder == nullptr) {
      return Status::error(infer::Code::state, "only the vocabulary was loaded (option vocab_only); load the model to know its work");
    }
    const infer::Work asked = infer::work_of_pass(*decoder, n_tokens, n_logits);
    return fill(work, infer_work{.struct_size = 0,
                                 .bytes = asked.bytes,
                                 .dot_mul_adds = asked.dot_mul_adds,
                                 .fma_mul_adds = asked.fma_mul_adds,
                                 .bf16_mul_adds = asked.bf16_mul_adds});
  });
}

}  // extern "C"
