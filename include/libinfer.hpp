// SPDX-License-Identifier: MIT
//
// libinfer.hpp: the C ABI of libinfer.h as C++ values (C++17 and later), header-only. Objects release themselves, calls
// that can fail return Expected<T>, and nothing throws unless asked: value() of a failure is the asking. What a call
// does, its units and its thread class are told in libinfer.h. Tested by tests/capi/hpp_test.cpp and
// tests/capi/hpp_usage_test.cpp; tools/ lives in it.
//
//   auto model = libinfer::Model::load("model.gguf");
//   if (!model) return complain(model.error().message());
//   auto session = libinfer::Session::create(*model);
//   if (!session) return complain(session.error().message());
//   auto stream = libinfer::Stream::start(*session, "Once upon a time");
//   if (!stream) return complain(stream.error().message());
//   for (libinfer::Event event : *stream) std::cout << event.text() << std::flush;
//   if (!stream->status()) return complain(stream->status().error().message());
//
// or, for those who like exceptions: auto model = libinfer::Model::load("model.gguf").value();
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "libinfer.h"

namespace libinfer {

/// What went wrong. Cheap to copy; safe to share between threads. A default one says that nothing did.
class Error {
 public:
  Error() = default;
  /// Takes over `raw`, which may be NULL.
  Error(infer_status code, infer_error* raw) : code_(code), raw_(raw, infer_error_release) {}

  infer_status code() const noexcept { return code_; }
  /// A sentence that says what, where and what to do.
  const char* message() const noexcept { return raw_ ? infer_error_message(raw_.get()) : infer_status_text(code_); }
  /// "INFER_E_NOFILE".
  const char* name() const noexcept { return infer_status_name(code_); }
  /// The path, key, tensor or option that it is about, or "".
  const char* subject() const noexcept { return infer_error_subject(raw_.get()); }
  /// Byte offset in the file, or -1.
  std::int64_t offset() const noexcept { return infer_error_offset(raw_.get()); }

 private:
  infer_status code_ = INFER_OK;
  std::shared_ptr<infer_error> raw_;
};

/// Thrown by Expected::value() only.
class Exception : public std::exception {
 public:
  explicit Exception(Error error) : error_(std::move(error)) {}
  const char* what() const noexcept override { return error_.message(); }
  const Error& error() const noexcept { return error_; }

 private:
  Error error_;
};

/// A T, or the error that stood in its way. `*` and `->` are for those who have looked at ok().
template <class T>
class [[nodiscard]] Expected {
 public:
  Expected(T value) : value_(std::move(value)) {}
  Expected(Error error) : error_(std::move(error)) {}

  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  const Error& error() const noexcept { return error_; }

  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return *std::move(value_); }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }
  T value_or(T other) && { return ok() ? *std::move(value_) : std::move(other); }

#ifdef __cpp_exceptions
  T& value() & { return check(), *value_; }
  const T& value() const& { return check(), *value_; }
  T value() && { return check(), *std::move(value_); }

 private:
  void check() const {
    if (!ok()) throw Exception(error_);
  }
#endif

 private:
  std::optional<T> value_;
  Error error_;
};

template <>
class [[nodiscard]] Expected<void> {
 public:
  Expected() = default;
  Expected(Error error) : error_(std::move(error)) {}

  bool ok() const noexcept { return error_.code() >= 0; }
  explicit operator bool() const noexcept { return ok(); }
  const Error& error() const noexcept { return error_; }

#ifdef __cpp_exceptions
  void value() const {
    if (!ok()) throw Exception(error_);
  }
#endif

 private:
  Error error_;
};

/// Some values of the caller's, for the length of a call: a vector, or a pointer and a count.
template <class T>
class View {
 public:
  View(const T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  View(const std::vector<T>& values) noexcept : View(values.data(), values.size()) {}

  const T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size_; }
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  const T* data_;
  std::size_t size_;
};
using Tokens = View<std::int32_t>;

namespace detail {

/// One reference to an object that counts them: a copy is one more. Adopts what it is made from.
template <class Raw, void (*Retain)(Raw*), void (*Release)(Raw*)>
class Shared {
 public:
  explicit Shared(Raw* raw) noexcept : raw_(raw) {}
  Shared(const Shared& other) noexcept : raw_(other.raw_) { Retain(raw_); }
  Shared(Shared&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Shared& operator=(Shared other) noexcept { return std::swap(raw_, other.raw_), *this; }
  ~Shared() { Release(raw_); }
  /// For calls that this header does not wrap.
  Raw* get() const noexcept { return raw_; }

 private:
  Raw* raw_;
};

/// The only reference: moves, and does not copy.
template <class Raw, void (*Release)(Raw*)>
class Owned {
 public:
  explicit Owned(Raw* raw) noexcept : raw_(raw) {}
  Raw* get() const noexcept { return raw_.get(); }

