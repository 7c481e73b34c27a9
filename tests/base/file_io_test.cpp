// SPDX-License-Identifier: MIT
// Rows 10, 11, 138, 139 and 143 of the ways in which a load can meet a hostile environment: the system's calls fail, one after
// the other and in every way that they may, and the file is read all the same or the error says what happened and where.
#include "src/base/file_io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "libinfer/source.h"
#include "src/base/checked.h"
#include "tests/testing/allocations.h"

namespace infer {
namespace {

/// What the calls below do instead of what the system does. They count themselves, all kinds together.
struct Script {
  int fail_call = -1;              ///< this call (from 0) fails ...
  int error = 0;                   ///< ... with this errno
  int interrupt_call = -1;         ///< this open or pread is interrupted once
  std::size_t most_bytes = std::numeric_limits<std::size_t>::max();   ///< of one pread
  off_t end = std::numeric_limits<off_t>::max();                     ///< pread sees the file end here
  off_t broken_at = std::numeric_limits<off_t>::max();               ///< pread of this byte fails with EIO
  std::int64_t told_size = -1;     ///< fstat's answer, instead of the right one
  bool no_mmap = false;

  int n_calls = 0;
  int n_open = 0;                  ///< descriptors that open() gave
};
Script script;

/// Whether the call at hand is to fail.
bool fails(bool may_be_interrupted) {
  const int call = script.n_calls++;
  if (may_be_interrupted && call == script.interrupt_call) {
    errno = EINTR;
    return true;
  }
  if (call != script.fail_call) return false;
  errno = script.error;
  return true;
}

constexpr FileIo kScripted{
    .open = [](const char* path, int flags) -> int {
      if (fails(true)) return -1;
      ++script.n_open;
      return ::open(path, flags);
    },
    .fstat = [](int fd, struct stat* facts) -> int {
      if (fails(false)) return -1;
      const int answer = ::fstat(fd, facts);
      if (script.told_size >= 0) facts->st_size = script.told_size;
      return answer;
    },
    .mmap = [](std::size_t bytes, int fd, off_t offset) -> void* {
      if (fails(false)) return MAP_FAILED;
      if (script.no_mmap) {
        errno = ENODEV;
        return MAP_FAILED;
      }
      return ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, offset);
    },
    .pread = [](int fd, void* to, std::size_t bytes, off_t offset) -> ssize_t {
      if (fails(true)) return -1;
      if (offset >= script.broken_at) {
        errno = EIO;
        return -1;
      }
      const auto before = [&](off_t stop) { return static_cast<std::size_t>(std::max<off_t>(0, stop - offset)); };
      return ::pread(fd, to, std::min({bytes, script.most_bytes, before(script.end), before(script.broken_at)}), offset);
    },
};

class FileIoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    script = {};
    std::string name = (std::filesystem::temp_directory_path() / "libinfer_file_io_XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    path_ = name;
    for (int i = 0; i < 5000; ++i) text_ += std::to_string(i);
    std::ofstream(path_, std::ios::binary) << text_;
    n_descriptors_ = n_descriptors();
  }
  void TearDown() override {
    EXPECT_EQ(n_descriptors(), n_descriptors_) << "a descriptor was left open";
    std::filesystem::remove(path_);
  }

  Result<MappedFile> open(bool use_mmap) {
    script.n_calls = 0;
    return MappedFile::open(Source::from_path(path_), {.use_mmap = use_mmap, .io = &kScripted});
  }
  void expect_text(const Result<MappedFile>& file) const {
    ASSERT_TRUE(file.ok()) << file.status().message();
    const auto bytes = file.value().bytes();
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), text_);
  }
  static std::ptrdiff_t n_descriptors() {
    using Folder = std::filesystem::directory_iterator;
    return std::filesystem::exists("/proc/self/fd") ? std::distance(Folder("/proc/self/fd"), Folder()) : 0;
  }

  std::string path_, text_;
  std::ptrdiff_t n_descriptors_ = 0;
};

TEST_F(FileIoTest, Row138_AFileThatCannotBeMappedIsRead) {
  for (const int error : {ENOMEM, ENODEV, EAGAIN, EACCES, ENFILE}) {
    script = {.fail_call = 2, .error = error};   // open, fstat, mmap
    const Result<MappedFile> file = open(true);
    expect_text(file);
    EXPECT_FALSE(file.value().mapped()) << error;
    EXPECT_GE(script.n_calls, 4) << "it was not read";
  }
}

