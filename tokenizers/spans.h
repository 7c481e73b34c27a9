// SPDX-License-Identifier: MIT
// SpanNotes: where in a text its tokens stand, noted while it is encoded. An encoder says how the normal form it works on
// came from the text, and which bytes of that form each token takes. Tested by tests/tokenizers/spans_test.cpp.
#pragma once

#include <cstddef>
#include <vector>

#include "libinfer/tokenizer.h"

namespace infer {

/// One call of encode(). Where nobody asked for spans every call does nothing, and threads may share it.
class SpanNotes {
 public:
  /// `out`: EncodeOptions::spans; receives one span for each token.
  explicit SpanNotes(std::vector<TextSpan>* out = nullptr) : out_(out) {
    if (out_ != nullptr) out_->clear();
  }
  bool wanted() const noexcept { return out_ != nullptr; }

  /// The next part of the text, with a normal form of its own, begins here.
  void begin_part(std::size_t text_begin);
  /// The next bytes of the part and of its normal form are the same.
  void copied(std::size_t n_bytes);
  /// The next bytes of the part became these bytes of its normal form; either may be none.
  void changed(std::size_t n_text, std::size_t n_normal);

  /// The next token, by its place in the normal form of the part.
  void add(std::size_t normal_begin, std::size_t normal_end);
  /// The last token goes on to this place in the normal form.
  void extend(std::size_t normal_end);
  /// The next token, by its place in the text.
  void add_text(std::size_t begin, std::size_t end);

 private:
  struct Stretch {
    std::size_t text_begin, normal_begin;
    bool changed;
  };
  std::size_t index_at(std::size_t normal) const noexcept;
  std::size_t begin_of(std::size_t normal) const noexcept;
  std::size_t end_of(std::size_t normal) const noexcept;
  void begin_stretch(bool changed);

  std::vector<TextSpan>* out_;
  std::vector<Stretch> stretches_;  // of the part, in order
  std::size_t text_end_ = 0, normal_end_ = 0;
};

}  // namespace infer
