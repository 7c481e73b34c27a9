// SPDX-License-Identifier: MIT
// From a source to open files and a descriptor: open, sniff, find the other parts, parse. What every use of a model begins
// with. Tested by tests/runtime/model_test.cpp and model_hostile_test.cpp.
#pragma once

#include <vector>

#include "libinfer/library.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/source.h"
#include "libinfer/status.h"

namespace infer {

/// `files` has what could be opened, also when parsing failed. Errors: as of MappedFile::open and of the parser, format (no
/// parser knows the file), shard (a part is missing), cancelled.
Status open_model_files(const Library& library, const Source& source, const OpenOptions& options,
                        std::vector<MappedFile>& files, ModelDescriptor& descriptor);

}  // namespace infer
