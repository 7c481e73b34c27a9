// SPDX-License-Identifier: MIT
// Real vocabularies: those of the golden data (golden/text in the directory that INFER_SHARED names), and the one of the
// bundled model.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "formats/formats.h"
#include "tests/tokenizers/encoding.h"
#include "tokenizers/tokenizers.h"

namespace infer::testing {

/// Empty where there is none.
inline std::string golden_directory() {
  const char* shared = std::getenv("INFER_SHARED");
  return shared == nullptr || *shared == '\0' ? std::string() : std::string(shared) + "/golden/text";
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct GoldenVocabulary {
  std::unique_ptr<TokenizerSpec> spec;  // outlives the tokenizer
  std::unique_ptr<Tokenizer> tokenizer;
};

/// Read through the format parsers as the library does.
inline GoldenVocabulary load_vocabulary(const std::string& path) {
  GoldenVocabulary loaded{.spec = std::make_unique<TokenizerSpec>(), .tokenizer = nullptr};
  const std::string file = read_file(path);
  const std::array<Bytes, 1> files = {std::as_bytes(std::span(file))};
  for (const FormatParser* format : builtin_formats()) {
    if (!format->sniff(files[0])) continue;
    Result<ModelDescriptor> descriptor = format->parse(files, nullptr);
    EXPECT_TRUE(descriptor.ok()) << descriptor.status().message();
    *loaded.spec = std::move(descriptor).value().tokenizer;
  }
  for (const TokenizerKind* kind : builtin_tokenizers()) {
    if (kind->name == loaded.spec->model) loaded.tokenizer = make(*kind, *loaded.spec);
  }
  return loaded;
}

inline GoldenVocabulary load_golden(const std::string& name) {
  return load_vocabulary(golden_directory() + "/vocab/ggml-vocab-" + name + ".gguf");
}

/// The name of a test of one vocabulary.
inline std::string vocabulary_name(const ::testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace infer::testing
