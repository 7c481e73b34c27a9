// SPDX-License-Identifier: MIT
// Views into the mapped files, and the few small vectors that are widened. Tested by tests/base/weights_test.cpp.
#include "libinfer/weights.h"

#include <sys/mman.h>
#include <unistd.h>


namespace infer {

WeightStore::WeightStore(std::vector<MappedFile> files, const std::vector<TensorMeta>& tensors)
    : files_(std::move(files)) {
  index_.reserve(tensors.size());
  for (const TensorMeta& t : tensors) index_.emplace(t.name, &t);
}

const TensorMeta* WeightStore::find(std::string_view name) const noexcept {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : it->second;
}

TensorView WeightStore::view(const TensorMeta& tensor) const noexcept {
  const std::byte* data = files_[static_cast<std::size_t>(tensor.file)].bytes().data() + tensor.offset;
  const std::int64_t rows = tensor.shape.rows();
  return {data, tensor.dtype, rows, tensor.shape.cols(),
          static_cast<std::size_t>(tensor.bytes / static_cast<std::uint64_t>(rows))};
}

std::span<const float> WeightStore::widen(const TensorMeta& tensor, DecodeFn decode) {
  const TensorView v = view(tensor);
  const std::int64_t n = v.rows * v.cols;   // fits: the parser checked the product
  std::vector<float>& floats = widened_.emplace_back(static_cast<std::size_t>(n));
  decode(v.data, floats.data(), n);
  return floats;
}

void WeightStore::let_go(const TensorView& tensor) const noexcept {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (const MappedFile& f : files_) {
    if (!f.backed_by_file() || tensor.data < f.bytes().data() || tensor.data >= f.bytes().data() + f.bytes().size()) continue;
    const auto begin = (reinterpret_cast<std::uintptr_t>(tensor.data) + page - 1) / page * page;
    const auto end = (reinterpret_cast<std::uintptr_t>(tensor.data) + static_cast<std::size_t>(tensor.rows) * tensor.row_bytes) / page * page;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

std::uint64_t WeightStore::mapped_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const MappedFile& f : files_) sum += f.mapped() ? f.bytes().size() : 0;
  return sum;
}

std::uint64_t WeightStore::owned_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const MappedFile& f : files_) sum += f.mapped() ? 0 : f.bytes().size();
  for (const std::vector<float>& w : widened_) sum += w.size() * sizeof(float);
  return sum + kept_.size();
}

}  // namespace infer
