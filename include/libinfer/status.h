// SPDX-License-Identifier: MIT
// How libinfer says that something went wrong: Code (a pinned number), Status (a code and a sentence) and Result<T>
// (a value or a Status). Nothing in the library throws on purpose; std::bad_alloc may pass during load and creation
// and is caught at the C boundary (capi/handles.h). Tested by tests/base/status_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace infer {

/// The numbers are part of the C ABI (include/libinfer.h has the same list as INFER_E_*) and never change.
enum class Code : std::int32_t {
  ok = 0,
  done = 1,
  internal = -1,
  nomem = -2,
  budget = -3,
  argument = -4,
  range = -5,
  state = -6,
  busy = -7,
  cancelled = -8,
  buffer = -10,
  unsupported = -11,
  notfound = -12,
  handle = -13,
  forked = -14,
  callback = -16,
  io = -20,
  nofile = -21,
  permission = -22,
  truncated_file = -23,
  format = -30,
  version = -31,
  limit = -32,
  arch = -33,
  metadata = -34,
  tensor = -35,
  quant_type = -36,
  vocab = -37,
  pretokenizer = -38,
  shard = -40,
  token = -50,
  utf8 = -51,
  chat_template = -52,
  template_limit = -53,
  context_full = -60,
  sequence = -61,
  kv_type = -62,
  sampler = -73,
};

/// "INFER_E_NOFILE"; "INFER_E_UNKNOWN" for a number that is not a code. Static storage.
const char* code_name(Code code) noexcept;
/// One sentence on what the code means in general. Static storage.
const char* code_text(Code code) noexcept;

/// Success (one null pointer, no allocation) or a code with a message; optionally the thing it is about (a path, a
/// metadata key, a tensor, an option) and a byte offset in the file.
///
/// Messages read from general to particular, lower case, no full stop, with the offending value and the limit:
/// `gguf: tensor 'blk.3.ffn_up.weight': 1048576 bytes at offset 448 exceed the file (901120 bytes)`.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;

  static Status error(Code code, std::string message) {
    Status s;
    s.detail_ = std::make_unique<Detail>(Detail{code, std::move(message), {}, kNoOffset});
    return s;
  }

  bool ok() const noexcept { return detail_ == nullptr; }
  Code code() const noexcept { return detail_ ? detail_->code : Code::ok; }
  std::string_view message() const noexcept { return detail_ ? std::string_view(detail_->message) : std::string_view(); }
  std::string_view subject() const noexcept { return detail_ ? std::string_view(detail_->subject) : std::string_view(); }
  /// Byte offset in the file, or kNoOffset.
  std::int64_t offset() const noexcept { return detail_ ? detail_->offset : kNoOffset; }

  /// The key, tensor, path or option that the error is about. No effect on success.
  Status about(std::string_view subject) && {
    if (detail_) detail_->subject = subject;
    return std::move(*this);
  }
  Status at(std::uint64_t offset) && {
    if (detail_) detail_->offset = static_cast<std::int64_t>(offset);
    return std::move(*this);
  }
  /// Puts "context: " in front of the message. No effect on success.
  Status with_context(std::string_view context) && {
    if (detail_) detail_->message.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }
  Status clone() const {
    Status s;
    if (detail_) s.detail_ = std::make_unique<Detail>(*detail_);
    return s;
  }

  static constexpr std::int64_t kNoOffset = -1;

 private:
  struct Detail {
    Code code;
    std::string message;
    std::string subject;
    std::int64_t offset;
  };
  std::unique_ptr<Detail> detail_;
};

/// A T, or the Status that says why there is none. The subset of C++23's std::expected that the library needs.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}            // NOLINT: implicit on purpose
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}     // NOLINT: implicit on purpose

  bool ok() const noexcept { return state_.index() == 0; }
  T& value() & noexcept { return *std::get_if<0>(&state_); }
  const T& value() const& noexcept { return *std::get_if<0>(&state_); }
  T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  /// The error. Only when !ok().
  const Status& status() const& noexcept { return *std::get_if<1>(&state_); }
  Status&& status() && noexcept { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace infer

#define INFER_CONCAT_INNER(a, b) a##b
#define INFER_CONCAT(a, b) INFER_CONCAT_INNER(a, b)

/// Returns from the calling function when `expr` (a Status) failed.
#define INFER_TRY(expr)                                        \
  do {                                                         \
    if (::infer::Status infer_try_status = (expr); !infer_try_status.ok()) return infer_try_status; \
  } while (false)

/// `INFER_ASSIGN(auto x, f());`: x from a Result, or return its Status.
#define INFER_ASSIGN(target, expr) INFER_ASSIGN_INNER(INFER_CONCAT(infer_result_, __LINE__), target, expr)
#define INFER_ASSIGN_INNER(result, target, expr)  \
  auto result = (expr);                           \
  if (!result.ok()) return std::move(result).status(); \
  target = std::move(result).value()
