// SPDX-License-Identifier: MIT
// Loading a model, its facts, metadata, tensors, warnings and memory.
#include <fmt/format.h>

#include "capi/facts.h"
#include "capi/handles.h"
#include "capi/json.h"

using infer::Code;
using infer::Status;
using namespace infer::capi;

namespace {

Status load(infer_env* env, const infer_source* source, const infer_options* options, const infer_cancel* cancel,
            infer_progress_fn progress, void* user, infer_model** out) {
  INFER_ASSIGN(infer::ModelOptions o, to_model_options(options == nullptr ? nullptr : &options->values));
  HostProgress host{progress, user};
  Ref<infer_source> from(const_cast<infer_source*>(source));   // counts a reference, changes nothing else
  const Ref<infer_cancel> flag(const_cast<infer_cancel*>(cancel));   // whatever the callback releases
  o.progress = host.progress();
  o.cancel = flag_of(cancel);
  Ref<infer_env> owner = owner_of(env);
  INFER_ASSIGN(infer_env::Host work, owner->begin_work());
  o.memory = std::move(work.memory);
  o.executor = work.executor;
  o.log = work.log;

  auto model = std::make_unique<infer_model>();
  auto loaded = infer::Model::load(owner->library, source->source, o);
  if (host.stopped) return Status::error(Code::callback, "the progress callback stopped the load");
  if (!loaded.ok()) return std::move(loaded).status();
  model->model = std::move(loaded).value();
  model->env = std::move(owner);
  model->source = std::move(from);
  *out = model.release();
  return {};
}

/// A fact that every model has (value), or that this file does not tell (nullopt).
struct IntegerFact {
  const char* key;
  std::optional<std::int64_t> (*get)(const infer::Model& model);
};

template <auto member>
std::optional<std::int64_t> from_config(const infer::Model& m) {
  if (m.decoder() == nullptr) return std::nullopt;
  return m.decoder()->config.*member;
}

template <auto member>
std::optional<std::int64_t> from_experts(const infer::Model& m) {
  if (m.decoder() == nullptr) return std::nullopt;
  return m.decoder()->config.experts.*member;
}

constexpr IntegerFact kIntegers[] = {
    {"n_params",
     [](const infer::Model& m) -> std::optional<std::int64_t> {
       std::int64_t n = 0;
       for (const infer::TensorMeta& t : m.descriptor().tensors) n += t.shape.rows() * t.shape.cols();
       return n;
     }},
    {"tensor_bytes",
     [](const infer::Model& m) -> std::optional<std::int64_t> {
       std::uint64_t n = 0;
       for (const infer::TensorMeta& t : m.descriptor().tensors) n += t.bytes;
       return static_cast<std::int64_t>(n);
     }},
    {"n_tensors",
     [](const infer::Model& m) -> std::optional<std::int64_t> {
       return static_cast<std::int64_t>(m.descriptor().tensors.size());
     }},
    {"n_vocab", [](const infer::Model& m) -> std::optional<std::int64_t> { return m.n_vocab(); }},
    {"n_layers", from_config<&infer::DecoderConfig::n_layers>},
    {"n_embd", from_config<&infer::DecoderConfig::n_embd>},
    {"n_ff", from_config<&infer::DecoderConfig::n_ff>},
    {"n_heads", from_config<&infer::DecoderConfig::n_heads>},
    {"n_kv_heads", from_config<&infer::DecoderConfig::n_kv_heads>},
    {"head_dim", from_config<&infer::DecoderConfig::key_dim>},
    {"n_ctx_train", from_config<&infer::DecoderConfig::context_length>},
    {"sliding_window", from_config<&infer::DecoderConfig::sliding_window>},
    {"n_experts", from_experts<&infer::ExpertConfig::n>},
    {"n_experts_used", from_experts<&infer::ExpertConfig::n_used>},
    {"n_ff_expert", from_experts<&infer::ExpertConfig::n_ff>},
    {"n_ff_shared", from_experts<&infer::ExpertConfig::n_ff_shared>},
    {"packed", [](const infer::Model& m) -> std::optional<std::int64_t> { return m.packed() ? 1 : 0; }},
    {"vocab_only", [](const infer::Model& m) -> std::optional<std::int64_t> { return m.decoder() == nullptr ? 1 : 0; }},
};

struct NumberFact {
  const char* key;
  std::optional<double> (*get)(const infer::DecoderConfig& config);
};

constexpr NumberFact kNumbers[] = {
    {"rope_base",
     [](const infer::DecoderConfig& c) { return c.rope.n_rot == 0 ? std::nullopt : std::optional<double>(c.rope.base); }},
    {"norm_epsilon", [](const infer::DecoderConfig& c) { return std::optional<double>(c.norm_eps); }},
};

struct TextFact {
  const char* key;
  std::string_view (*get)(const infer::Model& model);
};

constexpr TextFact kTexts[] = {
    {"architecture", [](const infer::Model& m) -> std::string_view { return m.descriptor().architecture; }},
    {"format", [](const infer::Model& m) -> std::string_view { return m.descriptor().format; }},
    {"name", [](const infer::Model& m) -> std::string_view { return m.descriptor().name; }},
    {"tokenizer", [](const infer::Model& m) -> std::string_view { return m.descriptor().tokenizer.model; }},
    {"kernels", [](const infer::Model& m) -> std::string_view { return m.kernels().name; }},
};

infer::Result<const infer::TensorMeta*> tensor_of(const infer_model& model, std::size_t index) {
  const auto& tensors = model.model->descriptor().tensors;
  if (index < tensors.size()) return &tensors[index];
  return Status::error(Code::range, fmt::format("tensor {} does not exist; there are {}", index, tensors.size()));
}

Status untold(std::string_view key) {
  return Status::error(Code::notfound, fmt::format("'{}' is not known: only the vocabulary was loaded", key)).about(key);
}

}  // namespace

