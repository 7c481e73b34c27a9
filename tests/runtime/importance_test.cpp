// SPDX-License-Identifier: MIT
// Tests of importance matrices: sums against a naive forward pass in double, the same bits for any threads and batches, no
// trace of what failed, and the file.
#include "libinfer/importance.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "libinfer/session.h"
#include "tests/testing/random.h"
#include "tests/testing/temporary_directory.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using testing::TemporaryDirectory;
using testing::TinyModel;
using Doubles = std::vector<double>;

/// A model whose file stays where it is.
class Loaded {
 public:
  explicit Loaded(const TinyModel& shape, const ModelOptions& options = {}) : file_(testing::make_tiny_model(shape)) {
    auto loaded = Model::load(Library::builtin(), Source::from_memory(file_), options);
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.status().message());
    if (loaded.ok()) model = std::move(loaded).value();
  }
  std::shared_ptr<const Model> model;

 private:
  std::vector<std::byte> file_;
};

std::shared_ptr<ImportanceMatrix> make(const std::shared_ptr<const Model>& model) {
  auto made = ImportanceMatrix::create(model);
  EXPECT_TRUE(made.ok());
  return made.ok() ? made.value() : nullptr;
}

std::unique_ptr<Session> session_of(const std::shared_ptr<const Model>& model, const std::shared_ptr<ImportanceMatrix>& m,
                                    std::int64_t batch = 16, std::int64_t threads = 1) {
  auto session = Session::create(
      model, {.n_ctx = 64, .n_seq = 2, .n_batch = batch, .n_logits = 64, .n_threads = threads, .n_awake = threads,
              .kv_type = "f32"});
  EXPECT_TRUE(session.ok());
  EXPECT_TRUE(session.value()->set_importance(m).ok());
  return std::move(session).value();
}

const ImportanceMatrix::Entry& entry(const ImportanceMatrix& m, std::string_view name) {
  for (const auto& e : m.entries()) {
    if (e.tensor->name == name) return e;
  }
  ADD_FAILURE() << "no entry " << name;
  return m.entries().front();
}

std::vector<Token> some_tokens(std::size_t n) {
  testing::Random random(5);
  std::vector<Token> tokens(n);
  for (Token& t : tokens) t = static_cast<Token>(random.uniform() * 320);
  return tokens;
}

// ---- A forward pass of one token in a layer, as the papers write it, in double. A single token attends to itself alone.

class Naive {
 public:
  explicit Naive(const Model& model) : model_(model) {}

  /// Adds the squares of what goes into each matrix.
  void run(Token token, std::map<std::string, Doubles>& sums) const {
    const DecoderConfig& c = model_.decoder()->config;
    const auto meets = [&](const std::string& name, const Doubles& x) {
      Doubles& sum = sums[name + ".weight"];
      sum.resize(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i] * x[i];
    };
    const Doubles table = tensor("token_embd.weight");
    Doubles x(table.begin() + token * c.n_embd, table.begin() + (token + 1) * c.n_embd);
    const Doubles h = normed(x, "blk.0.attn_norm.weight");
    for (const char* part : {"blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v"}) meets(part, h);
    const Doubles v = times("blk.0.attn_v", h);
    Doubles context;   // of each query head: the value of its KV head
    for (std::int64_t head = 0; head < c.n_heads; ++head) {
      const auto from = v.begin() + head / (c.n_heads / c.n_kv_heads) * c.value_dim;
      context.insert(context.end(), from, from + c.value_dim);
    }
    meets("blk.0.attn_output", context);
    add(x, times("blk.0.attn_output", context));
    const Doubles f = normed(x, "blk.0.ffn_norm.weight");
    meets("blk.0.ffn_gate", f);
    meets("blk.0.ffn_up", f);
    Doubles gate = times("blk.0.ffn_gate", f);
    const Doubles up = times("blk.0.ffn_up", f);
    for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    meets("blk.0.ffn_down", gate);
    add(x, times("blk.0.ffn_down", gate));
    meets(model_.descriptor().find_tensor("output.weight") != nullptr ? "output" : "token_embd",
          normed(x, "output_norm.weight"));
  }

