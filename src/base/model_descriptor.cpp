// SPDX-License-Identifier: MIT
// Look-ups in a ModelDescriptor. They are linear: the descriptor is read while loading and by tools, and the loader
// keeps an index of its own (WeightStore). Tested by tests/formats/gguf_test.cpp.
#include "libinfer/model_descriptor.h"

namespace infer {

const TensorMeta* ModelDescriptor::find_tensor(std::string_view tensor_name) const noexcept {
  for (const TensorMeta& tensor : tensors) {
    if (tensor.name == tensor_name) return &tensor;
  }
  return nullptr;
}

const MetaEntry* ModelDescriptor::find_meta(std::string_view key) const noexcept {
  for (const MetaEntry& entry : metadata) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

}  // namespace infer
