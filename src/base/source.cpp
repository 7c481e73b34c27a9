// SPDX-License-Identifier: MIT
// Source and MappedFile: opens regular files without ever blocking, maps them, and reads them where mapping does not
// work. One descriptor serves from the first check to the last byte, so a file that is replaced meanwhile does no harm.
// Tested by tests/base/source_test.cpp.
//
// All that is POSIX stands in the first anonymous namespace; a Windows port replaces that part (CreateFileW,
// GetFileInformationByHandle, ReadFile with OVERLAPPED, CreateFileMapping) and MappedFile::release(). Its calls to the
// system go through the table of file_io.h.
#include "libinfer/source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "src/base/checked.h"
#include "src/base/file_io.h"
#include "src/base/path.h"

namespace infer {
namespace {

constexpr std::size_t kReadPiece = std::size_t{4} << 20;
static_assert(sizeof(off_t) == 8, "offsets of files need 64 bits: compile with _FILE_OFFSET_BITS=64");

constexpr FileIo kSystemIo{
    .open = [](const char* path, int flags) { return ::open(path, flags); },
    .fstat = [](int fd, struct stat* facts) { return ::fstat(fd, facts); },
    .mmap = [](std::size_t bytes, int fd, off_t offset) {
      return ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, offset);
    },
    .pread = [](int fd, void* to, std::size_t bytes, off_t offset) { return ::pread(fd, to, bytes, offset); },
};

/// Owns a descriptor, or borrows one.
class Descriptor {
 public:
  Descriptor(int fd, bool owned) noexcept : fd_(fd), owned_(owned) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_), owned_(std::exchange(other.owned_, false)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (owned_) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
  bool owned_;
};

Status open_error(const std::string& name, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Status::error(Code::nofile, fmt::format("{}: no such file", name));
    case EACCES:
    case EPERM:
      return Status::error(Code::permission, fmt::format("{}: no permission to read it", name));
    case ENXIO:  // a socket, or a device without hardware
    case ENODEV:
      return Status::error(Code::io, fmt::format("{}: not a regular file", name));
    case ENAMETOOLONG:
      return Status::error(Code::argument, fmt::format("{}: file name too long", name));
    case ENOMEM:
      return Status::error(Code::nomem, fmt::format("{}: {}", name, system_text(error)));
    default:
      return Status::error(Code::io, fmt::format("{}: cannot be opened: {}", name, system_text(error)));
  }
}

