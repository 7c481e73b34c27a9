// SPDX-License-Identifier: MIT
// Counting, refusing and taking memory. Lock-free, so that a fork in the middle of it leaves no lock behind. Tested by
// tests/base/memory_test.cpp.
#include "libinfer/memory.h"

#include <sys/mman.h>

#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "src/base/checked.h"

namespace infer {
namespace {

constexpr std::array<std::string_view, kMemoryClassCount> kClassNames{"weights", "mapped", "kv",
                                                                      "scratch", "vocab",  "other"};

std::size_t alignment_of(std::size_t size) noexcept {
  return size >= MemoryAccount::kHugeBlock ? MemoryAccount::kHugePage : MemoryAccount::kAlignment;
}

void raise_to(std::atomic<std::uint64_t>& peak, std::uint64_t value) noexcept {
  std::uint64_t seen = peak.load();
  while (value > seen && !peak.compare_exchange_weak(seen, value)) {
  }
}

/// The owned bytes, when their sum is a number.
std::optional<std::uint64_t> owned_sum(const MemoryUse& use) noexcept {
  std::optional<std::uint64_t> sum = 0;
  for (std::size_t i = 0; i < use.bytes.size() && sum; ++i) {
    if (static_cast<MemoryClass>(i) != MemoryClass::mapped) sum = checked_add(*sum, use.bytes[i]);
  }
  return sum;
}

/// "weights 100, kv 20"
std::string by_class(const MemoryUse& use) {
  std::string text;
  for (std::size_t i = 0; i < use.bytes.size(); ++i) {
    if (use.bytes[i] == 0 || static_cast<MemoryClass>(i) == MemoryClass::mapped) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kClassNames[i], use.bytes[i]);
  }
  return text;
}

Status beyond_address_space(const MemoryPurpose& purpose) {
  return Status::error(Code::limit, fmt::format("the memory plan of {} does not fit in the address space; {}", purpose.who,
                                                purpose.advice));
}

}  // namespace

Charge::~Charge() {
  if (account_ != nullptr) account_->give_back(use_);
}

Block::~Block() {
  if (bytes_.data() != nullptr) charge_.account_->free(bytes_.data(), bytes_.size());
}

// The hooks come last: a failure before that leaves `user` with the caller.
std::shared_ptr<MemoryAccount> MemoryAccount::create(const AllocatorHooks& hooks) {
  std::shared_ptr<MemoryAccount> account(new MemoryAccount);
  account->hooks_ = hooks;
  return account;
}

Status MemoryAccount::set_budget(std::uint64_t bytes) {
  const std::uint64_t before = budget_.exchange(bytes);   // first: whoever reserves from here on sees it
  const std::uint64_t owned = owned_.load();
  if (owned <= bytes) return {};
  budget_.store(before);
  return Status::error(Code::budget, fmt::format("a budget of {} bytes is less than the {} that are in use ({}); release a "
                                                 "model or a session first",
                                                 bytes, owned, by_class(now())));
}

bool MemoryAccount::reserve(const MemoryUse& use) noexcept {
  const std::uint64_t need = use.owned();
  std::uint64_t owned = owned_.load();
  do {
    const std::uint64_t limit = budget_.load();
    if (need > limit || owned > limit - need) return false;
  } while (!owned_.compare_exchange_weak(owned, owned + need));
  if (owned + need > budget_.load()) {   // the budget was lowered in between
    owned_.fetch_sub(need);
    return false;
  }
  record(use, owned + need);
  return true;
}

/// After `use` was added to the owned bytes.
void MemoryAccount::record(const MemoryUse& use, std::uint64_t owned) noexcept {
  raise_to(peak_owned_, owned);
  for (std::size_t i = 0; i < now_.size(); ++i) raise_to(peak_[i], now_[i].fetch_add(use.bytes[i]) + use.bytes[i]);
}

void MemoryAccount::give_back(const MemoryUse& use) noexcept {
  for (std::size_t i = 0; i < now_.size(); ++i) now_[i].fetch_sub(use.bytes[i]);
  owned_.fetch_sub(use.owned());
}

