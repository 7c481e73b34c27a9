// SPDX-License-Identifier: MIT
// MemoryAccount: what the library holds, by class, now and at most, with an optional budget and an optional allocator of
// the host's. Big blocks (a session's arena, widened and packed weights, files that are read) are taken through it; what
// lives in standard containers (vocabulary, metadata) is charged to it. Models and sessions share the account of their
// environment. Tested by tests/base/memory_test.cpp.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "libinfer/status.h"

namespace infer {

/// What memory is used for; also the classes that the C ABI reports.
enum class MemoryClass : std::int32_t { weights = 0, mapped = 1, kv = 2, scratch = 3, vocab = 4, other = 5 };
inline constexpr int kMemoryClassCount = 6;

/// Bytes by class.
struct MemoryUse {
  std::array<std::uint64_t, kMemoryClassCount> bytes{};

  std::uint64_t& operator[](MemoryClass c) noexcept { return bytes[static_cast<std::size_t>(c)]; }
  std::uint64_t operator[](MemoryClass c) const noexcept { return bytes[static_cast<std::size_t>(c)]; }
  MemoryUse& operator+=(const MemoryUse& other) noexcept {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] += other.bytes[i];
    return *this;
  }
  /// All but the mapped bytes, which belong to the page cache.
  std::uint64_t owned() const noexcept {
    std::uint64_t sum = 0;
    for (std::uint64_t b : bytes) sum += b;
    return sum - (*this)[MemoryClass::mapped];
  }

  static MemoryUse of(MemoryClass c, std::uint64_t n) noexcept {
    MemoryUse use;
    use[c] = n;
    return use;
  }
};

/// The host's allocator. `allocate` answers `size` bytes at a multiple of `alignment` (a power of two), or null; `free`
/// gets back the size too. Both may be called from any thread that uses the library. `destroy` (may be null) is called
/// once, when nothing from this allocator is left.
struct AllocatorHooks {
  void* (*allocate)(void* user, std::size_t size, std::size_t alignment) = nullptr;
  void (*free)(void* user, void* memory, std::size_t size) = nullptr;
  void (*destroy)(void* user) = nullptr;
  void* user = nullptr;
};

/// For messages: who asks, and what helps when there is not enough: {"the session", "use a smaller n_ctx"}.
struct MemoryPurpose {
  std::string_view who = "the library";
  std::string_view advice = "release a model or a session";
};

class MemoryAccount;

/// Bytes that are counted in an account for as long as this lives. Movable; empty when default or moved from.
class Charge {
 public:
  Charge() noexcept = default;
  Charge(Charge&& other) noexcept
      : account_(std::move(other.account_)), use_(std::exchange(other.use_, MemoryUse())) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(account_, other.account_);
    std::swap(use_, other.use_);
    return *this;
  }
  ~Charge();

  const MemoryUse& use() const noexcept { return use_; }

 private:
  friend class MemoryAccount;
  friend class Block;
  Charge(std::shared_ptr<MemoryAccount> account, const MemoryUse& use) noexcept : account_(std::move(account)), use_(use) {}

  std::shared_ptr<MemoryAccount> account_;
  MemoryUse use_;
};

/// Memory from an account: given back, and no longer counted, when this goes. Movable; the bytes stay where they are.
class Block {
 public:
  Block() noexcept = default;
  Block(Block&& other) noexcept : charge_(std::move(other.charge_)), bytes_(std::exchange(other.bytes_, {})) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(charge_, other.charge_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Block();

  std::byte* data() const noexcept { return bytes_.data(); }
  std::size_t size() const noexcept { return bytes_.size(); }
  std::span<std::byte> bytes() const noexcept { return bytes_; }
  const MemoryUse& use() const noexcept { return charge_.use(); }

 private:
  friend class MemoryAccount;
  Block(Charge charge, std::span<std::byte> bytes) noexcept : charge_(std::move(charge)), bytes_(bytes) {}

  Charge charge_;
  std::span<std::byte> bytes_;
};

/// Thread-safe; lives until the last charge and block made from it is gone.
class MemoryAccount : public std::enable_shared_from_this<MemoryAccount> {
 public:
  static constexpr std::size_t kAlignment = 64;
  /// Blocks from kHugeBlock bytes on start at a multiple of kHugePage; the system's allocator is asked for huge pages.
  static constexpr std::size_t kHugeBlock = std::size_t{4} << 20;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;
  static constexpr std::uint64_t kNoLimit = UINT64_MAX;