 private:
  struct Deleter {
    void operator()(Raw* raw) const noexcept { Release(raw); }
  };
  std::unique_ptr<Raw, Deleter> raw_;
};

template <class Object>
auto raw(const Object* object) noexcept {
  return object != nullptr ? object->get() : nullptr;
}

/// call(&err) -> status
template <class Call>
Expected<void> check(Call&& call) {
  infer_error* error = nullptr;
  const infer_status status = call(&error);
  if (status < 0) return Error(status, error);
  return {};
}

/// call(&value, &err) -> status
template <class T, class Call>
Expected<T> get(Call&& call) {
  T value{};
  infer_error* error = nullptr;
  const infer_status status = call(&value, &error);
  if (status < 0) return Error(status, error);
  return value;
}

/// call(&text, &length, &err) -> status; the text is copied.
template <class Call>
Expected<std::string> borrow(Call&& call) {
  return get<std::string>([&](auto out, auto err) {
    const char* text = nullptr;
    std::size_t length = 0;
    const infer_status status = call(&text, &length, err);
    if (status >= 0) out->assign(text, length);
    return status;
  });
}

/// call(&raw, &err) -> status, for the objects above.
template <class Object, class Raw, class Call>
Expected<Object> make(Call&& call) {
  Raw* object = nullptr;
  infer_error* error = nullptr;
  const infer_status status = call(&object, &error);
  if (status < 0) return Error(status, error);
  return Object(object);
}

/// call(data, capacity, &need, &err) -> status; asked again once when the guess was too small.
template <class Container, class Call>
Expected<Container> fill(std::size_t guess, Call&& call) {
  Container out(guess, typename Container::value_type{});
  for (bool again = false;; again = true) {
    std::size_t need = 0;
    infer_error* error = nullptr;
    const infer_status status = call(out.data(), out.size(), &need, &error);
    if (status < 0 && (status != INFER_E_BUFFER || again)) return Error(status, error);
    infer_error_release(error);
    if (status >= 0) return out.resize(need), std::move(out);
    out.resize(need + 1);  // room for the NUL of a text
  }
}

}  // namespace detail

/// Values by key, checked when they are set. `kind` is INFER_OPTIONS_*.
class Options : public detail::Shared<infer_options, infer_options_retain, infer_options_release> {
 public:
  using Shared::Shared;
  static Expected<Options> create(std::int32_t kind) {
    return detail::make<Options, infer_options>(
        [&](auto out, auto err) { return infer_options_create(kind, out, err); });
  }

  /// Integers and bool, floating point, or text; setting a list adds one text to it.
  template <class T>
  Expected<void> set(const char* key, const T& value) {
    return detail::check([&](auto err) {
      if constexpr (std::is_integral_v<T>) {
        return infer_options_set_i64(get(), key, static_cast<std::int64_t>(value), err);
      } else if constexpr (std::is_floating_point_v<T>) {
        return infer_options_set_f64(get(), key, static_cast<double>(value), err);
      } else {
        const std::string_view text(value);
        return infer_options_set_str(get(), key, text.data(), text.size(), err);
      }
    });
  }
  /// Lines of key=value; all or nothing.
  Expected<void> parse(std::string_view text) {
    return detail::check([&](auto err) { return infer_options_parse(get(), text.data(), text.size(), err); });
  }
  Expected<void> reset() {
    return detail::check([&](auto err) { return infer_options_reset(get(), err); });
  }
  Expected<std::int64_t> get_i64(const char* key) const {
    return detail::get<std::int64_t>([&](auto v, auto err) { return infer_options_get_i64(get(), key, v, err); });
  }
  Expected<double> get_f64(const char* key) const {
    return detail::get<double>([&](auto v, auto err) { return infer_options_get_f64(get(), key, v, err); });
  }
  Expected<std::string> get_str(const char* key) const {
    return detail::fill<std::string>(64, [&](auto... out) { return infer_options_get_str(get(), key, out...); });
  }

  /// What options of a kind there are.
  static std::vector<infer_option_info> describe(std::int32_t kind) {
    std::vector<infer_option_info> all;
    for (std::size_t i = 0; i < infer_option_count(kind); ++i) {
      infer_option_info info{};
      info.struct_size = sizeof(info);
      if (infer_option_describe(kind, i, &info, nullptr) >= 0) all.push_back(info);
    }
    return all;
  }
};

/// A flag that long calls look at. trigger() may be called from any thread; get() is for signal handlers.
class Cancel : public detail::Shared<infer_cancel, infer_cancel_retain, infer_cancel_release> {
 public:
  using Shared::Shared;
  static Expected<Cancel> create() { return detail::make<Cancel, infer_cancel>(infer_cancel_create); }
  void trigger() const noexcept { infer_cancel_trigger(get()); }
  void reset() const noexcept { infer_cancel_reset(get()); }
  bool is_set() const noexcept { return infer_cancel_is_set(get()) != 0; }
};

/// What models share: the log, the threads, the account of their memory.
class Env : public detail::Shared<infer_env, infer_env_retain, infer_env_release> {
 public:
  using Shared::Shared;
  /// level (INFER_LOG_*), component, message. Exceptions that leave it are dropped.
  using Log = std::function<void(std::int32_t, const char*, const char*)>;

