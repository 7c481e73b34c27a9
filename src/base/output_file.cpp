// SPDX-License-Identifier: MIT
// See output_file.h. All that is POSIX stands in the table; a Windows port replaces it (CreateFileW with CREATE_NEW,
// WriteFile, FlushFileBuffers, MoveFileExW with MOVEFILE_REPLACE_EXISTING).
#include "src/base/output_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "libinfer/source.h"
#include "libinfer/text.h"
#include "src/base/path.h"

namespace infer {
namespace {

constexpr int kTemporaryNames = 1000;   // that may be taken, by processes that died

constexpr OutputIo kSystemIo{
    .open = [](const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); },
    .lstat = [](const char* path, struct stat* facts) { return ::lstat(path, facts); },
    .realpath = [](const char* path) { return ::realpath(path, nullptr); },
    .reserve = [](int fd, off_t bytes) { return ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes); },
    .pwrite = [](int fd, const void* from, std::size_t bytes,
                 off_t offset) { return ::pwrite(fd, from, bytes, offset); },
    .pread = [](int fd, void* to, std::size_t bytes, off_t offset) { return ::pread(fd, to, bytes, offset); },
    .write_back =
        [](int fd, off_t offset, off_t bytes, bool wait) {
          constexpr unsigned kWait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
          static_cast<void>(::sync_file_range(fd, offset, bytes, wait ? kWait : SYNC_FILE_RANGE_WRITE));
        },
    .fsync = [](int fd) { return ::fsync(fd); },
    .forget = [](int fd) { static_cast<void>(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)); },
    .close = [](int fd) { return ::close(fd); },
    .chmod = [](const char* path, mode_t mode) { return ::chmod(path, mode); },
    .rename = [](const char* from, const char* to) { return ::rename(from, to); },
    .unlink = [](const char* path) { return ::unlink(path); },
};

Code code_of(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Code::nofile;
    case EACCES:
    case EPERM:
    case EROFS: return Code::permission;
    case ENAMETOOLONG: return Code::argument;
    case ENOMEM: return Code::nomem;
    default: return Code::io;
  }
}

Status cancelled(const std::string& path) {
  return Status::error(Code::cancelled, fmt::format("{}: writing was cancelled", quoted(path)));
}

Status check_output_path(const std::string& path) {
  INFER_TRY(check_path(path, "the path of the output"));
  if (path.back() == '/')
    return Status::error(Code::argument, fmt::format("{} names a folder, not a file", quoted(path)));
  return {};
}

/// Tells any two buffers apart that differ in one word, and others but for one in 2^64. Four lanes: at the speed of
/// memory.
std::uint64_t checksum(std::span<const std::byte> bytes) noexcept {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15u;   // 2^64 / golden ratio
  std::uint64_t lanes[4] = {1, 2, 3, bytes.size()};
  std::size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    for (std::size_t i = 0; i < 4; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at + 8 * i, 8);
      lanes[i] = std::rotl((lanes[i] ^ word) * kOdd, 29);
    }
  }
  for (; at < bytes.size(); ++at)
    lanes[0] = std::rotl((lanes[0] ^ std::to_integer<std::uint64_t>(bytes[at])) * kOdd, 29);
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : lanes) sum = std::rotl((sum ^ lane) * kOdd, 31);
  return sum;
}

}  // namespace

const OutputIo& system_output_io() noexcept { return kSystemIo; }

Result<std::unique_ptr<OutputFile>> OutputFile::create(std::string path, std::uint64_t bytes, MemoryAccount& account,
                                                       const OutputIo& io) {
  const std::string subject = escaped(path);
  const auto make = [&]() -> Result<std::unique_ptr<OutputFile>> {
    INFER_TRY(check_output_path(path));
    std::unique_ptr<OutputFile> file(new OutputFile(std::move(path), io));
    INFER_TRY(file->find_target());
    // A process that writes past this limit is killed by a signal.
    struct rlimit most {};
    if (::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY && bytes > most.rlim_cur) {
      return Status::error(Code::limit, fmt::format("{}: {} bytes are more than this process may write to a file ({})",
                                                    quoted(file->path_), bytes, most.rlim_cur));
    }
    INFER_ASSIGN(file->buffer_,
                 account.allocate(MemoryClass::scratch, kBufferBytes, {"the output", "raise the budget"}));
    INFER_TRY(file->open_temporary());
    if (io.reserve(file->fd_, static_cast<off_t>(bytes)) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
      return file->failed(fmt::format("has no room for {} bytes", bytes).c_str(), errno, 0);
    }
    return file;
  };
  Result<std::unique_ptr<OutputFile>> file = make();
  if (!file.ok()) return std::move(file).status().about(subject);
  return file;
}

Status OutputFile::find_target() {
  target_ = path_;
  struct stat facts {};
  if (io_.lstat(path_.c_str(), &facts) != 0) return {};
  if (S_ISLNK(facts.st_mode)) {
    const std::unique_ptr<char, void (*)(void*)> real(io_.realpath(path_.c_str()), std::free);
    if (real == nullptr) {
      const int error = errno;
      return Status::error(error == ENOENT ? Code::io : code_of(error),
                           fmt::format("{} is a link that leads to no file: {}", quoted(path_), system_text(error)));
    }
    target_ = real.get();
    if (io_.lstat(target_.c_str(), &facts) != 0) return {};
  }
  if (S_ISREG(facts.st_mode)) {
    mode_ = facts.st_mode & 0777;
    return {};
  }
  return Status::error(Code::io,
                       fmt::format("{} {}", quoted(path_), S_ISDIR(facts.st_mode) ? "is a folder" : "is not a regular file"));
}

