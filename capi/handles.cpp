// SPDX-License-Identifier: MIT
// Errors, reference counts and argument checks shared by all exported functions.
#include "capi/handles.h"

#include <stdexcept>

#include <fmt/format.h>

namespace infer::capi {
namespace {

// Reporting these needs no memory.
constinit infer_error out_of_memory{INFER_E_NOMEM, nullptr};
constinit infer_error internal_error{INFER_E_INTERNAL, nullptr};

}  // namespace

Status busy(const char* what) {
  return Status::error(Code::busy, fmt::format("another thread is inside this {}; one thread at a time may use it", what));
}
Status null_argument(const char* name) {
  return Status::error(Code::argument, fmt::format("argument '{}' is NULL", name)).about(name);
}
Status wrong_handle(const char* name) {
  return Status::error(Code::handle, fmt::format("argument '{}' is a handle of another kind", name))
      .about(name);
}

bool drop(Handle* handle) noexcept {
  if (handle->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  handle->kind.store(Kind::released, std::memory_order_relaxed);
  return true;
}

Result<std::string_view> text_argument(const char* text, std::size_t length, const char* name) {
  if (text == nullptr) {
    if (length == 0) return std::string_view();
    return null_argument(name);
  }
  return std::string_view(text, length == INFER_STR_NUL ? std::strlen(text) : length);
}

Status copy_out(std::string_view text, char* buffer, std::size_t capacity, std::size_t* need) {
  if (need != nullptr) *need = text.size();
  if (buffer == nullptr && capacity > 0) return null_argument("buffer");
  if (capacity <= text.size()) {
    if (capacity > 0) buffer[0] = '\0';
    return Status::error(Code::buffer, fmt::format("the buffer has {} bytes, {} are needed", capacity, text.size() + 1));
  }
  text.copy(buffer, text.size());
  buffer[text.size()] = '\0';
  return {};
}

Status copy_tokens(std::span<const Token> from, std::int32_t* tokens, std::size_t capacity, std::size_t* need) {
  if (need != nullptr) *need = from.size();
  if (from.size() > capacity) {
    return Status::error(Code::buffer, "room for " + std::to_string(capacity) + " tokens, " + std::to_string(from.size()) +
                                           " are needed");
  }
  std::copy(from.begin(), from.end(), tokens);
  return {};
}

Status check_flags(std::int32_t flags, std::int32_t known) {
  if ((flags & ~known) == 0) return {};
  return Status::error(Code::argument, "flags = " + std::to_string(flags) + " has bits that this call does not know; it knows those of " +
                                           std::to_string(known)).about("flags");
}

std::uint64_t bytes_of(const MemoryUse& use, std::int32_t memory_class) noexcept {
  if (memory_class == INFER_MEMORY_OWNED) return use.owned();
  if (memory_class < 0 || memory_class >= kMemoryClassCount) return 0;
  return use[static_cast<MemoryClass>(memory_class)];
}

infer_memory_plan plan_of(const MemoryUse& use) noexcept {
  return {.struct_size = sizeof(infer_memory_plan),
          .weights = use[MemoryClass::weights],
          .mapped = use[MemoryClass::mapped],
          .kv = use[MemoryClass::kv],
          .scratch = use[MemoryClass::scratch],
          .vocab = use[MemoryClass::vocab],
          .other = use[MemoryClass::other],
          .owned = use.owned()};
}

infer_status report(const Status& status, infer_error** err) noexcept {
  const infer_status code = static_cast<infer_status>(status.code());
  if (err == nullptr) return code;
  try {
    auto text = std::make_unique<const infer_error::Text>(
        infer_error::Text{std::string(status.message()), std::string(status.subject()), status.offset()});
    *err = new infer_error{code, text.get()};
    static_cast<void>(text.release());
    return code;
  } catch (...) {
    *err = &out_of_memory;
    return INFER_E_NOMEM;
  }
}

infer_status report_exception(infer_error** err) noexcept {
  infer_error* which = &internal_error;
  try {
    throw;
  } catch (const std::bad_alloc&) {
    which = &out_of_memory;
  } catch (const std::length_error&) {   // a container asked for more than the address space
    which = &out_of_memory;
  } catch (...) {
  }
  if (err != nullptr) *err = which;
  return which->code;
}

}  // namespace infer::capi