  static Expected<Env> create() { return detail::make<Env, infer_env>(infer_env_create); }
  /// Before the first load, quantisation or probe with this environment; an empty function silences.
  Expected<void> set_log(std::int32_t level, Log log) {
    auto holder = std::make_unique<Log>(std::move(log));
    auto set =
        detail::check([&](auto err) { return infer_env_set_log(get(), level, *holder ? write : nullptr, holder.get(), destroy, err); });
    if (set) static_cast<void>(holder.release());  // destroy() has it now
    return set;
  }
  /// The most bytes that models and sessions may own together; 0 for no limit.
  Expected<void> set_budget(std::uint64_t bytes) {
    return detail::check([&](auto err) { return infer_env_set_budget(get(), bytes, err); });
  }
  /// Bytes now, and the most at any time. memory_class: INFER_MEMORY_*.
  struct Memory {
    std::uint64_t now = 0, peak = 0;
  };
  Expected<Memory> memory(std::int32_t memory_class) const {
    return detail::get<Memory>(
        [&](auto m, auto err) { return infer_env_memory(get(), memory_class, &m->now, &m->peak, err); });
  }
  /// Before the first load, quantisation or probe with this environment.
  Expected<void> set_allocator(infer_alloc_fn alloc, infer_free_fn free_memory, void* user = nullptr,
                               infer_destroy_fn when_gone = nullptr) {
    return detail::check(
        [&](auto err) { return infer_env_set_allocator(get(), alloc, free_memory, user, when_gone, err); });
  }

  /// Calls task(i) once for each i below n and returns when all have returned. Must not throw.
  using Executor = std::function<void(std::size_t n, const std::function<void(std::size_t)>& task)>;
  /// The host's threads instead of the library's; an empty one takes it back. When: as the log.
  Expected<void> set_executor(std::int32_t n_threads, Executor executor) {
    const bool given = static_cast<bool>(executor);
    auto holder = std::make_unique<Executor>(std::move(executor));
    const infer_parallel_for_fn run = [](void* user, std::size_t n, infer_task_fn task, void* arg) {
      (*static_cast<Executor*>(user))(n, [task, arg](std::size_t i) { task(arg, i); });
    };
    const infer_destroy_fn gone = [](void* user) { delete static_cast<Executor*>(user); };
    auto set = detail::check([&](auto err) {
      return infer_env_set_executor(get(), n_threads, given ? run : nullptr, holder.get(), gone, err);
    });
    if (set) static_cast<void>(holder.release());  // gone() has it now
    return set;
  }
  Expected<std::int64_t> get_i64(const char* key) const {
    return detail::get<std::int64_t>([&](auto v, auto err) { return infer_env_get_i64(get(), key, v, err); });
  }

 private:
  static void destroy(void* user) { delete static_cast<Log*>(user); }
  static void write(void* user, std::int32_t level, const char* component, const char* message) {
#ifdef __cpp_exceptions
    try {
      (*static_cast<Log*>(user))(level, component, message);
    } catch (...) {// nothing may fly through C
    }
#else
    (*static_cast<Log*>(user))(level, component, message);
#endif
  }
};

/// Where a model's bytes come from.
class Source : public detail::Shared<infer_source, infer_source_retain, infer_source_release> {
 public:
  using Shared::Shared;
  static Expected<Source> path(std::string_view path) {
    return detail::make<Source, infer_source>(
        [&](auto out, auto err) { return infer_source_path(path.data(), path.size(), out, err); });
  }
  /// The bytes stay untouched until the last model made from them is gone.
  static Expected<Source> memory(const void* data, std::size_t size) {
    return detail::make<Source, infer_source>(
        [&](auto out, auto err) { return infer_source_memory(data, size, nullptr, nullptr, out, err); });
  }
  static Expected<Source> fd(std::int32_t fd, std::uint64_t offset = 0, std::uint64_t length = 0) {
    return detail::make<Source, infer_source>(
        [&](auto out, auto err) { return infer_source_fd(fd, offset, length, out, err); });
  }
};

/// How to load; all of it may be left out.
struct Load {
  const Options* options = nullptr;  // kind MODEL
  const Env* env = nullptr;
  const Cancel* cancel = nullptr;
  /// Bytes read and bytes in all; false stops the load, and so would an exception.
  std::function<bool(std::uint64_t, std::uint64_t)> progress = nullptr;
};

/// What computes what, as JSON: see infer_kernels_json.
inline Expected<std::string> kernels_json() {
  return detail::fill<std::string>(4096, [](auto... out) { return infer_kernels_json(out...); });
}

/// What this machine can do at most, measured now: see infer_machine_probe.
inline Expected<infer_machine_limits> machine_probe(std::int32_t n_threads = 0, const Env* env = nullptr) {
  return detail::get<infer_machine_limits>([&](auto limits, auto err) {
    limits->struct_size = sizeof(*limits);
    return infer_machine_probe(detail::raw(env), n_threads, limits, err);
  });
}

/// The plan of a quantisation, as JSON: see infer_quantize_plan. `how.options` is of kind QUANT.
inline Expected<std::string> quantize_plan(const Source& source, const Load& how) {
  return detail::fill<std::string>(65536, [&](auto... out) {
    return infer_quantize_plan(detail::raw(how.env), source.get(), detail::raw(how.options), out...);
  });
}
/// Writes the file `path`. `how.options` is of kind QUANT; progress is in bytes of the source's tensors.
inline Expected<void> quantize(const Source& source, std::string_view path, const Load& how) {
  const infer_progress_fn progress = [](void* user, std::uint64_t done, std::uint64_t total) -> std::int32_t {
    return static_cast<const Load*>(user)->progress(done, total) ? 0 : 1;
  };
  return detail::check([&](auto err) {
    return infer_quantize(detail::raw(how.env), source.get(), path.data(), path.size(), detail::raw(how.options),
                          detail::raw(how.cancel), how.progress ? progress : nullptr, const_cast<Load*>(&how), err);
  });
}

/// Immutable once loaded; copies are the same model.
class Model : public detail::Shared<infer_model, infer_model_retain, infer_model_release> {
 public:
  using Shared::Shared;
  static Expected<Model> load(const Source& source, const Load& how = {}) {
    const infer_progress_fn progress = [](void* user, std::uint64_t done, std::uint64_t total) -> std::int32_t {
      return static_cast<const Load*>(user)->progress(done, total) ? 0 : 1;
    };
    return detail::make<Model, infer_model>([&](auto out, auto err) {
      return infer_model_load(detail::raw(how.env), source.get(), detail::raw(how.options), detail::raw(how.cancel),
                              how.progress ? progress : nullptr, const_cast<Load*>(&how), out, err);
    });
  }
  static Expected<Model> load(std::string_view path, const Load& how = {}) {
    auto source = Source::path(path);
    if (!source) return source.error();
    return load(*source, how);
  }

