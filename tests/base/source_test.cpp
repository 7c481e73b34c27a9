// SPDX-License-Identifier: MIT
// Tests of include/libinfer/source.h: paths, memory and descriptors give the same bytes, mapped or read; and everything
// that is not a readable regular file is refused without waiting for it. The rows in the names are those of
// tests/formats/gguf_hostile_test.cpp.
#include "libinfer/source.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace infer {
namespace {

/// A folder of its own for each test.
class SourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "libinfer_source_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

class Descriptor {
 public:
  explicit Descriptor(const std::string& path, int flags = O_RDONLY) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

Result<MappedFile> open(const Source& source, bool use_mmap = true) {
  return MappedFile::open(source, {.use_mmap = use_mmap});
}

Status error_of(const Source& source, bool use_mmap = true) {
  const Result<MappedFile> file = open(source, use_mmap);
  return file.ok() ? Status() : file.status().clone();
}

// ---- what can be read

TEST_F(SourceTest, APathIsMappedOrRead) {
  const std::string name = write("a", "0123456789");
  for (const bool use_mmap : {true, false}) {
    const auto file = open(Source::from_path(name), use_mmap);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(text_of(file.value()), "0123456789");
    EXPECT_EQ(file.value().mapped(), use_mmap);
  }
}

TEST_F(SourceTest, APathMayHaveAnyCharacterOfUtf8) {
  const std::string name = write("m\xc3\xb6" "del \xf0\x9f\x98\x80\n.gguf", "x");
  EXPECT_TRUE(open(Source::from_path(name)).ok());
}

TEST_F(SourceTest, ALinkLeadsToItsFile) {
  write("a", "0123");
  std::filesystem::create_symlink("a", path("link"));
  EXPECT_TRUE(open(Source::from_path(path("link"))).ok());
}

TEST_F(SourceTest, MemoryIsNeitherCopiedNorOwned) {
  const std::string text = "0123";
  const auto bytes = std::as_bytes(std::span(text));
  const auto file = open(Source::from_memory(bytes), false);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file.value().bytes().data(), bytes.data());
  EXPECT_EQ(file.value().bytes().size(), 4U);
  EXPECT_TRUE(file.value().mapped());
}

TEST_F(SourceTest, ADescriptorGivesARange) {
  std::string text(20000, '.');
  text.replace(9000, 4, "here");   // past two pages
  const Descriptor fd(write("a", text));
  for (const bool use_mmap : {true, false}) {
    for (const auto& [offset, length, wanted] :
         {std::tuple{0U, 0U, text}, std::tuple{9000U, 4U, std::string("here")},
          std::tuple{9000U, 0U, text.substr(9000)}, std::tuple{4096U, 4096U, text.substr(4096, 4096)},
          std::tuple{19999U, 1U, std::string(".")}}) {
      const auto file = open(Source::from_fd(fd.get(), offset, length), use_mmap);
      ASSERT_TRUE(file.ok()) << file.status().message();
      EXPECT_EQ(text_of(file.value()), wanted) << offset << " " << length;
    }
  }
}

TEST_F(SourceTest, ADescriptorIsNeitherMovedNorClosed) {
  const Descriptor fd(write("a", "0123456789"));
  ASSERT_EQ(::lseek(fd.get(), 3, SEEK_SET), 3);
  for (const bool use_mmap : {true, false}) EXPECT_TRUE(open(Source::from_fd(fd.get(), 2, 4), use_mmap).ok());
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_CUR), 3);
}

TEST_F(SourceTest, TheBytesOutliveTheDescriptorAndTheName) {
  for (const bool use_mmap : {true, false}) {
    const std::string name = write("a", "0123456789");
    const auto file = [&] {
      const Descriptor fd(name);
      return open(Source::from_fd(fd.get(), 0, 0), use_mmap);
    }();
    ASSERT_TRUE(file.ok());
    std::filesystem::remove(name);
    EXPECT_EQ(text_of(file.value()), "0123456789");
  }
}

TEST_F(SourceTest, AMoveKeepsTheBytesInTheirPlace) {
  for (const bool use_mmap : {true, false}) {
    auto first = open(Source::from_path(write("a", "0123")), use_mmap);
    auto other = open(Source::from_path(write("b", "4567")), use_mmap);
    ASSERT_TRUE(first.ok() && other.ok());
    const std::byte* const place = first.value().bytes().data();

    MappedFile moved = std::move(first).value();
    EXPECT_EQ(moved.bytes().data(), place);
    moved = std::move(other).value();
    EXPECT_EQ(text_of(moved), "4567");
    EXPECT_EQ(moved.mapped(), use_mmap);
  }
}

