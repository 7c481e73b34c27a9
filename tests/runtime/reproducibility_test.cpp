// SPDX-License-Identifier: MIT
// The same bits: every weight type and every family on every kernel table that this machine runs, for any number of
// threads and any split into batches, gives the logits of the specification on one thread, compared with ==.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <tuple>
#include <vector>

#include "libinfer/library.h"
#include "libinfer/session.h"
#include "ops/quant/quants.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

using File = std::vector<std::byte>;

/// Takes INFER_FORCE_ISA away for as long as it lives: this test names its tables itself.
class NoForcedIsa {
 public:
  NoForcedIsa() {
    if (const char* value = std::getenv(kName)) kept_ = value;
    unsetenv(kName);
  }
  ~NoForcedIsa() {
    if (!kept_.empty()) setenv(kName, kept_.c_str(), 1);
  }
  NoForcedIsa(const NoForcedIsa&) = delete;
  NoForcedIsa& operator=(const NoForcedIsa&) = delete;

 private:
  static constexpr const char* kName = "INFER_FORCE_ISA";
  std::string kept_;
};

/// The model on the kernels of one table.
std::shared_ptr<const Model> load(const File& file, const KernelTable& table, bool pack = true) {
  const NoForcedIsa free_choice;
  Library library = *Library::builtin();
  const KernelTable* const only[] = {&table};
  library.kernels = {"kernel table", only};
  auto model = Model::load(std::make_shared<const Library>(std::move(library)), Source::from_memory(file), {.pack = pack});
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.status().message());
  return model.ok() ? std::move(model).value() : nullptr;
}

