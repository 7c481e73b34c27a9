// SPDX-License-Identifier: MIT
// The float modes that all results are computed in. Held by all calls of the C ABI that can fail (guard in capi/handles.h) and by
// whoever works in a pool, on any thread. Tested by tests/base/float_mode_test.cpp and tests/capi/hpp_test.cpp.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace infer {

/// The float modes of the thread as IEEE has them (nearest, subnormals kept), whatever the host made of them, for as long as
/// this lives: results must not depend on who computes them.
class DefaultFloatMode {
 public:
#if defined(__x86_64__)
  DefaultFloatMode() noexcept : before_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~DefaultFloatMode() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kDefault = 0x1f80;   // all exceptions masked
  unsigned before_;
#elif defined(__aarch64__)
  DefaultFloatMode() noexcept {
    asm volatile("mrs %0, fpcr" : "=r"(before_) : : "memory");
    set(0);
  }
  ~DefaultFloatMode() { set(before_); }

 private:
  static void set(std::uint64_t mode) noexcept { asm volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
  std::uint64_t before_;
#else
  DefaultFloatMode() noexcept {}
#endif
 public:
  DefaultFloatMode(const DefaultFloatMode&) = delete;
  DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;
};

}  // namespace infer
