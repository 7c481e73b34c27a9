// SPDX-License-Identifier: MIT
// Plans are exact: what Model::plan and Session::plan say is what is taken, by class; a budget of that size is enough and
// one byte less is not; the heap, as the test program counts it, holds little else; and a step takes nothing.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/model.h"
#include "libinfer/session.h"
#include "tests/testing/allocations.h"
#include "tests/testing/bundled.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

/// The path of a file with these bytes, for the length of a test.
std::string written(const std::string& name, const std::vector<std::byte>& bytes) {
  const std::string path = (std::filesystem::path(::testing::TempDir()) / name).string();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return path;
}

struct Combination {
  const char* name;
  std::optional<testing::TinyModel> tiny;   // nullopt: the bundled model
  bool use_mmap;
  SessionOptions session;
  bool pack = true;
};

void PrintTo(const Combination& c, std::ostream* out) { *out << c.name; }

testing::TinyModel tiny(DType dtype, bool tied, bool biases) {
  testing::TinyModel m;
  m.dtype = dtype;
  m.tied = tied;
  m.biases = biases;
  return m;
}

SessionOptions session(std::int64_t n_ctx, std::int64_t n_seq, std::int64_t n_batch, std::int64_t n_logits,
                       std::int64_t n_threads, std::string kv_type) {
  SessionOptions o;
  o.n_ctx = n_ctx;
  o.n_seq = n_seq;
  o.n_batch = n_batch;
  o.n_logits = n_logits;
  o.n_threads = n_threads;
  o.kv_type = std::move(kv_type);
  return o;
}

testing::TinyModel wide() {
  testing::TinyModel m = tiny(DType::q8_0, false, true);
  m.n_layers = 5;
  m.n_embd = 128;
  m.n_ff = 320;
  m.n_vocab = 1000;
  m.rope_factors = true;
  return m;
}

testing::TinyModel odd() {
  testing::TinyModel m = tiny(DType::f16, true, false);
  m.key_length = 24;
  m.value_length = 40;
  m.sliding_window = 16;
  m.n_vocab = 333;
  return m;
}

const Combination kCombinations[] = {
    {"bundled_mapped", std::nullopt, true, session(0, 1, 128, 0, 1, "f16")},
    {"bundled_read", std::nullopt, false, session(512, 1, 128, 0, 2, "f32")},
    {"bundled_read_many", std::nullopt, false, session(100, 7, 33, 20, 3, "f16")},
    {"bundled_large_context", std::nullopt, true, session(8192, 2, 512, 2, 2, "f16")},
    {"bundled_auto", std::nullopt, true, session(8192, 2, 512, 2, 2, "auto")},
    {"tiny_f32", tiny(DType::f32, false, false), true, session(64, 1, 1, 1, 1, "f32")},
    {"tiny_tied_read", tiny(DType::f32, true, true), false, session(64, 4, 16, 0, 1, "f16")},
    {"tiny_q8_0", tiny(DType::q8_0, false, true), true, session(31, 3, 64, 64, 4, "f16")},
    {"wide_q8_0_read", wide(), false, session(33, 2, 8, 3, 2, "f32")},
    {"odd_heads", odd(), true, session(65, 5, 5, 5, 2, "f16")},
    {"odd_heads_read", odd(), false, session(4096, 1, 256, 1, 1, "f32")},
    {"odd_heads_bf16", odd(), true, session(65, 5, 5, 5, 2, "bf16")},
    {"wide_kv_i16", wide(), true, session(333, 2, 8, 3, 2, "i16")},
    {"wide_kv_q8_0", wide(), true, session(333, 2, 8, 3, 2, "q8_0")},
    {"wide_kv_q4_0", wide(), true, session(333, 2, 8, 3, 2, "q4_0")},
    {"bundled_mapped_unpacked", std::nullopt, true, session(512, 1, 128, 0, 2, "f16"), false},
    {"wide_q8_0_read_unpacked", wide(), false, session(33, 2, 8, 3, 3, "f32"), false},
    {"odd_heads_unpacked", odd(), true, session(65, 5, 5, 5, 2, "f16"), false},
};

