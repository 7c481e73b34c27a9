// SPDX-License-Identifier: MIT
// Importance matrices as files, in the GGUF form that the field shares: formats/gguf_imatrix.h says what is in one. Sums and
// counts are rounded to floats there. Tested by tests/runtime/importance_test.cpp.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "formats/gguf_imatrix.h"
#include "formats/gguf_writer.h"
#include "libinfer/importance.h"
#include "libinfer/text.h"
#include "src/base/output_file.h"
#include "src/base/range.h"

namespace infer {
namespace {

bool was_met(const ImportanceMatrix::Entry& entry) noexcept {
  return std::any_of(entry.counts.begin(), entry.counts.end(), [](double n) { return n > 0; });
}

/// What has no place in a file: what is not finite, as a float.
Status check_sums(const ImportanceMatrix::Entry& entry) {
  const auto bad = std::find_if(entry.sums.begin(), entry.sums.end(),
                                [](double sum) { return !std::isfinite(static_cast<float>(sum)); });
  if (bad == entry.sums.end()) return {};
  const std::string why = std::isfinite(*bad) ? fmt::format("too large for the file, where {:.6g} is the most; feed less text, or text "
                                                            "that the model is made for", std::numeric_limits<float>::max())
                                              : "weights or activations are not finite; infer_model_validate (infer info "
                                                "--validate) finds such weights";
  return Status::error(Code::tensor, fmt::format("tensor {}: what its column {} met sums to {:.6g}: {}", quoted(entry.tensor->name),
                                                 (bad - entry.sums.begin()) % entry.cols, *bad, why))
      .about(entry.tensor->name);
}

Status append_floats(gguf::Writer& writer, std::span<const double> values) {
  std::array<float, 1024> piece;
  while (!values.empty()) {
    const std::size_t n = std::min(values.size(), piece.size());
    std::transform(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n), piece.begin(),
                   [](double v) { return static_cast<float>(v); });
    INFER_TRY(writer.append(std::as_bytes(std::span(piece).first(n))));
    values = values.subspan(n);
  }
  return {};
}

Shape matrix_shape(std::int64_t cols, std::int64_t rows) noexcept { return {.dims = {cols, rows, 1, 1}, .n_dims = 2}; }

double float_at(const std::byte* data, std::size_t i) noexcept {
  float value = 0;
  std::memcpy(&value, data + i * sizeof value, sizeof value);
  return static_cast<double>(value);
}

}  // namespace

Status ImportanceMatrix::save(const std::string& path, std::string_view dataset, std::int64_t chunk_size) const {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  INFER_TRY(check_range("chunk_size", chunk_size, 1, kMost));
  double tokens = 0;
  for (const Entry& e : entries_) {
    INFER_TRY(check_sums(e));
    tokens = std::accumulate(e.counts.begin(), e.counts.end(), tokens, [](double a, double b) { return std::max(a, b); });
  }
  if (tokens == 0) {
    return Status::error(Code::state, "the importance matrix is empty: feed tokens to a session that fills it, then save");
  }
  std::vector<std::string> datasets = datasets_;
  if (!dataset.empty()) datasets.emplace_back(dataset);
  const double chunks = std::min(std::ceil(tokens / static_cast<double>(chunk_size)), static_cast<double>(kMost));

  gguf::Writer writer;
  writer.set("general.type", "imatrix");
  writer.set("imatrix.datasets", datasets);
  writer.set("imatrix.chunk_count", static_cast<std::uint32_t>(chunks));
  writer.set("imatrix.chunk_size", static_cast<std::uint32_t>(chunk_size));
  for (const Entry& e : entries_) {
    if (!was_met(e)) continue;
    INFER_TRY(writer.add_tensor(e.tensor->name + ".in_sum2", DType::f32, matrix_shape(e.cols, e.n_matrices)));
    INFER_TRY(writer.add_tensor(e.tensor->name + ".counts", DType::f32, matrix_shape(1, e.n_matrices)));
  }
  INFER_ASSIGN(const std::uint64_t bytes, writer.file_bytes());
  INFER_ASSIGN(const std::unique_ptr<OutputFile> file, OutputFile::create(path, bytes, *model_->account()));
  INFER_TRY(writer.begin(*file));
  for (const Entry& e : entries_) {
    if (!was_met(e)) continue;
    INFER_TRY(append_floats(writer, e.sums));
    INFER_TRY(append_floats(writer, e.counts));
  }
  INFER_TRY(writer.finish());
  INFER_TRY(file->finish());
  return file->commit();
}

Status ImportanceMatrix::add_file(const Source& source, const CancelFlag* cancel) {
  INFER_ASSIGN(const MappedFile file, MappedFile::open(source, {.cancel = cancel}));
  Result<gguf::Imatrix> read = gguf::read_imatrix(file.bytes(), cancel);
  if (!read.ok()) return std::move(read).status().with_context(source.describe());
  const gguf::Imatrix& added = read.value();
  std::unordered_map<std::string_view, const Entry*> known;
  for (const Entry& e : entries_) known.emplace(e.tensor->name, &e);
  std::vector<const Entry*> entries;   // of each of the file's
  for (const gguf::ImatrixEntry& a : added.entries) {
    const auto found = known.find(a.name);
    const Entry* const e = found == known.end() ? nullptr : found->second;
    if (e == nullptr || e->cols != a.cols || e->n_matrices != a.n_matrices) {
      return Status::error(Code::tensor,
                           fmt::format("{}: the model has no matrix {} of {} columns, {} times; the file is of another model",
                                       source.describe(), quoted(a.name), a.cols, a.n_matrices))
          .about(escaped(a.name));
    }
    entries.push_back(e);
  }
  datasets_.insert(datasets_.end(), added.datasets.begin(), added.datasets.end());
  for (std::size_t n = 0; n < entries.size(); ++n) {
    const Entry& e = *entries[n];
    for (std::size_t i = 0; i < e.sums.size(); ++i) e.sums[i] += float_at(added.entries[n].sums, i);
    for (std::size_t i = 0; i < e.counts.size(); ++i) e.counts[i] += float_at(added.entries[n].counts, i);
  }
  return {};
}

}  // namespace infer