  /// Without a limit; over the system's memory, or the host's.
  static std::shared_ptr<MemoryAccount> create(const AllocatorHooks& hooks = {});
  ~MemoryAccount() {
    if (hooks_.destroy != nullptr) hooks_.destroy(hooks_.user);
  }
  /// Sets `destroy` of the hooks once the account is in use: a call that fails before takes nothing over.
  void set_destroy(void (*destroy)(void* user)) noexcept { hooks_.destroy = destroy; }
  MemoryAccount(const MemoryAccount&) = delete;
  MemoryAccount& operator=(const MemoryAccount&) = delete;

  /// The most that may be owned (all classes but mapped); kNoLimit for no limit. Code::budget, and nothing changes, when
  /// more is in use already.
  Status set_budget(std::uint64_t bytes);
  std::uint64_t budget() const noexcept { return budget_.load(); }

  /// A block of the sum of `use` (mapped: none of it), which counts as `use` says. Errors: budget (before anything is
  /// allocated; says need, limit and use), nomem, limit (beyond the address space), callback (the host's memory
  /// is not aligned). No bytes give an empty block.
  Result<Block> allocate(const MemoryUse& use, const MemoryPurpose& purpose = {}, bool zeroed = false);
  Result<Block> allocate(MemoryClass c, std::uint64_t bytes, const MemoryPurpose& purpose = {}, bool zeroed = false) {
    return allocate(MemoryUse::of(c, bytes), purpose, zeroed);
  }

  /// Counts bytes that live elsewhere. Code::budget as above; mapped bytes are counted and never refused.
  Result<Charge> charge(const MemoryUse& use, const MemoryPurpose& purpose = {});
  Result<Charge> charge(MemoryClass c, std::uint64_t bytes, const MemoryPurpose& purpose = {}) {
    return charge(MemoryUse::of(c, bytes), purpose);
  }

  /// Counts bytes whatever the budget: of samplers and streams, which are small, short-lived and in nobody's plan. Later
  /// requests meet what is left.
  Charge count(MemoryClass c, std::uint64_t bytes) noexcept;

  /// Whether `use` would be within the budget now: Code::budget otherwise. Takes nothing.
  Status check(const MemoryUse& use, const MemoryPurpose& purpose = {}) const;

  /// Bytes by class: now, and the most of each at any time.
  MemoryUse now() const noexcept;
  MemoryUse peak() const noexcept;
  /// Their sum without mapped bytes; its peak is that of the sum, at most the sum of the peaks.
  std::uint64_t owned() const noexcept { return owned_.load(); }
  std::uint64_t peak_owned() const noexcept { return peak_owned_.load(); }

 private:
  friend class Charge;
  friend class Block;
  MemoryAccount() noexcept = default;
  bool reserve(const MemoryUse& use) noexcept;
  void record(const MemoryUse& use, std::uint64_t owned) noexcept;
  void give_back(const MemoryUse& use) noexcept;
  Status refuse(const MemoryUse& use, const MemoryPurpose& purpose) const;
  void* take(std::size_t size) noexcept;
  void free(void* memory, std::size_t size) noexcept;

  AllocatorHooks hooks_;
  std::atomic<std::uint64_t> budget_{kNoLimit};
  std::atomic<std::uint64_t> owned_{0}, peak_owned_{0};
  std::array<std::atomic<std::uint64_t>, kMemoryClassCount> now_{}, peak_{};
};

}  // namespace infer
