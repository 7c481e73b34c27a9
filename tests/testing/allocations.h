// SPDX-License-Identifier: MIT
// Counts what the test program takes through operator new, which allocations.cpp replaces: for tests of code that must
// not allocate, or not much, or that must survive when there is no memory.
#pragma once

#include <cstddef>

namespace infer::testing {

/// Calls of operator new since the program began, by all threads.
std::size_t n_allocations() noexcept;

/// Bytes that are allocated now.
std::size_t live_bytes() noexcept;

/// The most bytes that were allocated at one time since the last reset_peak().
std::size_t peak_bytes() noexcept;
void reset_peak() noexcept;

/// The n-th call of operator new from now on (0: the next) fails, once, whichever thread makes it.
void fail_allocation(long n) noexcept;
/// Ends that; whether a call failed.
bool stop_failing() noexcept;

}  // namespace infer::testing
