// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as a model file. Nothing is run; see load_eval.cpp.
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto model = infer::fuzz::load({reinterpret_cast<const std::byte*>(data), size});
  if (!model.ok()) infer::fuzz::require_message(model.status());
  return 0;
}
