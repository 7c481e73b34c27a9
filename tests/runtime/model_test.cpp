// SPDX-License-Identifier: MIT
// Tests of src/runtime/model.cpp: sources, forced and missing architectures, vocabulary-only files, tokenizer errors.
#include "libinfer/model.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/testing/bundled.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using testing::bundled_path;

std::vector<char> bundled_bytes() {
  std::ifstream f(bundled_path(), std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}

Result<std::shared_ptr<const Model>> load(std::span<const std::byte> bytes, const ModelOptions& options = {}) {
  return Model::load(Library::builtin(), Source::from_memory(bytes), options);
}

TEST(ModelLoad, TakesAPathMemoryAndADescriptorAlike) {
  const std::vector<char> bytes = bundled_bytes();
  const auto a = Model::load(Library::builtin(), Source::from_path(bundled_path()), {});
  const auto b = load(std::as_bytes(std::span(bytes)));
  const int fd = ::open(bundled_path().c_str(), O_RDONLY | O_CLOEXEC);
  const auto c = Model::load(Library::builtin(), Source::from_fd(fd, 0, 0), {});
  const auto d = Model::load(Library::builtin(), Source::from_fd(fd, 0, bytes.size()), {.use_mmap = false});
  ::close(fd);
  for (const auto* m : {&a, &b, &c, &d}) {
    ASSERT_TRUE(m->ok()) << m->status().message();
    EXPECT_EQ(m->value()->descriptor(), a.value()->descriptor());
  }
}

TEST(ModelLoad, TakesARangeOfAFile) {
  const std::vector<char> bytes = bundled_bytes();
  const std::string path = (std::filesystem::temp_directory_path() / ("libinfer_range_" + std::to_string(::getpid()))).string();
  std::ofstream(path, std::ios::binary) << std::string(12345, 'x') << std::string_view(bytes.data(), bytes.size()) << "tail";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  for (bool use_mmap : {true, false}) {
    const auto m = Model::load(Library::builtin(), Source::from_fd(fd, 12345, bytes.size()), {.use_mmap = use_mmap});
    EXPECT_TRUE(m.ok()) << m.status().message();
  }
  ::close(fd);
  std::filesystem::remove(path);
}

TEST(ModelLoad, NamesAnUnknownArchitectureAndTheKnownOnes) {
  const std::vector<char> bytes = bundled_bytes();
  const auto m = load(std::as_bytes(std::span(bytes)), {.architecture = "mamba"});
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.status().code(), Code::arch);
  EXPECT_EQ(m.status().message(),
            "memory: as 'mamba': unknown architecture 'mamba'; known: " + Library::builtin()->architectures.names());
}

TEST(ModelLoad, AVocabularyOnlyFileSaysWhatItIsGoodFor) {
  testing::GgufWriter writer = testing::tiny_model_writer({});
  writer.tensors.clear();
  const std::vector<std::byte> file = writer.build();
  const auto m = load(file);
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.status().code(), Code::tensor);
  EXPECT_NE(m.status().message().find("vocab_only"), std::string_view::npos) << m.status().message();
  const auto v = load(file, {.vocab_only = true});
  ASSERT_TRUE(v.ok()) << v.status().message();
  EXPECT_TRUE(v.value()->tokenizer().ok());
  EXPECT_EQ(Session::create(v.value(), {}).status().code(), Code::state);
}

TEST(ModelLoad, AnUnknownTokenizerStopsOnlyTheCallsThatNeedIt) {
  const std::vector<std::byte> file = testing::tiny_model_writer({}).set("tokenizer.ggml.model", "runes").build();
  const auto m = load(file);
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(m.value()->tokenizer().status().code(), Code::vocab);
  EXPECT_EQ(m.value()->tokenizer().status().message(), "unknown tokenizer 'runes'; known: gpt2, llama, t5, bert");
  const auto s = Session::create(m.value(), {});
  ASSERT_TRUE(s.ok());
  const Token tokens[] = {1, 2, 3};
  EXPECT_TRUE(s.value()->feed(0, tokens, WantLogits::last, nullptr).ok());
}

