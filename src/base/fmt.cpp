// SPDX-License-Identifier: MIT
// fmt, compiled once. Every fmt::format of the library is a call of the one function that is kept here; as templates of
// its headers, formatting would be most of what the compiler does. It stays inline (weak), so that a program that links
// fmt itself next to libinfer.a has it twice without harm. Tested by all that formats.
#define FMT_HEADER_ONLY
#include <fmt/format.h>

namespace infer {

[[gnu::used]] static std::string (*const kept)(fmt::string_view, fmt::format_args) = &fmt::vformat;

}  // namespace infer
