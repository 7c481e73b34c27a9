// SPDX-License-Identifier: MIT
// Small helpers of the commands: messages, reading and writing, hex, numbers as people read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer.hpp"

namespace tool {

enum ExitStatus : int { kSuccess = 0, kFailure = 1, kUsage = 2 };

/// On stderr. Where nobody takes it, it is lost: the work and the exit status are what they are.
void tell(std::string_view text);
/// "infer: MESSAGE" on stderr, with what to do on a line of its own where that is known; the status to exit with.
int fail(std::string_view message, std::string_view what_to_do = {});
int fail(const libinfer::Error& error, std::string_view what_to_do = {});
int usage(std::string_view message);
/// A failure of the operating system: "infer: SUBJECT: No such file or directory".
int fail_errno(std::string_view subject, int error_number);

/// For a terminal: control characters, which a file's strings may hold, become \xNN.
std::string printable(std::string_view text);

/// False when nobody takes the bytes: then errno tells why.
bool write_all(std::FILE* file, std::string_view bytes);
/// What a command returns when write_all(stdout) was false. A reader that went away (EPIPE) is no news for stderr.
int stdout_failed();
/// The rest of a file; no value with errno set on a read error.
std::optional<std::string> read_all(std::FILE* file);
/// A file by name, "-" being stdin.
std::optional<std::string> read_file(const std::string& path);
bool is_terminal(std::FILE* file);

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view hex);
/// \n, \t, \r, \0, \\, \" and \xNN; no value for any other sequence.
std::optional<std::string> unescape(std::string_view text);
/// Ids separated by commas or white space; no value when there is anything else, and `wrong` names it.
std::optional<std::vector<std::int32_t>> parse_ids(std::string_view text, std::string& wrong);

/// "2.69 MiB"
std::string bytes_text(std::uint64_t bytes);
/// "2.62 M"
std::string count_text(double count);

/// Seconds of a steady clock.
double now();

struct MemoryClass {
  std::int32_t id;
  const char* name;
  std::uint64_t infer_memory_plan::*planned;
};
inline constexpr MemoryClass kMemoryClasses[] = {
    {INFER_MEMORY_MAPPED, "mapped", &infer_memory_plan::mapped},    {INFER_MEMORY_WEIGHTS, "weights", &infer_memory_plan::weights},
    {INFER_MEMORY_KV, "kv", &infer_memory_plan::kv},                {INFER_MEMORY_SCRATCH, "scratch", &infer_memory_plan::scratch},
    {INFER_MEMORY_VOCAB, "vocab", &infer_memory_plan::vocab},       {INFER_MEMORY_OTHER, "other", &infer_memory_plan::other},
};

}  // namespace tool
