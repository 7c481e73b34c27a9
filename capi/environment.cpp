// SPDX-License-Identifier: MIT
// Options, environments, cancel flags and sources: what a load is given.
#include <thread>

#include <fmt/format.h>

#include "capi/facts.h"
#include "capi/handles.h"

using infer::Code;
using infer::Result;
using infer::Status;
using namespace infer::capi;

infer_env::Host infer_env::host() noexcept {
  Host all{.memory = memory, .executor = executor, .log = {}};
  if (log_fn == nullptr) return all;
  const auto write = [](void* user, infer::LogLevel level, std::string_view component, std::string_view message) {
    const infer_env* env = static_cast<const infer_env*>(user);
    try {
      const std::string c(component), m(message);   // the callback gets NUL-terminated strings
      env->log_fn(env->log_user, static_cast<std::int32_t>(level), c.c_str(), m.c_str());
    } catch (...) {   // a record is lost: no memory, or the host threw, which it must not
    }
  };
  all.log = {.write = write, .user = this, .level = static_cast<infer::LogLevel>(log_level)};
  return all;
}

/// From open to `next`; false where it is fixed already. Others are inside for an instant, or for ever in a child of fork().
Result<bool> infer_env::enter(Stage next) {
  for (int i = 0; i < 10000; ++i) {
    Stage seen = Stage::open;
    if (stage_.compare_exchange_strong(seen, next)) return true;
    if (seen == Stage::fixed) return false;
    std::this_thread::yield();
  }
  return infer::capi::busy("environment");
}

Result<infer_env::Host> infer_env::begin_work() {
  INFER_ASSIGN([[maybe_unused]] const bool is_first, enter(Stage::fixed));
  return host();
}

Result<infer_env::Host> infer_env::look() {
  INFER_ASSIGN(const bool is_open, enter(Stage::inside));
  Host all = host();
  if (is_open) stage_ = Stage::open;
  return all;
}

template <class Change>
Status infer_env::before_work(const char* what, const Change& change) {
  INFER_ASSIGN(const bool is_open, enter(Stage::inside));
  if (!is_open) {
    return Status::error(Code::state, fmt::format("this environment is in use; set the {} before the first load, quantisation or probe "
                                                  "with it, or make another environment", what));
  }
  change();
  stage_ = Stage::open;
  return {};
}

namespace {

/// What infer_env_get_i64 tells.
struct EnvFact {
  const char* key;
  std::int64_t (*get)(const infer_env& env);
};

constexpr EnvFact kEnvFacts[] = {
    {"cores", [](const infer_env&) -> std::int64_t { return infer::available_cores(); }},
    {"threads_default",
     [](const infer_env& env) -> std::int64_t { return infer::default_threads(env.executor); }},
};

}  // namespace

extern "C" {

// ---- options

size_t infer_option_count(int32_t kind) { return option_specs(kind).size(); }

infer_status infer_option_describe(int32_t kind, size_t index, infer_option_info* out, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (out == nullptr) return null_argument("info");
    INFER_TRY(fill(out, infer_option_info{}));
    const auto specs = option_specs(kind);
    if (index >= specs.size()) {
      return Status::error(Code::range, fmt::format("option {} of kind {} does not exist; there are {}", index, kind, specs.size()));
    }
    const OptionSpec& s = specs[index];
    return fill(out, infer_option_info{sizeof(infer_option_info), s.key, static_cast<int32_t>(s.type), s.min, s.max,
                                       s.default_text, s.doc});
  });
}

infer_status infer_options_create(int32_t kind, infer_options** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    if (option_specs(kind).empty()) {
      return Status::error(Code::argument, fmt::format("{} is no kind of options; use an INFER_OPTIONS_ constant", kind));
    }
    *out = new infer_options(kind);
    return {};
  });
}
void infer_options_retain(infer_options* options) { retain(options); }
void infer_options_release(infer_options* options) { release(options); }

infer_status infer_options_set_i64(infer_options* options, const char* key, int64_t value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(options, "options"));
    INFER_TRY(check_key(key));
    INFER_ENTER(options, "option set");
    return options->values.set(key, std::int64_t{value});
  });
}

