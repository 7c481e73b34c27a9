// SPDX-License-Identifier: MIT
// A bar on stderr for work that takes long, while somebody looks: nothing is drawn on a pipe or in the first half second.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tool {

class ProgressBar {
 public:
  /// `label` is the work in a word: "loading".
  explicit ProgressBar(std::string label);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// Wipes it away.
  ~ProgressBar();

  /// `detail` stands behind the bar: "12 MiB of 2.1 GiB".
  void update(std::uint64_t done, std::uint64_t total, std::string_view detail);
  /// Whether an update now would be seen: for details that cost something to make.
  bool is_due() const;

 private:
  std::string label_;
  bool wanted_;
  bool drawn_ = false;
  double start_;
  double last_ = 0;
};

}  // namespace tool