  /// What a load and a session (options: kind SESSION) will take; no weights are read.
  static Expected<infer_memory_plan> plan(const Source& source, const Load& how = {}, const Options* session = nullptr) {
    return detail::get<infer_memory_plan>([&](auto plan, auto err) {
      plan->struct_size = sizeof(*plan);
      return infer_model_plan(detail::raw(how.env), source.get(), detail::raw(how.options), detail::raw(session), plan, err);
    });
  }

  Expected<std::int64_t> get_i64(const char* key) const {
    return detail::get<std::int64_t>([&](auto v, auto err) { return infer_model_get_i64(get(), key, v, err); });
  }
  Expected<double> get_f64(const char* key) const {
    return detail::get<double>([&](auto v, auto err) { return infer_model_get_f64(get(), key, v, err); });
  }
  Expected<std::string> get_str(const char* key) const {
    return detail::fill<std::string>(64, [&](auto... out) { return infer_model_get_str(get(), key, out...); });
  }
  std::uint64_t memory(std::int32_t memory_class) const noexcept { return infer_model_memory(get(), memory_class); }
  /// What the products of a pass ask of the machine: see infer_model_work.
  Expected<infer_work> work(std::int64_t n_tokens, std::int64_t n_logits) const {
    return detail::get<infer_work>([&](auto work, auto err) {
      work->struct_size = sizeof(*work);
      return infer_model_work(get(), n_tokens, n_logits, work, err);
    });
  }
  /// Looks at every weight for NaN and infinity; reads the whole file.
  Expected<void> validate(const Cancel* cancel = nullptr) const {
    return detail::check([&](auto err) { return infer_model_validate(get(), detail::raw(cancel), err); });
  }

  std::size_t meta_count() const noexcept { return infer_model_meta_count(get()); }
  Expected<infer_meta_info> meta(std::size_t index) const {
    return detail::get<infer_meta_info>([&](auto info, auto err) {
      info->struct_size = sizeof(*info);
      return infer_model_meta_at(get(), index, info, err);
    });
  }
  Expected<std::string> meta_json(const char* key) const {
    return detail::fill<std::string>(256, [&](auto... out) { return infer_model_meta_json(get(), key, out...); });
  }
  std::size_t tensor_count() const noexcept { return infer_model_tensor_count(get()); }
  Expected<infer_tensor_info> tensor(std::size_t index) const {
    return detail::get<infer_tensor_info>([&](auto info, auto err) {
      info->struct_size = sizeof(*info);
      return infer_model_tensor_at(get(), index, info, err);
    });
  }
  /// n elements of a tensor from `first` on, as floats.
  Expected<void> read_tensor(std::size_t index, std::uint64_t first, float* values, std::size_t n) const {
    return detail::check([&](auto err) { return infer_model_tensor_read(get(), index, first, n, values, err); });
  }
  std::vector<std::string> warnings() const {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < infer_model_warning_count(get()); ++i) all.emplace_back(infer_model_warning(get(), i));
    return all;
  }

