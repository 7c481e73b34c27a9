// SPDX-License-Identifier: MIT
// Foreign text in messages: names from files and callers are quoted so that they can neither forge a log line nor
// flood it. Tested by tests/base/text_test.cpp.
#pragma once

#include <string>
#include <string_view>

namespace infer {

/// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7: no surrogates, no overlong forms).
bool is_utf8(std::string_view text) noexcept;

/// Whether the text is UTF-8 without control characters (C0, DEL, C1).
bool is_printable_utf8(std::string_view text) noexcept;

/// The text with control characters and bytes that are not UTF-8 as \xNN, and its middle left out when it is longer than
/// about 200 bytes.
std::string escaped(std::string_view text);

/// The escaped text in single quotes.
std::string quoted(std::string_view text);

}  // namespace infer
