// SPDX-License-Identifier: MIT
// Counts what the test program takes through malloc, calloc, realloc, the aligned ones and operator new, by all threads:
// for tests of code that must not allocate, or not much, or that must survive when there is no memory. Under sanitizers
// only operator new is counted.
#pragma once

#include <cstddef>

namespace infer::testing {

/// Whether malloc and its kin are counted too, and not operator new alone.
bool counts_malloc() noexcept;

/// Allocations since the program began.
std::size_t n_allocations() noexcept;

/// Bytes that are allocated now.
std::size_t live_bytes() noexcept;

/// The most bytes that were allocated at one time since the last reset_peak().
std::size_t peak_bytes() noexcept;
void reset_peak() noexcept;

/// The n-th allocation from now on (0: the next) fails, once, whichever thread makes it.
void fail_allocation(long n) noexcept;
/// Ends that; whether an allocation failed.
bool stop_failing() noexcept;

}  // namespace infer::testing
