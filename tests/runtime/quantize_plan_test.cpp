// SPDX-License-Identifier: MIT
// Which tensor gets which type: the field's rule against files that another implementation made, and what callers may
// change.
#include "src/runtime/quantize/plan.h"

#include <functional>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "tests/testing/golden.h"
#include "tests/testing/quantizing.h"
#include "tests/testing/temporary_directory.h"

namespace infer {
namespace {

using testing::GgufWriter;

const std::shared_ptr<const Library>& library() {
  static const auto all = testing::library_that_makes_all_types();
  return all;
}

std::string golden_file(const std::string& name) {
  const char* shared = std::getenv("INFER_SHARED");
  const std::string path = std::string(shared == nullptr ? "" : shared) + "/golden/tiny/" + name;
  return shared != nullptr && std::filesystem::exists(path) ? path : std::string();
}

TEST(QuantizePlan, IsThatOfTheGoldenFiles) {
  const std::string source = golden_file("war-and-peace-2.6m-f16.gguf");
  if (source.empty()) GTEST_SKIP() << "no golden/tiny in INFER_SHARED";
  const nlohmann::json golden = testing::read_json(golden_file("quantization.json"));
  ASSERT_FALSE(golden.is_discarded());

  for (const auto& [mix, facts] : golden["types"].items()) {
    QuantizeOptions options;
    options.type = mix;
    const auto plan = plan_quantize(*library(), Source::from_path(source), options);
    ASSERT_TRUE(plan.ok()) << mix << ": " << plan.status().message();
    std::size_t n_compared = 0;
    for (const QuantizePlan::Tensor& t : plan.value().tensors) {
      const auto found = facts["tensors"].find(t.from.name);
      if (found == facts["tensors"].end()) {
        EXPECT_EQ(t.to, t.from.dtype) << mix << " " << t.from.name;
        continue;
      }
      EXPECT_EQ(info(t.to).name, (*found)["type"].get<std::string>()) << mix << " " << t.from.name;
      ++n_compared;
    }
    EXPECT_EQ(n_compared, facts["tensors"].size()) << mix;
    EXPECT_EQ(plan.value().file_bytes(), facts["bytes"].get<std::uint64_t>()) << mix;
  }
}

/// A model of matrices whose names and shapes alone matter.
struct Shapes {
  std::int64_t n_layers = 8, n_embd = 256, n_ff = 256, n_heads = 8, n_kv_heads = 8, n_experts = 0;
  bool tied = false;
  std::string architecture = "llama";
  DType dtype = DType::f16;

  GgufWriter writer() const {
    GgufWriter w;
    w.set("general.architecture", architecture);
    w.set(architecture + ".block_count", static_cast<std::uint32_t>(n_layers));
    w.set(architecture + ".attention.head_count", static_cast<std::uint32_t>(n_heads));
    w.set(architecture + ".attention.head_count_kv", static_cast<std::uint32_t>(n_kv_heads));
    if (n_experts > 0) w.set(architecture + ".expert_count", static_cast<std::uint32_t>(n_experts));
    const std::int64_t n_kv = n_embd / n_heads * n_kv_heads;
    add(w, "token_embd.weight", {n_embd, 16});
    if (!tied) add(w, "output.weight", {n_embd, 16});
    add(w, "output_norm.weight", {n_embd});
    for (std::int64_t l = 0; l < n_layers; ++l) {
      const std::string block = "blk." + std::to_string(l) + ".";
      add(w, block + "attn_norm.weight", {n_embd});
      add(w, block + "attn_q.weight", {n_embd, n_embd});
      add(w, block + "attn_k.weight", {n_embd, n_kv});
      add(w, block + "attn_v.weight", {n_embd, n_kv});
      add(w, block + "attn_output.weight", {n_embd, n_embd});
      if (n_experts == 0) {
        add(w, block + "ffn_gate.weight", {n_embd, n_ff});
        add(w, block + "ffn_up.weight", {n_embd, n_ff});
        add(w, block + "ffn_down.weight", {n_ff, n_embd});
      } else {
        add(w, block + "ffn_gate_inp.weight", {n_embd, n_experts});
        add(w, block + "ffn_gate_exps.weight", {n_embd, n_ff, n_experts});
        add(w, block + "ffn_up_exps.weight", {n_embd, n_ff, n_experts});
        add(w, block + "ffn_down_exps.weight", {n_ff, n_embd, n_experts});
      }
    }
    return w;
  }

