// SPDX-License-Identifier: MIT
// Collects an importance matrix. Columns are split over threads, tokens never: a sum is added in the order of the tokens.
// The square of a float is exact in double. Tested by tests/runtime/importance_test.cpp.
#include "libinfer/importance.h"

#include <algorithm>
#include <functional>

#include "src/base/checked.h"

namespace infer {
namespace {

constexpr MemoryPurpose kPurpose{"the importance matrix", "release a session"};
constexpr int kMatrixDims = 2;

bool is_matrix(const TensorMeta& tensor) noexcept { return tensor.shape.n_dims >= kMatrixDims; }

std::int64_t matrices_in(const Shape& shape) noexcept { return shape.dims[2] * shape.dims[3]; }

}  // namespace

Result<std::shared_ptr<ImportanceMatrix>> ImportanceMatrix::create(std::shared_ptr<const Model> model) {
  if (model->decoder() == nullptr) {
    return Status::error(Code::state, "only the vocabulary was loaded (option vocab_only); load the model to run it");
  }
  std::shared_ptr<ImportanceMatrix> m(new ImportanceMatrix(std::move(model)));
  const std::vector<TensorMeta>& tensors = m->model_->descriptor().tensors;
  // A tensor has at least as many elements as these sums and counts, twice over for matrices of two rows: no overflow.
  std::uint64_t n = 0;
  for (const TensorMeta& t : tensors) {
    if (is_matrix(t)) n += static_cast<std::uint64_t>(matrices_in(t.shape) * (t.shape.cols() + 1));
  }
  const std::optional<std::uint64_t> bytes = checked_mul(n, 2 * sizeof(double));
  if (!bytes) return Status::error(Code::limit, "the importance matrix does not fit in the address space");
  INFER_ASSIGN(m->block_, m->model_->account()->allocate(MemoryClass::other, *bytes, kPurpose, true));
  double* next = reinterpret_cast<double*>(m->block_.data());
  m->values_ = {next, static_cast<std::size_t>(n)};
  m->marked_ = {next + n, static_cast<std::size_t>(n)};
  for (const TensorMeta& t : tensors) {
    if (!is_matrix(t)) continue;
    Entry e{.tensor = &t, .begin = m->model_->view(t).data, .cols = t.shape.cols(), .n_matrices = matrices_in(t.shape)};
    e.sums = {next, static_cast<std::size_t>(e.n_matrices * e.cols)};
    e.counts = {next + e.sums.size(), static_cast<std::size_t>(e.n_matrices)};
    next += e.sums.size() + e.counts.size();
    m->by_place_.push_back(m->entries_.size());
    m->entries_.push_back(e);
  }
  std::sort(m->by_place_.begin(), m->by_place_.end(), [&](std::size_t a, std::size_t b) {
    return std::less<>()(m->entries_[a].begin, m->entries_[b].begin);
  });
  m->observer_ = {.see = [](void* self, Step& step, const Linear& weights, const MatF32& x) noexcept {
                    static_cast<ImportanceMatrix*>(self)->see(step, weights, x);
                  },
                  .user = m.get()};
  return m;
}

void ImportanceMatrix::see(Step& step, const Linear& weights, const MatF32& x) noexcept {
  // The last tensor that begins at or before the weights: they may be a slice of it.
  const auto after = std::upper_bound(
      by_place_.begin(), by_place_.end(), weights.weight.data,
      [&](const std::byte* place, std::size_t i) { return std::less<>()(place, entries_[i].begin); });
  if (after == by_place_.begin()) return;
  const Entry& e = entries_[*(after - 1)];
  const std::uint64_t offset = static_cast<std::uint64_t>(weights.weight.data - e.begin);
  if (offset >= e.tensor->bytes || x.cols != e.cols) return;   // not of a tensor of the file
  const std::uint64_t matrix_bytes = e.tensor->bytes / static_cast<std::uint64_t>(e.n_matrices);
  if (offset % matrix_bytes != 0) return;   // a further part of a matrix: the same x met the first
  const std::uint64_t matrix = offset / matrix_bytes;
  double* const sums = e.sums.data() + static_cast<std::ptrdiff_t>(matrix) * e.cols;
  constexpr std::int64_t kLeastCols = 64;   // lines of memory are not shared by many threads
  const std::int64_t grain = std::max(kLeastCols, step.grain(x.cols, x.rows));
  step.parallel_for(x.cols, grain, [&](int, std::int64_t first, std::int64_t last) noexcept {
    for (std::int64_t i = 0; i < x.rows; ++i) {
      const float* const row = x.row(i);
      for (std::int64_t c = first; c < last; ++c) {
        const double value = static_cast<double>(row[c]);
        sums[c] += value * value;
      }
    }
  });
  e.counts[static_cast<std::size_t>(matrix)] += static_cast<double>(x.rows);
}

void ImportanceMatrix::mark() noexcept { std::copy(values_.begin(), values_.end(), marked_.begin()); }
void ImportanceMatrix::roll_back() noexcept { std::copy(marked_.begin(), marked_.end(), values_.begin()); }

}  // namespace infer
