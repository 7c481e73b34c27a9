// SPDX-License-Identifier: MIT
// Tests of src/runtime/packing.cpp: what is packed, what it takes, when it stops.
#include "src/runtime/packing.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ops/quant/quants.h"
#include "tests/testing/bundled.h"
#include "tests/testing/logits.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using File = std::vector<std::byte>;

Result<std::shared_ptr<const Model>> load(const File& file, const ModelOptions& options = {}) {
  return Model::load(Library::builtin(), Source::from_memory(file), options);
}

File tiny(DType type) {
  testing::TinyModel m;
  m.dtype = type;
  m.n_ff = 160;   // ten panels
  return testing::make_tiny_model(m);
}

TEST(Packing, PanelsHoldTheRowsOfTheFileInOrder) {
  const File file = tiny(DType::f32);
  const auto model = load(file);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Linear& w = model.value()->decoder()->layers[0].ffn.up;
  if (!w.matmul.packed) GTEST_SKIP() << "these kernels take rows of the file";
  ASSERT_EQ(w.n_panels, 10);
  for (std::int64_t r = 0; r < 160; ++r) {
    for (std::int64_t c = 0; c < w.weight.cols; ++c) {
      float in_file, in_panel;
      const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
      std::memcpy(&in_file, w.weight.data + at(r) * w.weight.row_bytes + at(c) * 4, 4);
      std::memcpy(&in_panel, w.panels + at(r / 16) * w.panel_bytes + at(c * 16 + r % 16) * 4, 4);
      ASSERT_EQ(in_panel, in_file) << r << ", " << c;
    }
  }
}

TEST(Packing, TakesWhatThePlanSays) {
  for (const DType type : {DType::f32, DType::f16, DType::q8_0, DType::q4_0}) {
    const File file = tiny(type);
    ModelOptions options;
    options.memory = MemoryAccount::create();
    const auto planned = Model::plan(Library::builtin(), Source::from_memory(file), options);
    ASSERT_TRUE(planned.ok());
    const auto model = load(file, options);
    ASSERT_TRUE(model.ok());
    EXPECT_EQ(model.value()->memory()[MemoryClass::weights], planned.value()->memory()[MemoryClass::weights]);
    EXPECT_EQ(options.memory->now()[MemoryClass::weights], planned.value()->memory()[MemoryClass::weights]);
  }
}

TEST(Packing, LeavesMemoryOfTheHostAlone) {
  const File file = tiny(DType::q8_0), before = file;
  ASSERT_TRUE(load(file).ok());
  EXPECT_EQ(file, before);
}

TEST(Packing, IsLeftOutWhereItIsNotWanted) {
  for (const DType type : {DType::f32, DType::f16, DType::q8_0, DType::q4_0}) {
    const File file = tiny(type);
    ModelOptions options;
    options.pack = false;
    options.memory = MemoryAccount::create();
    const auto planned = Model::plan(Library::builtin(), Source::from_memory(file), options);
    ASSERT_TRUE(planned.ok());
    const auto model = load(file, options);
    ASSERT_TRUE(model.ok());
    EXPECT_FALSE(model.value()->packed());
    const Linear& w = model.value()->decoder()->layers[0].ffn.up;
    EXPECT_EQ(w.panels, nullptr);   // each product makes its own, in the session's scratch
    EXPECT_EQ(model.value()->panel_scratch() > 0, w.matmul.packed);
    EXPECT_EQ(model.value()->memory().bytes, planned.value()->memory().bytes);
    EXPECT_EQ(options.memory->now()[MemoryClass::weights], planned.value()->memory()[MemoryClass::weights]);
    EXPECT_LT(options.memory->now()[MemoryClass::weights], file.size() / 4);
  }
}

TEST(Packing, ChangesNoBitOfTheLogits) {
  // In one batch: so many tokens that products take their panels apart (kManyTokens), packed ones and those in scratch.
  const std::vector<Token> ids = testing::random_tokens(7, 101, 320);
  const auto compare = [&](const Source& source) {
    ModelOptions options;
    const auto packed = Model::load(Library::builtin(), source, options);
    options.pack = false;
    const auto unpacked = Model::load(Library::builtin(), source, options);
    ASSERT_TRUE(packed.ok() && unpacked.ok());
    const std::vector<float> expected = testing::session_logits(packed.value(), ids, 128, 128);
    EXPECT_TRUE(expected == testing::session_logits(unpacked.value(), ids, 128, 128));
  };
  for (const QuantFormat* format : builtin_quants()) {
    if (format->pack == nullptr) continue;
    SCOPED_TRACE(info(format->dtype).name);
    ASSERT_NE(format->encode, nullptr);
    testing::TinyModel m;
    m.dtype = format->dtype;
    m.n_embd = m.n_ff = 256;   // whole blocks of every type
    m.n_vocab = 345;           // an odd number of panels, and rows in none
    const File file = testing::make_tiny_model(m);
    compare(Source::from_memory(file));
  }
  compare(Source::from_path(testing::bundled_path()));
}

TEST(Packing, TakesLargeMatricesInPieces) {
  testing::TinyModel m;
  m.n_vocab = 40000;   // with 256 columns of floats 39 MiB
  m.n_embd = 256;
  const File file = testing::make_tiny_model(m);
  const auto model = load(file);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto check = [](const Linear& w) {
    for (std::int64_t p = 0; p < w.n_panels; ++p) {
      std::vector<std::byte> expected(w.panel_bytes);
      const TensorView rows = w.weight.slice(p * kPanelRows, kPanelRows);
      w.format->pack(rows.data, rows.row_bytes, rows.cols, expected.data());
      ASSERT_EQ(std::memcmp(w.panels + static_cast<std::size_t>(p) * w.panel_bytes, expected.data(), expected.size()), 0) << p;
    }
  };
  const Decoder& d = *model.value()->decoder();
  if (!d.layers[0].ffn.up.matmul.packed) GTEST_SKIP() << "these kernels take rows of the file";
  EXPECT_EQ(d.output.n_panels, 2500);
  check(d.output);
  for (const Layer& layer : d.layers) {
    for (const Linear* w : {&layer.attn.q, &layer.attn.k, &layer.attn.output, &layer.ffn.up, &layer.ffn.down}) check(*w);
  }
}

struct Reports {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
  std::size_t stop_after = SIZE_MAX;

  static bool report(void* user, std::uint64_t done, std::uint64_t total) {
    auto& r = *static_cast<Reports*>(user);
    r.all.emplace_back(done, total);
    return r.all.size() < r.stop_after;
  }
};

TEST(Packing, ReportsProgressThatGrowsToTheEndAndCanStopIt) {
  const File file = tiny(DType::q8_0);
  Reports reports;
  ModelOptions options;
  options.progress = {Reports::report, &reports};
  ASSERT_TRUE(load(file, options).ok());
  ASSERT_GE(reports.all.size(), 2u);
  for (std::size_t i = 1; i < reports.all.size(); ++i) EXPECT_GE(reports.all[i].first, reports.all[i - 1].first);
  EXPECT_EQ(reports.all.back().first, file.size());
  EXPECT_EQ(reports.all.back().second, file.size());

  for (std::size_t stop = 1; stop <= reports.all.size(); ++stop) {
    Reports some;
    some.stop_after = stop;
    options.progress.user = &some;
    const auto stopped = load(file, options);
    ASSERT_FALSE(stopped.ok());
    EXPECT_EQ(stopped.status().code(), Code::cancelled);
    EXPECT_EQ(some.all.size(), stop);
  }
}

}  // namespace
}  // namespace infer
