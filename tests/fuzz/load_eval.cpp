// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as a model file; what loads is run for a few tokens.
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto model = infer::fuzz::load({reinterpret_cast<const std::byte*>(data), size});
  if (!model.ok()) {
    infer::fuzz::require_message(model.status());
  } else if (model.value()->decoder() != nullptr) {
    infer::fuzz::run(model.value());
  }
  return 0;
}
