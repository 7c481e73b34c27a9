// SPDX-License-Identifier: MIT
// A bar on stderr. See progress_bar.h.
#include "tools/progress_bar.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "tools/common.h"

namespace tool {

ProgressBar::ProgressBar(std::string label) : label_(std::move(label)), wanted_(is_terminal(stderr)), start_(now()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) tell("\r\x1b[K");
}

bool ProgressBar::is_due() const {
  constexpr double kPatience = 0.5;  // seconds before the first drawing
  constexpr double kRefresh = 0.05;  // and between two
  const double time = now();
  return wanted_ && time - start_ >= kPatience && time - last_ >= kRefresh;
}

void ProgressBar::update(std::uint64_t done, std::uint64_t total, std::string_view detail) {
  constexpr std::size_t kWidth = 40;
  if (total == 0 || !is_due()) return;
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<std::size_t>(part * kWidth);
  tell(fmt::format("\r{} [{:#<{}}{:.<{}}] {:3.0f} %  {}\x1b[K", label_, "", filled, "", kWidth - filled, 100 * part, detail));
  last_ = now();
  drawn_ = true;
}

}  // namespace tool
