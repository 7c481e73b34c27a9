// SPDX-License-Identifier: MIT
// Runs the program under test, whose path is in the environment variable INFER_PROGRAM, as a user would: arguments in,
// exit status, stdout and stderr out.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/testing/temporary_directory.h"

extern char** environ;

namespace infer::testing {

/// The value of an environment variable, or "".
inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The program with its standard streams at given descriptors; -1 when it could not be started.
inline pid_t spawn_infer(const std::vector<std::string>& arguments, int in, int out, int err) {
  const std::string program = environment("INFER_PROGRAM");
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return failed == 0 ? pid : -1;
}

/// The exit status, or -1 when a signal ended it.
inline int wait_for(pid_t pid) {
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

/// Runs to the end. Streams are files, so neither side ever waits for the other.
inline Outcome run_infer(const std::vector<std::string>& arguments, std::string_view input = {}) {
  const TemporaryDirectory directory;
  const std::string in = directory.file("in"), out = directory.file("out"), err = directory.file("err");
  write_bytes(in, input);
  const int fds[] = {open(in.c_str(), O_RDONLY | O_CLOEXEC), open(out.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600),
                     open(err.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
  Outcome outcome;
  outcome.status = wait_for(spawn_infer(arguments, fds[0], fds[1], fds[2]));
  for (const int fd : fds) close(fd);
  outcome.out = read_bytes(out);
  outcome.err = read_bytes(err);
  return outcome;
}

}  // namespace infer::testing