// ---- what cannot

TEST_F(SourceTest, Row1_AMissingFileIsNamed) {
  const Status status = error_of(Source::from_path(path("no.gguf")));
  EXPECT_EQ(status.code(), Code::nofile);
  EXPECT_EQ(status.message(), "'" + path("no.gguf") + "': no such file");
  EXPECT_EQ(status.subject(), path("no.gguf"));
}

TEST_F(SourceTest, AFileIsNoFolder) {
  EXPECT_EQ(error_of(Source::from_path(write("a", "0123") + "/b")).code(), Code::nofile);
}

TEST_F(SourceTest, Row2_ADirectoryIsRefused) {
  for (const bool use_mmap : {true, false}) {
    const Status status = error_of(Source::from_path(path("")), use_mmap);
    EXPECT_EQ(status.code(), Code::io);
    EXPECT_NE(status.message().find("is a directory"), std::string_view::npos) << status.message();
  }
}

TEST_F(SourceTest, Row2_AFifoIsRefusedWithoutWaitingForAWriter) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const Status status = error_of(Source::from_path(path("fifo")));
  EXPECT_EQ(status.code(), Code::io);
  EXPECT_NE(status.message().find("not a regular file"), std::string_view::npos) << status.message();
}

TEST_F(SourceTest, Row2_ASocketIsRefused) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path("socket");
  ASSERT_LT(name.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(error_of(Source::from_path(name)).code(), Code::io);
  EXPECT_EQ(error_of(Source::from_fd(fd, 0, 0)).code(), Code::io);
  ::close(fd);
}

TEST_F(SourceTest, Row2_DevicesAreRefused) {
  for (const char* device : {"/dev/zero", "/dev/random", "/dev/null", "/dev/tty"}) {
    if (!std::filesystem::exists(device)) continue;
    EXPECT_EQ(error_of(Source::from_path(device)).code(), Code::io) << device;
  }
}

TEST_F(SourceTest, Row5_AnEmptyFileIsTruncated) {
  const std::string name = write("empty", "");
  const Descriptor fd(name);
  for (const Source& source : {Source::from_path(name), Source::from_fd(fd.get(), 0, 0), Source::from_memory({})}) {
    const Status status = error_of(source);
    EXPECT_EQ(status.code(), Code::truncated_file);
    EXPECT_NE(status.message().find("file is empty"), std::string_view::npos) << status.message();
  }
}

TEST_F(SourceTest, Row3_AFileWithoutPermissionIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const std::string name = write("secret", "0123");
  ASSERT_EQ(::chmod(name.c_str(), 0), 0);
  EXPECT_EQ(error_of(Source::from_path(name)).code(), Code::permission);
}

TEST_F(SourceTest, ADescriptorThatIsOpenForWritingOnlyIsRefused) {
  const Descriptor fd(write("a", "0123"), O_WRONLY);
  for (const bool use_mmap : {true, false}) {
    EXPECT_EQ(error_of(Source::from_fd(fd.get(), 0, 0), use_mmap).code(), Code::permission);
  }
}

TEST_F(SourceTest, WhatIsNoDescriptorIsRefused) {
  for (const int fd : {-1, -1000, std::numeric_limits<int>::max()}) {
    EXPECT_EQ(error_of(Source::from_fd(fd, 0, 0)).code(), Code::argument) << fd;
  }
}

TEST_F(SourceTest, Row4_BadPathsAreRefusedBeforeTheyAreOpened) {
  write("a", "0123");
  const std::string with_nul = path("a") + std::string(1, '\0') + ".gguf";   // the system would open "a"
  for (const std::string& bad : {std::string(), with_nul, path("\xff"), std::string(4097, 'a')}) {
    EXPECT_EQ(error_of(Source::from_path(bad)).code(), Code::argument) << bad.size();
  }
  EXPECT_EQ(error_of(Source::from_path(path(std::string(300, 'a')))).code(), Code::argument)
      << "longer than a name can be";
}