infer_status infer_options_set_f64(infer_options* options, const char* key, double value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(options, "options"));
    INFER_TRY(check_key(key));
    INFER_ENTER(options, "option set");
    return options->values.set(key, value);
  });
}

infer_status infer_options_set_str(infer_options* options, const char* key, const char* value, size_t length,
                                   infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(options, "options"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(const std::string_view text, text_argument(value, length, "value"));
    INFER_ENTER(options, "option set");
    return options->values.set(key, text);
  });
}

infer_status infer_options_parse(infer_options* options, const char* text, size_t length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(options, "options"));
    INFER_ASSIGN(std::string_view rest, text_argument(text, length, "text"));
    INFER_ENTER(options, "option set");
    const auto trimmed = [](std::string_view s) {
      const std::size_t first = s.find_first_not_of(" \t\r");
      return first == std::string_view::npos ? std::string_view() : s.substr(first, s.find_last_not_of(" \t\r") - first + 1);
    };
    OptionValues values = options->values;   // nothing is set when a line is wrong
    for (int line = 1; !rest.empty(); ++line) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view content = trimmed(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (content.empty() || content.front() == '#') continue;
      const std::size_t equals = content.find('=');
      if (equals == std::string_view::npos) {
        return Status::error(Code::argument, fmt::format("line {}: '{}' is not key=value", line, content));
      }
      INFER_TRY(values.parse(trimmed(content.substr(0, equals)), trimmed(content.substr(equals + 1)))
                    .with_context(fmt::format("line {}", line)));
    }
    options->values = std::move(values);
    return {};
  });
}

infer_status infer_options_get_i64(const infer_options* options, const char* key, int64_t* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(options, "options"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(*value, options->values.integer(key));
    return {};
  });
}

infer_status infer_options_get_f64(const infer_options* options, const char* key, double* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(options, "options"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(*value, options->values.number(key));
    return {};
  });
}

infer_status infer_options_get_str(const infer_options* options, const char* key, char* buffer, size_t capacity,
                                   size_t* need, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    INFER_TRY(check(options, "options"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(const std::string text, options->values.text(key));
    return copy_out(text, buffer, capacity, need);
  });
}

infer_status infer_options_reset(infer_options* options, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(options, "options"));
    INFER_ENTER(options, "option set");
    options->values.reset();
    return {};
  });
}

// ---- environment

infer_status infer_env_create(infer_env** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    *out = new infer_env;
    return {};
  });
}
void infer_env_retain(infer_env* env) { retain(env); }
void infer_env_release(infer_env* env) { release(env); }

infer_status infer_env_set_log(infer_env* env, int32_t level, infer_log_fn fn, void* user, infer_destroy_fn destroy,
                               infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(env, "env"));
    INFER_ENTER(env, "environment");
    if (level < INFER_LOG_DEBUG || level > INFER_LOG_OFF) {
      return Status::error(Code::range, fmt::format("log level {} is outside {}..{}", level, +INFER_LOG_DEBUG, +INFER_LOG_OFF));
    }
    void* old_user = user;
    infer_destroy_fn old_destroy = destroy;
    INFER_TRY(env->before_work("log", [&]() noexcept {
      env->log_fn = fn;
      std::swap(env->log_user, old_user);
      std::swap(env->log_destroy, old_destroy);
      env->log_level = level;
    }));
    if (old_destroy != nullptr) old_destroy(old_user);
    return {};
  });
}

infer_status infer_env_set_executor(infer_env* env, int32_t n_threads, infer_parallel_for_fn fn, void* user,
                                    infer_destroy_fn destroy, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(env, "env"));
    INFER_ENTER(env, "environment");
    if (fn != nullptr && (n_threads < 1 || n_threads > infer::ThreadPool::kMaxThreads)) {
      constexpr int kMost = infer::ThreadPool::kMaxThreads;
      return Status::error(Code::range, fmt::format("n_threads = {} is outside 1..{}", n_threads, kMost)).about("n_threads");
    }
    infer::Executor old{.n_threads = n_threads, .parallel_for = fn, .user = user};
    infer_destroy_fn old_destroy = destroy;
    INFER_TRY(env->before_work("executor", [&]() noexcept {
      std::swap(env->executor, old);
      std::swap(env->executor_destroy, old_destroy);
    }));
    if (old_destroy != nullptr) old_destroy(old.user);
    return {};
  });
}

