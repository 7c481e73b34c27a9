// SPDX-License-Identifier: MIT
// Planning a quantisation: the mix's rule, the caller's overrides, and all that can be refused before a byte is written.
// Tested by tests/runtime/quantize_plan_test.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_imatrix.h"
#include "formats/gguf_writer.h"
#include "libinfer/library.h"
#include "libinfer/quantize.h"
#include "libinfer/weights.h"
#include "src/runtime/quantize/mixes.h"

namespace infer {

/// An opened source with the importance matrix, and the plan for it.
struct QuantizeJob {
  ModelDescriptor model;
  std::vector<MappedFile> files;              ///< of the source, in order
  std::optional<MappedFile> imatrix_file;
  gguf::Imatrix imatrix;
  const Mix* mix = nullptr;
  QuantizePlan plan;
  std::vector<gguf::Writer> writers;          ///< one for each file of the output
  std::vector<std::vector<std::size_t>> tensors_of;   ///< for each writer: indices of its tensors
};

/// `path`: of the output; may be empty.
Result<QuantizeJob> prepare_quantize(const Library& library, const Source& source, std::string_view path,
                                     const QuantizeOptions& options);

const QuantFormat* find_format(const Library& library, DType type) noexcept;

/// Whether the whole name matches: * stands for any characters, ? for one.
bool glob_matches(std::string_view pattern, std::string_view name) noexcept;

/// "NAME-00002-of-00003.gguf" for part 1 (from 0) of 3 of "NAME.gguf", or of any part of NAME.
std::string part_path(std::string_view path, std::size_t part, std::size_t count);

}  // namespace infer
