// SPDX-License-Identifier: MIT
// Model::validate: a scan of all weights for what is not a number. A load does not do it, because it reads every byte of
// the file. Tested by tests/runtime/model_hostile_test.cpp.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "libinfer/model.h"
#include "libinfer/text.h"
#include "src/base/finite.h"

namespace infer {
namespace {

constexpr std::int64_t kPiece = 4096;   // elements decoded at once: whole blocks of every type, a few microseconds

/// A tensor with a value that is not finite.
struct Find {
  const TensorMeta* tensor;
  std::int64_t element;
  float value;
};

/// The first such element of a tensor, or -1. `cancelled` is set when the flag was seen.
std::int64_t scan(const TensorView& view, DecodeFn decode, const CancelFlag* cancel, bool& cancelled, float& value) {
  std::array<float, kPiece> buffer;
  const DTypeInfo& type = info(view.dtype);
  for (std::int64_t row = 0; row < view.rows; ++row) {
    const std::byte* from = view.slice(row, 1).data;
    for (std::int64_t col = 0; col < view.cols; col += kPiece) {
      cancelled = is_cancelled(cancel);
      if (cancelled) return -1;
      const std::int64_t n = std::min(kPiece, view.cols - col);
      const std::span<float> piece = std::span(buffer).first(static_cast<std::size_t>(n));
      decode(from, piece.data(), n);
      const std::size_t bad = find_non_finite(piece);
      if (bad < piece.size()) {
        value = piece[bad];
        return row * view.cols + col + static_cast<std::int64_t>(bad);
      }
      from += n / type.block_elems * type.block_bytes;
    }
  }
  return -1;
}

Status report(const std::vector<Find>& finds, std::size_t n_finds) {
  const Find& first = finds.front();
  std::string text = n_finds == 1 ? "" : fmt::format("{} tensors have values that are not finite: ", n_finds);
  for (const Find& f : finds) {
    text += fmt::format("{}tensor {} has {} at element {}", &f == &first ? "" : "; ", quoted(f.tensor->name), f.value,
                        f.element);
  }
  if (n_finds > finds.size()) text += fmt::format("; and {} more", n_finds - finds.size());
  const DTypeInfo& type = info(first.tensor->dtype);
  return Status::error(Code::tensor, std::move(text))
      .about(first.tensor->name)
      .at(first.tensor->offset + static_cast<std::uint64_t>(first.element) / type.block_elems * type.block_bytes);
}

}  // namespace

Status Model::validate(const CancelFlag* cancel) const {
  constexpr std::size_t kShown = 10;
  if (!decoder_) return Status::error(Code::state, "only the vocabulary was loaded (option vocab_only); load the model");
  std::vector<Find> finds;
  std::size_t n_finds = 0;
  for (const TensorMeta& tensor : descriptor_.tensors) {
    const auto format = std::find_if(library_->quants.begin(), library_->quants.end(),
                                     [&](const QuantFormat* q) { return q->dtype == tensor.dtype; });
    if (format == library_->quants.end()) continue;   // of a type that cannot be run: the model does not use it
    bool cancelled = false;
    Find find{&tensor, -1, 0.0f};
    find.element = scan(weights_->view(tensor), (*format)->decode, cancel, cancelled, find.value);
    if (cancelled) return Status::error(Code::cancelled, "the scan of the weights was cancelled");
    if (find.element < 0) continue;
    if (n_finds++ < kShown) finds.push_back(find);
  }
  return n_finds == 0 ? Status() : report(finds, n_finds);
}

}  // namespace infer
