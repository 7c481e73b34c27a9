// SPDX-License-Identifier: MIT
// Tests of src/base/cpu_quota.cpp: what the files of control groups amount to, in cores.
#include "src/base/cpu_quota.h"

#include <sched.h>

#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "libinfer/thread_pool.h"

namespace infer {
namespace {

constexpr const char* kGroup = "/proc/self/cgroup";
constexpr const char* kMounts = "/proc/self/mountinfo";
constexpr const char* kV2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kV1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n";

/// A file system of these texts.
std::optional<int> cores(const std::map<std::string, std::string>& files) {
  return quota_cores([&](const std::string& path) {
    const auto found = files.find(path);
    return found == files.end() ? std::string() : found->second;
  });
}

TEST(CpuQuota, RoundsUp) {
  EXPECT_EQ(cores_of_cpu_max("100000 100000\n"), 1);
  EXPECT_EQ(cores_of_cpu_max("150000 100000\n"), 2);
  EXPECT_EQ(cores_of_cpu_max("200000 100000"), 2);
  EXPECT_EQ(cores_of_cpu_max("200001 100000"), 3);
  EXPECT_EQ(cores_of_cpu_max("1000 100000"), 1);
  EXPECT_EQ(cores_of_cfs("50000\n", "20000\n"), 3);
}

TEST(CpuQuota, NoLimitAndNonsenseAreNoQuota) {
  for (const char* text : {"", "\n", "max 100000\n", "max", "100000", "0 100000", "-1 100000", "100000 0", "100000 -5",
                           "1e5 100000", "100000 100000 7", "99999999999999999999 100000", "100000 99999999999999999999",
                           "ten 100000", "\xff\xfe 100000", "100000  "}) {
    EXPECT_EQ(cores_of_cpu_max(text), std::nullopt) << text;
  }
  EXPECT_EQ(cores_of_cfs("-1\n", "100000\n"), std::nullopt);
  EXPECT_EQ(cores_of_cfs("", ""), std::nullopt);
}

TEST(CpuQuota, AHugeQuotaStaysANumber) {
  EXPECT_EQ(cores_of_cpu_max("9223372036854775807 1"), std::numeric_limits<int>::max());
}

TEST(CpuQuota, TheSmallestOfAHierarchyCounts) {
  std::map<std::string, std::string> files = {{kGroup, "0::/a/b/c\n"},
                                              {kMounts, kV2},
                                              {"/sys/fs/cgroup/a/cpu.max", "300000 100000\n"},
                                              {"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
                                              {"/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n"}};
  EXPECT_EQ(cores(files), 3);
  files["/sys/fs/cgroup/a/b/c/cpu.max"] = "100000 100000\n";
  EXPECT_EQ(cores(files), 1);
  files.erase("/sys/fs/cgroup/a/b/c/cpu.max");   // the controller is not enabled there
  EXPECT_EQ(cores(files), 3);
  files.erase("/sys/fs/cgroup/a/cpu.max");
  EXPECT_EQ(cores(files), std::nullopt);
}

TEST(CpuQuota, InAContainerTheMountPointIsTheGroup) {
  // A name space of its own: the path is "/". And none: the mount shows the container's group alone.
  EXPECT_EQ(cores({{kGroup, "0::/\n"}, {kMounts, kV2}, {"/sys/fs/cgroup/cpu.max", "250000 100000\n"}}), 3);
  const std::string mount = "30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
  EXPECT_EQ(cores({{kGroup, "0::/docker/abc\n"}, {kMounts, mount}, {"/sys/fs/cgroup/cpu.max", "250000 100000\n"}}), 3);
  EXPECT_EQ(cores({{kGroup, "0::/docker/abc/inner\n"}, {kMounts, mount}, {"/sys/fs/cgroup/inner/cpu.max", "1 100\n"}}), 1);
  EXPECT_EQ(cores({{kGroup, "0::/../other\n"}, {kMounts, kV2}, {"/sys/fs/cgroup/cpu.max", "250000 100000\n"}}), 3);
}

TEST(CpuQuota, ReadsTheFirstVersionToo) {
  const std::map<std::string, std::string> files = {{kGroup, "9:name=systemd:/x\n4:cpu,cpuacct:/job\n2:cpuset:/\n0::/\n"},
                                                    {kMounts, std::string(kV2) + kV1},
                                                    {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
                                                    {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
                                                    {"/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "350000\n"},
                                                    {"/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"}};
  EXPECT_EQ(cores(files), 4);
}

TEST(CpuQuota, FindsMountsWithBlanksAndOptionalFields) {
  const std::string mounts = "21 20 0:5 / /proc rw - proc proc rw\n"
                             "30 24 0:26 / /my\\040groups rw shared:1 master:2 - cgroup2 none rw\n";
  EXPECT_EQ(cores({{kGroup, "0::/a\n"}, {kMounts, mounts}, {"/my groups/a/cpu.max", "2 1\n"}}), 2);
}

TEST(CpuQuota, OddFilesAreNoQuota) {
  for (const char* group : {"", "\n", "0", "0:", "0::", "::::", "0::a/b\n", "0::/a", "4:cpu", "\xff"}) {
    for (const char* mounts : {"", "\n", " - ", " - cgroup2", "a b c d e - cgroup2 x\n", " - cgroup x cpu", "- - -", kV2}) {
      EXPECT_EQ(cores({{kGroup, group}, {kMounts, mounts}}), std::nullopt) << group << " and " << mounts;
    }
  }
}

TEST(CpuQuota, CoresFollowTheAffinityMask) {
  const int all = available_cores();
  ASSERT_GE(all, 1);
  int one = 0;
  std::thread([&] {   // the mask is the thread's own
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0, kept = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set) && kept++ > 0) CPU_CLR(cpu, &set);
    }
    sched_setaffinity(0, sizeof set, &set);
    one = available_cores();
  }).join();
  EXPECT_EQ(one, 1);
  EXPECT_EQ(available_cores(), all);
}

}  // namespace
}  // namespace infer
