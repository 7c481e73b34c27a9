// SPDX-License-Identifier: MIT
// What reading a file and writing one have in common: the rules for a path, and the words for a failure of the system.
// Tested by tests/base/source_test.cpp and tests/base/output_file_test.cpp.
#pragma once

#include <string>

#include "libinfer/status.h"

namespace infer {

/// UTF-8, without NUL, of 1 to 4096 bytes; `what` names it where it is empty.
Status check_path(const std::string& path, const char* what);

/// An errno in words; unlike strerror(), for any thread.
std::string system_text(int error);

}  // namespace infer
