// SPDX-License-Identifier: MIT
// Views into the mapped files, and the few small vectors that are widened. Tested by tests/base/weights_test.cpp.
#include "libinfer/weights.h"

#include <sys/mman.h>
#include <unistd.h>

namespace infer {

WeightStore::WeightStore(std::vector<MappedFile> files, const std::vector<TensorMeta>& tensors,
                         std::shared_ptr<MemoryAccount> account)
    : files_(std::move(files)), account_(account ? std::move(account) : MemoryAccount::create()) {
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
  const std::uint64_t bytes = static_cast<std::uint64_t>(n) * sizeof(float);   // fits: vectors are as long as a dimension
  if (planning_) {
    planned_bytes_ += bytes;
    return {};
  }
  Result<Block> block = account_->allocate(MemoryClass::weights, bytes, {"the model", "use a smaller model"});
  if (!block.ok()) {
    if (status_.ok()) status_ = std::move(block).status();
    return {};
  }
  widened_.push_back(std::move(block).value());
  float* const floats = reinterpret_cast<float*>(widened_.back().data());
  decode(v.data, floats, n);
  return {floats, static_cast<std::size_t>(n)};
}

void WeightStore::let_go(const TensorView& tensor) const noexcept {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (const MappedFile& f : files_) {
    const std::byte* const last = tensor.data + static_cast<std::size_t>(tensor.rows) * tensor.row_bytes;
    if (!f.backed_by_file() || tensor.data < f.bytes().data() || last > f.bytes().data() + f.bytes().size()) continue;
    const auto begin = (reinterpret_cast<std::uintptr_t>(tensor.data) + page - 1) / page * page;
    const auto end = reinterpret_cast<std::uintptr_t>(last) / page * page;
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
  for (const Block& w : widened_) sum += w.size();
  return sum + kept_.size();
}

}  // namespace infer