  /// flags: INFER_TOKENIZE_*.
  Expected<std::vector<std::int32_t>> tokenize(std::string_view text, std::int32_t flags) const {
    return detail::fill<std::vector<std::int32_t>>(text.size() / 2 + 16, [&](auto... out) {
      return infer_tokenize(get(), text.data(), text.size(), flags, out...);
    });
  }
  /// Tokens, and the bytes of the text from begins[i] up to ends[i] that token i stands for: see infer_tokenize_spans.
  struct Spans {
    std::vector<std::int32_t> tokens;
    std::vector<std::size_t> begins, ends;
  };
  Expected<Spans> tokenize_spans(std::string_view text, std::int32_t flags) const {
    Spans spans;
    auto tokens = detail::fill<std::vector<std::int32_t>>(
        text.size() / 2 + 16, [&](std::int32_t* to, std::size_t capacity, std::size_t* need, infer_error** err) {
          spans.begins.resize(capacity);
          spans.ends.resize(capacity);
          return infer_tokenize_spans(get(), text.data(), text.size(), flags, to, spans.begins.data(), spans.ends.data(),
                                      capacity, need, err);
        });
    if (!tokens) return tokens.error();
    spans.tokens = *std::move(tokens);
    spans.begins.resize(spans.tokens.size());
    spans.ends.resize(spans.tokens.size());
    return spans;
  }
  /// flags: INFER_DETOKENIZE_*. Exact bytes, which need not be UTF-8.
  Expected<std::string> detokenize(Tokens tokens, std::int32_t flags = 0) const {
    return detail::fill<std::string>(8 * tokens.size() + 16, [&](auto... out) {
      return infer_detokenize(get(), tokens.data(), tokens.size(), flags, out...);
    });
  }
  /// The bytes of one token; borrowed for the life of the model.
  Expected<std::string_view> token_bytes(std::int32_t token, std::int32_t flags = 0) const {
    return detail::get<std::string_view>([&](auto view, auto err) {
      const char* bytes = nullptr;
      std::size_t length = 0;
      const infer_status status = infer_token_bytes(get(), token, flags, &bytes, &length, err);
      *view = std::string_view(bytes, length);
      return status;
    });
  }
  Expected<std::int32_t> special(const char* role) const {
    return detail::get<std::int32_t>([&](auto v, auto err) { return infer_token_special(get(), role, v, err); });
  }
  /// INFER_TOKEN_*.
  Expected<std::int32_t> token_type(std::int32_t token) const {
    return detail::get<std::int32_t>([&](auto v, auto err) { return infer_token_type(get(), token, v, err); });
  }
  Expected<bool> is_end(std::int32_t token) const {
    return detail::get<bool>([&](auto v, auto err) {
      std::int32_t is_end = 0;
      const infer_status status = infer_token_is_end(get(), token, &is_end, err);
      *v = is_end != 0;
      return status;
    });
  }
};

/// Tokens to text one by one, whole UTF-8 characters only.
class Decoder : public detail::Owned<infer_decoder, infer_decoder_release> {
 public:
  using Owned::Owned;
  /// flags: INFER_DETOKENIZE_RENDER_SPECIAL.
  static Expected<Decoder> create(const Model& model, std::int32_t flags = 0) {
    return detail::make<Decoder, infer_decoder>(
        [&](auto out, auto err) { return infer_decoder_create(model.get(), flags, out, err); });
  }
  Expected<std::string> push(std::int32_t token) {
    return detail::borrow([&](auto... out) { return infer_decoder_push(get(), token, out...); });
  }
  Expected<std::string> flush() {
    return detail::borrow([&](auto... out) { return infer_decoder_flush(get(), out...); });
  }
};

/// A prompt in pieces of one origin: the template's words are trusted, those of messages are not.
struct PromptSegment {
  std::string text;
  bool trusted;
};

/// What a template made of a conversation.
class Prompt : public detail::Owned<infer_prompt, infer_prompt_release> {
 public:
  using Owned::Owned;
  Expected<std::string> text() const {
    return detail::borrow([&](auto... out) { return infer_prompt_text(get(), out...); });
  }
  /// Of a prompt that was rendered with a model.
  Expected<std::vector<std::int32_t>> tokens() const {
    return detail::fill<std::vector<std::int32_t>>(256, [&](auto... out) { return infer_prompt_tokens(get(), out...); });
  }
  std::vector<PromptSegment> segments() const {
    std::vector<PromptSegment> all;
    for (std::size_t i = 0; i < infer_prompt_segment_count(get()); ++i) {
      const char* text = nullptr;
      std::size_t length = 0;
      std::int32_t trusted = 0;
      if (infer_prompt_segment(get(), i, &text, &length, &trusted, nullptr) >= 0) {
        all.push_back({std::string(text, length), trusted != 0});
      }
    }
    return all;
  }
};

