// SPDX-License-Identifier: MIT
// The table of file formats, and names for files of other kinds. Tested by tests/formats/formats_test.cpp.
#pragma once

#include <span>
#include <string>

#include "libinfer/format.h"

namespace infer {

/// In the order in which they are tried.
std::span<const FormatParser* const> builtin_formats() noexcept;

/// What a file is that no parser recognises, with what to do about it where that is known: "this is a Git LFS pointer,
/// not a model; run `git lfs pull` to get the file itself". For a kind that is not known, its first bytes.
std::string describe_foreign(Bytes file);

}  // namespace infer
