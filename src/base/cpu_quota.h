// SPDX-License-Identifier: MIT
// How many cores a process may use. Containers limit CPU time by a quota of their control group, which neither the affinity
// mask nor the number of processors tells. Tested by tests/base/cpu_quota_test.cpp.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace infer {

/// The text of a small file, empty when it cannot be read.
using ReadText = std::function<std::string(const std::string& path)>;

/// Text of cpu.max (control groups v2): "max 100000" or "150000 100000", microseconds of CPU time per period. Answers the
/// cores that this amounts to, rounded up; nothing when there is no limit, or no sense in the text.
std::optional<int> cores_of_cpu_max(std::string_view text);

/// The same of v1: cpu.cfs_quota_us (-1: no limit) and cpu.cfs_period_us.
std::optional<int> cores_of_cfs(std::string_view quota, std::string_view period);

/// The smallest quota of this process's control groups and their parents, v2 and v1, found through /proc/self/cgroup and
/// /proc/self/mountinfo. Nothing when there is none.
std::optional<int> quota_cores(const ReadText& read);

}  // namespace infer
