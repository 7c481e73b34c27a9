// SPDX-License-Identifier: MIT
// The file of a base run: what one model says about a text, for others to be compared with (infer perplexity
// --save-kl-base, --kl-base). docs/quantization.md describes the format. Little-endian:
//
//   "inferkl1" | n_vocab u32 | window u32 | n_windows u32 | 0 u32 | tokens i32 (n_windows, window)
//   | one row per scored position: codes u16 (n_vocab)
//
// A code is how far a token's log-probability lies below that of the likeliest one, in steps of 1/2048 nat, at most 65535
// (32 nats): p[i] = exp(-code[i] / 2048) / sum. The likeliest token alone has code 0. Whatever the codes of a row are, they
// are a distribution: nothing of a damaged file can become a NaN.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "libinfer.hpp"
#include "tools/output_file.h"
#include "tools/windows.h"

namespace tool {

inline constexpr double kCodeSteps = 2048;  // of a nat
inline constexpr std::size_t kMostWindows = std::size_t{1} << 20;

/// Positions of a window whose next token is scored: size / 2 .. size - 2. Each sees at least half a window before it.
inline std::size_t first_scored(std::size_t size) { return size / 2; }
inline std::size_t scored_per_window(std::size_t size) { return size - 1 - first_scored(size); }

/// Index of the largest value, the first of several.
std::size_t likeliest(libinfer::View<float> logits);

class BaseWriter {
 public:
  explicit BaseWriter(const std::string& path) : file_(path) {}
  bool is_open() const { return file_.is_open(); }
  /// All three: false, with errno, when the file takes no more.
  bool begin(std::uint32_t n_vocab, const Windows& windows);
  bool add(libinfer::View<float> logits);
  bool finish() { return file_.finish(); }

 private:
  OutputFile file_;
  std::string bytes_;
};

/// Trusts nothing: a damaged, foreign or short file gives a sentence.
class BaseReader {
 public:
  /// "" or what is wrong: with the file, or in that it is of another vocabulary, window or text.
  std::string open(const std::string& path, std::size_t n_vocab);
  std::size_t window() const { return window_; }
  std::string check_text(const Windows& windows) const;
  /// The next row; `error` says why there is none.
  bool next(std::vector<std::uint16_t>& codes, std::string& error);

 private:
  struct Close {
    void operator()(std::FILE* file) const { static_cast<void>(std::fclose(file)); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::size_t n_vocab_ = 0, window_ = 0, n_windows_ = 0, rows_read_ = 0;
  std::vector<std::int32_t> tokens_;
  std::string bytes_;
};

}  // namespace tool