 private:
  void add(GgufWriter& w, const std::string& name, const std::vector<std::int64_t>& shape) const {
    std::int64_t n = 1;
    for (const std::int64_t d : shape) n *= d;
    w.tensor(name, dtype, shape,
             std::vector<std::byte>(static_cast<std::size_t>(n) / info(dtype).block_elems * info(dtype).block_bytes));
  }
};

struct Planned {
  Status status;
  std::map<std::string, std::string> types;
  QuantizePlan plan;

  /// Type of blk.LAYER.PART.weight.
  std::string of(int layer, const std::string& part) const {
    return types.at("blk." + std::to_string(layer) + "." + part + ".weight");
  }
  /// The types of a part in all layers: "Q6_K Q4_K ..."
  std::string all(const std::string& part) const {
    std::string list;
    for (int layer = 0; types.count("blk." + std::to_string(layer) + "." + part + ".weight") > 0; ++layer) {
      list += (list.empty() ? "" : " ") + of(layer, part);
    }
    return list;
  }
};

Planned plan_of(const GgufWriter& writer, const std::string& type,
                const std::function<void(QuantizeOptions&)>& change = {}) {
  const std::vector<std::byte> file = writer.build();
  QuantizeOptions options;
  options.type = type;
  if (change) change(options);
  auto plan = plan_quantize(*library(), Source::from_memory(file), options);
  Planned planned;
  if (!plan.ok()) {
    planned.status = std::move(plan).status();
    return planned;
  }
  planned.plan = std::move(plan).value();
  for (const auto& t : planned.plan.tensors) planned.types[t.from.name] = info(t.to).name;
  return planned;
}

TEST(QuantizePlan, GivesMoreBitsToFirstAndLastLayersAndEveryThird) {
  const Planned p = plan_of(Shapes{.n_layers = 16}.writer(), "Q4_K_M");
  ASSERT_TRUE(p.status.ok()) << p.status.message();
  const std::string wanted = "Q6_K Q6_K Q4_K Q4_K Q6_K Q4_K Q4_K Q6_K Q4_K Q4_K Q6_K Q4_K Q4_K Q6_K Q6_K Q6_K";
  EXPECT_EQ(p.all("attn_v"), wanted);
  EXPECT_EQ(p.all("ffn_down"), wanted);
  EXPECT_EQ(p.of(0, "attn_q"), "Q4_K");
  EXPECT_EQ(p.types.at("output.weight"), "Q6_K");
  EXPECT_EQ(p.types.at("token_embd.weight"), "Q4_K");
  EXPECT_EQ(p.types.at("output_norm.weight"), "F16");   // as it was
}

/// What would overflow is for the undefined-behaviour sanitizer to see.
TEST(QuantizePlan, AModelMayClaimAnyNumberOfLayers) {
  GgufWriter w = Shapes{}.writer();
  w.set("llama.block_count", std::uint64_t{INT64_MAX});
  const Planned p = plan_of(w, "Q4_K_M");
  EXPECT_TRUE(p.status.ok()) << p.status.message();
}

TEST(QuantizePlan, AModelWithoutAHeadOfItsOwnHasItInTheEmbedding) {
  EXPECT_EQ(plan_of(Shapes{.tied = true}.writer(), "Q4_K_M").types.at("token_embd.weight"), "Q6_K");
  EXPECT_EQ(plan_of(Shapes{.tied = true}.writer(), "Q8_0").types.at("token_embd.weight"), "Q8_0");
}

TEST(QuantizePlan, SharedValuesGetMoreBits) {
  const Shapes gqa{.n_kv_heads = 2};
  EXPECT_EQ(plan_of(gqa.writer(), "Q2_K").of(3, "attn_v"), "Q4_K");
  EXPECT_EQ(plan_of(Shapes{}.writer(), "Q2_K").of(3, "attn_v"), "Q3_K");
  EXPECT_EQ(plan_of(gqa.writer(), "IQ4_XS").of(3, "attn_v"), "Q5_K");
  EXPECT_EQ(plan_of(Shapes{}.writer(), "IQ4_XS").of(3, "attn_v"), "IQ4_XS");
  EXPECT_EQ(plan_of(gqa.writer(), "IQ3_XS").of(3, "attn_v"), "Q4_K");
  const Shapes seventy{.n_layers = 80, .n_kv_heads = 4};
  EXPECT_EQ(plan_of(seventy.writer(), "Q4_K_S").of(70, "attn_v"), "Q5_K");
  EXPECT_EQ(plan_of(seventy.writer(), "Q3_K_S").of(70, "attn_v"), "Q5_K");
}

TEST(QuantizePlan, EightExpertsHaveSmallAttentionAndCostlyMistakes) {
  const Planned p = plan_of(Shapes{.n_layers = 8, .n_experts = 8}.writer(), "Q4_K_M");
  ASSERT_TRUE(p.status.ok()) << p.status.message();
  EXPECT_EQ(p.of(3, "attn_v"), "Q8_0");
  EXPECT_EQ(p.of(3, "attn_k"), "Q8_0");
  EXPECT_EQ(p.of(3, "attn_output"), "Q5_K");
  EXPECT_EQ(p.of(3, "ffn_gate_inp"), "F16");   // the router
  EXPECT_EQ(p.of(0, "ffn_down_exps"), "Q6_K");
  EXPECT_EQ(p.of(1, "ffn_down_exps"), "Q4_K");
  const Planned q5 = plan_of(Shapes{.n_layers = 8, .n_experts = 8}.writer(), "Q3_K_L");
  EXPECT_EQ(q5.of(3, "attn_output"), "Q3_K");
}

TEST(QuantizePlan, Mxfp4OfAMixtureIsForItsExperts) {
  const Planned p = plan_of(Shapes{.n_layers = 2, .n_experts = 4}.writer(), "MXFP4_MOE");
  ASSERT_TRUE(p.status.ok()) << p.status.message();
  EXPECT_EQ(p.of(0, "ffn_up_exps"), "MXFP4");
  EXPECT_EQ(p.of(0, "attn_q"), "Q8_0");
  EXPECT_EQ(p.types.at("output.weight"), "Q8_0");
}

TEST(QuantizePlan, FalconHasItsOwnRule) {
  const Planned p = plan_of(Shapes{.n_layers = 16, .architecture = "falcon"}.writer(), "Q4_K_M");
  ASSERT_TRUE(p.status.ok()) << p.status.message();
  EXPECT_EQ(p.types.at("output.weight"), "Q8_0");
  EXPECT_EQ(p.of(0, "ffn_down"), "Q6_K");
  EXPECT_EQ(p.of(1, "ffn_down"), "Q5_K");
  EXPECT_EQ(p.of(2, "ffn_down"), "Q4_K");
}

TEST(QuantizePlan, FallsBackWhereRowsAreNotWholeBlocks) {
  const Shapes odd{.n_layers = 2, .n_embd = 96, .n_ff = 80, .n_heads = 2, .n_kv_heads = 2};   // 96 = 3 x 32
  const Planned p = plan_of(odd.writer(), "Q4_K_S");
  ASSERT_TRUE(p.status.ok()) << p.status.message();
  EXPECT_EQ(p.of(0, "attn_q"), "Q5_0");
  EXPECT_EQ(p.of(0, "attn_v"), "Q5_1");      // Q5_K
  EXPECT_EQ(p.types.at("output.weight"), "Q8_0");
  EXPECT_EQ(p.of(0, "ffn_down"), "F16");     // rows of 80
  EXPECT_FALSE(p.plan.warnings.empty());
  EXPECT_EQ(plan_of(odd.writer(), "Q3_K_S").of(0, "attn_q"), "IQ4_NL");
  EXPECT_EQ(plan_of(odd.writer(), "IQ4_XS").of(0, "attn_q"), "IQ4_NL");
  EXPECT_EQ(plan_of(odd.writer(), "TQ2_0").of(0, "attn_q"), "Q4_0");
  EXPECT_EQ(plan_of(odd.writer(), "Q6_K").of(0, "attn_q"), "Q8_0");
}

TEST(QuantizePlan, FloatsAreTheSameForAllMatrices) {
  for (const char* type : {"F32", "F16", "BF16"}) {
    const Planned p = plan_of(Shapes{.n_layers = 2}.writer(), type);
    for (const char* name : {"output.weight", "token_embd.weight", "blk.0.attn_v.weight", "blk.1.ffn_down.weight"}) {
      EXPECT_EQ(p.types.at(name), type);
    }
  }
}

TEST(QuantizePlan, TakesTheFirstPatternThatMatches) {
  const Planned p = plan_of(Shapes{}.writer(), "q4_k_m", [](QuantizeOptions& o) {
    o.tensor_types = {"blk.1.ffn_down.weight=q8_0", "blk.*.ffn_down.weight=Q5_K", "*attn_?.weight=F16"};
    o.output_type = "Q8_0";
    o.token_embedding_type = "q3_k";
  });
  ASSERT_TRUE(p.status.ok()) << p.status.message();
  EXPECT_EQ(p.of(1, "ffn_down"), "Q8_0");
  EXPECT_EQ(p.of(2, "ffn_down"), "Q5_K");
  EXPECT_EQ(p.of(2, "attn_v"), "F16");
  EXPECT_EQ(p.of(2, "attn_output"), "Q4_K");
  EXPECT_EQ(p.types.at("output.weight"), "Q8_0");
  EXPECT_EQ(p.types.at("token_embd.weight"), "Q3_K");
  const Planned tied =
      plan_of(Shapes{.tied = true}.writer(), "Q4_0", [](QuantizeOptions& o) { o.output_type = "Q8_0"; });
  EXPECT_EQ(tied.types.at("token_embd.weight"), "Q8_0");
}

TEST(QuantizePlan, PureIsOneTypeForAll) {
  const Planned p = plan_of(Shapes{}.writer(), "Q4_K_M", [](QuantizeOptions& o) { o.pure = true; });
  std::set<std::string> types;
  for (const auto& [name, type] : p.types) types.insert(type);
  EXPECT_EQ(types, (std::set<std::string>{"F16", "Q4_K"}));   // norms stay
}

TEST(QuantizePlan, RefusesWhatCannotBeAskedFor) {
  const auto refused = [](const std::string& type, const std::function<void(QuantizeOptions&)>& change, Code code,
                          const std::string& word, Shapes shapes = {}) {
    const Planned p = plan_of(shapes.writer(), type, change);
    EXPECT_EQ(p.status.code(), code) << word << ": " << p.status.message();
    EXPECT_NE(p.status.message().find(word), std::string_view::npos) << p.status.message();
  };
  refused("", {}, Code::argument, "no type");
  refused("Q9_K", {}, Code::quant_type, "IQ4_XS");
  refused(
      "Q4_K_M", [](QuantizeOptions& o) { o.tensor_types = {"ffn_down=Q6_K"}; }, Code::argument,
      "'ffn_down' matches no tensor");
  refused("Q4_K_M", [](QuantizeOptions& o) { o.tensor_types = {"*norm*=Q6_K"}; }, Code::argument, "'*norm*'");
  refused("Q4_K_M", [](QuantizeOptions& o) { o.tensor_types = {"*"}; }, Code::argument, "PATTERN=TYPE");
  refused("Q4_K_M", [](QuantizeOptions& o) { o.tensor_types = {"=Q6_K"}; }, Code::argument, "PATTERN=TYPE");
  refused(
      "Q4_K_M", [](QuantizeOptions& o) { o.tensor_types = {"*=Q4_K_M"}; }, Code::quant_type, "unknown type 'Q4_K_M'");
  refused("Q4_K_M", [](QuantizeOptions& o) { o.output_type = "Q8_1"; }, Code::quant_type, "output_type");
  refused("Q4_K_M", [](QuantizeOptions& o) { o.token_embedding_type = "x"; }, Code::quant_type, "token_embedding_type");
  refused("Q8_0", [](QuantizeOptions& o) { o.tensor_types = {"*attn_q*=Q4_K"}; }, Code::quant_type,
          "not whole Q4_K blocks", {.n_embd = 96, .n_heads = 2, .n_kv_heads = 2});
  refused("Q4_K_M", {}, Code::quant_type, "allow_requantize", {.dtype = DType::q8_0});
  EXPECT_TRUE(plan_of(Shapes{.dtype = DType::q8_0}.writer(), "Q4_K_M", [](QuantizeOptions& o) {
                o.allow_requantize = true;
              }).status.ok());
  EXPECT_TRUE(plan_of(Shapes{.dtype = DType::q8_0}.writer(), "Q8_0").status.ok());   // nothing to do
  EXPECT_TRUE(plan_of(Shapes{.dtype = DType::q8_0}.writer(), "F16").status.ok());    // loses nothing
}

TEST(QuantizePlan, RefusesFewBitsWithoutImportance) {
  for (const char* type : {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"}) {
    const Planned p = plan_of(Shapes{}.writer(), type);
    EXPECT_EQ(p.status.code(), Code::quant_type) << type;
    EXPECT_NE(p.status.message().find("importance matrix"), std::string_view::npos) << p.status.message();
  }
  for (const char* type : {"IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M", "Q2_K", "Q2_K_S", "IQ4_NL", "TQ1_0", "MXFP4"}) {
    EXPECT_TRUE(plan_of(Shapes{}.writer(), type).status.ok()) << type;
  }
}

/// An importance matrix of all matrices of a file, but those that `but` names.
GgufWriter importance_of(const GgufWriter& model, const std::set<std::string>& but = {}) {
  GgufWriter w = testing::imatrix_writer();
  for (const auto& t : model.tensors) {
    if (t.dims.size() < 2 || but.count(t.name) > 0) continue;
    const std::size_t n = t.dims.size() > 2 ? t.dims[2] : 1;
    testing::add_importance(w, t.name, std::vector<float>(t.dims[0] * n, 2.0f), std::vector<float>(n, 4.0f));
  }
  return w;
}

class QuantizePlanWithImportance : public ::testing::Test {
 protected:
  Planned plan(const Shapes& shapes, const std::string& type, const GgufWriter& matrix) {
    const std::vector<std::byte> bytes = matrix.build();
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return plan_of(shapes.writer(), type, [&](QuantizeOptions& o) { o.imatrix = path_; });
  }

  testing::TemporaryDirectory directory_;
  std::string path_ = directory_.file("imatrix.gguf");
};

TEST_F(QuantizePlanWithImportance, FollowsTheRuleOfFewBits) {
  const Shapes shapes{.n_layers = 16};
  const Planned p = plan(shapes, "IQ2_XS", importance_of(shapes.writer()));
  ASSERT_TRUE(p.status.ok()) << p.status.message();
  EXPECT_EQ(p.of(0, "attn_v"), "Q2_K");
  EXPECT_EQ(p.of(1, "ffn_down"), "Q2_K");
  EXPECT_EQ(p.of(2, "ffn_down"), "IQ2_XS");
  EXPECT_EQ(p.types.at("output.weight"), "Q5_K");
  EXPECT_EQ(p.types.at("token_embd.weight"), "Q2_K");
  const Planned m = plan(shapes, "IQ2_M", importance_of(shapes.writer()));
  EXPECT_EQ(m.of(0, "attn_v"), "IQ3_S");
  EXPECT_EQ(m.of(0, "attn_output"), "IQ3_S");
  EXPECT_EQ(m.of(5, "ffn_up"), "IQ2_S");
  EXPECT_EQ(m.types.at("token_embd.weight"), "IQ3_S");
  EXPECT_EQ(plan(shapes, "IQ1_M", importance_of(shapes.writer())).of(0, "attn_output"), "IQ2_XXS");
  EXPECT_EQ(plan(shapes, "IQ3_XXS", importance_of(shapes.writer())).of(0, "attn_q"), "IQ2_S");
  EXPECT_EQ(plan(shapes, "IQ3_XXS", importance_of(shapes.writer())).of(0, "attn_v"), "IQ3_XXS");
  EXPECT_EQ(plan(shapes, "Q4_0", importance_of(shapes.writer())).of(1, "ffn_down"), "Q4_1");
  EXPECT_EQ(plan(shapes, "IQ4_XS", importance_of(shapes.writer())).of(0, "ffn_down"), "IQ4_XS");
  EXPECT_EQ(plan_of(shapes.writer(), "IQ4_XS").of(0, "ffn_down"), "Q5_K");
}

TEST_F(QuantizePlanWithImportance, ATensorThatIsMissingIsNamedOnlyWhereItIsNeeded) {
  const Shapes shapes{.n_layers = 4};
  const Planned needed = plan(shapes, "IQ2_XS", importance_of(shapes.writer(), {"blk.2.ffn_up.weight"}));
  EXPECT_EQ(needed.status.code(), Code::quant_type);
  EXPECT_EQ(needed.status.subject(), "blk.2.ffn_up.weight");
  const Planned fine = plan(shapes, "Q4_K_M", importance_of(shapes.writer(), {"blk.2.ffn_up.weight"}));
  ASSERT_TRUE(fine.status.ok()) << fine.status.message();
  for (const auto& t : fine.plan.tensors) {
    EXPECT_EQ(t.has_importance, t.to != t.from.dtype && t.from.name != "blk.2.ffn_up.weight") << t.from.name;
  }
}

TEST_F(QuantizePlanWithImportance, AMatrixOfAnotherModelIsRefused) {
  const Planned p = plan(Shapes{.n_layers = 1}, "Q4_K_M", importance_of(Shapes{.n_layers = 1, .n_embd = 512}.writer()));
  EXPECT_EQ(p.status.code(), Code::tensor);
  EXPECT_NE(p.status.message().find("another model"), std::string_view::npos) << p.status.message();
  const Shapes experts{.n_layers = 2, .n_experts = 4};
  EXPECT_TRUE(plan(experts, "IQ2_XS", importance_of(experts.writer())).status.ok());
  EXPECT_EQ(plan(experts, "IQ2_XS", importance_of(Shapes{.n_layers = 2, .n_experts = 2}.writer())).status.code(),
            Code::tensor);
}

TEST_F(QuantizePlanWithImportance, AFileThatIsNoneIsNamed) {
  const Planned p = plan(Shapes{}, "Q4_K_M", Shapes{.n_layers = 1}.writer());
  EXPECT_EQ(p.status.code(), Code::format);
  EXPECT_NE(p.status.message().find("imatrix.gguf"), std::string_view::npos) << p.status.message();
}

TEST(Mixes, AllHaveNamesAndFileTypesOfTheirOwn) {
  std::set<std::string> names;
  for (const Mix& m : mixes()) {
    EXPECT_TRUE(names.insert(m.name).second) << m.name;
    EXPECT_EQ(find_mix(m.name).value(), &m);
  }
  EXPECT_STREQ(find_mix("q4_k").value()->name, "Q4_K_M");
  EXPECT_EQ(find_mix("iq3_xs").value()->file_type, 22U);
}

TEST(Mixes, LayersAreNumbersInNames) {
  EXPECT_EQ(layer_of("blk.12.attn_q.weight"), 12);
  for (const char* name : {"output.weight", "blk.", "blk.x.a", "blk.3", "blk.-1.a", "blk.99999999999999999999.a"}) {
    EXPECT_EQ(layer_of(name), -1) << name;
  }
}

TEST(Glob, MatchesWholeNames) {
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("blk.*.ffn_down.weight", "blk.10.ffn_down.weight"));
  EXPECT_TRUE(glob_matches("*a*b*c", "xaxbxbxc"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_TRUE(glob_matches("abc**", "abc"));
  EXPECT_FALSE(glob_matches("", "a"));
  EXPECT_FALSE(glob_matches("a?c", "ac"));
  EXPECT_FALSE(glob_matches("ffn_down", "blk.10.ffn_down.weight"));
  EXPECT_FALSE(glob_matches("*a*b*c", "xaxbxbx"));
  EXPECT_FALSE(glob_matches(std::string(2000, '*') + "b", std::string(64, 'a')));
}

TEST(PartPath, NamesPartsAfterTheFileOrAnyPart) {
  EXPECT_EQ(part_path("d/m.gguf", 1, 3), "d/m-00002-of-00003.gguf");
  EXPECT_EQ(part_path("d/m", 0, 2), "d/m-00001-of-00002.gguf");
  EXPECT_EQ(part_path("d/m-00001-of-00003.gguf", 2, 3), "d/m-00003-of-00003.gguf");
  EXPECT_EQ(part_path("-of-00003.gguf", 0, 3), "-of-00003-00001-of-00003.gguf");
}

}  // namespace
}  // namespace infer
