// SPDX-License-Identifier: MIT
// The aligned block behind a Workspace, and the counting that plans it. Tested by tests/base/workspace_test.cpp.
#include "libinfer/workspace.h"

#include <optional>

#include <fmt/format.h>

#include "src/base/checked.h"

namespace infer {

Result<Workspace> Workspace::carve(const Workspace& plan, MemoryAccount& account, const MemoryPurpose& purpose) {
  if (plan.overflow_) {
    return Status::error(Code::limit, fmt::format("the memory plan of {} does not fit in the address space; {}", purpose.who,
                                                  purpose.advice));
  }
  Workspace w;
  INFER_ASSIGN(w.block_, account.allocate(plan.use_, purpose, true));
  w.carved_ = true;
  return w;
}

std::byte* Workspace::take_bytes(MemoryClass use, std::uint64_t count, std::size_t size) noexcept {
  const std::optional<std::uint64_t> bytes = checked_mul(count, size);
  const std::optional<std::uint64_t> padded = bytes ? checked_align(*bytes, kAlignment) : std::nullopt;
  const std::optional<std::uint64_t> end = padded ? checked_add(used_, *padded) : std::nullopt;
  if (!end || (!planning() && *end > block_.size())) {
    overflow_ = true;
    return nullptr;
  }
  std::byte* p = planning() ? nullptr : block_.data() + used_;
  used_ = *end;
  use_[use] += *padded;
  return p;
}

}  // namespace infer
