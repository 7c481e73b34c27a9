// SPDX-License-Identifier: MIT
// Counting allocations; see allocations.h. With glibc, malloc and its kin are interposed: whatever takes memory comes by,
// operator new too. The sanitizers have a malloc of their own: there the operators are replaced, in all forms but the
// over-aligned ones, so that what one of them gives is never taken back by another allocator's.
#include "tests/testing/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INFER_COUNT_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INFER_COUNT_MALLOC 0
#endif
#endif
#ifndef INFER_COUNT_MALLOC
#ifdef __GLIBC__
#define INFER_COUNT_MALLOC 1
#else
#define INFER_COUNT_MALLOC 0
#endif
#endif

namespace {

constinit std::atomic<std::size_t> g_n_allocations{0};
constinit std::atomic<std::size_t> g_live{0};
constinit std::atomic<std::size_t> g_peak{0};
constexpr long kNever = -1;
constinit std::atomic<long> g_until_failure{kNever};
constinit std::atomic<bool> g_failed{false};

bool fails_now() noexcept {
  long left = g_until_failure.load();
  while (left != kNever) {
    if (g_until_failure.compare_exchange_weak(left, left - 1)) break;
  }
  if (left != 0) return false;
  g_failed = true;
  return true;
}

void* counted(void* memory) noexcept {
  if (memory == nullptr) return nullptr;
  ++g_n_allocations;
  const std::size_t bytes = ::malloc_usable_size(memory);
  const std::size_t live = g_live.fetch_add(bytes) + bytes;
  std::size_t peak = g_peak.load();
  while (live > peak && !g_peak.compare_exchange_weak(peak, live)) {
  }
  return memory;
}

void uncount(void* memory) noexcept {
  if (memory != nullptr) g_live -= ::malloc_usable_size(memory);
}

}  // namespace

#if INFER_COUNT_MALLOC

#pragma GCC visibility push(default)   // or the shared libraries would not find them
extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t n, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) {
  if (fails_now()) return errno = ENOMEM, nullptr;
  return counted(__libc_malloc(size));
}

void* calloc(std::size_t n, std::size_t size) {
  if (fails_now()) return errno = ENOMEM, nullptr;
  return counted(__libc_calloc(n, size));
}

void* realloc(void* memory, std::size_t size) {
  if (fails_now()) return errno = ENOMEM, nullptr;
  const std::size_t before = ::malloc_usable_size(memory);
  void* const moved = __libc_realloc(memory, size);
  if (moved != nullptr || size == 0) g_live -= before;   // realloc(p, 0) frees
  return counted(moved);
}

void* memalign(std::size_t alignment, std::size_t size) {
  if (fails_now()) return errno = ENOMEM, nullptr;
  return counted(__libc_memalign(alignment, size));
}

void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }

int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  void* const memory = memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *out = memory;
  return 0;
}

void free(void* memory) {
  uncount(memory);
  __libc_free(memory);
}

}  // extern "C"
#pragma GCC visibility pop

#else

namespace {

void* take(std::size_t size) noexcept { return fails_now() ? nullptr : counted(std::malloc(size == 0 ? 1 : size)); }

void* take_or_throw(std::size_t size) {
  if (void* memory = take(size)) return memory;
  throw std::bad_alloc();
}

void give_back(void* memory) noexcept {
  uncount(memory);
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

#endif

namespace infer::testing {

bool counts_malloc() noexcept { return INFER_COUNT_MALLOC != 0; }

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
