// SPDX-License-Identifier: MIT
// Where a model's bytes come from: a path, memory of the host's, or a file descriptor with a range. And MappedFile:
// those bytes, read-only, mapped where that works and read into memory otherwise. Tested by tests/base/source_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "libinfer/hooks.h"
#include "libinfer/memory.h"
#include "libinfer/status.h"

namespace infer {

struct Source {
  enum class Kind : std::uint8_t { path, memory, fd };

  static Source from_path(std::string path);
  /// The bytes must outlive every MappedFile made from them.
  static Source from_memory(std::span<const std::byte> bytes);
  /// `length` bytes from `offset` on (length 0: to the end of the file). The descriptor is neither closed nor moved,
  /// and is needed only while loading.
  static Source from_fd(int fd, std::uint64_t offset, std::uint64_t length);

  Kind kind = Kind::path;
  std::string path;                        ///< kind path: UTF-8
  std::span<const std::byte> bytes{};      ///< kind memory
  int fd = -1;                             ///< kind fd
  std::uint64_t offset = 0, length = 0;

  /// For messages: the path, "memory" or "file descriptor 5".
  std::string describe() const;
};

/// "dir/" of "dir/file.gguf", "" of "file.gguf".
inline std::string folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? std::string_view() : path.substr(0, slash + 1));
}

struct FileIo;   // src/base/file_io.h

struct OpenOptions {
  bool use_mmap = true;                    ///< false: read everything into memory now
  Progress progress{};                     ///< of reading; a mapping is immediate
  const CancelFlag* cancel = nullptr;
  MemoryAccount* memory = nullptr;         ///< that read bytes are taken from; null: one without limit
  /// Read mode only, 0 for all: so many bytes from the start are read, the rest are zeros that take no memory. For a look
  /// at the header.
  std::uint64_t read_limit = 0;
  const FileIo* io = nullptr;              ///< for tests; null: the system's calls
};

/// Immutable bytes of one file. Movable; the bytes stay where they are.
class MappedFile {
 public:
  /// Errors: nofile, permission, io (not a regular file, read error), truncated_file (empty, or shorter than the range
  /// asked for), argument (bad path), cancelled, nomem, budget. Never blocks on a FIFO or a device.
  static Result<MappedFile> open(const Source& source, const OpenOptions& options);

  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// True when the pages belong to the page cache or to the host, false when the bytes were read into owned memory.
  bool mapped() const noexcept { return !owned_; }
  /// True when the bytes are a mapping of our own of a file: pages that are dropped come back from it.
  bool backed_by_file() const noexcept { return mapping_ != nullptr && !owned_; }

 private:
  MappedFile() noexcept = default;
  void release() noexcept;

  std::span<const std::byte> bytes_{};
  void* mapping_ = nullptr;                ///< start of the mapping, page aligned; null when there is none
  std::size_t mapping_bytes_ = 0;
  bool owned_ = false;
  Block storage_;
};

}  // namespace infer
