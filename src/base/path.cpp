// SPDX-License-Identifier: MIT
// See path.h.
#include "src/base/path.h"

#include <cstddef>
#include <system_error>

#include <fmt/format.h>

#include "libinfer/text.h"

namespace infer {

Status check_path(const std::string& path, const char* what) {
  constexpr std::size_t kMaxPath = 4096;
  if (path.empty()) return Status::error(Code::argument, fmt::format("{} is empty", what));
  if (path.size() > kMaxPath) {
    return Status::error(Code::argument, fmt::format("path of {} bytes is longer than {}", path.size(), kMaxPath));
  }
  if (path.find('\0') != std::string::npos || !is_utf8(path)) {
    return Status::error(Code::argument, fmt::format("path {} has a NUL or is not UTF-8", quoted(path)));
  }
  return {};
}

std::string system_text(int error) { return std::error_code(error, std::generic_category()).message(); }

}  // namespace infer
