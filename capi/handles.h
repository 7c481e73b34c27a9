// SPDX-License-Identifier: MIT
// What stands behind the opaque handles of libinfer.h, and the thin wall between C and C++: guard() runs the body of
// every exported function, catches what is thrown there, and turns Status into infer_error.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if defined(__unix__)
#include <pthread.h>
#endif

#include "capi/options.h"
#include "libinfer.h"
#include "libinfer/chat.h"
#include "libinfer/chat_template.h"
#include "libinfer/executor.h"
#include "libinfer/generation.h"
#include "libinfer/importance.h"
#include "libinfer/memory.h"
#include "libinfer/messages.h"
#include "libinfer/model.h"
#include "libinfer/sampler.h"
#include "libinfer/session.h"
#include "libinfer/status.h"
#include "libinfer/text_stream.h"
#include "src/base/float_mode.h"

namespace infer::capi {

/// First in every handle: tells kinds apart (INFER_E_HANDLE) and counts references.
enum class Kind : std::uint32_t {
  released = 0,
  options = 0x1f0a0001,
  env,
  cancel,
  source,
  model,
  decoder,
  session,
  sampler,
  stream,
  imatrix,
  chat_template,
  messages,
  prompt,
  chat,
};

struct Handle {
  explicit Handle(Kind k) noexcept : kind(k) {}
  std::atomic<Kind> kind;
  std::atomic<std::int32_t> references{1};
};

/// One W call at a time: the second entrant is told INFER_E_BUSY.
class Busy {
 public:
  explicit Busy(std::atomic<bool>& flag) noexcept : Busy(&flag) {}
  /// Null: nothing to enter.
  explicit Busy(std::atomic<bool>* flag) noexcept
      : flag_(flag), entered_(flag == nullptr || !flag->exchange(true, std::memory_order_acquire)) {}
  ~Busy() {
    if (entered_ && flag_ != nullptr) flag_->store(false, std::memory_order_release);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  bool entered() const noexcept { return entered_; }

 private:
  std::atomic<bool>* flag_;
  bool entered_;
};

Status busy(const char* what);
Status null_argument(const char* name);
Status wrong_handle(const char* name);

}  // namespace infer::capi

struct infer_error {
  struct Text {
    std::string message, subject;
    std::int64_t offset;
  };
  infer_status code;
  const Text* text;   ///< owned; null in the static objects, which are never freed and need no destructor
};

struct infer_options : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::options;
  explicit infer_options(std::int32_t k) : Handle(kKind), values(k) {}
  infer::capi::OptionValues values;
  std::atomic<bool> busy{false};
};

/// Owned by every model that was loaded with it: the log sink lives as long as anything that may log.
struct infer_env : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::env;
  infer_env() : Handle(kKind), library(infer::Library::builtin()), memory(infer::MemoryAccount::create()) {}
  ~infer_env() {
    if (log_destroy != nullptr) log_destroy(log_user);
    if (executor_destroy != nullptr) executor_destroy(executor.user);
  }

  /// What work takes along from the environment. The first that begins fixes log, executor and allocator.
  struct Host {
    std::shared_ptr<infer::MemoryAccount> memory;
    infer::Executor executor;
    infer::Logger log;
  };
  infer::Result<Host> begin_work();
  infer::Result<Host> look();   ///< the same, and fixes nothing
  /// Runs `change` if no work has begun; else Code::state, which names `what`.
  template <class Change>
  infer::Status before_work(const char* what, const Change& change);

  std::shared_ptr<const infer::Library> library;
  std::shared_ptr<infer::MemoryAccount> memory;   ///< of all models and sessions
  infer_log_fn log_fn = nullptr;
  void* log_user = nullptr;
  infer_destroy_fn log_destroy = nullptr;
  infer::Executor executor;
  infer_destroy_fn executor_destroy = nullptr;
  std::int32_t log_level = INFER_LOG_OFF;
  std::atomic<bool> busy{false};

 private:
  /// Whether what work takes along may still change. No mutex, which a fork could leave locked.
  enum class Stage : std::uint8_t { open, inside, fixed };
  infer::Result<bool> enter(Stage next);
  Host host() noexcept;
  std::atomic<Stage> stage_{Stage::open};
};

struct infer_cancel : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::cancel;
  infer_cancel() : Handle(kKind) {}
  infer::CancelFlag flag;
};

struct infer_source : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::source;
  infer_source() : Handle(kKind) {}
  ~infer_source() {
    if (destroy != nullptr) destroy(user);
  }
  infer::Source source;
  infer_destroy_fn destroy = nullptr;
  void* user = nullptr;
};