 private:
  Doubles tensor(const std::string& name) const {
    const TensorMeta& meta = *model_.descriptor().find_tensor(name);
    std::vector<float> values(static_cast<std::size_t>(meta.shape.rows() * meta.shape.cols()));
    EXPECT_TRUE(model_.read(meta, 0, values).ok());
    return {values.begin(), values.end()};
  }
  Doubles times(const std::string& name, const Doubles& x) const {
    const Doubles w = tensor(name + ".weight");
    Doubles out(w.size() / x.size());
    for (std::size_t r = 0; r < out.size(); ++r) {
      for (std::size_t c = 0; c < x.size(); ++c) out[r] += w[r * x.size() + c] * x[c];
    }
    return out;
  }
  Doubles normed(const Doubles& x, const std::string& name) const {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const double eps = static_cast<double>(model_.decoder()->config.norm_eps);
    const double scale = 1 / std::sqrt(sum / static_cast<double>(x.size()) + eps);
    Doubles out = tensor(name);
    for (std::size_t i = 0; i < x.size(); ++i) out[i] *= x[i] * scale;
    return out;
  }
  static void add(Doubles& x, const Doubles& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  const Model& model_;
};

TEST(Importance, IsTheSumOfSquaresOfWhatEachMatrixMeets) {
  for (const bool tied : {false, true}) {
    const Loaded loaded({.n_layers = 1, .tied = tied});
    const auto m = make(loaded.model);
    const auto session = session_of(loaded.model, m);
    std::map<std::string, Doubles> expected;
    for (const Token token : some_tokens(7)) {
      ASSERT_TRUE(session->clear(0).ok());
      ASSERT_TRUE(session->feed(0, std::array{token}, WantLogits::last, nullptr).ok());
      Naive(*loaded.model).run(token, expected);
    }
    ASSERT_EQ(expected.size(), 8u);
    for (const auto& e : m->entries()) {
      const auto sums = expected.find(e.tensor->name);
      if (sums == expected.end()) {   // the embedding is looked up, not multiplied
        EXPECT_EQ(e.tensor->name, "token_embd.weight");
        EXPECT_EQ(e.counts[0], 0.0);
        continue;
      }
      EXPECT_EQ(e.counts[0], 7.0) << e.tensor->name;
      ASSERT_EQ(e.sums.size(), sums->second.size());
      for (std::size_t c = 0; c < e.sums.size(); ++c) {
        ASSERT_NEAR(e.sums[c], sums->second[c], 1e-5 * (1e-2 + sums->second[c])) << e.tensor->name << " column " << c;
      }
    }
  }
}

TEST(Importance, HasTheSameBitsForAnyThreadsAndBatches) {
  const Loaded loaded({.n_embd = 256, .n_ff = 320, .dtype = DType::q8_0});
  const std::vector<Token> tokens = some_tokens(40);
  std::vector<double> first;
  for (const std::int64_t threads : {1, 2, 5}) {
    for (const std::int64_t batch : {1, 7, 64}) {
      const auto m = make(loaded.model);
      const auto session = session_of(loaded.model, m, batch, threads);
      ASSERT_TRUE(session->feed(0, tokens, WantLogits::all, nullptr).ok());
      std::vector<double> all;
      for (const auto& e : m->entries()) {
        all.insert(all.end(), e.sums.begin(), e.sums.end());
        all.insert(all.end(), e.counts.begin(), e.counts.end());
      }
      if (first.empty()) first = all;
      EXPECT_EQ(all, first) << threads << " threads, batches of " << batch;
    }
  }
}

TEST(Importance, OfAMatrixInPartsIsMetOnce) {
  TinyModel fused;
  fused.architecture = "phi3";
  const Loaded l(fused);
  const auto m = make(l.model);
  ASSERT_TRUE(session_of(l.model, m)->feed(0, some_tokens(30), WantLogits::none, nullptr).ok());
  for (const char* name : {"blk.0.attn_qkv.weight", "blk.0.ffn_up.weight", "blk.1.ffn_down.weight"}) {
    EXPECT_EQ(entry(*m, name).counts[0], 30.0) << name;
  }
}

TEST(Importance, OfExpertsIsThatOfTheTokensThatChoseThem) {
  TinyModel mixtral;
  mixtral.n_experts = 4;
  const Loaded l(mixtral);
  const auto m = make(l.model);
  ASSERT_TRUE(session_of(l.model, m)->feed(0, some_tokens(30), WantLogits::none, nullptr).ok());
  const auto& counts = entry(*m, "blk.0.ffn_up_exps.weight").counts;
  ASSERT_EQ(counts.size(), 4U);
  EXPECT_EQ(counts[0] + counts[1] + counts[2] + counts[3], 60.0);   // two each
  EXPECT_EQ(entry(*m, "blk.0.ffn_gate_inp.weight").counts[0], 30.0);
}

TEST(Importance, OfExpertsWithGateAndUpInOneIsThatOfTheGate) {
  TinyModel mixtral;
  mixtral.n_experts = 4;
  const Loaded apart(mixtral);
  mixtral.fused_experts = true;
  const Loaded fused(mixtral);
  const auto a = make(apart.model), f = make(fused.model);
  ASSERT_TRUE(session_of(apart.model, a)->feed(0, some_tokens(30), WantLogits::none, nullptr).ok());
  ASSERT_TRUE(session_of(fused.model, f)->feed(0, some_tokens(30), WantLogits::none, nullptr).ok());
  const auto &gate = entry(*a, "blk.1.ffn_gate_exps.weight"), &both = entry(*f, "blk.1.ffn_gate_up_exps.weight");
  EXPECT_TRUE(std::equal(gate.counts.begin(), gate.counts.end(), both.counts.begin(), both.counts.end()));
  EXPECT_TRUE(std::equal(gate.sums.begin(), gate.sums.end(), both.sums.begin(), both.sums.end()));
}

TEST(Importance, TheHeadMeetsWhatIsWanted) {
  const Loaded loaded({});
  const auto m = make(loaded.model);
  const auto session = session_of(loaded.model, m);
  ASSERT_TRUE(session->feed(0, some_tokens(20), WantLogits::none, nullptr).ok());
  EXPECT_EQ(entry(*m, "output.weight").counts[0], 0.0);
  ASSERT_TRUE(session->feed(0, some_tokens(5), WantLogits::last, nullptr).ok());
  EXPECT_EQ(entry(*m, "output.weight").counts[0], 1.0);
  EXPECT_EQ(entry(*m, "blk.1.ffn_down.weight").counts[0], 25.0);
  ASSERT_TRUE(session->open().ok());
  ASSERT_TRUE(session->step(std::array{0, 1}, std::array{4, 5}, nullptr).ok());
  EXPECT_EQ(entry(*m, "output.weight").counts[0], 3.0);
  ASSERT_TRUE(session->set_importance(nullptr).ok());
  ASSERT_TRUE(session->feed(0, some_tokens(5), WantLogits::last, nullptr).ok());
  EXPECT_EQ(entry(*m, "output.weight").counts[0], 3.0);
}

TEST(Importance, WhatFailsLeavesNoTrace) {
  const Loaded loaded({});
  const auto m = make(loaded.model);
  const auto session = session_of(loaded.model, m, 4);
  ASSERT_TRUE(session->feed(0, some_tokens(6), WantLogits::last, nullptr).ok());
  const auto& q = entry(*m, "blk.0.attn_q.weight");
  const Doubles before(q.sums.begin(), q.sums.end());
  CancelFlag cancel;
  cancel.set = true;
  EXPECT_EQ(session->feed(0, some_tokens(8), WantLogits::last, &cancel).code(), Code::cancelled);
  EXPECT_EQ(session->step(std::array{0}, std::array{4}, &cancel).code(), Code::cancelled);
  EXPECT_EQ(session->feed(0, some_tokens(80), WantLogits::last, nullptr).code(), Code::context_full);
  EXPECT_EQ(Doubles(q.sums.begin(), q.sums.end()), before);
  EXPECT_EQ(q.counts[0], 6.0);
}

TEST(Importance, NorDoWeightsThatAreNotFinite) {
  testing::GgufWriter writer = testing::tiny_model_writer({});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(writer.find_tensor("output.weight")->data.data(), &nan, sizeof nan);
  const std::vector<std::byte> file = writer.build();
  const auto model = Model::load(Library::builtin(), Source::from_memory(file), {});
  ASSERT_TRUE(model.ok());
  const auto m = make(model.value());
  const auto session = session_of(model.value(), m);
  EXPECT_EQ(session->feed(0, some_tokens(8), WantLogits::last, nullptr).code(), Code::tensor);   // found at the end
  EXPECT_EQ(session->step(std::array{0}, std::array{4}, nullptr).code(), Code::tensor);
  for (const auto& e : m->entries()) {
    EXPECT_EQ(e.counts[0], 0.0);
    for (const double sum : e.sums) ASSERT_EQ(sum, 0.0);
  }
}

TEST(Importance, SumsThatFloatsCannotHoldAreNotSaved) {
  const TemporaryDirectory folder;
  testing::GgufWriter writer = testing::tiny_model_writer({});
  const float huge = 1e30f;
  std::memcpy(writer.find_tensor("blk.1.attn_norm.weight")->data.data(), &huge, sizeof huge);
  const std::vector<std::byte> file = writer.build();
  const auto model = Model::load(Library::builtin(), Source::from_memory(file), {});
  ASSERT_TRUE(model.ok());
  const auto m = make(model.value());
  const auto session = session_of(model.value(), m);
  ASSERT_TRUE(session->feed(0, some_tokens(8), WantLogits::none, nullptr).ok());
  const Status refused = m->save(folder.file("matrix"), "", 8);
  EXPECT_EQ(refused.code(), Code::tensor);
  EXPECT_EQ(refused.subject(), "blk.1.attn_q.weight");
  EXPECT_NE(refused.message().find("too large for the file, where 3.40282e+38 is the most"), std::string_view::npos)
      << refused.message();
}

TEST(Importance, BelongsToItsModel) {
  const Loaded loaded({}), other({});
  const auto session = Session::create(other.model, {});
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session.value()->set_importance(make(loaded.model)).code(), Code::argument);
  const std::uint64_t before = loaded.model->account()->now()[MemoryClass::other];
  const auto m = make(loaded.model);
  std::uint64_t n = 0;
  for (const auto& e : m->entries()) n += e.sums.size() + e.counts.size();
  EXPECT_EQ(loaded.model->account()->now()[MemoryClass::other] - before, 2 * n * sizeof(double));
  const Loaded vocabulary({}, {.vocab_only = true});
  EXPECT_EQ(ImportanceMatrix::create(vocabulary.model).status().code(), Code::state);
}

