// SPDX-License-Identifier: MIT
// Where the IR becomes numbers that code may trust: reads the hyper-parameters that decoders share, checks each against
// its limits. An architecture's `configure` begins with it. Tested by tests/models/config_test.cpp.
#pragma once

#include "libinfer/architecture.h"

namespace infer {

/// Everything that decoders share. What a family does differently it changes in the result. Numbers that are odd but can
/// be run are told in `warnings`.
/// Errors: metadata (missing, or outside its limits), limit (more layers than we take), unsupported.
Result<DecoderConfig> read_decoder_config(const ModelDescriptor& model, std::vector<std::string>& warnings);

}  // namespace infer
