// SPDX-License-Identifier: MIT
// Writes and reads the file of a base run. See base_run.h. Tested by tests/tools/perplexity_test.cpp.
#include "tools/base_run.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "tools/common.h"

namespace tool {
namespace {

constexpr std::string_view kMagic = "inferkl1";
constexpr std::size_t kHeaderBytes = 24;
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 22;  // of a vocabulary; keeps all sizes below 2^63
constexpr long kMostCode = 65535;

void put(std::string& to, std::uint32_t value, unsigned n_bytes = 4) {
  for (unsigned byte = 0; byte < n_bytes; ++byte) to += static_cast<char>(value >> (8 * byte) & 0xFF);
}

std::uint32_t take(std::string_view from, std::size_t at, unsigned n_bytes = 4) {
  std::uint32_t value = 0;
  for (unsigned byte = 0; byte < n_bytes; ++byte) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(from[at + byte])) << (8 * byte);
  }
  return value;
}

std::string text_of(int error_number) { return std::generic_category().message(error_number); }

}  // namespace

std::size_t likeliest(libinfer::View<float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

bool BaseWriter::begin(std::uint32_t n_vocab, const Windows& windows) {
  bytes_ = kMagic;
  put(bytes_, n_vocab);
  put(bytes_, static_cast<std::uint32_t>(windows.size));
  put(bytes_, static_cast<std::uint32_t>(windows.count()));
  put(bytes_, 0);
  for (const std::int32_t token : windows.tokens) put(bytes_, static_cast<std::uint32_t>(token));
  return file_.write(bytes_);
}

bool BaseWriter::add(libinfer::View<float> logits) {
  const std::size_t top = likeliest(logits);
  bytes_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double below = (static_cast<double>(logits[top]) - static_cast<double>(logits[i])) * kCodeSteps;
    const long code = below < kMostCode ? std::max(1L, std::lround(below)) : kMostCode;
    put(bytes_, i == top ? 0 : static_cast<std::uint32_t>(code), 2);
  }
  return file_.write(bytes_);
}

std::string BaseReader::open(const std::string& path, std::size_t n_vocab) {
  path_ = path;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return fmt::format("{}: {}", path, error ? error.message() : "not a regular file");
  }
  const std::uint64_t size = std::filesystem::file_size(path, error);
  file_.reset(std::fopen(path.c_str(), "rb"));
  if (error || !file_) return fmt::format("{}: {}", path, error ? error.message() : text_of(errno));

  bytes_.assign(kHeaderBytes, '\0');
  if (std::fread(bytes_.data(), 1, bytes_.size(), file_.get()) != bytes_.size() || bytes_.substr(0, 8) != kMagic) {
    return fmt::format("{}: not the file of a base run; infer perplexity --save-kl-base makes one", path);
  }
  const std::uint64_t vocab = take(bytes_, 8), window = take(bytes_, 12), n_windows = take(bytes_, 16);
  if (vocab == 0 || vocab > kMostTokens || window < static_cast<std::uint64_t>(kLeastWindow) ||
      window > static_cast<std::uint64_t>(kMostWindow) || n_windows == 0 || n_windows > kMostWindows ||
      take(bytes_, 20) != 0) {
    return fmt::format("{}: damaged: {} windows of {} tokens, vocabulary {}", path, n_windows, window, vocab);
  }
  const std::uint64_t expected = kHeaderBytes + 4 * window * n_windows + 2 * vocab * n_windows * scored_per_window(window);
  if (size != expected) {
    return fmt::format("{}: has {} bytes where {} windows of {} tokens and a vocabulary of {} make {}; is it complete?",
                       path, size, n_windows, window, vocab, expected);
  }
  if (vocab != n_vocab) {
    return fmt::format("{}: is of a vocabulary of {} tokens, the model has {}; they cannot be compared", path, vocab,
                       n_vocab);
  }
  n_vocab_ = vocab;
  window_ = window;
  n_windows_ = n_windows;
  bytes_.assign(4 * window_ * n_windows_, '\0');
  if (std::fread(bytes_.data(), 1, bytes_.size(), file_.get()) != bytes_.size()) {
    return fmt::format("{}: cannot be read: {}", path, std::ferror(file_.get()) != 0 ? text_of(errno) : "it ends early");
  }
  tokens_.resize(window_ * n_windows_);
  for (std::size_t i = 0; i < tokens_.size(); ++i) tokens_[i] = static_cast<std::int32_t>(take(bytes_, 4 * i));
  return {};
}

std::string BaseReader::check_text(const Windows& windows) const {
  if (windows.size != window_) {
    return fmt::format("{}: has windows of {} tokens, not {}; leave --ctx away to take them over", path_, window_,
                       windows.size);
  }
  const std::size_t n = std::min(tokens_.size(), windows.tokens.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (tokens_[i] == windows.tokens[i]) continue;
    return fmt::format("{}: was made from another text or tokenizer: token {} is {} there and {} here", path_, i,
                       tokens_[i], windows.tokens[i]);
  }
  if (tokens_.size() == windows.tokens.size()) return {};
  return fmt::format("{}: was made from {} windows, here are {}; use the same text and the same --windows", path_,
                     n_windows_, windows.count());
}

bool BaseReader::next(std::vector<std::uint16_t>& codes, std::string& error) {
  bytes_.resize(2 * n_vocab_);
  if (std::fread(bytes_.data(), 1, bytes_.size(), file_.get()) != bytes_.size()) {
    error = fmt::format("{}: cannot be read: {}", path_, std::ferror(file_.get()) != 0 ? text_of(errno) : "it ends early");
    return false;
  }
  codes.resize(n_vocab_);
  std::size_t n_tops = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<std::uint16_t>(take(bytes_, 2 * i, 2));
    n_tops += codes[i] == 0 ? 1 : 0;
  }
  if (n_tops != 1) {
    error = fmt::format("{}: damaged: row {} has {} likeliest tokens", path_, rows_read_, n_tops);
    return false;
  }
  ++rows_read_;
  return true;
}

}  // namespace tool
