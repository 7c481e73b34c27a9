// SPDX-License-Identifier: MIT
// The table of KV storage kinds. Their kernels are entries of the KernelTable, indexed by KvType.
#include "src/runtime/kv_kinds.h"

namespace infer {
namespace {

constexpr KvKind kF16{.name = "f16", .type = KvType::f16, .element_bytes = 2};
constexpr KvKind kF32{.name = "f32", .type = KvType::f32, .element_bytes = 4};
constexpr const KvKind* kKinds[] = {&kF16, &kF32};

}  // namespace

std::span<const KvKind* const> builtin_kv_kinds() noexcept { return kKinds; }

}  // namespace infer
