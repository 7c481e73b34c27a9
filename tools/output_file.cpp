// SPDX-License-Identifier: MIT
// A file that appears when it is complete. Tested by tests/tools/perplexity_test.cpp.
#include "tools/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <regex>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "tools/common.h"

namespace tool {

namespace {

/// A path, or of NAME-00001-of-0000N.gguf those of all parts.
std::vector<std::string> parts_of(const std::string& path) {
  std::smatch match;
  if (!std::regex_match(path, match, std::regex("([^]*)-00001-of-([0-9]{5})\\.gguf"))) return {path};
  std::vector<std::string> parts;
  const int n = std::stoi(match[2]);
  for (int i = 1; i <= n; ++i) parts.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", match[1].str(), i, n));
  return parts;
}

}  // namespace

bool is_input(const std::string& out, const std::vector<std::string>& inputs) {
  std::error_code error;
  for (const std::string& in : inputs) {
    for (const std::string& part : parts_of(in)) {
      if (!std::filesystem::equivalent(out, part, error)) continue;
      fail(fmt::format("{} is both input and output", out), "give the output another name");
      return true;
    }
  }
  return false;
}

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  std::error_code error;
  const auto status = std::filesystem::status(path_, error);
  const bool is_open = path_.starts_with("/dev/") || path_.starts_with("/proc/");   // /dev/stdout may lead to a file
  if (is_open || (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))) {
    file_ = std::fopen(path_.c_str(), "wb");
    return;
  }
  target_ = path_;
  if (std::filesystem::is_symlink(path_, error)) {
    target_ = std::filesystem::canonical(path_, error).string();
    if (error) {   // leads nowhere
      errno = error.value();
      return;
    }
  }
  temporary_ = fmt::format("{}.part-{}", target_, getpid());
  const int fd = open(temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (std::filesystem::exists(status)) static_cast<void>(fchmod(fd, static_cast<mode_t>(status.permissions()) & 0777));
  file_ = fdopen(fd, "wb");
  if (file_ != nullptr) return;
  const int reason = errno;
  close(fd);
  static_cast<void>(std::remove(temporary_.c_str()));
  errno = reason;
}

OutputFile::~OutputFile() {
  if (file_ == nullptr) return;
  static_cast<void>(std::fclose(file_));
  if (!temporary_.empty()) static_cast<void>(std::remove(temporary_.c_str()));
}

bool OutputFile::write(std::string_view bytes) {
  return std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
}

bool OutputFile::finish() {
  std::FILE* file = std::exchange(file_, nullptr);
  bool done = std::fflush(file) == 0 && (temporary_.empty() || fsync(fileno(file)) == 0);
  int error = errno;
  if (std::fclose(file) != 0 && done) {
    done = false;
    error = errno;
  }
  if (temporary_.empty()) return errno = error, done;
  if (done && std::rename(temporary_.c_str(), target_.c_str()) == 0) return true;
  if (done) error = errno;
  static_cast<void>(std::remove(temporary_.c_str()));
  return errno = error, false;
}

}  // namespace tool