TEST(Importance, FilesAddUp) {
  const TemporaryDirectory folder;
  const Loaded loaded({.tied = true});
  const std::vector<Token> tokens = some_tokens(24);
  const auto whole = make(loaded.model), half = make(loaded.model), sum = make(loaded.model);
  const auto session = session_of(loaded.model, half);
  ASSERT_TRUE(session->feed(0, tokens, WantLogits::all, nullptr).ok());
  ASSERT_TRUE(half->save(folder.file("half"), "a book", 8).ok());
  ASSERT_TRUE(session->set_importance(whole).ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(session->clear(0).ok());
    ASSERT_TRUE(session->feed(0, tokens, WantLogits::all, nullptr).ok());
  }
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(sum->add_file(Source::from_path(folder.file("half"))).ok());
  for (std::size_t i = 0; i < sum->entries().size(); ++i) {
    const auto &a = sum->entries()[i], &b = whole->entries()[i];
    EXPECT_EQ(a.counts[0], b.counts[0]);
    for (std::size_t c = 0; c < a.sums.size(); ++c) ASSERT_NEAR(a.sums[c], b.sums[c], 1e-6 * b.sums[c]);
  }
  ASSERT_TRUE(sum->save(folder.file("sum"), "", 8).ok());
  ASSERT_TRUE(sum->add_file(Source::from_path(folder.file("sum"))).ok());
  EXPECT_EQ(entry(*sum, "blk.0.attn_q.weight").counts[0], 96.0);
}