TEST_F(FileIoTest, Row139_EveryCallThatFailsIsAnErrorWithoutALeak) {
  for (const bool use_mmap : {true, false}) {
    for (int call = 0;; ++call) {
      script = {.fail_call = call, .error = EIO, .most_bytes = 3000};
      const std::size_t before = testing::live_bytes();
      {
        const Result<MappedFile> file = open(use_mmap);
        if (script.n_calls <= call) {
          expect_text(file);
          EXPECT_GE(call, use_mmap ? 3 : 7);   // open, fstat, mmap; or open, fstat and the pieces
          break;
        }
        if (file.ok()) {
          EXPECT_TRUE(use_mmap && call == 2) << "only a mapping may fail: " << call;
        } else {
          EXPECT_EQ(file.status().code(), Code::io) << call << ": " << file.status().message();
          EXPECT_NE(file.status().message().find(path_), std::string_view::npos) << file.status().message();
          EXPECT_EQ(file.status().subject(), path_);
        }
      }
      EXPECT_EQ(testing::live_bytes(), before) << "call " << call;
    }
  }
}

TEST_F(FileIoTest, Row139_InterruptedCallsAreMadeAgain) {
  script = {.most_bytes = 1000};
  expect_text(open(false));
  const int n_calls = script.n_calls;
  for (int call = 0; call < n_calls; ++call) {
    script = {.interrupt_call = call, .most_bytes = 1000};
    expect_text(open(false));
  }
}

TEST_F(FileIoTest, Row139_ShortReadsAreContinued) {
  for (const std::size_t most : {1U, 2U, 7U, 4095U, 4096U, 4097U}) {
    script = {.most_bytes = most};
    expect_text(open(false));
    EXPECT_GE(script.n_calls, static_cast<int>(text_.size() / most)) << most;
  }
}

TEST_F(FileIoTest, Row139_ABrokenByteIsNamed) {
  for (const off_t at : {off_t{0}, off_t{1}, off_t{4096}, static_cast<off_t>(text_.size()) - 1}) {
    script = {.broken_at = at};
    const Result<MappedFile> file = open(false);
    ASSERT_FALSE(file.ok()) << at;
    EXPECT_EQ(file.status().code(), Code::io);
    EXPECT_EQ(file.status().offset(), at);
    EXPECT_NE(file.status().message().find("read failed at offset " + std::to_string(at)), std::string_view::npos)
        << file.status().message();
  }
}

TEST_F(FileIoTest, Row10_AFileThatShrinksWhileItIsReadIsAnError) {
  for (const off_t end : {off_t{0}, off_t{1}, off_t{5000}, static_cast<off_t>(text_.size()) - 1}) {
    script = {.end = end};
    const Result<MappedFile> file = open(false);
    ASSERT_FALSE(file.ok()) << end;
    EXPECT_EQ(file.status().code(), Code::io);
    EXPECT_EQ(file.status().offset(), end);
    const std::string wanted =
        "became shorter while it was read, " + std::to_string(end) + " of " + std::to_string(text_.size()) + " bytes came";
    EXPECT_NE(file.status().message().find(wanted), std::string_view::npos) << file.status().message();
  }
}

TEST_F(FileIoTest, Row11_AFileThatIsReplacedMeanwhileIsReadAsItWas) {
  static std::string victim;
  victim = path_;
  static constexpr auto kReplace = [] {
    std::ofstream(victim + ".new", std::ios::binary) << "another file";
    std::filesystem::rename(victim + ".new", victim);
  };
  FileIo replacing = kScripted;   // between fstat and the first byte
  replacing.mmap = [](std::size_t bytes, int fd, off_t offset) -> void* {
    kReplace();
    return kScripted.mmap(bytes, fd, offset);
  };
  replacing.pread = [](int fd, void* to, std::size_t bytes, off_t offset) -> ssize_t {
    kReplace();
    return kScripted.pread(fd, to, bytes, offset);
  };
  for (const bool use_mmap : {true, false}) {
    std::ofstream(path_, std::ios::binary) << text_;
    expect_text(MappedFile::open(Source::from_path(path_), {.use_mmap = use_mmap, .io = &replacing}));
  }
}

TEST_F(FileIoTest, Row143_AFileLargerThanTheMemoryIsAnError) {
  script = {.told_size = std::numeric_limits<std::int64_t>::max(), .no_mmap = true};
  const Result<MappedFile> file = open(true);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::nomem);
  EXPECT_NE(file.status().message().find("9223372036854775807 bytes"), std::string_view::npos) << file.status().message();
}

// The size of a file is a std::size_t only after this cast: what a 32-bit machine would do with 5 GiB.
TEST(FileSize, Row143_IsNeverCutToTheAddressSpace) {
  constexpr std::uint64_t k5GiB = std::uint64_t{5} << 30;
  EXPECT_EQ(checked_cast<std::uint32_t>(k5GiB), std::nullopt);
  EXPECT_EQ(checked_cast<std::int32_t>(std::uint64_t{1} << 31), std::nullopt);
  EXPECT_EQ(checked_cast<std::int32_t>((std::uint64_t{1} << 31) - 1), 2147483647);
  EXPECT_EQ(checked_cast<std::uint64_t>(k5GiB), k5GiB);
  EXPECT_EQ(checked_cast<std::ptrdiff_t>(std::numeric_limits<std::uint64_t>::max()), std::nullopt);
}

}  // namespace
}  // namespace infer
