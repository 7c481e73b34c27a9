// SPDX-License-Identifier: MIT
// Tests of src/runtime/machine.cpp and of the probes of every kernel table: that they measure something, count what they do,
// and read no byte too many.
#include "libinfer/machine.h"

#include <gtest/gtest.h>

#include "libinfer/library.h"
#include "libinfer/model.h"
#include "ops/ops.h"
#include "tests/testing/guarded_bytes.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using testing::TinyModel;

TEST(Probes, CountWhatTheyDo) {
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    for (const auto probe : {table->probes.dot, table->probes.fma, table->probes.bf16}) {
      const std::int64_t one = probe(1);
      EXPECT_GT(one, 0) << table->name;
      EXPECT_EQ(probe(1000), 1000 * one) << table->name;
    }
  }
}

TEST(Probes, ReadTheBytesGivenAndNoOthers) {
  constexpr std::size_t kPage = 4096;   // a multiple of the step: both ends touch forbidden pages
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    for (const auto edge : {testing::Edge::front, testing::Edge::back}) {
      testing::GuardedBytes bytes(2 * kPage, edge);
      for (const std::size_t n : {Probes::kReadStep, 3 * Probes::kReadStep, 2 * kPage}) {
        table->probes.read(edge == testing::Edge::front ? bytes.data() : bytes.data() + 2 * kPage - n, n);
      }
    }
  }
}

TEST(Machine, HasLimits) {
  const KernelTable* const kernels = choose_kernels(*Library::builtin()).value();
  const auto account = MemoryAccount::create();
  for (const int n_threads : {1, 2}) {
    const auto limits = probe_machine(*kernels, {.n_threads = n_threads, .memory = account});
    ASSERT_TRUE(limits.ok()) << limits.status().message();
    EXPECT_GT(limits.value().read_bytes, 0.0);
    EXPECT_GT(limits.value().dot_mul_adds, 0.0);
    EXPECT_GT(limits.value().fma_mul_adds, 0.0);
    EXPECT_GT(limits.value().bf16_mul_adds, 0.0);
  }
  EXPECT_EQ(account->owned(), 0U);
  EXPECT_EQ(account->peak_owned(), kProbeBytes);
}

TEST(Machine, KeepsToABudgetAndToLimits) {
  const KernelTable* const kernels = choose_kernels(*Library::builtin()).value();
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(kProbeBytes - 1).ok());
  EXPECT_EQ(probe_machine(*kernels, {.n_threads = 1, .memory = account}).status().code(), Code::budget);
  EXPECT_EQ(probe_machine(*kernels, {.n_threads = -1}).status().code(), Code::range);
  EXPECT_EQ(probe_machine(*kernels, {.n_threads = ThreadPool::kMaxThreads + 1}).status().code(), Code::range);
}

/// What the matrices of a tiny model add up to, by the names of its tensors.
struct Sums {
  double bytes = 0.0, elements = 0.0;
};
Sums sums_of(const Model& model, bool (*counts)(std::string_view name)) {
  Sums sums;
  for (const TensorMeta& t : model.descriptor().tensors) {
    if (t.shape.n_dims < 2 || !counts(t.name)) continue;
    sums.bytes += static_cast<double>(t.bytes);
    sums.elements += static_cast<double>(t.shape.rows() * t.shape.cols());
  }
  return sums;
}
bool of_layers(std::string_view name) { return name.starts_with("blk."); }
bool of_last_layer(std::string_view name) { return name.starts_with("blk.1."); }   // of two
bool of_last_keys(std::string_view name) { return name == "blk.1.attn_k.weight" || name == "blk.1.attn_v.weight"; }
bool of_experts(std::string_view name) { return name.find("_exps.") != std::string_view::npos; }
bool of_head(std::string_view name) { return name == "output.weight"; }
bool of_embedding(std::string_view name) { return name == "token_embd.weight"; }

std::shared_ptr<const Model> load(const TinyModel& tiny, std::vector<std::byte>& bytes) {
  bytes = make_tiny_model(tiny);
  return Model::load(Library::builtin(), Source::from_memory(bytes), {}).value();
}

TEST(Work, IsThatOfTheMatrices) {
  std::vector<std::byte> bytes;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0}) {
    const auto model = load({.dtype = dtype}, bytes);
    const Sums layers = sums_of(*model, of_layers), head = sums_of(*model, of_head);
    ASSERT_GT(layers.bytes, 0.0);
    ASSERT_GT(head.bytes, 0.0);
    // Of rows without logits the last layer makes keys and values alone.
    const Sums last = sums_of(*model, of_last_layer), keys = sums_of(*model, of_last_keys);
    ASSERT_GT(keys.bytes, 0.0);
    ASSERT_GT(last.bytes, keys.bytes);
    const double of_all = layers.elements - last.elements + keys.elements, of_wanted = last.elements - keys.elements + head.elements;
    const Work without = work_of_pass(*model->decoder(), 7, 0), with = work_of_pass(*model->decoder(), 7, 2);
    EXPECT_EQ(without.bytes, layers.bytes - last.bytes + keys.bytes);
    EXPECT_EQ(with.bytes, layers.bytes + head.bytes);
    const auto of_type = [&](const Work& work) {
      return dtype == DType::q8_0 ? work.dot_mul_adds : dtype == DType::bf16 ? work.bf16_mul_adds : work.fma_mul_adds;
    };
    EXPECT_EQ(of_type(without), 7 * of_all);
    EXPECT_EQ(of_type(with), 7 * of_all + 2 * of_wanted);
    EXPECT_EQ(with.dot_mul_adds + with.fma_mul_adds + with.bf16_mul_adds, of_type(with));
  }
}

TEST(Work, OfATiedHeadIsThatOfTheEmbedding) {
  std::vector<std::byte> bytes;
  const auto model = load({.tied = true}, bytes);
  const Sums embedding = sums_of(*model, of_embedding);
  const Sums layers = sums_of(*model, of_layers);
  const Work work = work_of_pass(*model->decoder(), 1, 1);
  EXPECT_EQ(work.bytes, layers.bytes + embedding.bytes);
  EXPECT_EQ(work.fma_mul_adds, layers.elements + embedding.elements);
}

TEST(Work, OfExpertsGrowsWithTheTokensThatChoose) {
  std::vector<std::byte> bytes;
  const auto model = load({.n_experts = 4, .n_experts_used = 1}, bytes);
  const Sums experts = sums_of(*model, of_experts), all = sums_of(*model, of_layers);
  ASSERT_GT(experts.bytes, 0.0);
  const Sums head = sums_of(*model, of_head);
  const double dense = all.bytes - experts.bytes + head.bytes;
  EXPECT_DOUBLE_EQ(work_of_pass(*model->decoder(), 1, 1).bytes, dense + experts.bytes / 4);
  EXPECT_DOUBLE_EQ(work_of_pass(*model->decoder(), 2, 2).bytes, dense + experts.bytes * (1.0 - 0.75 * 0.75));
  EXPECT_LT(work_of_pass(*model->decoder(), 1000, 1000).bytes, (all.bytes + head.bytes) * (1 + 1e-9));
  EXPECT_DOUBLE_EQ(work_of_pass(*model->decoder(), 8, 8).fma_mul_adds, 8 * (all.elements + head.elements - experts.elements * 3 / 4));
}

}  // namespace
}  // namespace infer
