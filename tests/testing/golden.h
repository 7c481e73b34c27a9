// SPDX-License-Identifier: MIT
// Golden logits, blocks and their descriptions, in the directory golden/logits of the one that INFER_SHARED names.
// Tests skip where it is missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "libinfer/tokenizer.h"

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

/// The descriptions of files whose weights are all F32.
inline constexpr const char* kGoldenF32[] = {
    "gemma",       "gemma2",        "gemma2-27b",   "gemma3",     "gemma3-27b", "llama-bias",
    "llama-linear", "llama-headdim", "llama-mha",    "llama-yarn", "llama3-ropefreqs", "mistral-swa",
    "mixtral",     "phi2",          "phi2-fused",   "phi3",       "phi3-longrope", "qwen",
    "qwen2",       "qwen2moe",      "qwen3",        "qwen3moe",   "stories260K"};

/// A model, and what is said of it. Empty and discarded where there is none of that name.
struct GoldenModel {
  explicit GoldenModel(const std::string& name)
      : facts(read_json(golden_logits_directory() + "/golden/" + name + ".json")),
        file_name(facts.value("model", "")),
        file(read_bytes(golden_logits_directory() + "/models/" + file_name)) {}
  nlohmann::json facts;
  std::string file_name;
  std::vector<std::byte> file;
};

inline std::vector<float> golden_logits(const std::string& file_name) {
  return read_floats(golden_logits_directory() + "/golden/" + file_name);
}

struct GoldenCase {
  std::vector<Token> ids;
  std::int64_t n_ctx;
  std::string file;
  double rms_limit;   ///< of quantised files: 1.2 times what another library, which rounds activations, differs by
  double noise;       ///< what plain float arithmetic differs by
};

/// Cases that ignore a window are left out: they show what other libraries do.
inline bool ignores_the_window(const nlohmann::json& golden_case) {
  return golden_case.value("case", "").find("nowindow") != std::string::npos;
}

/// The cases of a description.
inline std::vector<GoldenCase> golden_cases(const nlohmann::json& d) {
  const auto ids_of = [](const nlohmann::json& ids) { return ids.get<std::vector<Token>>(); };
  if (d.contains("logits")) {
    const nlohmann::json& top = d["logits"];
    const bool has_ids = top.is_object();
    return {{.ids = ids_of(has_ids ? top["ids"] : d["ids"]),
             .n_ctx = 512,
             .file = (has_ids ? top["file"] : top).get<std::string>(),
             .rms_limit = 1.2 * d.value("peer_rms_diff", 0.0),
             .noise = 0.0}};
  }
  std::vector<GoldenCase> cases;
  for (const nlohmann::json& c : d["cases"]) {
    if (ignores_the_window(c)) continue;
    const nlohmann::json& peers = c["peers"];
    const bool has_peer = peers.contains("llama.cpp") && peers["llama.cpp"].contains("rms_diff");
    cases.push_back({.ids = ids_of(c["ids"]),
                     .n_ctx = c["n_ctx"].get<std::int64_t>(),
                     .file = c["logits"].get<std::string>(),
                     .rms_limit = has_peer ? 1.2 * peers["llama.cpp"]["rms_diff"].get<double>() : 0.0,
                     .noise = c.value("float32_max_abs_diff", 0.0)});
  }
  return cases;
}

struct GoldenContinuation {
  std::string name;
  std::vector<Token> ids;
  std::vector<Token> continuation;   ///< the likeliest token each time
  std::int64_t n_ctx;
};

inline std::vector<GoldenContinuation> golden_continuations(const nlohmann::json& d) {
  std::vector<GoldenContinuation> all;
  for (const nlohmann::json& c : d["cases"]) {
    if (ignores_the_window(c)) continue;
    const bool is_story = c.contains("continuation");
    all.push_back({.name = c[is_story ? "prompt" : "case"].get<std::string>(),
                   .ids = c["ids"].get<std::vector<Token>>(),
                   .continuation = c[is_story ? "continuation" : "greedy"].get<std::vector<Token>>(),
                   .n_ctx = c.value("n_ctx", std::int64_t{512})});
  }
  return all;
}

}  // namespace infer::testing

#define INFER_SKIP_WITHOUT_GOLDEN_LOGITS()                          \
  if (::infer::testing::golden_logits_directory().empty()) {        \
    GTEST_SKIP() << "no golden/logits in INFER_SHARED";             \
  }                                                                 \
  static_assert(true)
