// SPDX-License-Identifier: MIT
// The ways to store keys and values. Their kernels are entries of the KernelTable, indexed by KvType. The table is in the header
// so that texts of options are made of it while compiling (capi/options.cpp).
#pragma once

#include <iterator>
#include <span>
#include <string_view>

#include "libinfer/kv_cache.h"

namespace infer {

inline constexpr KvKind kKvKinds[] = {
    {.name = "f16", .type = KvType::f16},
    {.name = "f32", .type = KvType::f32},
    {.name = "bf16", .type = KvType::bf16},
    {.name = "i16", .type = KvType::i16},
    {.name = "q8_0", .type = KvType::q8_0},
    {.name = "q4_0", .type = KvType::q4_0},
};
static_assert(std::size(kKvKinds) == kKvTypeCount);

/// The first of these that the heads of a model fill with whole blocks is used where none is asked for by name.
inline constexpr std::string_view kAutoKvKind = "auto";
inline constexpr std::string_view kAutoKvKinds[] = {"i16", "f16"};

std::span<const KvKind* const> builtin_kv_kinds() noexcept;

}  // namespace infer
