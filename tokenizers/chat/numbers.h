// SPDX-License-Identifier: MIT
// Numbers as Python reads them from texts, and rounds them. Tested by tests/tokenizers/chat/jinja_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libinfer/status.h"
#include "tokenizers/chat/budget.h"
#include "tokenizers/chat/value.h"

namespace infer::chat {

/// A text that may be a number: without white space around it, and digits of any decimal system as 0 to 9.
std::string ascii_digits(const Text& text);

/// int(text, base): a sign, a prefix that fits the base (which it is where base is 0), digits with single underscores between
/// them. Null for what is none; an error for one that does not fit 64 bits.
Result<std::optional<std::int64_t>> read_integer(std::string_view text, int base);

/// float(text), with inf and nan; too large is inf. Null for what is none.
std::optional<double> read_real(std::string_view text);

/// round(value, places): to the nearest, to even where it lies between.
Result<Value> round_real(double value, int places, Budget& budget);
/// The same for an integer of any size, given in decimal, to tens (places is 1), hundreds ...
Value round_integer(std::string_view digits, int places);

}  // namespace infer::chat
