// SPDX-License-Identifier: MIT
// The replaced operators; see allocations.h. All forms but the over-aligned ones are here, so that what one of them
// gives is never taken back by another allocator's: sanitizers would complain.
#include "tests/testing/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> g_n_allocations{0};
std::atomic<std::size_t> g_live{0};
std::atomic<std::size_t> g_peak{0};
constexpr long kNever = -1;
std::atomic<long> g_until_failure{kNever};
std::atomic<bool> g_failed{false};

bool fails_now() noexcept {
  long left = g_until_failure.load();
  while (left != kNever) {
    if (g_until_failure.compare_exchange_weak(left, left - 1)) break;
  }
  if (left != 0) return false;
  g_failed = true;
  return true;
}

void* take(std::size_t size) noexcept {
  if (fails_now()) return nullptr;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) return nullptr;
  ++g_n_allocations;
  const std::size_t bytes = ::malloc_usable_size(memory);
  const std::size_t live = g_live.fetch_add(bytes) + bytes;
  std::size_t peak = g_peak.load();
  while (live > peak && !g_peak.compare_exchange_weak(peak, live)) {
  }
  return memory;
}

void* take_or_throw(std::size_t size) {
  if (void* memory = take(size)) return memory;
  throw std::bad_alloc();
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  g_live -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return take_or_throw(size); }
void* operator new[](std::size_t size) { return take_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give_back(memory); }

namespace infer::testing {

std::size_t n_allocations() noexcept { return g_n_allocations; }
std::size_t live_bytes() noexcept { return g_live; }
std::size_t peak_bytes() noexcept { return g_peak; }
void reset_peak() noexcept { g_peak = g_live.load(); }

void fail_allocation(long n) noexcept {
  g_failed = false;
  g_until_failure = n;
}
bool stop_failing() noexcept {
  g_until_failure = kNever;
  return g_failed;
}

}  // namespace infer::testing