namespace infer::capi {

/// Keeps pthread_cancel waiting: a cancelled thread is unwound by an exception that nobody may catch, and we wait for files.
class NoThreadCancel {
 public:
#if defined(__unix__)
  NoThreadCancel() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoThreadCancel() { ::pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = 0;
#else
  NoThreadCancel() noexcept {}
#endif
 public:
  NoThreadCancel(const NoThreadCancel&) = delete;
  NoThreadCancel& operator=(const NoThreadCancel&) = delete;
};

/// True when this was the last reference.
bool drop(Handle* handle) noexcept;

/// Whether it is a handle of this kind. NULL is none.
template <class H>
bool is(const H* handle) noexcept {
  return handle != nullptr && handle->kind.load(std::memory_order_relaxed) == H::kKind;
}

/// Retain and release leave alone what is not theirs: NULL, and handles of another kind.
template <class H>
void retain(H* handle) noexcept {
  if (is(handle)) handle->references.fetch_add(1, std::memory_order_relaxed);
}

template <class H>
void release(H* handle) noexcept {
  if (!is(handle) || !drop(handle)) return;
  const NoThreadCancel uncancelled;   // a session waits for its threads
  delete handle;
}

/// A counted reference to a handle, for children.
template <class H>
class Ref {
 public:
  Ref() noexcept = default;
  explicit Ref(H* handle) noexcept : handle_(handle) {
    if (handle_ != nullptr) retain(handle_);
  }
  Ref(Ref&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Ref() { release(handle_); }
  /// Takes the reference that `handle` was made with.
  static Ref adopt(H* handle) noexcept {
    Ref ref;
    ref.handle_ = handle;
    return ref;
  }
  H* get() const noexcept { return handle_; }
  H* operator->() const noexcept { return handle_; }

 private:
  H* handle_ = nullptr;
};

}  // namespace infer::capi

struct infer_model : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::model;
  infer_model() : Handle(kKind) {}
  infer::capi::Ref<infer_env> env;         ///< before `model`: released after it
  infer::capi::Ref<infer_source> source;   ///< keeps memory sources alive
  std::shared_ptr<const infer::Model> model;
};

struct infer_decoder : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::decoder;
  infer_decoder() : Handle(kKind) {}
  infer::capi::Ref<infer_model> model;
  const infer::Tokenizer* tokenizer = nullptr;
  bool shows_special = false;
  infer::Utf8Stream utf8;
  std::string text;
  std::atomic<bool> busy{false};
};

struct infer_template : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::chat_template;
  explicit infer_template(infer::ChatTemplate t) : Handle(kKind), compiled(std::move(t)) {}
  infer::ChatTemplate compiled;
};

struct infer_messages : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::messages;
  explicit infer_messages(std::shared_ptr<infer::Messages> m) : Handle(kKind), messages(std::move(m)) {}
  std::shared_ptr<infer::Messages> messages;   ///< or those of a chat, which stays as long
  std::atomic<bool> busy{false};
};

struct infer_prompt : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::prompt;
  explicit infer_prompt(infer::ChatPrompt p) : Handle(kKind), prompt(std::move(p)) {}
  infer::ChatPrompt prompt;
  std::optional<std::vector<infer::Token>> tokens;
};

struct infer_imatrix : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::imatrix;
  infer_imatrix() : Handle(kKind) {}
  infer::capi::Ref<infer_model> model;
  std::shared_ptr<infer::ImportanceMatrix> matrix;
  std::atomic<bool> busy{false};
};

struct infer_session : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::session;
  infer_session() : Handle(kKind) {}
  infer::capi::Ref<infer_model> model;
  infer::capi::Ref<infer_imatrix> imatrix;   ///< that it fills; before `session`: released after it
  std::unique_ptr<infer::Session> session;
  std::atomic<bool> busy{false};
};

struct infer_sampler : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::sampler;
  explicit infer_sampler(infer::SamplerChain c) : Handle(kKind), chain(std::move(c)) {}
  infer::SamplerChain chain;
  infer::Charge charge;
  std::atomic<bool> busy{false};
};

struct infer_event {
  const infer::GenerationEvent* event = nullptr;
};

struct infer_chat : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::chat;
  infer_chat() : Handle(kKind) {}
  infer::capi::Ref<infer_session> session;
  std::shared_ptr<infer::Chat> chat;
  infer::capi::Ref<infer_messages> messages;
  infer::capi::Ref<infer_template> chat_template;
  std::atomic<bool> is_answering{false};   ///< a stream is out that has not told the chat yet
};

struct infer_stream : infer::capi::Handle {
  static constexpr infer::capi::Kind kKind = infer::capi::Kind::stream;
  infer_stream() : Handle(kKind) {}
  ~infer_stream();
  infer::capi::Ref<infer_session> session;
  infer::capi::Ref<infer_cancel> cancel;
  infer::capi::Ref<infer_chat> chat;           ///< until what was said has been added to it
  std::int64_t reused_tokens = 0;
  std::unique_ptr<infer::Generation> generation;
  infer_event event;
  const infer::GenerationEvent* untold = nullptr;   ///< the last event, which waits for memory to tell the chat
  std::atomic<bool> busy{false};
};

