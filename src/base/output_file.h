// SPDX-License-Identifier: MIT
// OutputFile: a file that appears under its name whole or not at all. Bytes go to a temporary file in the same folder,
// brought to the disk, read back and compared, and only then renamed. Whatever fails, the temporary file goes and
// an older file of that name stays as it was. A link is followed: the file that it leads to is replaced. The new file has the
// permissions of the older one. ByteSink is what writers of formats write to. Tested by
// tests/base/output_file_test.cpp.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libinfer/hooks.h"
#include "libinfer/memory.h"
#include "libinfer/status.h"

namespace infer {

/// Takes bytes in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status write(std::span<const std::byte> bytes) = 0;
};

/// The calls that writing makes to the system, each with the arguments, the answer and the errno of the POSIX call of
/// its name: a table, so that tests can make any of them fail.
struct OutputIo {
  int (*open)(const char* path, int flags, mode_t mode);
  int (*lstat)(const char* path, struct stat* facts);
  char* (*realpath)(const char* path);   ///< without links; of malloc
  int (*reserve)(int fd, off_t bytes);   ///< fallocate: room on the disk, without changing the size
  ssize_t (*pwrite)(int fd, const void* from, std::size_t bytes, off_t offset);
  ssize_t (*pread)(int fd, void* to, std::size_t bytes, off_t offset);
  /// sync_file_range: begins to bring bytes to the disk, or waits until they are there. A help for fsync, which then is
  /// short; its failures are fsync's to tell.
  void (*write_back)(int fd, off_t offset, off_t bytes, bool wait);
  int (*fsync)(int fd);
  void (*forget)(int fd);   ///< asks the page cache to, so that what is read next comes from the disk
  int (*close)(int fd);
  int (*chmod)(const char* path, mode_t mode);
  int (*rename)(const char* from, const char* to);
  int (*unlink)(const char* path);
};

const OutputIo& system_output_io() noexcept;

class OutputFile final : public ByteSink {
 public:
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 20;   ///< of the account, while the file is open

  /// Opens the temporary file and takes room for `bytes`, where the file system can. Errors: argument (bad path),
  /// nofile (no such folder), permission, io (no space left, the path is a folder, a device or
  /// a link that leads nowhere), limit (more than the
  /// process may write), nomem, budget.
  static Result<std::unique_ptr<OutputFile>> create(std::string path, std::uint64_t bytes, MemoryAccount& account,
                                                    const OutputIo& io = system_output_io());
  /// Removes the temporary file unless commit() succeeded.
  ~OutputFile() override;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Errors: io.
  Status write(std::span<const std::byte> bytes) override;
  /// All is written: brings it to the disk and reads it back; what is read must be what was written. Gives up buffer
  /// and descriptor. Errors: io, cancelled.
  Status finish(const CancelFlag* cancel = nullptr);
  /// After finish(): puts the file in its place; takes no memory unless it fails. Errors: io, permission.
  Status commit();

  const std::string& path() const noexcept { return path_; }
  /// Where the bytes are until commit().
  const std::string& temporary() const noexcept { return temporary_; }
  std::uint64_t written() const noexcept { return written_ + filled_; }

 private:
  OutputFile(std::string path, const OutputIo& io) : path_(std::move(path)), io_(io) {}
  Status find_target();
  Status open_temporary();
  Status flush();
  Status sync(const CancelFlag* cancel);
  Status read_back(const CancelFlag* cancel);
  Status failed(const char* what, int error, std::uint64_t offset) const;

  std::string path_;                 ///< as it was given
  std::string target_;               ///< what is replaced: path_ without links
  std::optional<mode_t> mode_;       ///< of the older file
  std::string folder_;               ///< of target and temporary file
  std::string temporary_;            ///< empty when there is none (any more)
  const OutputIo& io_;
  int fd_ = -1;
  Block buffer_;
  std::size_t filled_ = 0;           ///< bytes in the buffer
  std::uint64_t written_ = 0;        ///< bytes in the file
  std::vector<std::uint64_t> sums_;  ///< checksum of each buffer that was written
};

}  // namespace infer
