// SPDX-License-Identifier: MIT
// Counts what the test program takes through operator new, which allocations.cpp replaces: for tests of code that must
// not allocate, or not much.
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

}  // namespace infer::testing
