// SPDX-License-Identifier: MIT
// The calls that reading a file makes to the system, as a table, so that tests can make any of them fail: out of memory,
// interrupted, short, broken in the middle. Everything else uses system_file_io().
// Tested by tests/base/file_io_test.cpp.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>

namespace infer {

/// Each has the arguments, the answer and the errno of the POSIX call of its name.
struct FileIo {
  int (*open)(const char* path, int flags);
  int (*fstat)(int fd, struct stat* facts);
  void* (*mmap)(std::size_t bytes, int fd, off_t offset);   ///< private, read-only
  ssize_t (*pread)(int fd, void* to, std::size_t bytes, off_t offset);
};

const FileIo& system_file_io() noexcept;

}  // namespace infer
