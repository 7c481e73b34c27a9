// SPDX-License-Identifier: MIT
// Metadata values and texts as JSON. Our own few lines, because the value's types are ours and a header would weigh more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libinfer/model_descriptor.h"

namespace infer::capi {

/// Elements of an array, 1 for a scalar.
std::uint64_t element_count(const MetaValue& value) noexcept;

/// RFC 8259. Bytes that are not UTF-8 become U+FFFD; NaN and infinities, which JSON cannot say, become null.
std::string to_json(const MetaEntry& entry, const TokenizerSpec& tokenizer);

/// A text as a JSON string, quotes and all.
std::string to_json(std::string_view text);

}  // namespace infer::capi