namespace infer::capi {

/// Null and kind checks of a handle argument.
template <class H>
Status check(const H* handle, const char* name) {
  if (handle == nullptr) return null_argument(name);
  return is(handle) ? Status() : wrong_handle(name);
}

/// The same where NULL is allowed.
template <class H>
Status check_optional(const H* handle, const char* name) {
  return handle == nullptr ? Status() : check(handle, name);
}

/// The environment, or a silent one of its own.
inline Ref<infer_env> owner_of(infer_env* env) {
  return env != nullptr ? Ref<infer_env>(env) : Ref<infer_env>::adopt(new infer_env);
}

/// The host's progress callback, and whether it asked to stop. Stays where it is while in use.
struct HostProgress {
  infer_progress_fn fn;
  void* user;
  bool stopped = false;

  Progress progress() noexcept {
    if (fn == nullptr) return {};
    return {.report = [](void* p, std::uint64_t done, std::uint64_t total) {
              HostProgress& h = *static_cast<HostProgress*>(p);
              try {
                h.stopped = h.stopped || h.fn(h.user, done, total) != 0;
              } catch (...) {   // which it must not
                h.stopped = true;
              }
              return !h.stopped;
            },
            .user = this};
  }
};

inline const CancelFlag* flag_of(const infer_cancel* cancel) noexcept { return cancel == nullptr ? nullptr : &cancel->flag; }

inline std::atomic<bool>* busy_flag_of(infer_imatrix* imatrix) noexcept { return imatrix == nullptr ? nullptr : &imatrix->busy; }

/// Bytes of an INFER_MEMORY_* class; 0 for an unknown one.
std::uint64_t bytes_of(const MemoryUse& use, std::int32_t memory_class) noexcept;

/// For infer_model_plan and infer_session_plan.
infer_memory_plan plan_of(const MemoryUse& use) noexcept;

/// Text arguments: pointer and length, or NUL-terminated.
Result<std::string_view> text_argument(const char* text, std::size_t length, const char* name);

/// A key argument: NUL-terminated.
inline Status check_key(const char* key) { return key == nullptr ? null_argument("key") : Status(); }

/// Out parameters: not NULL, and 0 or NULL until the call succeeds.
template <class T>
Status clear_out(T* out, const char* name) {
  if (out == nullptr) return null_argument(name);
  *out = T{};
  return {};
}
/// A borrowed text and its length, whose place may be NULL.
inline Status clear_text(const char** text, std::size_t* length) {
  if (length != nullptr) *length = 0;
  return clear_out(text, "text");
}
inline Status clear_text(char* buffer, std::size_t capacity, std::size_t* need) {
  if (need != nullptr) *need = 0;
  if (buffer == nullptr && capacity > 0) return null_argument("buffer");
  if (capacity > 0) buffer[0] = '\0';
  return {};
}

/// Plain out structs begin with struct_size, which says how much of it the caller knows.
template <class T>
Status fill(T* out, const T& value) {
  constexpr std::size_t kMaxStruct = 4096;
  const std::size_t known = out->struct_size;
  if (known < sizeof(std::size_t) || known > kMaxStruct) {
    return Status::error(Code::argument, "struct_size is " + std::to_string(known) + "; set it to the size of the struct");
  }
  // A newer caller: what this library does not know is zero.
  if (known > sizeof(T)) std::memset(reinterpret_cast<std::byte*>(out) + sizeof(T), 0, known - sizeof(T));
  std::memcpy(out, &value, std::min(known, sizeof(T)));
  out->struct_size = known;
  return {};
}

/// Copies out with *need and the NUL; Code::buffer when it does not fit.
Status copy_out(std::string_view text, char* buffer, std::size_t capacity, std::size_t* need);

/// The same for tokens.
Status copy_tokens(std::span<const Token> from, std::int32_t* tokens, std::size_t capacity, std::size_t* need);

/// Code::argument when a flag has other bits than the known ones.
Status check_flags(std::int32_t flags, std::int32_t known);

/// Makes *err from a failure; never fails (out of memory has a static object).
infer_status report(const Status& status, infer_error** err) noexcept;
infer_status report_exception(infer_error** err) noexcept;

/// Runs the body of an exported function, in the float modes of all results. Nothing passes it but a status.
template <class Body>
infer_status guard(infer_error** err, Body&& body) noexcept {
  const NoThreadCancel uncancelled;
  const DefaultFloatMode mode;
  if (err != nullptr) *err = nullptr;
  try {
    const Status status = body();
    return status.ok() ? INFER_OK : report(status, err);
  } catch (...) {
    return report_exception(err);
  }
}

}  // namespace infer::capi

/// Fails the enclosing body when another thread is inside the object.
#define INFER_ENTER(object, what)                              \
  const ::infer::capi::Busy infer_busy_guard((object)->busy);  \
  if (!infer_busy_guard.entered()) return ::infer::capi::busy(what)

/// The same for a session, and for the importance matrix that it fills. After a fork it may look busy for ever: the thread that
/// was inside stayed with the parent.
#define INFER_ENTER_SESSION(handle)               \
  INFER_TRY((handle)->session->check_process());  \
  INFER_ENTER(handle, "session");                 \
  const ::infer::capi::Busy infer_busy_imatrix(::infer::capi::busy_flag_of((handle)->imatrix.get())); \
  if (!infer_busy_imatrix.entered()) return ::infer::capi::busy("importance matrix")
