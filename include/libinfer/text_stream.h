// SPDX-License-Identifier: MIT
// From token pieces to text that can be shown: whole UTF-8 characters only, stop strings held back until they are
// decided. The only stateful text code. Tested by tests/runtime/text_stream_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace infer {

/// Bytes in, whole characters out. Bytes that can no longer become a character turn into U+FFFD, one for each maximal
/// ill-formed part (Unicode 15, section 3.9, "substitution of maximal subparts").
class Utf8Stream {
 public:
  /// Appends to `out` what is complete: at most most_out() bytes.
  void push(std::string_view bytes, std::string& out);
  /// What is still held back, as U+FFFD; then starts anew.
  void flush(std::string& out);

  /// Most bytes that a push of n gives out: each may be ill-formed by itself, and so may be those that were held.
  static constexpr std::size_t most_out(std::size_t n) noexcept { return 3 * (n + 3); }

 private:
  char pending_[4] = {};
  int n_pending_ = 0;
};

/// Whole characters in, text up to the first stop string out. The longest tail that may still become a stop string is
/// held back; what push() and flush() give, put together, is the text before the first stop string. The first is the
/// one that is complete first (and of those complete at once, the longest), so how the text is cut into pushes does not
/// matter. Time is linear in the text, whatever the stop strings are.
class StopMatcher {
 public:
  /// Stop strings are UTF-8; empty ones are ignored. Pushes of at most `longest_push` bytes allocate nothing.
  explicit StopMatcher(std::vector<std::string> stops, std::size_t longest_push = 0);

  /// Appends to `out` what is certain. True when a stop string was found: nothing after it is ever given out.
  bool push(std::string_view text, std::string& out);
  /// Gives out what was held back (nothing when stopped).
  void flush(std::string& out);
  void reset();

  /// Most bytes that a push of n and a flush after it give out.
  std::size_t most_out(std::size_t n) const noexcept { return longest_stop_ + n; }

  /// Bytes that it keeps beside itself.
  std::size_t memory() const noexcept;

  /// The stop string that was found; empty before.
  std::string_view matched() const noexcept { return stopped_ ? std::string_view(stops_[which_]) : std::string_view(); }

 private:
  // Knuth, Morris and Pratt 1977: how much of a stop string the text ends with, kept from byte to byte.
  struct Progress {
    std::vector<std::uint32_t> shorter;  // [n]: of its first n + 1 bytes, the longest proper prefix that is also a suffix
    std::size_t n_matched = 0;
  };
  bool advance(char byte) noexcept;

  std::vector<std::string> stops_;
  std::vector<Progress> progress_;  // of each stop string
  std::string held_;
  std::size_t longest_stop_ = 0;
  bool stopped_ = false;
  std::size_t which_ = 0;
};

/// Both, for a generation.
class TextStream {
 public:
  /// Pieces of at most `longest_piece` bytes are pushed without allocating, when `out` has room for most_out().
  explicit TextStream(std::vector<std::string> stops, std::size_t longest_piece = 0)
      : stop_(std::move(stops), Utf8Stream::most_out(longest_piece)), longest_piece_(longest_piece) {
    characters_.reserve(Utf8Stream::most_out(longest_piece));
  }

  /// Most bytes that one push, or the flush, appends to `out`.
  std::size_t most_out() const noexcept { return stop_.most_out(Utf8Stream::most_out(longest_piece_)); }

  /// Bytes that it keeps beside itself.
  std::size_t memory() const noexcept { return stop_.memory() + characters_.capacity(); }

  /// Appends the text that is ready after `piece`; true when a stop string was completed.
  bool push(std::string_view piece, std::string& out);
  void flush(std::string& out);
  std::string_view matched() const noexcept { return stop_.matched(); }

 private:
  Utf8Stream utf8_;
  StopMatcher stop_;
  std::size_t longest_piece_;
  std::string characters_;
};

}  // namespace infer
