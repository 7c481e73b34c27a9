// SPDX-License-Identifier: MIT
// What a file format is to the library: three pure functions of bytes. The table is formats/formats.cpp.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/hooks.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/status.h"

namespace infer {

using Bytes = std::span<const std::byte>;

/// The flags (null: none) are looked at with every value; Code::cancelled then.
struct FormatParser {
  std::string_view name;

  /// Whether the bytes begin like a file of this format.
  bool (*sniff)(Bytes file) noexcept;

  /// The file names (not paths) of all parts of a sharded model, in order, given the first part and its own file name;
  /// an empty list when the model is one file. Only siblings are ever named.
  Result<std::vector<std::string>> (*parts)(Bytes first, std::string_view file_name, const CancelFlag* cancel);

  /// All parts to one descriptor. Reads nothing but the bytes given, validates every tensor's place in its file.
  Result<ModelDescriptor> (*parse)(std::span<const Bytes> files, const CancelFlag* cancel);
};

}  // namespace infer