class MemoryPlan : public ::testing::TestWithParam<Combination> {
 protected:
  void SetUp() override {
    path_ = testing::bundled_path();
    if (const auto& tiny = GetParam().tiny) {
      path_ = written(std::string("memory_plan_") + GetParam().name + ".gguf", testing::make_tiny_model(*tiny));
    }
    options_.use_mmap = GetParam().use_mmap;
    options_.pack = GetParam().pack;
    options_.memory = account_;
  }
  void TearDown() override {
    if (GetParam().tiny) std::filesystem::remove(path_);
  }
  Result<std::shared_ptr<const Model>> load() { return Model::load(library_, Source::from_path(path_), options_); }
  MemoryUse planned_model() {
    const auto plan = Model::plan(library_, Source::from_path(path_), options_);
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return plan.ok() ? plan.value()->memory() : MemoryUse();
  }
  MemoryUse planned_session() {
    const auto plan = Model::plan(library_, Source::from_path(path_), options_);
    const auto use = Session::plan(plan.value(), GetParam().session);
    EXPECT_TRUE(use.ok()) << use.status().message();
    return use.ok() ? use.value() : MemoryUse();
  }

  const std::shared_ptr<const Library> library_ = Library::builtin();
  const std::shared_ptr<MemoryAccount> account_ = MemoryAccount::create();
  std::string path_;
  ModelOptions options_;
};

void expect_refused(const Status& status, std::uint64_t need, std::uint64_t limit) {
  EXPECT_EQ(status.code(), Code::budget) << status.message();
  const std::string needed = "needs " + std::to_string(need) + " bytes";
  const std::string limited = "budget is " + std::to_string(limit) + " bytes";
  for (const std::string& text : {needed, limited}) {
    EXPECT_NE(status.message().find(text), std::string_view::npos) << status.message();
  }
}

TEST_P(MemoryPlan, IsWhatIsTakenByClass) {
  const MemoryUse model_plan = planned_model();
  const MemoryUse session_plan = planned_session();
  EXPECT_EQ(account_->owned(), 0U);   // planning takes nothing
  {
    const auto model = load();
    ASSERT_TRUE(model.ok()) << model.status().message();
    EXPECT_EQ(model.value()->memory().bytes, model_plan.bytes);
    EXPECT_EQ(account_->now().bytes, model_plan.bytes);

    const auto s = Session::create(model.value(), GetParam().session);
    ASSERT_TRUE(s.ok()) << s.status().message();
    EXPECT_EQ(s.value()->memory().bytes, session_plan.bytes);
    MemoryUse both = model_plan;
    both += session_plan;
    EXPECT_EQ(account_->now().bytes, both.bytes);
    EXPECT_EQ(account_->peak_owned(), both.owned());
  }
  EXPECT_EQ(account_->owned(), 0U);
  EXPECT_EQ(account_->now()[MemoryClass::mapped], 0U);
}

TEST_P(MemoryPlan, IsEnoughAndOneByteLessIsNot) {
  const std::uint64_t model_bytes = planned_model().owned();
  const std::uint64_t session_bytes = planned_session().owned();
  ASSERT_TRUE(account_->set_budget(model_bytes - 1).ok());
  const auto refused = load();
  ASSERT_FALSE(refused.ok());
  expect_refused(refused.status(), model_bytes, model_bytes - 1);
  EXPECT_EQ(account_->owned(), 0U);
  EXPECT_EQ(account_->peak_owned(), 0U);   // refused before anything was taken

  ASSERT_TRUE(account_->set_budget(model_bytes + session_bytes - 1).ok());
  const auto model = load();
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto no_session = Session::create(model.value(), GetParam().session);
  ASSERT_FALSE(no_session.ok());
  expect_refused(no_session.status(), session_bytes, model_bytes + session_bytes - 1);
  EXPECT_EQ(account_->peak_owned(), model_bytes);

  ASSERT_TRUE(account_->set_budget(model_bytes + session_bytes).ok());
  const auto s = Session::create(model.value(), GetParam().session);
  EXPECT_TRUE(s.ok()) << s.status().message();
  EXPECT_EQ(account_->owned(), account_->budget());
}

TEST_P(MemoryPlan, LeavesNothingToTakeInAStep) {
  const auto model = load();
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto s = Session::create(model.value(), GetParam().session);
  ASSERT_TRUE(s.ok()) << s.status().message();
  const Token tokens[] = {1, 2, 3};
  const SequenceId seq = 0;

  const std::size_t before = testing::n_allocations();
  const Status fed = s.value()->feed(seq, tokens, WantLogits::last, nullptr);
  const Status stepped = s.value()->step({&seq, 1}, {tokens, 1}, nullptr);
  const std::size_t after = testing::n_allocations();

  EXPECT_EQ(after - before, 0U);
  EXPECT_TRUE(fed.ok()) << fed.message();
  EXPECT_TRUE(stepped.ok()) << stepped.message();
}