/// A conversation, and what else a template is told.
class Messages : public detail::Shared<infer_messages, infer_messages_retain, infer_messages_release> {
 public:
  using Shared::Shared;
  static Expected<Messages> create() {
    return detail::make<Messages, infer_messages>([&](auto out, auto err) { return infer_messages_create(out, err); });
  }
  Expected<void> add(const char* role, std::string_view content) {
    return detail::check(
        [&](auto err) { return infer_messages_add(get(), role, content.data(), content.size(), err); });
  }
  Expected<void> add_part(std::string_view text) {
    return detail::check([&](auto err) { return infer_messages_add_part(get(), text.data(), text.size(), err); });
  }
  Expected<void> add_json(std::string_view json) {
    return detail::check([&](auto err) { return infer_messages_add_json(get(), json.data(), json.size(), err); });
  }
  /// arguments: a JSON object.
  Expected<void> add_tool_call(const char* id, const char* name, std::string_view arguments) {
    return detail::check([&](auto err) {
      return infer_messages_add_tool_call(get(), id, name, arguments.data(), arguments.size(), err);
    });
  }
  Expected<void> add_tool_result(const char* id, const char* name, std::string_view content) {
    return detail::check([&](auto err) {
      return infer_messages_add_tool_result(get(), id, name, content.data(), content.size(), err);
    });
  }
  Expected<void> set_tools(std::string_view json) {
    return detail::check([&](auto err) { return infer_messages_set_tools(get(), json.data(), json.size(), err); });
  }
  Expected<void> set_variable(const char* name, std::string_view json) {
    return detail::check(
        [&](auto err) { return infer_messages_set_variable(get(), name, json.data(), json.size(), err); });
  }
  Expected<void> set_now(const char* time) {
    return detail::check([&](auto err) { return infer_messages_set_now(get(), time, err); });
  }
  std::size_t count() const noexcept { return infer_messages_count(get()); }
  /// All messages as a JSON list, for add_json().
  Expected<std::string> json() const {
    return detail::fill<std::string>(1024, [&](auto... out) { return infer_messages_json(get(), out...); });
  }
  Expected<void> truncate(std::size_t n) {
    return detail::check([&](auto err) { return infer_messages_truncate(get(), n, err); });
  }
};

/// A chat template; any number of threads may render with it.
class Template : public detail::Shared<infer_template, infer_template_retain, infer_template_release> {
 public:
  using Shared::Shared;
  static Expected<Template> compile(std::string_view text) {
    return detail::make<Template, infer_template>(
        [&](auto out, auto err) { return infer_template_compile(text.data(), text.size(), out, err); });
  }
  /// The template of a model's file; NULL for the default one.
  static Expected<Template> of(const Model& model, const char* name = nullptr) {
    return detail::make<Template, infer_template>(
        [&](auto out, auto err) { return infer_template_of(model.get(), name, out, err); });
  }
  static Expected<Template> builtin(const char* name) {
    return detail::make<Template, infer_template>(
        [&](auto out, auto err) { return infer_template_builtin(name, out, err); });
  }
  Expected<std::string> source() const {
    return detail::borrow([&](auto... out) { return infer_template_source(get(), out...); });
  }
  /// Where it comes from, in a sentence.
  Expected<std::string> origin() const {
    return detail::borrow([&](auto... out) { return infer_template_origin(get(), out...); });
  }
  /// The file has none; a built-in one was taken.
  bool is_chosen_by_rule() const noexcept { return infer_template_is_chosen_by_rule(get()) != 0; }
  /// Lines, one for each construct that is not supported.
  Expected<std::string> check() const {
    return detail::fill<std::string>(256, [&](auto... out) { return infer_template_check(get(), out...); });
  }
  /// The request is a JSON object; infer_template_render_json has its keys.
  Expected<Prompt> render_json(std::string_view request) const {
    return detail::make<Prompt, infer_prompt>(
        [&](auto out, auto err) { return infer_template_render_json(get(), request.data(), request.size(), out, err); });
  }
  /// flags: INFER_RENDER_*. model may be NULL; then the prompt has no tokens.
  Expected<Prompt> render(const Messages& messages, const Model* model,
                          std::int32_t flags = INFER_RENDER_GENERATION_PROMPT) const {
    return detail::make<Prompt, infer_prompt>([&](auto out, auto err) {
      return infer_template_render(get(), detail::raw(model), messages.get(), flags, out, err);
    });
  }
};

/// Everything that changes. One thread at a time.
class Session : public detail::Shared<infer_session, infer_session_retain, infer_session_release> {
 public:
  using Shared::Shared;
  /// options: kind SESSION.
  static Expected<Session> create(const Model& model, const Options* options = nullptr) {
    return detail::make<Session, infer_session>(
        [&](auto out, auto err) { return infer_session_create(model.get(), detail::raw(options), out, err); });
  }
  /// What create() will take.
  static Expected<infer_memory_plan> plan(const Model& model, const Options* options = nullptr) {
    return detail::get<infer_memory_plan>([&](auto plan, auto err) {
      plan->struct_size = sizeof(*plan);
      return infer_session_plan(model.get(), detail::raw(options), plan, err);
    });
  }
  Expected<std::int64_t> get_i64(const char* key) const {
    return detail::get<std::int64_t>([&](auto v, auto err) { return infer_session_get_i64(get(), key, v, err); });
  }
  std::uint64_t memory(std::int32_t memory_class) const noexcept { return infer_session_memory(get(), memory_class); }

  Expected<std::int32_t> open_sequence() {
    return detail::get<std::int32_t>([&](auto v, auto err) { return infer_seq_open(get(), v, err); });
  }
  Expected<void> close_sequence(std::int32_t seq) {
    return detail::check([&](auto err) { return infer_seq_close(get(), seq, err); });
  }
  Expected<void> clear(std::int32_t seq = 0) {
    return detail::check([&](auto err) { return infer_seq_clear(get(), seq, err); });
  }
  /// Tokens that a sequence holds.
  Expected<std::int64_t> length(std::int32_t seq = 0) {
    return detail::get<std::int64_t>([&](auto v, auto err) { return infer_seq_length(get(), seq, v, nullptr, err); });
  }

