// SPDX-License-Identifier: MIT
// Shapes as text, for messages. Tested by tests/formats/gguf_test.cpp.
#include "libinfer/tensor.h"

namespace infer {

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.n_dims; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape.dims[static_cast<std::size_t>(i)]);
  }
  return text + "]";
}

}  // namespace infer
