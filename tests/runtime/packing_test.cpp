// SPDX-License-Identifier: MIT
// Tests of src/runtime/packing.cpp: what is packed, what it takes, when it stops.
#include "src/runtime/packing.h"

#include <gtest/gtest.h>

#include <cstring>

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
      std::memcpy(&in_file, w.weight.data + static_cast<std::size_t>(r) * w.weight.row_bytes + static_cast<std::size_t>(c) * 4, 4);
      std::memcpy(&in_panel, w.panels + static_cast<std::size_t>(r / 16) * w.panel_bytes + static_cast<std::size_t>(c * 16 + r % 16) * 4, 4);
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