  /// want: INFER_LOGITS_*. All or nothing.
  Expected<void> feed(Tokens tokens, std::int32_t want = INFER_LOGITS_LAST, std::int32_t seq = 0,
                      const Cancel* cancel = nullptr) {
    return detail::check(
        [&](auto err) { return infer_feed(get(), seq, tokens.data(), tokens.size(), want, detail::raw(cancel), err); });
  }
  /// One token for one sequence.
  Expected<void> step(std::int32_t token, std::int32_t seq = 0, const Cancel* cancel = nullptr) {
    return detail::check([&](auto err) { return infer_step(get(), &seq, &token, 1, detail::raw(cancel), err); });
  }
  /// One token for each of as many sequences.
  Expected<void> step(Tokens seqs, Tokens tokens, const Cancel* cancel = nullptr) {
    if (seqs.size() != tokens.size()) return Error(INFER_E_ARGUMENT, nullptr);
    return detail::check([&](auto err) {
      return infer_step(get(), seqs.data(), tokens.data(), tokens.size(), detail::raw(cancel), err);
    });
  }
  /// Forgets all but the first tokens of a sequence.
  Expected<void> truncate(std::int64_t length, std::int32_t seq = 0) {
    return detail::check([&](auto err) { return infer_seq_truncate(get(), seq, length, err); });
  }
  Expected<std::vector<std::int32_t>> tokens(std::int32_t seq = 0) {
    return detail::fill<std::vector<std::int32_t>>(256, [&](auto... out) { return infer_seq_tokens(get(), seq, out...); });
  }
  /// Borrowed until the next feed or step.
  Expected<View<float>> logits(std::size_t row = 0) const {
    const float* values = nullptr;
    std::size_t n_vocab = 0;
    auto got = detail::check([&](auto err) { return infer_logits(get(), row, &values, &n_vocab, err); });
    if (!got) return got.error();
    return View<float>(values, n_vocab);
  }
};

/// How large the activations are that meet each column of the weights. Filled by sessions.
class Imatrix : public detail::Shared<infer_imatrix, infer_imatrix_retain, infer_imatrix_release> {
 public:
  using Shared::Shared;
  static Expected<Imatrix> create(const Model& model) {
    return detail::make<Imatrix, infer_imatrix>(
        [&](auto out, auto err) { return infer_imatrix_create(model.get(), out, err); });
  }
  /// What `session` computes from now on is added.
  Expected<void> attach(Session& session) {
    return detail::check([&](auto err) { return infer_session_set_imatrix(session.get(), get(), err); });
  }
  static Expected<void> detach(Session& session) {
    return detail::check([&](auto err) { return infer_session_set_imatrix(session.get(), nullptr, err); });
  }
  Expected<void> add(const Source& source) {
    return detail::check([&](auto err) { return infer_imatrix_add(get(), source.get(), err); });
  }
  Expected<void> save(std::string_view path, std::string_view dataset, std::int64_t chunk_size) {
    return detail::check([&](auto err) {
      return infer_imatrix_save(get(), path.data(), path.size(), dataset.data(), dataset.size(), chunk_size, err);
    });
  }
};

/// Chooses tokens from logits.
class Sampler : public detail::Owned<infer_sampler, infer_sampler_release> {
 public:
  using Owned::Owned;
  struct Choice {
    std::int32_t token = -1;
    float logprob = 0;  // natural logarithm of the model's own probability
  };

  /// options: kind SAMPLER or GENERATE.
  static Expected<Sampler> create(const Model& model, const Options* options = nullptr) {
    return detail::make<Sampler, infer_sampler>(
        [&](auto out, auto err) { return infer_sampler_create(model.get(), detail::raw(options), out, err); });
  }
  Expected<Choice> sample(const Session& session, std::size_t row = 0) {
    return detail::get<Choice>(
        [&](auto c, auto err) { return infer_sample(session.get(), get(), row, &c->token, &c->logprob, err); });
  }
  Expected<void> accept(std::int32_t token) {
    return detail::check([&](auto err) { return infer_sampler_accept(get(), token, err); });
  }
  Expected<void> reset() {
    return detail::check([&](auto err) { return infer_sampler_reset(get(), err); });
  }
  Expected<std::uint64_t> seed() const {
    return detail::get<std::uint64_t>([&](auto v, auto err) { return infer_sampler_seed(get(), v, err); });
  }
  /// The chain in words.
  Expected<std::string> describe() const {
    return detail::fill<std::string>(256, [&](auto... out) { return infer_sampler_describe(get(), out...); });
  }
};

/// Something that happened in a stream. Valid until the next one; false after the last.
class Event {
 public:
  explicit Event(const infer_event* raw = nullptr) noexcept : raw_(raw) {}
  explicit operator bool() const noexcept { return raw_ != nullptr; }

