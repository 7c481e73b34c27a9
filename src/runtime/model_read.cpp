// SPDX-License-Identifier: MIT
// Model::read: elements of a tensor as floats, for tools that look at weights. Any stretch, also one that begins or ends inside
// a block; nothing is kept. Tested by tests/runtime/model_read_test.cpp.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "libinfer/model.h"
#include "libinfer/text.h"
#include "src/base/checked.h"

namespace infer {
namespace {

constexpr std::size_t kLargestBlock = 256;
constexpr bool all_blocks_fit() {
  for (const DTypeInfo& type : kDTypes) {
    if (type.block_elems > kLargestBlock) return false;
  }
  return true;
}
static_assert(all_blocks_fit());

}  // namespace

Status Model::read(const TensorMeta& tensor, std::uint64_t first, std::span<float> values) const {
  const DTypeInfo& type = info(tensor.dtype);
  const auto format = std::find_if(library_->quants.begin(), library_->quants.end(),
                                   [&](const QuantFormat* q) { return q->dtype == tensor.dtype; });
  if (format == library_->quants.end()) {
    return Status::error(Code::quant_type, fmt::format("tensor {} has type {}, which cannot be read as numbers",
                                                       quoted(tensor.name), type.name))
        .about(tensor.name);
  }
  const auto n_elements = static_cast<std::uint64_t>(tensor.shape.rows() * tensor.shape.cols());   // the parser checked it
  if (!inside(first, values.size(), n_elements)) {
    return Status::error(Code::range, fmt::format("tensor {}: {} elements from {} on are wanted, it has {}",
                                                  quoted(tensor.name), values.size(), first, n_elements))
        .about(tensor.name);
  }
  // Rows are whole blocks and lie one behind the other, so elements are counted through.
  const std::byte* const data = view(tensor).data;
  const std::size_t block_elems = type.block_elems;
  std::array<float, kLargestBlock> block;
  while (!values.empty()) {
    const std::byte* const from = data + first / block_elems * type.block_bytes;
    const auto within = static_cast<std::size_t>(first % block_elems);
    std::size_t n = values.size() / block_elems * block_elems;   // whole blocks, decoded in place
    if (within == 0 && n > 0) {
      (*format)->decode(from, values.data(), static_cast<std::int64_t>(n));
    } else {
      n = std::min(block_elems - within, values.size());
      (*format)->decode(from, block.data(), static_cast<std::int64_t>(block_elems));
      std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(within), n, values.begin());
    }
    values = values.subspan(n);
    first += n;
  }
  return {};
}

}  // namespace infer
