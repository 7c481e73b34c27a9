// SPDX-License-Identifier: MIT
// Token pieces to whole characters, and the search for stop strings in them. See text_stream.h. Tested by
// tests/runtime/text_stream_test.cpp.
#include "libinfer/text_stream.h"

#include <algorithm>

#include "src/base/utf8.h"

namespace infer {

void Utf8Stream::push(std::string_view bytes, std::string& out) {
  // A character that an earlier push began, byte by byte. A byte that cannot go on with it begins anew.
  while (n_pending_ > 0 && !bytes.empty()) {
    pending_[n_pending_] = bytes.front();
    const std::string_view pending(pending_, static_cast<std::size_t>(n_pending_) + 1);
    const Utf8Step step = utf8_step(pending);
    if (step.state == Utf8State::ill_formed) {
      out += kReplacementCharacter;
      n_pending_ = 0;
      continue;
    }
    bytes.remove_prefix(1);
    ++n_pending_;
    if (step.state == Utf8State::valid) {
      out += pending;
      n_pending_ = 0;
    }
  }
  while (!bytes.empty()) {
    const Utf8Step step = utf8_step(bytes);
    if (step.state == Utf8State::valid) {
      out += bytes.substr(0, step.size);
    } else if (step.state == Utf8State::ill_formed) {
      out += kReplacementCharacter;
    } else {
      std::copy(bytes.begin(), bytes.end(), pending_);
      n_pending_ = step.size;
    }
    bytes.remove_prefix(step.size);
  }
}

void Utf8Stream::flush(std::string& out) {
  if (n_pending_ > 0) out += kReplacementCharacter;
  n_pending_ = 0;
}

StopMatcher::StopMatcher(std::vector<std::string> stops, std::size_t longest_push) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
  progress_.resize(stops_.size());
  for (std::size_t s = 0; s < stops_.size(); ++s) {
    const std::string& stop = stops_[s];
    longest_stop_ = std::max(longest_stop_, stop.size());
    std::vector<std::uint32_t>& shorter = progress_[s].shorter;
    shorter.assign(stop.size(), 0);
    for (std::size_t i = 1; i < stop.size(); ++i) {
      std::uint32_t n = shorter[i - 1];
      while (n > 0 && stop[i] != stop[n]) n = shorter[n - 1];
      shorter[i] = stop[i] == stop[n] ? n + 1 : 0;
    }
  }
  held_.reserve(longest_stop_ + longest_push);
}

// True when the byte completes a stop string; which_ is then the longest of those it completes.
bool StopMatcher::advance(char byte) noexcept {
  bool found = false;
  for (std::size_t s = 0; s < stops_.size(); ++s) {
    const std::string& stop = stops_[s];
    Progress& p = progress_[s];
    while (p.n_matched > 0 && stop[p.n_matched] != byte) p.n_matched = p.shorter[p.n_matched - 1];
    if (stop[p.n_matched] == byte) ++p.n_matched;
    if (p.n_matched < stop.size()) continue;
    if (!found || stop.size() > stops_[which_].size()) which_ = s;
    found = true;
  }
  return found;
}

bool StopMatcher::push(std::string_view text, std::string& out) {
  if (stopped_) return true;
  for (std::size_t i = 0; i < text.size() && !stopped_; ++i) {
    held_ += text[i];
    stopped_ = advance(text[i]);
  }
  std::size_t n_keep = stopped_ ? stops_[which_].size() : 0;
  if (!stopped_) {
    for (const Progress& p : progress_) n_keep = std::max(n_keep, p.n_matched);
  }
  out.append(held_, 0, held_.size() - n_keep);
  if (stopped_) {
    held_.clear();
  } else {
    held_.erase(0, held_.size() - n_keep);
  }
  return stopped_;
}

void StopMatcher::flush(std::string& out) {
  out += held_;
  held_.clear();
  for (Progress& p : progress_) p.n_matched = 0;
}

std::size_t StopMatcher::memory() const noexcept {
  std::size_t n = held_.capacity() + stops_.capacity() * sizeof(std::string) + progress_.capacity() * sizeof(Progress);
  for (const std::string& stop : stops_) n += stop.capacity();
  for (const Progress& p : progress_) n += p.shorter.capacity() * sizeof(p.shorter[0]);
  return n;
}

void StopMatcher::reset() {
  held_.clear();
  for (Progress& p : progress_) p.n_matched = 0;
  stopped_ = false;
  which_ = 0;
}

bool TextStream::push(std::string_view piece, std::string& out) {
  characters_.clear();
  utf8_.push(piece, characters_);
  return stop_.push(characters_, out);
}

void TextStream::flush(std::string& out) {
  characters_.clear();
  utf8_.flush(characters_);
  stop_.push(characters_, out);
  stop_.flush(out);
}

}  // namespace infer