TEST_P(MemoryPlan, LeavesLittleUncounted) {
  if (!testing::counts_malloc()) GTEST_SKIP() << "sanitizers have a malloc of their own";
  { const auto warm = Session::create(load().value(), GetParam().session); }   // what the C library keeps for ever
  const std::size_t before = testing::live_bytes();
  const auto model = load();
  ASSERT_TRUE(model.ok());
  const auto s = Session::create(model.value(), GetParam().session);
  ASSERT_TRUE(s.ok());
  const std::uint64_t counted = testing::live_bytes() - before;

  const MemoryUse held = account_->now();
  const std::uint64_t blocks = held[MemoryClass::weights] + held[MemoryClass::kv] + held[MemoryClass::scratch];
  // Blocks that start at huge pages have address space behind them, which the C library counts and nobody touches.
  const std::uint64_t slack = 2 * MemoryAccount::kHugePage;
  EXPECT_GE(counted, blocks);
  const std::uint64_t rest = counted - blocks;
  const bool huge = blocks >= MemoryAccount::kHugeBlock;
  EXPECT_LE(rest, (1U << 20) + held[MemoryClass::vocab] + held[MemoryClass::other] + (huge ? slack : 0));
  if (!huge) {
    const std::uint64_t reported = held[MemoryClass::vocab] + held[MemoryClass::other];
    EXPECT_GE(static_cast<double>(reported), 0.97 * static_cast<double>(rest)) << "vocab " << held[MemoryClass::vocab];
    RecordProperty("rest", std::to_string(rest));
    RecordProperty("reported", std::to_string(reported));
  }
}

INSTANTIATE_TEST_SUITE_P(Combinations, MemoryPlan, ::testing::ValuesIn(kCombinations),
                         [](const auto& i) { return std::string(i.param.name); });

/// A file that is not mapped is read from its start, until the header is whole: the plan says what a load takes.
void expect_plan_of_all_keys(const testing::GgufWriter& writer) {
  const std::string path = written("memory_plan_long_header.gguf", writer.build());
  ModelOptions options;
  options.use_mmap = false;

  const auto plan = Model::plan(Library::builtin(), Source::from_path(path), options);
  const auto model = Model::load(Library::builtin(), Source::from_path(path), options);

  ASSERT_TRUE(plan.ok()) << plan.status().message();
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(plan.value()->memory().bytes, model.value()->memory().bytes);
  EXPECT_EQ(plan.value()->descriptor(), model.value()->descriptor());
  std::filesystem::remove(path);
}

TEST(MemoryPlanOfAFile, AHeaderLongerThanTheFirstLookIsReadWhole) {
  testing::GgufWriter w = testing::tiny_model_writer({});
  w.set("a.long.text", std::string(5U << 20, 'x'));
  expect_plan_of_all_keys(w);
}

/// Where what was read first ends within a list, the keys behind it read as zeros: the file is not wrong for that.
TEST(MemoryPlanOfAFile, AHeaderThatEndsBehindALongListIsReadWhole) {
  testing::GgufWriter w = testing::tiny_model_writer({});
  w.set("a.long.list", std::vector<std::string>(200000, "token text"));
  w.set("last.key", std::uint32_t{1});
  expect_plan_of_all_keys(w);
}

/// Bytes that the process has read so far; 0 where the system does not tell.
std::uint64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::uint64_t n = 0;
  return io >> key >> n && key == "rchar:" ? n : 0;
}

TEST(MemoryPlanOfAFile, RefusesBeforeTheWeightsAreRead) {
  if (bytes_read() == 0) GTEST_SKIP() << "the system does not tell what is read";
  testing::TinyModel tiny;
  tiny.n_layers = 8;
  tiny.n_embd = 256;
  tiny.n_ff = 1024;
  const std::vector<std::byte> bytes = testing::make_tiny_model(tiny);
  ASSERT_GT(bytes.size(), 16U << 20);
  const std::string path = written("memory_plan_weights.gguf", bytes);
  ModelOptions options;
  options.use_mmap = false;
  options.memory = MemoryAccount::create();
  ASSERT_TRUE(options.memory->set_budget(bytes.size()).ok());   // enough for the file, and for nothing beside it

  const std::uint64_t before = bytes_read();
  const auto model = Model::load(Library::builtin(), Source::from_path(path), options);
  const std::uint64_t read = bytes_read() - before;

  EXPECT_EQ(model.status().code(), Code::budget);
  EXPECT_LT(read, 2U << 20);
  EXPECT_EQ(options.memory->peak_owned(), 0U);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace infer