TEST(Importance, RefusesFilesThatDoNotBelong) {
  const TemporaryDirectory folder;
  const Loaded loaded({}), wider({.n_ff = 128});
  const auto m = make(loaded.model), other = make(wider.model);
  EXPECT_EQ(m->save(folder.file("empty"), "", 8).code(), Code::state);
  ASSERT_TRUE(session_of(wider.model, other)->feed(0, some_tokens(3), WantLogits::last, nullptr).ok());
  EXPECT_EQ(other->save(folder.file("other"), "", 0).code(), Code::range);
  EXPECT_EQ(other->save(folder.file("no/folder"), "", 8).code(), Code::nofile);
  ASSERT_TRUE(other->save(folder.file("other"), "", 8).ok());
  const Status refused = m->add_file(Source::from_path(folder.file("other")));
  EXPECT_EQ(refused.code(), Code::tensor);
  EXPECT_EQ(refused.subject(), "blk.0.ffn_down.weight");
  for (const auto& e : m->entries()) EXPECT_EQ(e.counts[0], 0.0);

  EXPECT_EQ(m->add_file(Source::from_path(folder.file("nowhere"))).code(), Code::nofile);
  std::ifstream in(folder.file("other"), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  for (const std::size_t size : {std::size_t{3}, std::size_t{30}, bytes.size() / 2, bytes.size() - 40}) {
    std::ofstream(folder.file("cut"), std::ios::binary) << bytes.substr(0, size);
    EXPECT_FALSE(other->add_file(Source::from_path(folder.file("cut"))).ok()) << size;
  }
  EXPECT_EQ(entry(*other, "blk.0.ffn_down.weight").counts[0], 3.0);
}

}  // namespace
}  // namespace infer
