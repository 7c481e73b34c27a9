// SPDX-License-Identifier: MIT
// The table of KV storage kinds as registries take it: addresses.
#include "src/runtime/kv_kinds.h"

#include <array>

namespace infer {
namespace {

constexpr auto kAddresses = [] {
  std::array<const KvKind*, std::size(kKvKinds)> addresses{};
  for (std::size_t i = 0; i < addresses.size(); ++i) addresses[i] = &kKvKinds[i];
  return addresses;
}();

}  // namespace

std::span<const KvKind* const> builtin_kv_kinds() noexcept { return kAddresses; }

}  // namespace infer
