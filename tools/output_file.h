// SPDX-License-Identifier: MIT
// A file that appears under its name only when it is complete: written beside it and renamed at the end. What was there
// before stays until then, and a command that fails leaves nothing behind. A link is followed, and the file that it leads to
// is replaced; a new one has the permissions of the one before.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace tool {

/// Whether `out` is one of the files that are read, parts of models included, which writing would destroy: then that is reported.
bool is_input(const std::string& out, const std::vector<std::string>& inputs);

class OutputFile {
 public:
  /// Opens; is_open() tells whether that worked, else errno tells why. A device, a pipe, and what /dev/stdout
  /// leads to, is written directly.
  explicit OutputFile(std::string path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Without finish() all is thrown away.
  ~OutputFile();

  bool is_open() const { return file_ != nullptr; }
  const std::string& path() const { return path_; }
  /// False, with errno, when not all bytes could be written.
  bool write(std::string_view bytes);
  /// Everything is on the disk and under its name; false, with errno, and nothing is.
  bool finish();

 private:
  std::string path_;
  std::string target_;     // path_ without links
  std::string temporary_;  // empty: written directly
  std::FILE* file_ = nullptr;
};

}  // namespace tool