extern "C" {

infer_status infer_model_load(infer_env* env, const infer_source* source, const infer_options* options,
                              const infer_cancel* cancel, infer_progress_fn progress, void* user, infer_model** out,
                              infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check_optional(env, "env"));
    INFER_TRY(check(source, "source"));
    INFER_TRY(check_optional(options, "options"));
    INFER_TRY(check_optional(cancel, "cancel"));
    return load(env, source, options, cancel, progress, user, out);
  });
}

infer_status infer_model_load_path(const char* path, size_t length, infer_model** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_ASSIGN(const std::string_view text, text_argument(path, length, "path"));
    infer_source source;
    source.source = infer::Source::from_path(std::string(text));
    INFER_TRY(load(nullptr, &source, nullptr, nullptr, nullptr, nullptr, out));
    (*out)->source = Ref<infer_source>();   // lives on the stack, and a path is not needed any more
    return {};
  });
}

void infer_model_retain(infer_model* model) { retain(model); }
void infer_model_release(infer_model* model) { release(model); }

infer_status infer_model_get_i64(const infer_model* model, const char* key, int64_t* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(const IntegerFact* const fact, find_fact(kIntegers, key));
    const std::optional<std::int64_t> v = fact->get(*model->model);
    if (!v) return untold(key);
    *value = *v;
    return {};
  });
}

infer_status infer_model_get_f64(const infer_model* model, const char* key, double* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(const NumberFact* const fact, find_fact(kNumbers, key));
    if (model->model->decoder() == nullptr) return untold(key);
    const std::optional<double> number = fact->get(model->model->decoder()->config);
    if (!number) return untold(key);
    *value = *number;
    return {};
  });
}

infer_status infer_model_get_str(const infer_model* model, const char* key, char* buffer, size_t capacity, size_t* need,
                                 infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(const TextFact* const fact, find_fact(kTexts, key));
    return copy_out(fact->get(*model->model), buffer, capacity, need);
  });
}

size_t infer_model_meta_count(const infer_model* model) {
  return is(model) ? model->model->descriptor().metadata.size() : 0;
}

infer_status infer_model_meta_at(const infer_model* model, size_t index, infer_meta_info* info, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (info == nullptr) return null_argument("info");
    INFER_TRY(fill(info, infer_meta_info{}));
    INFER_TRY(check(model, "model"));
    const auto& metadata = model->model->descriptor().metadata;
    if (index >= metadata.size()) {
      return Status::error(Code::range, fmt::format("metadata entry {} does not exist; there are {}", index, metadata.size()));
    }
    const infer::MetaEntry& e = metadata[index];
    return fill(info, infer_meta_info{sizeof(infer_meta_info), e.key.c_str(), e.type.c_str(), element_count(e.value), e.fingerprint});
  });
}

