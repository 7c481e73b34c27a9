// SPDX-License-Identifier: MIT
// From places in a normal form back to places in the text. See spans.h.
#include "tokenizers/spans.h"

#include <algorithm>

namespace infer {

void SpanNotes::begin_part(std::size_t text_begin) {
  if (!wanted()) return;
  stretches_.clear();
  text_end_ = text_begin;
  normal_end_ = 0;
}

void SpanNotes::begin_stretch(bool changed) { stretches_.push_back({text_end_, normal_end_, changed}); }

void SpanNotes::copied(std::size_t n_bytes) {
  if (!wanted() || n_bytes == 0) return;
  if (stretches_.empty() || stretches_.back().changed) begin_stretch(false);
  text_end_ += n_bytes;
  normal_end_ += n_bytes;
}

void SpanNotes::changed(std::size_t n_text, std::size_t n_normal) {
  if (!wanted()) return;
  begin_stretch(true);
  text_end_ += n_text;
  normal_end_ += n_normal;
}

// Of several stretches that begin there all but the last have no normal form.
std::size_t SpanNotes::index_at(std::size_t normal) const noexcept {
  const auto after = std::upper_bound(stretches_.begin(), stretches_.end(), normal,
                                      [](std::size_t n, const Stretch& s) { return n < s.normal_begin; });
  return static_cast<std::size_t>(after - stretches_.begin()) - 1;  // the first one begins at 0
}

std::size_t SpanNotes::begin_of(std::size_t normal) const noexcept {
  if (stretches_.empty()) return text_end_;
  const Stretch& s = stretches_[index_at(normal)];
  return s.changed ? s.text_begin : s.text_begin + (normal - s.normal_begin);
}

std::size_t SpanNotes::end_of(std::size_t normal) const noexcept {
  const std::size_t last = index_at(normal - 1);
  const Stretch& s = stretches_[last];
  if (!s.changed) return s.text_begin + (normal - s.normal_begin);
  return last + 1 < stretches_.size() ? stretches_[last + 1].text_begin : text_end_;
}

void SpanNotes::add(std::size_t normal_begin, std::size_t normal_end) {
  if (!wanted()) return;
  const std::size_t begin = begin_of(normal_begin);
  out_->push_back({begin, normal_end > normal_begin ? end_of(normal_end) : begin});
}

void SpanNotes::extend(std::size_t normal_end) {
  if (wanted()) out_->back().end = end_of(normal_end);
}

void SpanNotes::add_text(std::size_t begin, std::size_t end) {
  if (wanted()) out_->push_back({begin, end});
}

}  // namespace infer
