// SPDX-License-Identifier: MIT
// The table of KV storage kinds. Their kernels are entries of the KernelTable, indexed by KvType.
#include "src/runtime/kv_kinds.h"

namespace infer {
namespace {

constexpr KvKind kF16{.name = "f16", .type = KvType::f16};
constexpr KvKind kF32{.name = "f32", .type = KvType::f32};
constexpr KvKind kBf16{.name = "bf16", .type = KvType::bf16};
constexpr KvKind kQ8_0{.name = "q8_0", .type = KvType::q8_0};
constexpr KvKind kQ4_0{.name = "q4_0", .type = KvType::q4_0};
constexpr const KvKind* kKinds[] = {&kF16, &kF32, &kBf16, &kQ8_0, &kQ4_0};

}  // namespace

std::span<const KvKind* const> builtin_kv_kinds() noexcept { return kKinds; }

}  // namespace infer
