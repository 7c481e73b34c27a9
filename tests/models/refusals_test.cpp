// SPDX-License-Identifier: MIT
// What each family refuses: files without one of its tensors, with one of another shape, with numbers out of range. A file that
// names no architecture is known by its keys or by its tensors.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/logits.h"

namespace infer {
namespace {

using testing::GgufWriter;
using testing::Loaded;
using testing::TinyModel;

class Refusal : public ::testing::TestWithParam<TinyModel> {
 protected:
  const TinyModel& tiny() const { return GetParam(); }
  GgufWriter writer() const { return testing::tiny_model_writer(tiny()); }
  std::string key(std::string_view name) const { return tiny().architecture + "." + std::string(name); }
};

std::string family_name(const ::testing::TestParamInfo<TinyModel>& test) {
  std::string name = test.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Families, Refusal, ::testing::ValuesIn(testing::tiny_families()), family_name);

bool says(const Status& status, std::string_view text) { return status.message().find(text) != std::string_view::npos; }

// ---- tensors

/// Models can do without a head of their own: the embedding is it then. Phi's and GPT-2's families are not published so, but
/// where a head needs no bias nothing else tells.
bool may_be_missing(const TinyModel& tiny, const std::string& tensor) {
  return tensor == "output.weight" && tiny.architecture != "phi2" && tiny.architecture != "phimoe";
}

TEST_P(Refusal, OfAFileWithoutATensorNamesIt) {
  const GgufWriter whole = writer();
  for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
    GgufWriter w = whole;
    const std::string name = w.tensors[i].name;
    w.tensors.erase(w.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const Loaded l(w.build());
    if (may_be_missing(tiny(), name)) {
      EXPECT_NE(l.model, nullptr) << name << ": " << l.status.message();
      continue;
    }
    ASSERT_EQ(l.model, nullptr) << "runs without " << name;
    EXPECT_EQ(l.status.code(), Code::tensor) << name << ": " << l.status.message();
    EXPECT_TRUE(says(l.status, "'" + name + "' is missing")) << name << ": " << l.status.message();
  }
}

TEST_P(Refusal, OfAFileWithoutManyTensorsNamesTen) {
  GgufWriter w = writer();
  std::vector<std::string> removed;
  std::erase_if(w.tensors, [&](const GgufWriter::Tensor& t) {
    // Without a trace of queries, keys and values in three matrices phi2 misses them in one.
    const bool kept = tiny().architecture == "phi2" && t.name.find("attn_k.") != std::string::npos;
    if (!t.name.starts_with("blk.") || kept || removed.size() == 12) return false;
    removed.push_back(t.name);
    return true;
  });
  ASSERT_EQ(removed.size(), 12U);

  const Loaded l(w.build());

  ASSERT_EQ(l.model, nullptr);
  EXPECT_TRUE(says(l.status, "12 tensors do not fit: ")) << l.status.message();
  EXPECT_TRUE(says(l.status, "; and 2 more")) << l.status.message();
  std::size_t named = 0;
  for (std::size_t at = 0; (at = l.status.message().find("is missing", at)) != std::string_view::npos; ++at) ++named;
  EXPECT_EQ(named, 10U) << l.status.message();
}

TEST_P(Refusal, OfATransposedTensorTellsBothShapes) {
  const GgufWriter whole = writer();
  for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
    GgufWriter w = whole;
    GgufWriter::Tensor& t = w.tensors[i];
    if (t.dims.size() < 2 || t.dims[0] == t.dims[1]) continue;
    const std::string was = std::to_string(t.dims[0]) + ", " + std::to_string(t.dims[1]);
    const std::string now = std::to_string(t.dims[1]) + ", " + std::to_string(t.dims[0]);
    std::swap(t.dims[0], t.dims[1]);
    const Loaded l(w.build());
    ASSERT_EQ(l.model, nullptr) << "runs with a transposed " << t.name;
    EXPECT_EQ(l.status.code(), Code::tensor) << t.name << ": " << l.status.message();
    EXPECT_TRUE(says(l.status, "'" + t.name + "' has shape [" + now)) << t.name << ": " << l.status.message();
    if (t.name == "token_embd.weight") continue;   // its rows are the vocabulary: the other side does not fit
    EXPECT_TRUE(says(l.status, "expected [" + was)) << t.name << ": " << l.status.message();
  }
}

TEST_P(Refusal, OfAVectorOfAnotherLengthTellsIt) {
  for (const GgufWriter::Tensor& tensor : writer().tensors) {
    if (tensor.dims.size() != 1) continue;
    GgufWriter w = writer();
    GgufWriter::Tensor& t = *w.find_tensor(tensor.name);
    --t.dims[0];
    t.data.resize(t.data.size() - sizeof(float));
    const Loaded l(w.build());
    ASSERT_EQ(l.model, nullptr) << "runs with a shorter " << t.name;
    EXPECT_EQ(l.status.code(), Code::tensor) << t.name << ": " << l.status.message();
    EXPECT_TRUE(says(l.status, "'" + t.name + "' has shape [" + std::to_string(t.dims[0]) + "]")) << l.status.message();
  }
}

TEST_P(Refusal, OfATensorThatIsNotOfTheFamilyNamesIt) {
  GgufWriter w = writer();
  const std::vector<std::byte> bytes(16);
  w.tensor("blk.1.attn_sinks.weight", DType::f32, {4}, bytes);
  const Loaded l(w.build());
  EXPECT_EQ(l.status.code(), Code::tensor);
  EXPECT_TRUE(says(l.status, "'blk.1.attn_sinks.weight' is unknown to this architecture")) << l.status.message();
}

// ---- numbers

struct BadNumber {
  const char* key;
  double value;          ///< written as an unsigned or signed integer where `integer`
  bool integer = false;
};

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// Of every family, whether its files have the key or not.
constexpr BadNumber kOfAll[] = {
    {"block_count", 0, true},
    {"block_count", 2147483648.0, true},
    {"embedding_length", 0, true},
    {"embedding_length", 2147483648.0, true},
    {"attention.head_count", 0, true},
    {"attention.head_count", 8193, true},
    {"attention.head_count_kv", 0, true},
    {"attention.head_count_kv", 3, true},
    {"attention.key_length", 0, true},
    {"attention.key_length", 2147483648.0, true},
    {"attention.value_length", 0, true},
    {"feed_forward_length", 0, true},
    {"feed_forward_length", 4294967295.0, true},
    {"context_length", 0, true},
    {"attention.sliding_window", -1, true},
    {"attention.sliding_window", 4294967295.0, true},
    {"attention.scale", 0},
    {"attention.scale", -1},
    {"attention.scale", kNaN},
    {"attention.scale", kInf},
    {"attn_logit_softcapping", 0},
    {"attn_logit_softcapping", -5},
    {"attn_logit_softcapping", kNaN},
    {"final_logit_softcapping", 0},
    {"final_logit_softcapping", kInf},
    {"final_logit_softcapping", kNaN},
    {"attention.temperature_scale", -1},
    {"attention.temperature_scale", kNaN},
    {"attention.temperature_length", 0, true},
    {"expert_count", -1, true},
    {"expert_count", 1025, true},
};

constexpr BadNumber kOfRotaryOnes[] = {
    {"attention.key_length", 7, true},
    {"rope.dimension_count", 0, true},
    {"rope.dimension_count", 5, true},
    {"rope.dimension_count", 512, true},
    {"rope.freq_base", 0},
    {"rope.freq_base", -1},
    {"rope.freq_base", kNaN},
    {"rope.freq_base", 1e300},
    {"rope.scaling.factor", 1e-7},
    {"rope.scaling.factor", -2},
    {"rope.scaling.factor", kNaN},
    {"rope.scaling.attn_factor", 0},
    {"rope.scaling.attn_factor", kInf},
    {"rope.scaling.original_context_length", 0, true},
    {"rope.scaling.yarn_log_multiplier", -1},
    {"rope.scaling.yarn_beta_fast", kNaN},
};

constexpr BadNumber kOfExperts[] = {
    {"expert_used_count", 0, true},
    {"expert_used_count", 99, true},
    {"expert_feed_forward_length", 0, true},
    {"expert_feed_forward_length", 4294967295.0, true},
    {"expert_weights_scale", 0},
    {"expert_weights_scale", kNaN},
};

void expect_refused(GgufWriter w, const std::string& key, const BadNumber& bad) {
  if (bad.integer) {
    w.set(key, static_cast<std::int64_t>(bad.value));
  } else {
    w.set(key, bad.value);
  }
  const Loaded l(w.build());
  ASSERT_EQ(l.model, nullptr) << "runs with " << key << " = " << bad.value;
  EXPECT_TRUE(l.status.code() == Code::metadata || l.status.code() == Code::limit) << key << ": " << l.status.message();
  EXPECT_TRUE(says(l.status, key)) << key << ": " << l.status.message();
}

TEST_P(Refusal, OfANumberOutOfRangeNamesItsKey) {
  const GgufWriter w = writer();
  for (const BadNumber& bad : kOfAll) expect_refused(w, key(bad.key), bad);
  if (tiny().architecture != "gpt2") {
    for (const BadNumber& bad : kOfRotaryOnes) expect_refused(w, key(bad.key), bad);
  }
  if (tiny().n_experts > 0) {
    for (const BadNumber& bad : kOfExperts) expect_refused(w, key(bad.key), bad);
  }
  if (tiny().sliding_window > 0) {
    expect_refused(w, key("attention.sliding_window_pattern"), {"", -1, true});
    GgufWriter list = w;
    list.set(key("attention.sliding_window_pattern"), std::vector<bool>(static_cast<std::size_t>(tiny().n_layers) + 1));
    const Loaded l(list.build());
    EXPECT_EQ(l.status.code(), Code::metadata);
    EXPECT_TRUE(says(l.status, "sliding_window_pattern' has ")) << l.status.message();
  }
}

TEST_P(Refusal, OfExpertsTellsWhetherTheFamilyHasThem) {
  GgufWriter w = writer();
  if (tiny().n_experts == 0) {
    w.set(key("expert_count"), std::uint32_t{4}).set(key("expert_used_count"), std::uint32_t{2});
    const Loaded l(w.build());
    ASSERT_EQ(l.model, nullptr);
    const bool allowed = tiny().architecture == "llama" || tiny().architecture == "mistral3";
    EXPECT_EQ(l.status.code(), allowed ? Code::tensor : Code::unsupported) << l.status.message();
    EXPECT_TRUE(says(l.status, allowed ? "'blk.0.ffn_gate_inp.weight' is missing" : "expert_count")) << l.status.message();
  } else {
    const Loaded l(w.remove(key("expert_count")).build());
    ASSERT_EQ(l.model, nullptr);
    EXPECT_TRUE(says(l.status, tiny().architecture == "llama" ? "'blk.0.ffn_gate.weight' is missing" : "expert_count"))
        << l.status.message();
  }
}

// ---- which architecture it is

/// Files that have all tensors of another architecture, and none that it does not know.
bool has_the_tensors_of(const std::string& other, const TinyModel& tiny) {
  const std::string& own = tiny.architecture;
  const std::set<std::string> plain = {"llama", "mistral3", "gemma"};
  return own == other || (plain.contains(own) && plain.contains(other) && (tiny.n_experts == 0 || other != "gemma")) ||
         (own == "qwen2" && plain.contains(other));
}

TEST_P(Refusal, OfAnArchitectureThatIsForcedNamesWhatIsMissing) {
  const std::vector<std::byte> file = writer().build();
  const std::shared_ptr<const Library> library = Library::builtin();
  for (const Architecture* architecture : library->architectures.all()) {
    for (const std::string_view forced : architecture->names) {
      ModelOptions options;
      options.architecture = forced;
      const Loaded l(file, options);
      if (has_the_tensors_of(options.architecture, tiny())) {
        EXPECT_NE(l.model, nullptr) << forced << ": " << l.status.message();
        continue;
      }
      ASSERT_EQ(l.model, nullptr) << tiny().name << " runs as " << forced;
      EXPECT_TRUE(says(l.status, "as '" + options.architecture + "': ")) << l.status.message();
      // Experts that are there and may not be, or the other way round, are told first.
      EXPECT_TRUE(says(l.status, ".weight' is missing") || says(l.status, ".bias' is missing") ||
                  says(l.status, "' is unknown to this architecture") || says(l.status, ".weight' has shape [") ||
                  says(l.status, "metadata '" + tiny().architecture))
          << tiny().name << " as " << forced << ": " << l.status.message();
    }
  }
}

TEST_P(Refusal, IsNotNeededWhereTheKeysNameTheArchitecture) {
  const Loaded l(writer().remove("general.architecture").build());
  ASSERT_NE(l.model, nullptr) << l.status.message();
  EXPECT_EQ(l.model->descriptor().architecture, tiny().architecture);
}

TEST_P(Refusal, IsNotNeededWhereTheTensorsTellTheArchitecture) {
  GgufWriter w = writer();
  w.remove("general.architecture");
  for (GgufWriter::Key& k : w.keys) {
    if (k.name.starts_with(tiny().architecture + ".")) k.name.replace(0, tiny().architecture.size(), "nobody");
  }
  const Loaded l(w.build());
  ASSERT_NE(l.model, nullptr) << l.status.message();
  // Gemma and Mistral 3 name their tensors as LLaMA does.
  const bool as_llama = tiny().architecture == "gemma" || tiny().architecture == "mistral3";
  EXPECT_EQ(l.model->descriptor().architecture, as_llama ? "llama" : tiny().architecture);
}

}  // namespace
}  // namespace infer