infer_status infer_model_meta_json(const infer_model* model, const char* key, char* buffer, size_t capacity, size_t* need,
                                   infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_key(key));
    const infer::ModelDescriptor& d = model->model->descriptor();
    const infer::MetaEntry* entry = d.find_meta(key);
    if (entry == nullptr) {
      return Status::error(Code::notfound, fmt::format("the file has no metadata '{}'", key)).about(key);
    }
    return copy_out(to_json(*entry, d.tokenizer), buffer, capacity, need);
  });
}

size_t infer_model_tensor_count(const infer_model* model) {
  return is(model) ? model->model->descriptor().tensors.size() : 0;
}

infer_status infer_model_tensor_at(const infer_model* model, size_t index, infer_tensor_info* out, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (out == nullptr) return null_argument("info");
    INFER_TRY(fill(out, infer_tensor_info{}));
    INFER_TRY(check(model, "model"));
    INFER_ASSIGN(const infer::TensorMeta* const tensor, tensor_of(*model, index));
    const infer::TensorMeta& t = *tensor;
    infer_tensor_info value{};
    value.name = t.name.c_str();
    value.type = infer::info(t.dtype).name;
    value.n_dims = t.shape.n_dims;
    value.file = t.file;
    std::copy(t.shape.dims.begin(), t.shape.dims.end(), value.dims);
    value.offset = t.offset;
    value.bytes = t.bytes;
    return fill(out, value);
  });
}

infer_status infer_model_tensor_read(const infer_model* model, size_t index, uint64_t first, size_t n, float* values,
                                     infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(model, "model"));
    if (values == nullptr && n > 0) return null_argument("values");
    INFER_ASSIGN(const infer::TensorMeta* const tensor, tensor_of(*model, index));
    return model->model->read(*tensor, first, {values, n});
  });
}

size_t infer_model_warning_count(const infer_model* model) {
  return is(model) ? model->model->descriptor().warnings.size() : 0;
}

const char* infer_model_warning(const infer_model* model, size_t index) {
  return index < infer_model_warning_count(model) ? model->model->descriptor().warnings[index].c_str() : nullptr;
}

infer_status infer_model_plan(infer_env* env, const infer_source* source, const infer_options* model_options,
                              const infer_options* session_options, infer_memory_plan* plan, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (plan == nullptr) return null_argument("plan");
    INFER_TRY(fill(plan, infer_memory_plan{}));
    INFER_TRY(check_optional(env, "env"));
    INFER_TRY(check(source, "source"));
    INFER_TRY(check_optional(model_options, "model_options"));
    INFER_TRY(check_optional(session_options, "session_options"));
    INFER_ASSIGN(const infer::ModelOptions o, to_model_options(model_options == nullptr ? nullptr : &model_options->values));
    INFER_ASSIGN(infer::SessionOptions s,
                 to_session_options(session_options == nullptr ? nullptr : &session_options->values));
    const Ref<infer_env> owner = owner_of(env);
    INFER_ASSIGN(const infer_env::Host work, owner->look());
    s.executor = work.executor;
    INFER_ASSIGN(const std::shared_ptr<const infer::Model> model, infer::Model::plan(owner->library, source->source, o));
    infer::MemoryUse use = model->memory();
    if (!o.vocab_only) {
      INFER_ASSIGN(const infer::MemoryUse session, infer::Session::plan(model, s));
      use += session;
    }
    return fill(plan, plan_of(use));
  });
}

infer_status infer_model_validate(const infer_model* model, const infer_cancel* cancel, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(model, "model"));
    INFER_TRY(check_optional(cancel, "cancel"));
    return model->model->validate(flag_of(cancel));
  });
}

uint64_t infer_model_memory(const infer_model* model, int32_t memory_class) {
  return is(model) ? bytes_of(model->model->memory(), memory_class) : 0;
}

}  // extern "C"
