// SPDX-License-Identifier: MIT
// Runs a fuzz target as a plain test: every file of its corpus, then mutations of them, the same in every run.
// replay FOLDER [MUTATIONS]
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz.h"
#include "tests/testing/random.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A few bytes changed, inserted, taken away, or a number made extreme.
Bytes mutated(Bytes bytes, infer::testing::Random& random) {
  constexpr std::uint8_t kExtremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  const auto place = [&] { return static_cast<std::ptrdiff_t>(random.below(static_cast<std::int64_t>(bytes.size()))); };
  for (std::int64_t i = 0, n = 1 + random.below(4); i < n && !bytes.empty(); ++i) {
    const std::ptrdiff_t at = place();
    switch (random.below(5)) {
      case 0: bytes[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random.below(256)); break;
      case 1: bytes.insert(bytes.begin() + at, static_cast<std::uint8_t>(random.below(256))); break;
      case 2: bytes.erase(bytes.begin() + at); break;
      case 3: bytes.resize(static_cast<std::size_t>(at)); break;
      default:
        for (std::ptrdiff_t k = at; k < at + 8 && k < static_cast<std::ptrdiff_t>(bytes.size()); ++k) {
          bytes[static_cast<std::size_t>(k)] = kExtremes[random.below(std::size(kExtremes))];
        }
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const long n_mutations = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 300;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  infer::testing::Random random(1);
  for (const auto& file : files) {
    const Bytes bytes = read(file);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    for (long i = 0; i < n_mutations; ++i) {
      const Bytes other = mutated(bytes, random);
      LLVMFuzzerTestOneInput(other.data(), other.size());
    }
  }
  std::printf("%zu files, %ld mutations each\n", files.size(), n_mutations);
  return files.empty() ? 1 : 0;
}
