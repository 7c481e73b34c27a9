// SPDX-License-Identifier: MIT
// Text to tokens, in bytes of text per second. INFER_BENCH_VOCABULARIES names a folder of GGUF files (default: the bundled
// model), INFER_BENCH_TEXT a text file (default: made up words). Beside that text ("prose") there are texts that slow
// tokenizers down: a mebibyte of one letter, of spaces, of emoji, of random bytes, and of a letter among U+2581.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/bench.h"
#include "formats/formats.h"
#include "tokenizers/tokenizers.h"

namespace infer::bench {
namespace {

constexpr std::size_t kBytes = std::size_t{1} << 20;

struct Vocabulary {
  TokenizerSpec spec;   // outlives the tokenizer
  std::unique_ptr<Tokenizer> tokenizer;
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

/// Null where the file has no tokenizer that is known.
std::shared_ptr<Vocabulary> load(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  const std::array<Bytes, 1> files = {std::as_bytes(std::span(file))};
  auto vocabulary = std::make_shared<Vocabulary>();
  for (const FormatParser* format : builtin_formats()) {
    if (!format->sniff(files[0])) continue;
    if (auto descriptor = format->parse(files, nullptr); descriptor.ok()) {
      vocabulary->spec = std::move(descriptor).value().tokenizer;
    }
  }
  std::vector<std::string> warnings;
  for (const TokenizerKind* kind : builtin_tokenizers()) {
    if (kind->name != vocabulary->spec.model) continue;
    if (auto tokenizer = kind->make(vocabulary->spec, nullptr, warnings); tokenizer.ok()) {
      vocabulary->tokenizer = std::move(tokenizer).value();
    }
  }
  return vocabulary->tokenizer != nullptr ? vocabulary : nullptr;
}

/// Words of all lengths, the short ones often, in sentences.
std::string made_up_words() {
  std::mt19937 random(1);
  std::vector<std::string> words;
  for (int i = 0; i < 20000; ++i) {
    std::string& word = words.emplace_back();
    for (std::size_t n = 1 + random() % 10; n > 0; --n) word += "etaoinshrdlucmfwygpbvkxqjz"[random() % (1 + random() % 26)];
  }
  std::string text;
  while (text.size() < 2 * kBytes) {
    text += words[random() % (1 + random() % words.size())];
    text += random() % 12 == 0 ? ".\n" : " ";
  }
  return text;
}

std::string repeat(std::string_view part) {
  std::string text;
  while (text.size() < kBytes) text += part;
  return text;
}

std::string random_bytes() {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < kBytes) text += static_cast<char>(static_cast<unsigned char>(random() & 255));
  return text;
}

std::string random_of(std::string_view a, std::string_view b) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < kBytes) text += random() % 2 == 0 ? a : b;
  return text;
}

void encode(benchmark::State& state, const Vocabulary& vocabulary, const std::string& text, int n_threads) {
  for (auto _ : state) {
    const auto tokens = vocabulary.tokenizer->encode(text, {.n_threads = n_threads});
    if (!tokens.ok()) state.SkipWithError(std::string(tokens.status().message()).c_str());
    benchmark::DoNotOptimize(tokens);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(text.size()));
}

std::vector<std::filesystem::path> vocabulary_files() {
  std::vector<std::filesystem::path> files;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(setting("INFER_BENCH_VOCABULARIES"), none)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  }
  if (files.empty()) files.emplace_back(INFER_TEST_DATA_DIR "/war-and-peace-2.6m-q8_0.gguf");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

void register_tokenizers() {
  using Text = std::pair<const char*, std::string>;
  const std::string file = setting("INFER_BENCH_TEXT");
  const auto texts = std::make_shared<std::vector<Text>>(std::vector<Text>{
      {"prose", file.empty() ? made_up_words() : read_file(file)},
      {"one_letter", repeat("a")},
      {"spaces", repeat(" ")},
      {"emoji", repeat("\U0001f600")},
      {"random_bytes", random_bytes()},
      {"letter_and_u2581", random_of("a", "\u2581")},
  });
  for (const std::filesystem::path& path : vocabulary_files()) {
    const std::shared_ptr<Vocabulary> vocabulary = load(path);
    if (vocabulary == nullptr) continue;
    for (std::size_t i = 0; i < texts->size(); ++i) {
      for (const int n_threads : {1, 2}) {
        const std::string name =
            fmt::format("tokenizers/{}/{}/threads:{}", path.stem().string(), (*texts)[i].first, n_threads);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          encode(state, *vocabulary, (*texts)[i].second, n_threads);
        })->UseRealTime()->Unit(benchmark::kMillisecond);
      }
    }
  }
}

}  // namespace infer::bench
