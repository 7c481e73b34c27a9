// SPDX-License-Identifier: MIT
// Golden logits, blocks and their descriptions, in the directory golden/logits of the one that INFER_SHARED names.
// Tests skip where it is missing.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace infer::testing {

/// Empty when there is no golden data.
inline std::string golden_logits_directory() {
  const char* shared = std::getenv("INFER_SHARED");
  if (shared == nullptr || *shared == '\0') return {};
  const std::string directory = std::string(shared) + "/golden/logits";
  return std::filesystem::is_directory(directory) ? directory : std::string();
}

/// Empty when the file cannot be read.
inline std::vector<std::byte> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

inline std::vector<float> read_floats(const std::string& path) {
  const std::vector<std::byte> bytes = read_bytes(path);
  std::vector<float> floats(bytes.size() / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

/// A discarded value when the file cannot be parsed.
inline nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file, nullptr, false);
}

}  // namespace infer::testing

#define INFER_SKIP_WITHOUT_GOLDEN_LOGITS()                          \
  if (::infer::testing::golden_logits_directory().empty()) {        \
    GTEST_SKIP() << "no golden/logits in INFER_SHARED";             \
  }                                                                 \
  static_assert(true)
