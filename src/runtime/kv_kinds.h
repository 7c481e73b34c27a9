// SPDX-License-Identifier: MIT
// The ways to store keys and values.
#pragma once

#include <span>

#include "libinfer/kv_cache.h"

namespace infer {

std::span<const KvKind* const> builtin_kv_kinds() noexcept;

}  // namespace infer