infer_status infer_env_set_budget(infer_env* env, uint64_t bytes, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(env, "env"));
    INFER_ENTER(env, "environment");
    return env->memory->set_budget(bytes == 0 ? infer::MemoryAccount::kNoLimit : bytes);
  });
}

infer_status infer_env_memory(const infer_env* env, int32_t memory_class, uint64_t* now, uint64_t* peak, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (now != nullptr) *now = 0;
    if (peak != nullptr) *peak = 0;
    INFER_TRY(check(env, "env"));
    const bool all = memory_class == INFER_MEMORY_OWNED;
    if (!all && (memory_class < 0 || memory_class >= infer::kMemoryClassCount)) {
      return Status::error(Code::argument, fmt::format("memory class {} is no INFER_MEMORY_ constant", memory_class));
    }
    const infer::MemoryAccount& account = *env->memory;
    if (now != nullptr) *now = all ? account.owned() : bytes_of(account.now(), memory_class);
    if (peak != nullptr) *peak = all ? account.peak_owned() : bytes_of(account.peak(), memory_class);
    return {};
  });
}

infer_status infer_env_get_i64(const infer_env* env, const char* key, int64_t* value, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(value, "value"));
    INFER_TRY(check(env, "env"));
    INFER_TRY(check_key(key));
    INFER_ASSIGN(const EnvFact* const fact, find_fact(kEnvFacts, key));
    *value = fact->get(*env);
    return {};
  });
}

infer_status infer_env_set_allocator(infer_env* env, infer_alloc_fn alloc, infer_free_fn free_memory, void* user,
                                     infer_destroy_fn destroy, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(env, "env"));
    INFER_ENTER(env, "environment");
    if ((alloc == nullptr) != (free_memory == nullptr)) {
      return Status::error(Code::argument, "an allocator has both functions, alloc and free_memory, or neither");
    }
    // A failure takes nothing over: the account is told of `destroy` once it is the environment's.
    auto account = infer::MemoryAccount::create({.allocate = alloc, .free = free_memory, .destroy = nullptr, .user = user});
    INFER_TRY(account->set_budget(env->memory->budget()));   // an empty account: cannot be refused
    INFER_TRY(env->before_work("allocator", [&]() noexcept { env->memory.swap(account); }));
    env->memory->set_destroy(destroy);
    return {};
  });
}

// ---- cancel

infer_status infer_cancel_create(infer_cancel** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    *out = new infer_cancel;
    return {};
  });
}
void infer_cancel_retain(infer_cancel* cancel) { retain(cancel); }
void infer_cancel_release(infer_cancel* cancel) { release(cancel); }
void infer_cancel_trigger(infer_cancel* cancel) {
  if (is(cancel)) cancel->flag.set.store(true, std::memory_order_relaxed);
}
void infer_cancel_reset(infer_cancel* cancel) {
  if (is(cancel)) cancel->flag.set.store(false, std::memory_order_relaxed);
}
int32_t infer_cancel_is_set(const infer_cancel* cancel) { return is(cancel) && is_cancelled(&cancel->flag) ? 1 : 0; }

// ---- sources

infer_status infer_source_path(const char* path, size_t length, infer_source** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_ASSIGN(const std::string_view text, text_argument(path, length, "path"));
    auto source = std::make_unique<infer_source>();
    source->source = infer::Source::from_path(std::string(text));
    *out = source.release();
    return {};
  });
}

infer_status infer_source_memory(const void* data, size_t size, infer_destroy_fn destroy, void* user, infer_source** out,
                                 infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    if (data == nullptr && size > 0) return null_argument("data");
    auto source = std::make_unique<infer_source>();
    source->source = infer::Source::from_memory({static_cast<const std::byte*>(data), size});
    source->destroy = destroy;
    source->user = user;
    *out = source.release();
    return {};
  });
}

infer_status infer_source_fd(int32_t fd, uint64_t offset, uint64_t length, infer_source** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    auto source = std::make_unique<infer_source>();
    source->source = infer::Source::from_fd(fd, offset, length);
    *out = source.release();
    return {};
  });
}
void infer_source_retain(infer_source* source) { retain(source); }
void infer_source_release(infer_source* source) { release(source); }

}  // extern "C"