Status MemoryAccount::refuse(const MemoryUse& use, const MemoryPurpose& purpose) const {
  const std::string in_use = by_class(now());
  return Status::error(Code::budget, fmt::format("{} needs {} bytes ({}), the budget is {} bytes and {} of them are in use{}"
                                                 "; {} or raise the budget",
                                                 purpose.who, use.owned(), by_class(use), budget(), owned(),
                                                 in_use.empty() ? in_use : " (" + in_use + ")", purpose.advice));
}

Status MemoryAccount::check(const MemoryUse& use, const MemoryPurpose& purpose) const {
  const std::optional<std::uint64_t> need = owned_sum(use);
  if (!need) return beyond_address_space(purpose);
  const std::uint64_t limit = budget();
  return *need > limit || owned() > limit - *need ? refuse(use, purpose) : Status();
}

Result<Charge> MemoryAccount::charge(const MemoryUse& use, const MemoryPurpose& purpose) {
  if (!owned_sum(use)) return beyond_address_space(purpose);
  if (!reserve(use)) return refuse(use, purpose);
  return Charge(shared_from_this(), use);
}

Charge MemoryAccount::count(MemoryClass c, std::uint64_t bytes) noexcept {
  const MemoryUse use = MemoryUse::of(c, bytes);
  record(use, owned_.fetch_add(bytes) + bytes);
  return Charge(shared_from_this(), use);
}

Result<Block> MemoryAccount::allocate(const MemoryUse& use, const MemoryPurpose& purpose, bool zeroed) {
  const std::optional<std::uint64_t> size = owned_sum(use);
  if (!size || *size > static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
    return beyond_address_space(purpose);
  }
  if (*size == 0) return Block();
  INFER_ASSIGN(Charge charged, charge(use, purpose));
  const auto n = static_cast<std::size_t>(*size);
  auto* const memory = static_cast<std::byte*>(take(n));
  if (memory == nullptr) {
    return Status::error(Code::nomem, fmt::format("no memory for the {} bytes ({}) of {}; {}", n, by_class(use), purpose.who,
                                                  purpose.advice));
  }
  Block block(std::move(charged), {memory, n});
  if (reinterpret_cast<std::uintptr_t>(memory) % alignment_of(n) != 0) {   // the kernels count on it
    return Status::error(Code::callback, fmt::format("the host's allocator gave {} bytes that do not begin at a multiple of {}",
                                                     n, alignment_of(n)));
  }
  if (zeroed) std::memset(memory, 0, n);
  return block;
}

MemoryUse MemoryAccount::now() const noexcept {
  MemoryUse use;
  for (std::size_t i = 0; i < now_.size(); ++i) use.bytes[i] = now_[i].load();
  return use;
}

MemoryUse MemoryAccount::peak() const noexcept {
  MemoryUse use;
  for (std::size_t i = 0; i < peak_.size(); ++i) use.bytes[i] = peak_[i].load();
  return use;
}

void* MemoryAccount::take(std::size_t size) noexcept {
  const std::size_t alignment = alignment_of(size);
  if (hooks_.allocate != nullptr) {
    try {
      return hooks_.allocate(hooks_.user, size, alignment);
    } catch (...) {   // a host may well call its operator new
      return nullptr;
    }
  }
  void* const memory = ::operator new(size, std::align_val_t{alignment}, std::nothrow);
#ifdef MADV_HUGEPAGE
  // Whole huge pages only: what lies behind the block is not ours. A system without them says no, which is no harm.
  if (memory != nullptr && alignment == kHugePage) ::madvise(memory, size & ~(kHugePage - 1), MADV_HUGEPAGE);
#endif
  return memory;
}

void MemoryAccount::free(void* memory, std::size_t size) noexcept {
  if (hooks_.free != nullptr) {
    hooks_.free(hooks_.user, memory, size);
  } else {
    ::operator delete(memory, std::align_val_t{alignment_of(size)});
  }
}

}  // namespace infer
