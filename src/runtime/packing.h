// SPDX-License-Identifier: MIT
// Packing: the matrices of a model rearranged to panels (ops/panels.h), once, while loading, by all cores. The panels take as
// many bytes as the matrices do in the file, whose pages are let go of as it proceeds: both are never resident at once.
// Tested by tests/runtime/packing_test.cpp.
#pragma once

#include <span>

#include "libinfer/architecture.h"
#include "libinfer/hooks.h"
#include "libinfer/memory.h"
#include "libinfer/status.h"
#include "libinfer/thread_pool.h"
#include "libinfer/weights.h"

namespace infer {

/// Bytes that the panels of these products take: of those whose kernel wants panels.
Result<std::uint64_t> plan_panels(std::span<Linear* const> products);

/// Packs them into memory that `weights` keeps. Errors: limit, budget, nomem, cancelled (seen within a few milliseconds).
Status pack_weights(std::span<Linear* const> products, WeightStore& weights, MemoryAccount& account, ThreadPool& pool,
                    const CancelFlag* cancel);

}  // namespace infer