Status OutputFile::open_temporary() {
  folder_ = folder_of(target_);
  for (int i = 0; i < kTemporaryNames; ++i) {
    std::string name = fmt::format("{}.infer-{}-{}.tmp", folder_, ::getpid(), i);
    do {
      fd_ = io_.open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode_ ? *mode_ | 0600 : 0666);
    } while (fd_ < 0 && errno == EINTR);
    if (fd_ >= 0) {
      temporary_ = std::move(name);
      return {};
    }
    if (errno != EEXIST) break;
  }
  const int error = errno;
  struct stat facts {};
  if ((error == ENOENT || error == ENOTDIR) && io_.lstat(folder_.empty() ? "." : folder_.c_str(), &facts) != 0) {
    return Status::error(Code::nofile, fmt::format("{}: its folder does not exist", quoted(path_)));
  }
  return Status::error(code_of(error), fmt::format("{}: no file can be created beside it: {}", quoted(path_),
                                                   system_text(error)));
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) io_.close(fd_);
  if (!temporary_.empty()) io_.unlink(temporary_.c_str());
}

Status OutputFile::failed(const char* what, int error, std::uint64_t offset) const {
  return Status::error(code_of(error), fmt::format("{}: {}: {}", quoted(path_), what, system_text(error)))
      .about(escaped(path_))
      .at(offset);
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t n = std::min(bytes.size(), buffer_.size() - filled_);
    std::memcpy(buffer_.data() + filled_, bytes.data(), n);
    filled_ += n;
    bytes = bytes.subspan(n);
    if (filled_ == buffer_.size()) INFER_TRY(flush());
  }
  return {};
}

Status OutputFile::flush() {
  sums_.push_back(checksum(buffer_.bytes().first(filled_)));
  std::size_t done = 0;
  while (done < filled_) {
    const ssize_t n = io_.pwrite(fd_, buffer_.data() + done, filled_ - done, static_cast<off_t>(written_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write failed", n < 0 ? errno : ENOSPC, written_ + done);
    done += static_cast<std::size_t>(n);
  }
  io_.write_back(fd_, static_cast<off_t>(written_), static_cast<off_t>(filled_), false);
  written_ += filled_;
  filled_ = 0;
  return {};
}

Status OutputFile::finish(const CancelFlag* cancel) {
  if (filled_ > 0) INFER_TRY(flush());
  INFER_TRY(sync(cancel));
  INFER_TRY(read_back(cancel));
  buffer_ = Block();
  const int fd = std::exchange(fd_, -1);
  if (io_.close(fd) != 0 && errno != EINTR)
    return failed("cannot be closed", errno, written_);  // a server may say no now
  return {};
}

/// Piece by piece first, because fsync itself cannot be cancelled.
Status OutputFile::sync(const CancelFlag* cancel) {
  constexpr std::uint64_t kPiece = std::uint64_t{8} << 20;
  for (std::uint64_t at = 0; at < written_; at += kPiece) {
    if (is_cancelled(cancel)) return cancelled(path_);
    io_.write_back(fd_, static_cast<off_t>(at), static_cast<off_t>(std::min(kPiece, written_ - at)), true);
  }
  if (io_.fsync(fd_) != 0) return failed("cannot be brought to the disk", errno, written_);
  io_.forget(fd_);
  return {};
}

Status OutputFile::read_back(const CancelFlag* cancel) {
  std::uint64_t at = 0;
  for (const std::uint64_t sum : sums_) {
    if (is_cancelled(cancel)) return cancelled(path_);
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), written_ - at));
    std::size_t got = 0;
    while (got < bytes) {
      const ssize_t n = io_.pread(fd_, buffer_.data() + got, bytes - got, static_cast<off_t>(at + got));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return failed("cannot be read back", n < 0 ? errno : EIO, at + got);
      got += static_cast<std::size_t>(n);
    }
    if (checksum(buffer_.bytes().first(bytes)) != sum) {
      return Status::error(Code::io,
                           fmt::format("{}: what was read back from offset {} on is not what was written; is the "
                                       "disk sound?",
                                       quoted(path_), at))
          .about(escaped(path_))
          .at(at);
    }
    at += bytes;
  }
  return {};
}

Status OutputFile::commit() {
  if (mode_) io_.chmod(temporary_.c_str(), *mode_);   // where that fails, it is a new file's
  if (io_.rename(temporary_.c_str(), target_.c_str()) != 0) return failed("cannot be replaced", errno, 0);
  temporary_.clear();
  // The name, too, is to outlive a power failure. The file is in its place: that this can fail is no failure.
  const int fd = io_.open(folder_.empty() ? "." : folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd >= 0) {
    io_.fsync(fd);
    io_.close(fd);
  }
  return {};
}

}  // namespace infer