/// Logits of all positions.
std::vector<float> logits(const std::shared_ptr<const Model>& model, std::span<const Token> tokens, std::int64_t threads,
                          std::int64_t batch, const std::string& kv) {
  auto session = Session::create(model, {.n_ctx = 256, .n_batch = batch, .n_logits = batch, .n_threads = threads, .kv_type = kv});
  EXPECT_TRUE(session.ok());
  std::vector<float> all;
  for (std::size_t i = 0; i < tokens.size(); i += static_cast<std::size_t>(batch)) {
    const std::size_t n = std::min(static_cast<std::size_t>(batch), tokens.size() - i);
    EXPECT_TRUE(session.value()->feed(0, tokens.subspan(i, n), WantLogits::all, nullptr).ok());
    for (std::size_t r = 0; r < n; ++r) {
      const std::span<const float> row = session.value()->logits(r).value();
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  return all;
}

class SameBits : public ::testing::TestWithParam<std::tuple<const QuantFormat*, const KernelTable*>> {};

TEST_P(SameBits, ForAnyThreadsAndBatches) {
  const auto [quant, table] = GetParam();
  if (!table->runs_here()) GTEST_SKIP() << "this machine does not run " << table->name;
  if (quant->encode == nullptr) GTEST_SKIP() << info(quant->dtype).name << " cannot be produced";
  testing::TinyModel tiny;
  tiny.dtype = quant->dtype;
  tiny.n_embd = 256;   // whole blocks of every type
  tiny.n_ff = 256;
  tiny.context = 256;
  const File file = testing::make_tiny_model(tiny);
  const std::vector<Token> tokens = testing::random_tokens(7, 150, tiny.n_vocab);   // over four pages and two batches

  // One type of each shape of product takes every way; the others differ in how a line of codes is made.
  constexpr DType kEveryWay[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0,
                                 DType::q4_k, DType::q6_k, DType::iq3_s, DType::mxfp4};
  const bool every_way = std::find(std::begin(kEveryWay), std::end(kEveryWay), quant->dtype) != std::end(kEveryWay);
  using Numbers = std::vector<std::int64_t>;
  const Numbers threads_tried = every_way ? Numbers{1, 2, 3, 5} : Numbers{1, 3};

  std::vector<const char*> stored = {"f16"};
  if (every_way) stored.push_back("f32");
  if (quant->dtype == DType::f32) stored.insert(stored.end(), {"bf16", "i16", "q8_0", "q4_0"});
  for (const char* kv : stored) {
    const auto specification = load(file, *Library::builtin()->kernels.all().back());
    const std::vector<float> expected = logits(specification, tokens, 1, 64, kv);
    const auto model = load(file, *table);
    ASSERT_NE(model, nullptr);
    for (const std::int64_t threads : threads_tried) {
      for (const std::int64_t batch : {1, 7, 64}) {
        ASSERT_EQ(logits(model, tokens, threads, batch, kv), expected) << threads << " threads, batches of " << batch << ", " << kv;
      }
    }
  }
}

/// Built once: the registries of the library are values, the tables they point to are not.
std::span<const KernelTable* const> tables() {
  static const auto library = Library::builtin();
  return library->kernels.all();
}

INSTANTIATE_TEST_SUITE_P(Everywhere, SameBits,
                         ::testing::Combine(::testing::ValuesIn(builtin_quants().begin(), builtin_quants().end()),
                                            ::testing::ValuesIn(tables().begin(), tables().end())),
                         [](const auto& test) {
                           return std::string(infer::info(std::get<0>(test.param)->dtype).name) + "_" + std::get<1>(test.param)->name;
                         });

class TableSameBits : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override {
    if (!GetParam()->runs_here()) GTEST_SKIP() << "this machine does not run " << GetParam()->name;
  }
  const KernelTable& specification_ = *Library::builtin()->kernels.all().back();
};

TEST_P(TableSameBits, OfProductsThatMakeTheirPanelsThemselves) {
  for (const DType dtype : {DType::q8_0, DType::q4_k}) {
    testing::TinyModel tiny;
    tiny.dtype = dtype;
    tiny.n_layers = 1;
    tiny.n_embd = tiny.n_ff = 256;
    tiny.n_vocab = 345;   // an odd number of panels, and rows in none
    const File file = testing::make_tiny_model(tiny);
    const std::vector<Token> tokens = testing::random_tokens(7, 70, tiny.n_vocab);
    const std::vector<float> expected = logits(load(file, specification_, false), tokens, 1, 64, "f16");
    const auto model = load(file, *GetParam(), false);
    ASSERT_NE(model, nullptr);
    ASSERT_FALSE(model->packed());
    for (const std::int64_t threads : {1, 3}) {
      for (const std::int64_t batch : {1, 7, 64}) {
        ASSERT_TRUE(logits(model, tokens, threads, batch, "f16") == expected)
            << info(dtype).name << ", " << threads << " threads, batches of " << batch;
      }
    }
  }
}

TEST_P(TableSameBits, OfHeadsThatThreadsShareUnevenly) {
  testing::TinyModel tiny;
  tiny.n_embd = 160;
  tiny.n_heads = 5;
  tiny.n_kv_heads = 1;
  const File file = testing::make_tiny_model(tiny);
  const std::vector<Token> tokens = testing::random_tokens(7, 101, tiny.n_vocab);
  for (const char* kv : {"f16", "i16", "q8_0"}) {
    const std::vector<float> expected = logits(load(file, specification_), tokens, 1, 64, kv);
    const auto model = load(file, *GetParam());
    ASSERT_NE(model, nullptr);
    for (const std::int64_t threads : {2, 3, 4}) {
      for (const std::int64_t batch : {1, 2, 64}) {
        ASSERT_TRUE(logits(model, tokens, threads, batch, kv) == expected)
            << threads << " threads, batches of " << batch << ", " << kv;
      }
    }
  }
}

/// Tokens are taken in pieces between looks at the cancel flag, and a piece has to begin with a tile of each form.
TEST_P(TableSameBits, OfProductsOfOneInputInTwoForms) {
  testing::TinyModel tiny;
  tiny.dtype = DType::q8_0;
  tiny.value_dtype = DType::bf16;
  tiny.n_layers = 1;
  const File file = testing::make_tiny_model(tiny);
  const std::vector<Token> tokens = testing::random_tokens(7, 150, tiny.n_vocab);
  const std::vector<float> expected = logits(load(file, specification_), tokens, 1, 64, "f16");
  KernelTable table = *GetParam();
  table.work_per_look = 1;
  for (const std::int64_t batch : {49, 75, 150}) {
    ASSERT_TRUE(logits(load(file, table), tokens, 2, batch, "f16") == expected) << "batches of " << batch;
  }
}

INSTANTIATE_TEST_SUITE_P(Everywhere, TableSameBits, ::testing::ValuesIn(tables().begin(), tables().end()),
                         [](const auto& test) { return std::string(test.param->name); });

class FamilySameBits : public ::testing::TestWithParam<std::tuple<testing::TinyModel, const KernelTable*>> {};

TEST_P(FamilySameBits, ForAnyThreadsAndBatches) {
  auto [tiny, table] = GetParam();
  if (!table->runs_here()) GTEST_SKIP() << "this machine does not run " << table->name;
  const std::vector<Token> tokens = testing::random_tokens(7, 101, tiny.n_vocab);
  for (const DType dtype : {DType::f32, DType::q8_0}) {
    tiny.dtype = dtype;
    const File file = testing::make_tiny_model(tiny);
    const auto specification = load(file, *Library::builtin()->kernels.all().back()), model = load(file, *table);
    ASSERT_NE(model, nullptr);
    for (const char* kv : {"f16", "auto"}) {
      const std::vector<float> expected = logits(specification, tokens, 1, 64, kv);
      for (const std::int64_t n : {1, 3}) {
        ASSERT_EQ(logits(model, tokens, n, 7, kv), expected) << info(dtype).name << ", " << n << " threads, " << kv;
      }
    }
  }
}

/// Of the other tokens the last layer makes keys and values alone; the steps that follow read them.
TEST_P(FamilySameBits, WhereTheLogitsOfTheLastTokenAloneAreWanted) {
  auto [tiny, table] = GetParam();
  if (!table->runs_here()) GTEST_SKIP() << "this machine does not run " << table->name;
  tiny.dtype = DType::q8_0;
  const File file = testing::make_tiny_model(tiny);
  const auto model = load(file, *table);
  ASSERT_NE(model, nullptr);
  const std::vector<Token> tokens = testing::random_tokens(7, 103, tiny.n_vocab);
  const std::vector<float> expected = logits(model, tokens, 1, 103, "f16");
  const std::span<const Token> all = tokens;
  const auto width = static_cast<std::size_t>(tiny.n_vocab);
  for (const std::int64_t batch : {1, 30, 100}) {
    auto session = Session::create(model, {.n_ctx = 256, .n_batch = batch, .n_logits = 1, .n_threads = 2, .kv_type = "f16"}).value();
    const auto expect_row = [&](std::size_t token) {
      const std::span<const float> row = session->logits(0).value();
      ASSERT_TRUE(std::equal(row.begin(), row.end(), expected.begin() + static_cast<std::ptrdiff_t>(token * width)))
          << "token " << token << ", batches of " << batch;
    };
    ASSERT_TRUE(session->feed(0, all.first(40), WantLogits::none, nullptr).ok());
    ASSERT_TRUE(session->feed(0, all.subspan(40, 60), WantLogits::last, nullptr).ok());
    expect_row(99);
    for (std::size_t i = 100; i < 103; ++i) {
      ASSERT_TRUE(session->feed(0, all.subspan(i, 1), WantLogits::last, nullptr).ok());
      expect_row(i);
    }
  }
}

std::string family_name(const ::testing::TestParamInfo<FamilySameBits::ParamType>& test) {
  std::string name = std::get<0>(test.param).name + "_" + std::get<1>(test.param)->name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Everywhere, FamilySameBits,
                         ::testing::Combine(::testing::ValuesIn(testing::tiny_families()),
                                            ::testing::ValuesIn(tables().begin(), tables().end())),
                         family_name);

}  // namespace
}  // namespace infer
