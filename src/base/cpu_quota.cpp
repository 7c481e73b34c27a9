// SPDX-License-Identifier: MIT
// Reads what Linux tells about the CPU quota of a process: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max),
// https://docs.kernel.org/scheduler/sched-bwc.html (cfs_quota_us), man 5 proc (cgroup, mountinfo). All but the two functions
// at the end that touch the system work on text. Tested by tests/base/cpu_quota_test.cpp.
#include "src/base/cpu_quota.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <thread>

#include "libinfer/thread_pool.h"

namespace infer {
namespace {

/// Takes the text before the first `separator` off the front of `rest`.
std::string_view take(std::string_view& rest, char separator) noexcept {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return field;
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::int64_t> positive(std::string_view text) noexcept {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

std::optional<int> rounded_up(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) noexcept {
  if (!quota || !period) return std::nullopt;
  const std::int64_t cores = (*quota - 1) / *period + 1;
  return static_cast<int>(std::min<std::int64_t>(cores, std::numeric_limits<int>::max()));
}

std::optional<int> smaller(std::optional<int> a, std::optional<int> b) noexcept {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

bool has_word(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    if (take(list, ',') == word) return true;
  }
  return false;
}

/// Paths in mountinfo have blanks and backslashes as \ooo.
std::string unescaped(std::string_view text) {
  std::string out;
  const auto octal = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '7'; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// Where a control group hierarchy is mounted, and which of its groups stands at that place.
struct Mount {
  std::string point, root;
};

/// 36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup2 source rw,cpu
std::optional<Mount> find_mount(std::string_view mountinfo, std::string_view type, std::string_view controller) {
  while (!mountinfo.empty()) {
    std::string_view line = take(mountinfo, '\n');
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view tail = line.substr(dash + 3);
    if (take(tail, ' ') != type) continue;
    take(tail, ' ');   // the source
    if (!controller.empty() && !has_word(trimmed(tail), controller)) continue;
    for (int i = 0; i < 3; ++i) take(line, ' ');
    const std::string_view root = take(line, ' '), point = take(line, ' ');
    return Mount{unescaped(point), unescaped(root)};
  }
  return std::nullopt;
}

/// 0::/path of v2, 4:cpu,cpuacct:/path of v1: the group of this process in the hierarchy of a controller ("": v2).
std::optional<std::string_view> find_group(std::string_view cgroup, std::string_view controller) noexcept {
  while (!cgroup.empty()) {
    std::string_view line = take(cgroup, '\n');
    const std::string_view id = take(line, ':'), controllers = take(line, ':');
    if (controller.empty() ? id == "0" && controllers.empty() : has_word(controllers, controller)) return line;
  }
  return std::nullopt;
}

/// The group's path below the mount point: "" or "/a/b". A group that is not below it (another name space) counts as "".
std::string_view below(std::string_view group, std::string_view root) noexcept {
  if (root != "/") {
    if (group.substr(0, root.size()) != root) return {};
    group.remove_prefix(root.size());
  }
  if (group.empty() || group.front() != '/' || group == "/" || group.find("/..") != std::string_view::npos) return {};
  return group;
}

/// The smallest of the limits from the group up to the mount point.
template <class Limit>
std::optional<int> smallest_limit(const Mount& mount, std::string_view group, const Limit& limit_in) {
  const std::string path(below(group, mount.root));
  std::optional<int> smallest;
  for (std::size_t end = path.size();; end = path.rfind('/', end - 1)) {
    smallest = smaller(smallest, limit_in(mount.point + path.substr(0, end)));
    if (end == 0) return smallest;
  }
}

}  // namespace

std::optional<int> cores_of_cpu_max(std::string_view text) {
  std::string_view rest = trimmed(text);
  const std::string_view quota = take(rest, ' ');
  return rounded_up(positive(quota), positive(trimmed(rest)));
}

std::optional<int> cores_of_cfs(std::string_view quota, std::string_view period) {
  return rounded_up(positive(trimmed(quota)), positive(trimmed(period)));
}

std::optional<int> quota_cores(const ReadText& read) {
  const std::string cgroup = read("/proc/self/cgroup"), mountinfo = read("/proc/self/mountinfo");
  std::optional<int> v2, v1;
  if (const auto group = find_group(cgroup, "")) {
    if (const auto mount = find_mount(mountinfo, "cgroup2", "")) {
      v2 = smallest_limit(*mount, *group, [&](const std::string& at) { return cores_of_cpu_max(read(at + "/cpu.max")); });
    }
  }
  if (const auto group = find_group(cgroup, "cpu")) {
    if (const auto mount = find_mount(mountinfo, "cgroup", "cpu")) {
      v1 = smallest_limit(*mount, *group, [&](const std::string& at) {
        return cores_of_cfs(read(at + "/cpu.cfs_quota_us"), read(at + "/cpu.cfs_period_us"));
      });
    }
  }
  return smaller(v2, v1);
}

namespace {

std::string read_text(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{4} << 20;   // a mountinfo of many thousand lines
  struct File {
    ~File() {
      if (fd >= 0) ::close(fd);
    }
    int fd;
  };
  std::string text;
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  char piece[4096];
  for (ssize_t got; text.size() < kMost && (got = ::read(file.fd, piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<std::size_t>(got));
  }
  return text;
}

int affinity_cores() noexcept {
  cpu_set_t sets[16];   // of 1024 cores each
  if (sched_getaffinity(0, sizeof(sets), sets) == 0) return std::max(1, CPU_COUNT_S(sizeof(sets), sets));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int available_cores() {
  return std::max(1, std::min(affinity_cores(), quota_cores(read_text).value_or(std::numeric_limits<int>::max())));
}

}  // namespace infer
