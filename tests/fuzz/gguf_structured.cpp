// SPDX-License-Identifier: MIT
// Fuzz target: a small file of any family that is right but for what the input changes: fields of keys, tensors and the
// header, so that the rest of the file stays consistent and the change reaches the code behind the parser. What loads is run.
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/testing/tiny_model.h"

namespace {

using infer::fuzz::Input;
using infer::testing::GgufWriter;

/// One change; the input says which and to what.
void change(GgufWriter& file, Input& input) {
  const std::size_t which = input.take<std::uint8_t>();
  GgufWriter::Key& key = file.keys[which % file.keys.size()];
  GgufWriter::Tensor& tensor = file.tensors[which % file.tensors.size()];
  switch (input.take<std::uint8_t>() % 12) {
    case 0:   // the value's bytes, from the front
      for (std::size_t i = 0, n = input.take<std::uint8_t>() % 9; i < n && i < key.value.size(); ++i) {
        key.value[i] = static_cast<std::byte>(input.take<std::uint8_t>());
      }
      break;
    case 1: key.type = input.take<std::uint32_t>() % 16; break;
    case 2: {   // another type and a value of its width
      constexpr std::size_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 4, 8, 8, 8};
      key.type = input.take<std::uint8_t>() % 13;
      key.value = input.take_bytes(kWidths[key.type]);
      key.value.resize(kWidths[key.type]);
      break;
    }
    case 3: key.value = input.take_bytes(input.take<std::uint8_t>()); break;
    case 4: key.name = "llama." + std::to_string(input.take<std::uint8_t>()); break;   // an unknown one
    case 5: tensor.type = input.take<std::uint32_t>() % 48; break;
    case 6: {
      const std::size_t i = input.take<std::uint8_t>();
      if (!tensor.dims.empty()) tensor.dims[i % tensor.dims.size()] = input.take<std::uint64_t>();
      break;
    }
    case 7: tensor.dims.resize(input.take<std::uint8_t>() % 6, 1); break;
    case 8: tensor.offset = input.take<std::uint64_t>(); break;
    case 9: file.n_keys = input.take<std::uint64_t>(); break;
    case 10: file.n_tensors = input.take<std::uint64_t>(); break;
    default: {   // the bytes of weights: any scale, any code
      if (tensor.data.empty()) break;
      const std::size_t at = input.take<std::uint16_t>() % tensor.data.size();
      for (std::size_t i = at; i < tensor.data.size() && i < at + 8; ++i) {
        tensor.data[i] = static_cast<std::byte>(input.take<std::uint8_t>());
      }
    }
  }
}

/// One file of each family; those of LLaMA with all that it may have.
std::vector<GgufWriter> right_files() {
  std::vector<GgufWriter> files;
  for (infer::testing::TinyModel tiny : infer::testing::tiny_families()) {
    tiny.n_layers = tiny.window_layers.empty() ? 1 : tiny.n_layers;
    tiny.dtype = infer::DType::q8_0;
    if (tiny.name == "llama") {
      tiny.rope_scaling = "yarn";
      tiny.rope_factor = 4.0;
      tiny.original_context = 64;
      tiny.rope_factors = true;
      tiny.sliding_window = 40;
    }
    files.push_back(infer::testing::tiny_model_writer(tiny));
  }
  return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<GgufWriter> right = right_files();
  Input input(data, size);
  GgufWriter file = right[input.take<std::uint8_t>() % right.size()];
  do {
    change(file, input);
    if (file.tensors.empty() || file.keys.empty()) break;
  } while (input.left() > 8);
  const std::vector<std::byte> bytes = file.build();
  const auto model = infer::fuzz::load(bytes);
  if (!model.ok()) {
    infer::fuzz::require_message(model.status());
  } else if (model.value()->decoder() != nullptr) {
    infer::fuzz::run(model.value());
  }
  return 0;
}
