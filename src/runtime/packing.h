// SPDX-License-Identifier: MIT
// Packing: the matrices of a model rearranged to panels (ops/panels.h), once, while loading, by all cores. The panels take as
// many bytes as the matrices do in the file, or a little more (ops/panels.h says where; plan_panels tells how many). Pages of a
// mapped file are let go of as it proceeds, so both are never resident at once. Tested by tests/runtime/packing_test.cpp.
#pragma once

#include <span>

#include "libinfer/architecture.h"
#include "libinfer/memory.h"
#include "libinfer/model.h"
#include "libinfer/status.h"
#include "libinfer/weights.h"

namespace infer {

/// Bytes that the panels of these products take: of those whose kernel wants panels.
Result<std::uint64_t> plan_panels(std::span<Linear* const> products);

/// For products that are to read the file: they will make panels for themselves, some at a time, in each worker's scratch.
/// Answers the bytes that this needs of it.
std::size_t leave_unpacked(std::span<Linear* const> products) noexcept;

/// Packs them into memory that `weights` keeps, on the executor of the options or threads of its own. Progress is reported in
/// bytes of a mapped file, each few milliseconds. Errors: limit, budget, nomem, cancelled (seen within a few milliseconds, and
/// when the progress report says so).
Status pack_weights(std::span<Linear* const> products, WeightStore& weights, MemoryAccount& account,
                    const ModelOptions& options);

}  // namespace infer
