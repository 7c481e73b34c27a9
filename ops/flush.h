// SPDX-License-Identifier: MIT
// Subnormal floats as zeros, for as long as this lives: what instructions for bfloat16 do whatever the float modes are, and what
// every kernel for bfloat16 does so that all give the same bits. Nothing here is ever a function of its own: files for
// instruction sets include it.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace infer {

class SubnormalsAreZeros {
 public:
#if defined(__x86_64__)
  [[gnu::always_inline]] SubnormalsAreZeros() noexcept : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushResults | kFlushOperands); }
  [[gnu::always_inline]] ~SubnormalsAreZeros() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kFlushResults = 0x8000, kFlushOperands = 0x0040;
  unsigned before_;
#elif defined(__aarch64__)
  [[gnu::always_inline]] SubnormalsAreZeros() noexcept {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(before_ | kFlush) : "memory");
  }
  [[gnu::always_inline]] ~SubnormalsAreZeros() { asm volatile("msr fpcr, %0" : : "r"(before_) : "memory"); }

 private:
  static constexpr unsigned long kFlush = 1ul << 24;
  unsigned long before_;
#else
  SubnormalsAreZeros() noexcept {}   // the specification is the only kernel there is, and keeps them
#endif
 public:
  SubnormalsAreZeros(const SubnormalsAreZeros&) = delete;
  SubnormalsAreZeros& operator=(const SubnormalsAreZeros&) = delete;
};

}  // namespace infer