  /// INFER_EVENT_*.
  std::int32_t kind() const noexcept { return infer_event_kind(raw_); }
  std::string_view text() const noexcept {
    std::size_t length = 0;
    const char* text = infer_event_text(raw_, &length);
    return {text, length};
  }
  std::int32_t token() const noexcept { return infer_event_token(raw_); }
  double logprob() const noexcept { return infer_event_logprob(raw_); }
  std::size_t top_count() const noexcept { return infer_event_top_count(raw_); }
  std::int32_t top_token(std::size_t i) const noexcept { return infer_event_top_token(raw_, i); }
  double top_logprob(std::size_t i) const noexcept { return infer_event_top_logprob(raw_, i); }
  /// INFER_FINISH_*.
  std::int32_t finish_reason() const noexcept { return infer_event_finish_reason(raw_); }
  const char* stop_string() const noexcept { return infer_event_stop_string(raw_); }
  std::int64_t prompt_done() const noexcept { return infer_event_prompt_done(raw_); }
  std::int64_t prompt_total() const noexcept { return infer_event_prompt_total(raw_); }

 private:
  const infer_event* raw_;
};

/// A generation, pulled event by event: by next(), or by a range-for, after which status() tells why it ended.
class Stream : public detail::Owned<infer_stream, infer_stream_release> {
 public:
  using Owned::Owned;
  /// options: kind GENERATE.
  static Expected<Stream> start(const Session& session, std::string_view prompt, const Options* options = nullptr,
                                const Cancel* cancel = nullptr, std::int32_t seq = 0) {
    return detail::make<Stream, infer_stream>([&](auto out, auto err) {
      return infer_stream_start_text(session.get(), seq, prompt.data(), prompt.size(), detail::raw(options),
                                     detail::raw(cancel), out, err);
    });
  }
  static Expected<Stream> start(const Session& session, Tokens prompt, const Options* options = nullptr,
                                const Cancel* cancel = nullptr, std::int32_t seq = 0) {
    return detail::make<Stream, infer_stream>([&](auto out, auto err) {
      return infer_stream_start(session.get(), seq, prompt.data(), prompt.size(), detail::raw(options),
                                detail::raw(cancel), out, err);
    });
  }

  /// The next event; one that is false when all have been given.
  Expected<Event> next() {
    const infer_event* event = nullptr;
    status_ = detail::check([&](auto err) { return infer_stream_next(get(), &event, err); });
    if (!status_) return status_.error();
    return Event(event);
  }
  /// Of the last next(): a failure ends a range-for, too.
  const Expected<void>& status() const noexcept { return status_; }

  Expected<std::int64_t> get_i64(const char* key) const {
    return detail::get<std::int64_t>([&](auto v, auto err) { return infer_stream_get_i64(get(), key, v, err); });
  }
  Expected<double> get_f64(const char* key) const {
    return detail::get<double>([&](auto v, auto err) { return infer_stream_get_f64(get(), key, v, err); });
  }

  struct End {};
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Event;
    using difference_type = std::ptrdiff_t;
    using pointer = const Event*;
    using reference = const Event&;

    explicit Iterator(Stream& stream) : stream_(&stream) { ++*this; }
    const Event& operator*() const noexcept { return event_; }
    const Event* operator->() const noexcept { return &event_; }
    Iterator& operator++() { return event_ = stream_->next().value_or(Event()), *this; }
    void operator++(int) { ++*this; }
    bool operator==(End) const noexcept { return !event_; }
    bool operator!=(End) const noexcept { return static_cast<bool>(event_); }

   private:
    Stream* stream_;
    Event event_;
  };
  Iterator begin() { return Iterator(*this); }
  End end() const noexcept { return {}; }

 private:
  Expected<void> status_;
};

/// A conversation in one sequence of a session.
class Chat : public detail::Shared<infer_chat, infer_chat_retain, infer_chat_release> {
 public:
  using Shared::Shared;
  /// chat_template: NULL for that of the model.
  static Expected<Chat> create(const Session& session, const Template* chat_template = nullptr, std::int32_t seq = 0) {
    return detail::make<Chat, infer_chat>([&](auto out, auto err) {
      return infer_chat_create(session.get(), seq, detail::raw(chat_template), out, err);
    });
  }
  /// The conversation; the same one each time.
  Messages messages() const {
    infer_messages* messages = nullptr;
    static_cast<void>(infer_chat_messages(get(), &messages, nullptr));
    infer_messages_retain(messages);
    return Messages(messages);
  }
  /// In use.
  Template chat_template() const {
    infer_template* chat_template = nullptr;
    static_cast<void>(infer_chat_template(get(), &chat_template, nullptr));
    infer_template_retain(chat_template);
    return Template(chat_template);
  }
  /// The assistant's next message. When the stream is over it is in the messages.
  Expected<Stream> answer(const Options* options = nullptr, const Cancel* cancel = nullptr) {
    return detail::make<Stream, infer_stream>([&](auto out, auto err) {
      return infer_chat_answer(get(), detail::raw(options), detail::raw(cancel), out, err);
    });
  }
};

}  // namespace libinfer
