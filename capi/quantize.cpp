// SPDX-License-Identifier: MIT
// Quantising, and the plan of it as JSON.
#include <string>

#include <fmt/format.h>

#include "capi/handles.h"
#include "capi/json.h"
#include "libinfer/quantize.h"

using infer::Code;
using infer::QuantizePlan;
using infer::Status;
using namespace infer::capi;

namespace {

/// Type names are identifiers, shapes are lists of integers as they are.
std::string describe(const QuantizePlan& plan) {
  std::string out = fmt::format("{{\"type\":\"{}\",\"tensors\":[", plan.type);
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const QuantizePlan::Tensor& t = plan.tensors[i];
    out += fmt::format(
        "{}{{\"name\":{},\"shape\":{},\"from\":\"{}\",\"to\":\"{}\",\"bytes_from\":{},\"bytes_to\":{},"
        "\"importance\":{}}}",
        i == 0 ? "" : ",", to_json(t.from.name), infer::to_string(t.from.shape), infer::info(t.from.dtype).name,
        infer::info(t.to).name, t.from.bytes, t.bytes, t.has_importance);
  }
  out += fmt::format("],\"bytes_from\":{},\"bytes_to\":{},\"bits_per_weight\":{},\"file_bytes\":[", plan.bytes_from(),
                     plan.bytes_to(), plan.bits_per_weight());
  for (std::size_t i = 0; i < plan.files.size(); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ",", plan.files[i].bytes);
  out += "],\"warnings\":[";
  for (std::size_t i = 0; i < plan.warnings.size(); ++i)
    out.append(i == 0 ? "" : ",").append(to_json(plan.warnings[i]));
  return out + "]}";
}

infer::Result<infer::QuantizeOptions> read_options(const infer_options* options) {
  return to_quantize_options(options == nullptr ? nullptr : &options->values);
}

}  // namespace

extern "C" {

infer_status infer_quantize_plan(infer_env* env, const infer_source* source, const infer_options* options, char* buffer,
                                 size_t capacity, size_t* need, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    INFER_TRY(check_optional(env, "env"));
    INFER_TRY(check(source, "source"));
    INFER_TRY(check_optional(options, "options"));
    INFER_ASSIGN(const infer::QuantizeOptions o, read_options(options));
    const Ref<infer_env> owner = owner_of(env);
    INFER_ASSIGN(const QuantizePlan plan, infer::plan_quantize(*owner->library, source->source, o));
    return copy_out(describe(plan), buffer, capacity, need);
  });
}

infer_status infer_quantize(infer_env* env, const infer_source* source, const char* path, size_t length,
                            const infer_options* options, const infer_cancel* cancel, infer_progress_fn progress,
                            void* user, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check_optional(env, "env"));
    INFER_TRY(check(source, "source"));
    INFER_ASSIGN(const std::string_view text, text_argument(path, length, "path"));
    INFER_TRY(check_optional(options, "options"));
    INFER_TRY(check_optional(cancel, "cancel"));
    INFER_ASSIGN(infer::QuantizeOptions o, read_options(options));
    HostProgress host{progress, user};
    const Ref<infer_env> owner = owner_of(env);
    const Ref<infer_source> from(const_cast<infer_source*>(source));   // whatever the callback releases
    const Ref<infer_cancel> flag(const_cast<infer_cancel*>(cancel));
    INFER_ASSIGN(infer_env::Host work, owner->begin_work());
    o.progress = host.progress();
    o.cancel = flag_of(cancel);
    o.log = work.log;
    o.executor = work.executor;
    o.memory = std::move(work.memory);
    auto made = infer::quantize(*owner->library, source->source, std::string(text), o);
    if (host.stopped) return Status::error(Code::callback, "the progress callback stopped the quantisation");
    return made.ok() ? Status() : std::move(made).status();
  });
}

}  // extern "C"
