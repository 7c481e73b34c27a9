// SPDX-License-Identifier: MIT
// What a rendering may cost. Steps are charged for every node that is evaluated, for elements and bytes that are made
// (one for every 32 bytes of memory or less) and for bytes that are read, so that they bound time and memory alike: with
// the defaults 350 MB of what is kept, and 150 MB for a moment, at the very most. Tested by tests/tokenizers/chat/limits_test.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "libinfer/hooks.h"
#include "libinfer/status.h"

namespace infer::chat {

struct Limits {
  std::size_t max_template_bytes = std::size_t{1} << 20;
  std::uint64_t max_steps = 10'000'000;
  std::size_t max_output_bytes = std::size_t{16} << 20;  ///< of the output, and of any text on the way to it
  int max_depth = 250;  ///< of blocks and expressions within each other, macros included
};

inline Status chat_error(std::string message) { return Status::error(Code::chat_template, std::move(message)); }
inline Status limit_error(std::string message) { return Status::error(Code::template_limit, std::move(message)); }

/// What is left of the limits during one rendering.
class Budget {
 public:
  static constexpr std::uint64_t kStepsPerElement = 4;

  /// `cancel` may be null, and ends the rendering.
  Budget(const Limits& limits, const CancelFlag* cancel) noexcept
      : limits_(limits), cancel_(cancel), steps_left_(limits.max_steps), look_at_(less(limits.max_steps)) {}

  Status charge(std::uint64_t steps) {
    if (steps <= steps_left_) {
      steps_left_ -= steps;
      return steps_left_ > look_at_ ? Status() : look();
    }
    steps_left_ = 0;
    return limit_error("more than " + std::to_string(limits_.max_steps) + " steps");
  }
  /// For elements of lists about to be made; an entry of a dict counts as two.
  Status charge_elements(std::size_t count) {
    return charge(count > limits_.max_steps ? limits_.max_steps + 1 : kStepsPerElement * std::uint64_t{count});
  }
  Status check_size(std::size_t bytes) const {
    if (bytes <= limits_.max_output_bytes) return {};
    return limit_error("a text of more than " + std::to_string(limits_.max_output_bytes) + " bytes");
  }
  /// For a text about to be made.
  Status charge_bytes(std::size_t bytes) {
    INFER_TRY(check_size(bytes));
    return charge(1 + bytes / 32);
  }
  /// For a search of a text: in the worst case each of its bytes is compared with all of the part's.
  Status charge_search(std::size_t bytes, std::size_t part) {
    return charge(1 + bytes / 32 * (1 + std::uint64_t{part} / 32));
  }
  /// For a text of which each character is looked for among others.
  Status charge_each(std::size_t bytes, std::size_t others) {
    return charge((1 + bytes / 32) * (1 + std::uint64_t{others}));
  }

 private:
  static constexpr std::uint64_t kStepsPerLook = 4096;   // well below a millisecond

  static std::uint64_t less(std::uint64_t steps) noexcept { return steps - std::min(steps, kStepsPerLook); }
  Status look() {
    look_at_ = less(steps_left_);
    return is_cancelled(cancel_) ? Status::error(Code::cancelled, "cancelled while a chat template was rendered") : Status();
  }

  const Limits& limits_;
  const CancelFlag* const cancel_;
  std::uint64_t steps_left_;
  std::uint64_t look_at_;   ///< at so many steps left the flag is looked at
};

}  // namespace infer::chat
