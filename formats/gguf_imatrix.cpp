// SPDX-License-Identifier: MIT
// See gguf_imatrix.h.
#include "formats/gguf_imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "libinfer/text.h"

namespace infer::gguf {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";

float float_at(const std::byte* data, std::int64_t i) noexcept {
  float value = 0;
  std::memcpy(&value, data + static_cast<std::size_t>(i) * sizeof value, sizeof value);
  return value;
}

Status tensor_error(const RawTensor& tensor, std::string_view what) {
  return Status::error(Code::tensor, fmt::format("tensor {}: {}", quoted(tensor.name), what))
      .about(escaped(tensor.name))
      .at(tensor.offset);
}

/// What is said of the measurement; none of it is needed.
Status read_facts(const Directory& directory, Imatrix& matrix, const CancelFlag* cancel) {
  const auto integer = [&](std::string_view key, std::int64_t& to) -> Status {
    const RawEntry* const entry = directory.find(key);
    if (entry == nullptr) return {};
    INFER_ASSIGN(to, integer_of(*entry));
    return {};
  };
  INFER_TRY(integer("imatrix.chunk_count", matrix.chunk_count));
  INFER_TRY(integer("imatrix.chunk_size", matrix.chunk_size));
  const RawEntry* const datasets = directory.find("imatrix.datasets");
  if (datasets == nullptr || !datasets->is_array_of(ValueType::string)) return {};
  INFER_ASSIGN(const StringList names, strings_of(*datasets, cancel));
  for (std::size_t i = 0; i < names.size(); ++i) matrix.datasets.emplace_back(names[i]);
  return {};
}

/// Squares of numbers that were counted.
Status check_values(const RawTensor& sums, const RawTensor& counts, const ImatrixEntry& entry) {
  bool any = false;
  for (std::int64_t m = 0; m < entry.n_matrices; ++m) {
    const float count = float_at(entry.counts, m);
    if (!std::isfinite(count) || count < 0 || (count > 0 && count < 1)) {
      return tensor_error(counts, fmt::format("element {} is {}, not a number of tokens", m, count));
    }
    any = any || count > 0;
  }
  if (!any) return tensor_error(counts, "no token was counted");
  for (std::int64_t i = 0; i < entry.n_matrices * entry.cols; ++i) {
    const float sum = float_at(entry.sums, i);
    if (!std::isfinite(sum) || sum < 0) return tensor_error(sums, fmt::format("element {} is {}, not a sum of squares", i, sum));
  }
  return {};
}

}  // namespace

void ImatrixEntry::means(std::int64_t matrix, float* out) const noexcept {
  const float count = float_at(counts, matrix);
  for (std::int64_t c = 0; c < cols; ++c) out[c] = count > 0 ? float_at(sums, matrix * cols + c) / count : 1.0f;
}

const ImatrixEntry* Imatrix::find(std::string_view name) const noexcept {
  const auto at = std::lower_bound(entries.begin(), entries.end(), name,
                                   [](const ImatrixEntry& e, std::string_view wanted) { return e.name < wanted; });
  return at != entries.end() && at->name == name ? &*at : nullptr;
}

Result<Imatrix> read_imatrix(Bytes file, const CancelFlag* cancel) {
  constexpr std::string_view kMagic = "GGUF";
  if (as_text(file.first(std::min(file.size(), kMagic.size()))) != kMagic) {
    return Status::error(Code::format, "this is not a GGUF file; an importance matrix of the older .dat form has to be made anew");
  }
  INFER_ASSIGN(const Directory directory, read_directory(file, cancel));
  const RawEntry* const type = directory.find("general.type");
  if (type == nullptr || type->type != ValueType::string || as_text(type->payload) != "imatrix") {
    return Status::error(Code::format, "this is not an importance matrix (general.type is not 'imatrix')").about("general.type");
  }
  Imatrix matrix;
  INFER_TRY(read_facts(directory, matrix, cancel));

  std::vector<const RawTensor*> tensors;
  for (const RawTensor& t : directory.tensors) tensors.push_back(&t);
  std::sort(tensors.begin(), tensors.end(), [](const RawTensor* a, const RawTensor* b) { return a->name < b->name; });
  const auto find = [&](std::string_view name) -> const RawTensor* {
    const auto at = std::lower_bound(tensors.begin(), tensors.end(), name,
                                     [](const RawTensor* t, std::string_view wanted) { return t->name < wanted; });
    return at != tensors.end() && (*at)->name == name ? *at : nullptr;
  };
  for (const RawTensor* sums : tensors) {
    if (!sums->name.ends_with(kSums)) continue;
    if (is_cancelled(cancel)) return Status::error(Code::cancelled, "loading was cancelled");
    const std::string_view name = sums->name.substr(0, sums->name.size() - kSums.size());
    const RawTensor* const counts = find(std::string(name).append(kCounts));
    if (counts == nullptr) return tensor_error(*sums, "has no counts beside it");
    if (sums->dtype != DType::f32) return tensor_error(*sums, fmt::format("is {}, not F32", info(sums->dtype).name));
    if (counts->dtype != DType::f32) return tensor_error(*counts, fmt::format("is {}, not F32", info(counts->dtype).name));
    const std::int64_t n = sums->shape.rows();
    if (counts->shape.cols() * counts->shape.rows() != n) {
      return tensor_error(*counts, fmt::format("shape {} does not belong to sums of shape {}", to_string(counts->shape),
                                               to_string(sums->shape)));
    }
    const ImatrixEntry entry{name, sums->shape.cols(), n, file.data() + sums->begin, file.data() + counts->begin};
    INFER_TRY(check_values(*sums, *counts, entry));
    matrix.entries.push_back(entry);
  }
  if (matrix.entries.empty()) return Status::error(Code::tensor, "the importance matrix has no tensors");
  std::sort(matrix.entries.begin(), matrix.entries.end(),
            [](const ImatrixEntry& a, const ImatrixEntry& b) { return a.name < b.name; });
  return matrix;
}

}  // namespace infer::gguf