Result<Descriptor> open_path(const FileIo& io, const std::string& path, const std::string& name) {
  // O_NONBLOCK: opening a FIFO would otherwise wait for a writer. It has no effect on regular files.
  int fd = -1;
  do {
    fd = io.open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return open_error(name, errno);
  return Descriptor(fd, true);
}

/// Bytes in the file, which must be a regular one.
Result<std::uint64_t> regular_size(const FileIo& io, int fd, const std::string& name) {
  struct stat facts {};
  if (io.fstat(fd, &facts) != 0) {
    if (errno == EBADF) return Status::error(Code::argument, fmt::format("{}: not an open file descriptor", name));
    return Status::error(Code::io, fmt::format("{}: {}", name, system_text(errno)));
  }
  if (S_ISDIR(facts.st_mode)) {
    return Status::error(Code::io, fmt::format("{}: is a directory; give the path of the model file in it", name));
  }
  if (!S_ISREG(facts.st_mode)) return Status::error(Code::io, fmt::format("{}: not a regular file", name));
  if (facts.st_size < 0) return Status::error(Code::io, fmt::format("{}: has a size of {}", name, facts.st_size));
  return static_cast<std::uint64_t>(facts.st_size);
}

struct Mapping {
  void* start = nullptr;   ///< page aligned; null when mapping does not work here
  std::size_t bytes = 0;
  std::size_t lead = 0;    ///< bytes from `start` to the first one asked for
};

Mapping map(const FileIo& io, int fd, std::uint64_t offset, std::size_t length) noexcept {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto lead = static_cast<std::size_t>(offset % page);
  const std::optional<std::uint64_t> sum = checked_add(length, lead);
  const std::optional<std::size_t> bytes = sum ? checked_cast<std::size_t>(*sum) : std::nullopt;
  if (!bytes) return {};
  void* start = io.mmap(*bytes, fd, static_cast<off_t>(offset - lead));
  if (start == MAP_FAILED) return {};
  return {start, *bytes, lead};
}

/// Address space that reads as zeros and takes memory only where it is written; null when there is none.
void* reserve(std::size_t length) noexcept {
  void* start = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return start == MAP_FAILED ? nullptr : start;
}

/// Reads at most `n` bytes: 0 at the end of the file, negative with errno set on failure.
ssize_t read_some(const FileIo& io, int fd, std::byte* to, std::size_t n, std::uint64_t offset) noexcept {
  ssize_t got = 0;
  do {
    got = io.pread(fd, to, n, static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

namespace {

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// The part of a file of `size` bytes that the source asks for.
Result<Range> range_of(const Source& source, std::uint64_t size, const std::string& name) {
  if (size == 0) return Status::error(Code::truncated_file, fmt::format("{}: file is empty", name));
  const std::uint64_t offset = source.kind == Source::Kind::fd ? source.offset : 0;
  if (offset >= size) {
    return Status::error(Code::truncated_file,
                         fmt::format("{}: offset {} is past the end, file has {} bytes", name, offset, size));
  }
  const bool to_the_end = source.kind != Source::Kind::fd || source.length == 0;
  const std::uint64_t length = to_the_end ? size - offset : source.length;
  if (!inside(offset, length, size)) {
    return Status::error(Code::truncated_file, fmt::format("{}: {} bytes at offset {} were asked for, file has {}", name,
                                                           length, offset, size));
  }
  if (!checked_cast<std::ptrdiff_t>(length)) {
    return Status::error(Code::limit, fmt::format("{}: file larger than the address space: {} bytes of {}", name, length,
                                                  PTRDIFF_MAX));
  }
  return Range{offset, length};
}

Status cancelled(const std::string& name) {
  return Status::error(Code::cancelled, fmt::format("{}: loading was cancelled", name));
}

/// Fills `to` from the file, piece by piece.
Status read_all(const FileIo& io, int fd, Range range, std::byte* to, const std::string& name, const OpenOptions& options) {
  std::uint64_t done = 0;
  while (done < range.length) {
    if (is_cancelled(options.cancel)) return cancelled(name);
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(kReadPiece, range.length - done));
    const ssize_t got = read_some(io, fd, to + done, piece, range.offset + done);
    if (got < 0) {
      const Code code = errno == EBADF ? Code::permission : Code::io;   // EBADF: open for writing only
      return Status::error(code, fmt::format("{}: read failed at offset {}: {}", name, range.offset + done,
                                             system_text(errno))).at(range.offset + done);
    }
    if (got == 0) {
      return Status::error(Code::io, fmt::format("{}: file became shorter while it was read, {} of {} bytes came", name,
                                                 done, range.length)).at(range.offset + done);
    }
    done += static_cast<std::uint64_t>(got);
    if (!options.progress(done, range.length)) return cancelled(name);
  }
  return {};
}

}  // namespace

const FileIo& system_file_io() noexcept { return kSystemIo; }

Source Source::from_path(std::string path) {
  Source source;
  source.kind = Kind::path;
  source.path = std::move(path);
  return source;
}

Source Source::from_memory(std::span<const std::byte> bytes) {
  Source source;
  source.kind = Kind::memory;
  source.bytes = bytes;
  return source;
}

Source Source::from_fd(int fd, std::uint64_t offset, std::uint64_t length) {
  Source source;
  source.kind = Kind::fd;
  source.fd = fd;
  source.offset = offset;
  source.length = length;
  return source;
}

std::string Source::describe() const {
  switch (kind) {
    case Kind::path:
      return escaped(path);
    case Kind::memory:
      return "memory";
    case Kind::fd:
      return fmt::format("file descriptor {}", fd);
  }
  return {};
}

Result<MappedFile> MappedFile::open(const Source& source, const OpenOptions& options) {
  const std::string subject = source.describe();
  if (source.kind == Source::Kind::path) {
    if (Status status = check_path(source.path, "path"); !status.ok()) return std::move(status).about(subject);
  }
  const std::string name = source.kind == Source::Kind::path ? quoted(source.path) : subject;
  if (is_cancelled(options.cancel)) return cancelled(name).about(subject);

  MappedFile file;
  if (source.kind == Source::Kind::memory) {
    if (source.bytes.empty()) {
      return Status::error(Code::truncated_file, fmt::format("{}: file is empty", name)).about(subject);
    }
    file.bytes_ = source.bytes;
    return file;
  }

  const FileIo& io = options.io != nullptr ? *options.io : system_file_io();
  const auto open_file = [&]() -> Status {
    INFER_ASSIGN(const Descriptor descriptor, source.kind == Source::Kind::path
                                                  ? open_path(io, source.path, name)
                                                  : Result<Descriptor>(Descriptor(source.fd, false)));
    INFER_ASSIGN(const std::uint64_t size, regular_size(io, descriptor.get(), name));
    INFER_ASSIGN(const Range range, range_of(source, size, name));
    const auto length = static_cast<std::size_t>(range.length);

    if (options.use_mmap) {
      const Mapping mapping = map(io, descriptor.get(), range.offset, length);
      if (mapping.start != nullptr) {
        file.mapping_ = mapping.start;
        file.mapping_bytes_ = mapping.bytes;
        file.bytes_ = {static_cast<const std::byte*>(mapping.start) + mapping.lead, length};
        return {};
      }
    }
    file.owned_ = true;
    if (options.read_limit > 0 && options.read_limit < range.length) {
      void* const zeros = reserve(length);
      if (zeros == nullptr) {
        return Status::error(Code::nomem, fmt::format("{}: no address space for its {} bytes", name, length));
      }
      file.mapping_ = zeros;
      file.mapping_bytes_ = length;
      file.bytes_ = {static_cast<const std::byte*>(zeros), length};
      return read_all(io, descriptor.get(), {range.offset, options.read_limit}, static_cast<std::byte*>(zeros), name, options);
    }
    const std::shared_ptr<MemoryAccount> own = options.memory == nullptr ? MemoryAccount::create() : nullptr;
    MemoryAccount& account = own ? *own : *options.memory;
    INFER_ASSIGN(file.storage_, account.allocate(MemoryClass::weights, range.length,
                                                 {name, "map the file (option use_mmap) or use a smaller model"}));
    file.bytes_ = file.storage_.bytes();
    return read_all(io, descriptor.get(), range, file.storage_.data(), name, options);
  };
  if (Status status = open_file(); !status.ok()) return std::move(status).about(subject);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(std::exchange(other.mapping_bytes_, 0)),
      owned_(std::exchange(other.owned_, false)),
      storage_(std::move(other.storage_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    release();
    bytes_ = std::exchange(other.bytes_, {});
    mapping_ = std::exchange(other.mapping_, nullptr);
    mapping_bytes_ = std::exchange(other.mapping_bytes_, 0);
    owned_ = std::exchange(other.owned_, false);
    storage_ = std::move(other.storage_);
  }
  return *this;
}

MappedFile::~MappedFile() { release(); }

void MappedFile::release() noexcept {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
  mapping_ = nullptr;
  storage_ = Block();
}

}  // namespace infer
