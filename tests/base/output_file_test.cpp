// SPDX-License-Identifier: MIT
// Files that appear whole or not at all, whatever the system's calls do.
#include "src/base/output_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "tests/testing/golden.h"
#include "tests/testing/random.h"
#include "tests/testing/temporary_directory.h"

namespace infer {
namespace {

using testing::TemporaryDirectory;

/// What the calls below do instead of what the system does.
struct Script {
  off_t full_at = std::numeric_limits<off_t>::max();   ///< bytes that find room; then `error`
  int error = 0;
  std::size_t most_bytes = std::numeric_limits<std::size_t>::max();   ///< of one write or read
  bool interrupt_all = false;                           ///< each call that may be interrupted is, once
  bool interrupted = false;
  int reserve_error = 0, fsync_error = 0, rename_error = 0, open_error = 0;
  off_t flipped_at = -1;                                ///< pread answers another byte there
};
Script script;

bool interrupts() {
  if (!script.interrupt_all) return false;
  script.interrupted = !script.interrupted;
  errno = EINTR;
  return script.interrupted;
}

int fails_with(int error) {
  errno = error;
  return error != 0 ? -1 : 0;
}

constexpr OutputIo kScripted{
    .open = [](const char* path, int flags, mode_t mode) -> int {
      if (interrupts()) return -1;
      if (fails_with(script.open_error) != 0) return -1;
      return ::open(path, flags, mode);
    },
    .lstat = [](const char* path, struct stat* facts) { return ::lstat(path, facts); },
    .realpath = [](const char* path) { return ::realpath(path, nullptr); },
    .reserve = [](int, off_t) { return fails_with(script.reserve_error); },
    .pwrite = [](int fd, const void* from, std::size_t bytes, off_t offset) -> ssize_t {
      if (interrupts()) return -1;
      if (offset >= script.full_at) return fails_with(script.error);
      const auto room = static_cast<std::size_t>(script.full_at - offset);
      return ::pwrite(fd, from, std::min({bytes, room, script.most_bytes}), offset);
    },
    .pread = [](int fd, void* to, std::size_t bytes, off_t offset) -> ssize_t {
      if (interrupts()) return -1;
      const ssize_t n = ::pread(fd, to, std::min(bytes, script.most_bytes), offset);
      if (script.flipped_at >= offset && script.flipped_at < offset + n) {
        static_cast<std::byte*>(to)[script.flipped_at - offset] ^= std::byte{1};
      }
      return n;
    },
    .write_back = [](int, off_t, off_t, bool) {},
    .fsync = [](int fd) { return script.fsync_error != 0 ? fails_with(script.fsync_error) : ::fsync(fd); },
    .forget = [](int) {},
    .close = [](int fd) { return ::close(fd); },
    .chmod = [](const char* path, mode_t mode) { return ::chmod(path, mode); },
    .rename = [](const char* from, const char* to) {
      return script.rename_error != 0 ? fails_with(script.rename_error) : ::rename(from, to);
    },
    .unlink = [](const char* path) { return ::unlink(path); },
};

void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

std::vector<std::byte> noise(std::size_t n) {
  testing::Random random(n);
  std::vector<std::byte> bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next() & 255);
  return bytes;
}

class OutputFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    script = {};
    write_text(path_, "the old file");
  }

  /// All the way, in pieces of 100,000 bytes.
  Status write(std::span<const std::byte> bytes, const CancelFlag* cancel = nullptr) {
    INFER_ASSIGN(const std::unique_ptr<OutputFile> file, OutputFile::create(path_, bytes.size(), *account_, kScripted));
    while (!bytes.empty()) {
      const std::size_t n = std::min<std::size_t>(bytes.size(), 100000);
      INFER_TRY(file->write(bytes.first(n)));
      bytes = bytes.subspan(n);
    }
    INFER_TRY(file->finish(cancel));
    return file->commit();
  }
  std::size_t n_files() const {
    const std::filesystem::directory_iterator all(std::filesystem::path(path_).parent_path());
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  /// The old file is untouched, and nothing else is left.
  void expect_untouched() const {
    EXPECT_EQ(testing::read_bytes(path_).size(), 12U);
    EXPECT_EQ(n_files(), 1U);
    EXPECT_EQ(account_->owned(), 0U);
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("model.gguf");
  std::shared_ptr<MemoryAccount> account_ = MemoryAccount::create();
  std::vector<std::byte> bytes_ = noise(3 * OutputFile::kBufferBytes + 12345);
};

TEST_F(OutputFileTest, ReplacesTheOldFileAndLeavesNoOther) {
  const Status status = write(bytes_);

  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(testing::read_bytes(path_), bytes_);
  EXPECT_EQ(n_files(), 1U);
}

TEST_F(OutputFileTest, WritesWhatIsTakenInShortPiecesAndAfterInterruptions) {
  script.most_bytes = 4097;
  script.interrupt_all = true;

  const Status status = write(bytes_);

  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(testing::read_bytes(path_), bytes_);
}

TEST_F(OutputFileTest, EveryFailureNamesTheFileAndLeavesTheOldOne) {
  const struct {
    const char* what;
    std::function<void()> arrange;
    Code code;
  } cases[] = {
      {"no room from the start", [] { script.reserve_error = ENOSPC; }, Code::io},
      {"no room while writing", [] { script.full_at = 2000000, script.error = ENOSPC; }, Code::io},
      {"a broken disk", [] { script.full_at = 0, script.error = EIO; }, Code::io},
      {"a write of nothing", [] { script.full_at = 5, script.error = 0; }, Code::io},
      {"fsync", [] { script.fsync_error = EIO; }, Code::io},
      {"another byte", [] { script.flipped_at = 1234567; }, Code::io},
      {"rename", [] { script.rename_error = EACCES; }, Code::permission},
      {"open", [] { script.open_error = EACCES; }, Code::permission},
      {"read only", [] { script.open_error = EROFS; }, Code::permission},
  };
  for (const auto& c : cases) {
    script = {};
    c.arrange();
    const Status status = write(bytes_);
    EXPECT_EQ(status.code(), c.code) << c.what << ": " << status.message();
    EXPECT_NE(status.message().find(path_), std::string_view::npos) << c.what << ": " << status.message();
    EXPECT_EQ(status.subject(), path_) << c.what;
    expect_untouched();
  }
}

TEST_F(OutputFileTest, FileSystemsThatCannotReserveAreNoFailure) {
  script.reserve_error = EOPNOTSUPP;
  EXPECT_TRUE(write(bytes_).ok());
}

TEST_F(OutputFileTest, ACancelledFileLeavesTheOldOne) {
  CancelFlag cancel;
  cancel.set = true;
  EXPECT_EQ(write(bytes_, &cancel).code(), Code::cancelled);
  expect_untouched();
}

TEST_F(OutputFileTest, ForgottenTemporariesOfDeadProcessesAreNotTouched) {
  const std::string taken = directory_.file(".infer-" + std::to_string(getpid()) + "-0.tmp");
  write_text(taken, "x");

  EXPECT_TRUE(write(bytes_).ok());
  EXPECT_EQ(testing::read_bytes(taken).size(), 1U);
}

TEST_F(OutputFileTest, PathsThatCannotBeFilesAreRefused) {
  const auto code = [&](const std::string& path) {
    const auto file = OutputFile::create(path, 10, *account_);
    return file.ok() ? Code::ok : file.status().code();
  };
  EXPECT_EQ(code(""), Code::argument);
  EXPECT_EQ(code("/"), Code::argument);
  EXPECT_EQ(code(std::string("a\0b", 3)), Code::argument);
  EXPECT_EQ(code("\xff"), Code::argument);
  EXPECT_EQ(code(std::string(5000, 'a')), Code::argument);
  EXPECT_EQ(code("/dev/null"), Code::io);
  EXPECT_EQ(code(std::filesystem::path(path_).parent_path().string()), Code::io);
  EXPECT_EQ(code("/no/such/folder/file"), Code::nofile);
  EXPECT_EQ(account_->owned(), 0U);
}

TEST_F(OutputFileTest, LinksAreFollowedAndPermissionsKept) {
  const std::string real = path_;
  std::filesystem::permissions(real, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  path_ = directory_.file("link");
  std::filesystem::create_symlink("model.gguf", path_);

  ASSERT_TRUE(write(bytes_).ok());

  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  EXPECT_EQ(testing::read_bytes(real), bytes_);
  EXPECT_EQ(std::filesystem::status(real).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(OutputFileTest, LinksToDevicesAndToNothingStayWhatTheyAre) {
  for (const char* target : {"/dev/null", "nothing", "."}) {
    const std::string link = directory_.file("link");
    std::filesystem::create_symlink(target, link);

    const auto file = OutputFile::create(link, 10, *account_);

    ASSERT_FALSE(file.ok()) << target;
    EXPECT_EQ(file.status().code(), Code::io) << target;
    EXPECT_EQ(std::filesystem::read_symlink(link), target);
    std::filesystem::remove(link);
  }
  EXPECT_EQ(n_files(), 1U);
}

TEST_F(OutputFileTest, IsRefusedOverTheBudgetAndOverTheLimitOfTheProcess) {
  ASSERT_TRUE(account_->set_budget(1000).ok());
  EXPECT_EQ(write(bytes_).code(), Code::budget);
  ASSERT_TRUE(account_->set_budget(MemoryAccount::kNoLimit).ok());

  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_EQ(write(bytes_).code(), Code::limit);
  setrlimit(RLIMIT_FSIZE, &before);
  expect_untouched();
}

}  // namespace
}  // namespace infer