TEST(ModelLoad, ATensorThatNobodyKnowsIsRefusedInALayerAndToldOutsideOne) {
  const std::vector<std::byte> norm(64 * sizeof(float));
  testing::GgufWriter inside = testing::tiny_model_writer({});
  inside.tensor("blk.0.attn_q_norm.weight", DType::f32, {64}, norm);
  const std::vector<std::byte> refused = inside.build();
  const auto m = load(refused);
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.status().code(), Code::tensor);
  EXPECT_EQ(m.status().subject(), "blk.0.attn_q_norm.weight");

  testing::GgufWriter beyond = testing::tiny_model_writer({});
  beyond.tensor("blk.7.attn_norm.weight", DType::f32, {64}, norm);
  const std::vector<std::byte> told = beyond.build();
  const auto n = load(told);
  ASSERT_TRUE(n.ok()) << n.status().message();
  ASSERT_EQ(n.value()->descriptor().warnings.size(), 1u);
  EXPECT_EQ(n.value()->descriptor().warnings[0], "tensor 'blk.7.attn_norm.weight' is not used");
}

TEST(ModelLoad, TextOfTheFileIsQuotedInMessages) {
  const std::vector<std::byte> file =
      testing::tiny_model_writer({}).set("llama.rope.scaling.type", "x\n[ERROR] forged").build();
  const auto m = load(file);
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.status().message().find('\n'), std::string_view::npos) << m.status().message();
}

TEST(ModelLoad, CountsItsMemory) {
  const auto m = testing::bundled_model();
  ASSERT_NE(m, nullptr);
  EXPECT_EQ(m->memory()[MemoryClass::mapped], std::filesystem::file_size(bundled_path()));
  // The norms are widened; of the matrices, those that are multiplied are there again as panels.
  std::uint64_t panels = 0;
  const auto count = [&](const Linear& w) {
    if (!w.matmul.packed) return;
    EXPECT_EQ(w.n_panels, w.weight.rows / kPanelRows);
    panels += static_cast<std::uint64_t>(w.n_panels) * w.format->panel_bytes(w.weight.cols);
  };
  for (const Layer& l : m->decoder()->layers) {
    for (const Linear* w : {&l.attn.q, &l.attn.k, &l.attn.v, &l.attn.output, &l.ffn.gate, &l.ffn.up, &l.ffn.down}) count(*w);
  }
  count(m->decoder()->output);
  EXPECT_EQ(m->memory()[MemoryClass::weights], 9u * 256 * sizeof(float) + panels);
  EXPECT_EQ(m->decoder()->embedding.n_panels, 0);
  EXPECT_GT(m->memory()[MemoryClass::vocab], 0u);
}

TEST(LibraryValue, ACopyCanBeExtendedWithoutTouchingTheOriginal) {
  const auto builtin = Library::builtin();
  Library mine = *builtin;
  static constexpr std::string_view kNames[] = {"toy"};
  static constexpr Architecture kToy{.names = kNames, .recognises = nullptr, .configure = nullptr, .bind = nullptr, .layer = nullptr};
  EXPECT_TRUE(mine.architectures.add(kToy).ok());
  EXPECT_EQ(mine.architectures.add(kToy).code(), Code::argument);
  EXPECT_NE(mine.architectures.find("toy"), nullptr);
  EXPECT_EQ(builtin->architectures.find("toy"), nullptr);
  static constexpr std::string_view kSecondIsTaken[] = {"fresh", "llama"};
  static constexpr Architecture kClash{
      .names = kSecondIsTaken, .recognises = nullptr, .configure = nullptr, .bind = nullptr, .layer = nullptr};
  EXPECT_EQ(mine.architectures.add(kClash).code(), Code::argument);
}

}  // namespace
}  // namespace infer
