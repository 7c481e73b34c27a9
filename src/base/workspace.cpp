// SPDX-License-Identifier: MIT
// The aligned block behind a Workspace, and the counting that plans it. Tested by tests/base/workspace_test.cpp.
#include "libinfer/workspace.h"

#include <cstring>
#include <limits>
#include <new>

#include "src/base/checked.h"

namespace infer {

void Workspace::Free::operator()(std::byte* p) const noexcept {
  ::operator delete(p, std::align_val_t{kAlignment});
}

Result<Workspace> Workspace::carve(const Workspace& plan) {
  const std::uint64_t size = plan.used_ == 0 ? kAlignment : plan.used_;
  if (plan.overflow_ || size > static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
    return Status::error(Code::limit, "the memory plan does not fit in the address space; use a smaller n_ctx, n_seq or n_batch");
  }
  Workspace w;
  w.block_.reset(static_cast<std::byte*>(
      ::operator new(static_cast<std::size_t>(size), std::align_val_t{kAlignment}, std::nothrow)));
  if (w.block_ == nullptr) {
    return Status::error(Code::nomem, "no memory for a session of " + std::to_string(size) +
                                          " bytes; use a smaller n_ctx, n_seq or n_batch");
  }
  std::memset(w.block_.get(), 0, static_cast<std::size_t>(size));
  w.capacity_ = size;
  return w;
}

std::byte* Workspace::take_bytes(MemoryClass use, std::uint64_t count, std::size_t size) noexcept {
  const std::optional<std::uint64_t> bytes = checked_mul(count, size);
  const std::optional<std::uint64_t> padded = bytes ? checked_align(*bytes, kAlignment) : std::nullopt;
  const std::optional<std::uint64_t> end = padded ? checked_add(used_, *padded) : std::nullopt;
  if (!end || (!planning() && *end > capacity_)) {
    overflow_ = true;
    return nullptr;
  }
  std::byte* p = planning() ? nullptr : block_.get() + used_;
  used_ = *end;
  use_[use] += *padded;
  return p;
}

}  // namespace infer