TEST_F(SourceTest, ARangeBeyondTheEndIsTruncated) {
  const Descriptor fd(write("a", "0123456789"));
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [offset, length] : {std::pair<std::uint64_t, std::uint64_t>{0, 11}, {5, 6}, {10, 0}, {11, 0}, {9, 2},
                                       {kMost, 0}, {kMost, 1}, {1, kMost}, {kMost, kMost}}) {
    for (const bool use_mmap : {true, false}) {
      EXPECT_EQ(error_of(Source::from_fd(fd.get(), offset, length), use_mmap).code(), Code::truncated_file)
          << offset << " " << length;
    }
  }
}

// ---- progress and cancelling

struct Reports {
  std::vector<std::uint64_t> done;
  std::uint64_t total = 0;
  std::size_t stop_after = std::numeric_limits<std::size_t>::max();

  static bool report(void* user, std::uint64_t done, std::uint64_t total) {
    auto& self = *static_cast<Reports*>(user);
    self.done.push_back(done);
    self.total = total;
    return self.done.size() < self.stop_after;
  }
};

TEST_F(SourceTest, ReadingReportsItsProgress) {
  constexpr std::size_t kBytes = (std::size_t{9} << 20) + 1;
  const std::string name = write("large", std::string(kBytes, 'x'));
  Reports reports;
  const auto file = MappedFile::open(Source::from_path(name), {.use_mmap = false, .progress = {Reports::report,
                                                                                               &reports}});
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(text_of(file.value()), std::string(kBytes, 'x'));
  EXPECT_EQ(reports.total, kBytes);
  EXPECT_GE(reports.done.size(), 2U);
  EXPECT_TRUE(std::is_sorted(reports.done.begin(), reports.done.end()));
  EXPECT_EQ(reports.done.back(), kBytes);
}

TEST_F(SourceTest, AFalseAnswerToAReportCancels) {
  const std::string name = write("large", std::string(std::size_t{9} << 20, 'x'));
  Reports reports;
  reports.stop_after = 1;
  const auto file = MappedFile::open(Source::from_path(name), {.use_mmap = false, .progress = {Reports::report,
                                                                                               &reports}});
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::cancelled);
  EXPECT_EQ(reports.done.size(), 1U);
}

TEST_F(SourceTest, ACancelFlagStopsEveryKindOfSource) {
  const std::string name = write("a", "0123");
  const Descriptor fd(name);
  const std::string text = "0123";
  CancelFlag cancel;
  cancel.set = true;
  for (const Source& source :
       {Source::from_path(name), Source::from_fd(fd.get(), 0, 0),
        Source::from_memory(std::as_bytes(std::span(text)))}) {
    for (const bool use_mmap : {true, false}) {
      const auto file = MappedFile::open(source, {.use_mmap = use_mmap, .cancel = &cancel});
      ASSERT_FALSE(file.ok());
      EXPECT_EQ(file.status().code(), Code::cancelled);
    }
  }
}

TEST_F(SourceTest, ACancelFlagStopsAReadInTheMiddle) {
  const std::string name = write("large", std::string(std::size_t{9} << 20, 'x'));
  static CancelFlag cancel;
  const auto set = [](void*, std::uint64_t, std::uint64_t) {
    cancel.set = true;
    return true;
  };
  const auto file = MappedFile::open(Source::from_path(name), {.use_mmap = false, .progress = {set, nullptr},
                                                               .cancel = &cancel});
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::cancelled);
}

TEST_F(SourceTest, Row10_AFileThatBecomesShorterWhileItIsReadIsAnError) {
  static std::string name;
  name = write("large", std::string(std::size_t{9} << 20, 'x'));
  const auto shorten = [](void*, std::uint64_t, std::uint64_t) { return ::truncate(name.c_str(), 1000) == 0; };
  const auto file = MappedFile::open(Source::from_path(name), {.use_mmap = false, .progress = {shorten, nullptr}});
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::io);
  EXPECT_NE(file.status().message().find("became shorter"), std::string_view::npos) << file.status().message();
}

TEST(SourceDescription, NamesTheSource) {
  EXPECT_EQ(Source::from_path("a.gguf").describe(), "a.gguf");
  EXPECT_EQ(Source::from_memory({}).describe(), "memory");
  EXPECT_EQ(Source::from_fd(5, 1, 2).describe(), "file descriptor 5");
}

}  // namespace
}  // namespace infer
