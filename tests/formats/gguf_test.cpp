// SPDX-License-Identifier: MIT
// Right GGUF files: versions, metadata of every type, tensors of every type, the keys that become hyper-parameters and
// tokenizer, shards, and all golden files. Malformed files are in gguf_hostile_test.cpp.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <tuple>

#include "formats/formats.h"
#include "libinfer/library.h"
#include "libinfer/model.h"
#include "tests/testing/golden.h"
#include "tests/testing/gguf_writer.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using testing::ByteSink;
using testing::GgufWriter;
using testing::kGgufArray;

using File = std::vector<std::byte>;

const FormatParser& gguf() { return *builtin_formats()[0]; }

Result<ModelDescriptor> parse(const File& file) {
  const Bytes bytes(file);
  return gguf().parse({&bytes, 1}, nullptr);
}

/// The descriptor; an empty one, and a failed test, when the file is refused.
ModelDescriptor read(const GgufWriter& writer) {
  Result<ModelDescriptor> model = parse(writer.build());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? std::move(model).value() : ModelDescriptor();
}

GgufWriter llama() {
  GgufWriter w;
  w.set("general.architecture", "llama");
  return w;
}

/// What becomes of one more key.
template <class T>
MetaEntry entry_of(const T& value) {
  const ModelDescriptor model = read(llama().set("k", value));
  const MetaEntry* entry = model.find_meta("k");
  return entry != nullptr ? *entry : MetaEntry();
}

StringList strings(std::initializer_list<std::string_view> texts) {
  StringList list;
  for (const std::string_view text : texts) list.push_back(text);
  return list;
}

std::vector<std::byte> zeros(std::uint64_t n) { return std::vector<std::byte>(static_cast<std::size_t>(n)); }

// ---- header

TEST(Gguf, ReadsVersions2And3) {
  for (const std::uint32_t version : {2U, 3U}) {
    GgufWriter w = llama();
    w.version = version;
    EXPECT_EQ(read(w).format, "GGUF v" + std::to_string(version));
  }
}

TEST(Gguf, KeepsKeysInOrderWithTheirPlaces) {
  const ModelDescriptor model = read(llama().set("b", std::uint8_t{1}).set("a", std::uint8_t{2}));
  ASSERT_EQ(model.metadata.size(), 3U);
  EXPECT_EQ(model.metadata[0].key, "general.architecture");
  EXPECT_EQ(model.metadata[0].offset, 24U);
  EXPECT_EQ(model.metadata[1].key, "b");
  EXPECT_EQ(model.metadata[1].offset, 24U + (8 + 20) + 4 + (8 + 5));
  EXPECT_EQ(model.metadata[2].key, "a");
  EXPECT_EQ(model.find_meta("a")->value, MetaValue(std::int64_t{2}));
  EXPECT_EQ(model.find_meta("c"), nullptr);
}

// ---- metadata values

TEST(GgufValues, IntegersOfEveryWidthBecomeOneType) {
  const auto check = [](auto value, const char* type) {
    const MetaEntry entry = entry_of(value);
    EXPECT_EQ(entry.type, type);
    EXPECT_EQ(entry.value, MetaValue(static_cast<std::int64_t>(value))) << type;
  };
  check(std::numeric_limits<std::uint8_t>::max(), "u8");
  check(std::numeric_limits<std::int8_t>::min(), "i8");
  check(std::numeric_limits<std::uint16_t>::max(), "u16");
  check(std::numeric_limits<std::int16_t>::min(), "i16");
  check(std::numeric_limits<std::uint32_t>::max(), "u32");
  check(std::numeric_limits<std::int32_t>::min(), "i32");
  check(std::uint64_t{1} << 62, "u64");
  check(std::numeric_limits<std::int64_t>::min(), "i64");
}

TEST(GgufValues, AnUnsignedIntegerPast63BitsKeepsItsValue) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(entry_of(kMost).value, MetaValue(kMost));
}

TEST(GgufValues, FloatsBecomeDoubles) {
  EXPECT_EQ(entry_of(0.1f).value, MetaValue(static_cast<double>(0.1f)));
  EXPECT_EQ(entry_of(0.1f).type, "f32");
  EXPECT_EQ(entry_of(0.1).value, MetaValue(0.1));
  EXPECT_EQ(entry_of(0.1).type, "f64");
}

TEST(GgufValues, BoolsAndStringsStayWhatTheyAre) {
  EXPECT_EQ(entry_of(true).value, MetaValue(true));
  EXPECT_EQ(entry_of(false).value, MetaValue(false));
  EXPECT_EQ(entry_of(true).type, "bool");
  EXPECT_EQ(entry_of("text").value, MetaValue(std::string("text")));
  EXPECT_EQ(entry_of("").value, MetaValue(std::string()));
  EXPECT_EQ(entry_of("text").type, "string");
}

TEST(GgufValues, ArraysOfIntegersOfEveryWidth) {
  const auto check = [](auto zero, const char* type) {
    using T = decltype(zero);
    const MetaEntry entry = entry_of(std::vector<T>{T{1}, std::numeric_limits<T>::max(), T{3}});
    EXPECT_EQ(entry.type, type);
    if (std::is_same_v<T, std::uint64_t>) return;   // its largest value does not fit: the next test
    EXPECT_EQ(entry.value, MetaValue(std::vector<std::int64_t>{
                               1, static_cast<std::int64_t>(std::numeric_limits<T>::max()), 3})) << type;
  };
  check(std::uint8_t{}, "array of u8");
  check(std::int8_t{}, "array of i8");
  check(std::uint16_t{}, "array of u16");
  check(std::int16_t{}, "array of i16");
  check(std::uint32_t{}, "array of u32");
  check(std::int32_t{}, "array of i32");
  check(std::uint64_t{}, "array of u64");
  check(std::int64_t{}, "array of i64");
}

TEST(GgufValues, AnArrayPast63BitsKeepsTypeAndCountOnly) {
  EXPECT_EQ(entry_of(std::vector<std::uint64_t>{1, 2}).value, MetaValue(std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(entry_of(std::vector<std::uint64_t>{1, std::uint64_t{1} << 63}).value, MetaValue(MovedArray{"u64", 2}));
}

TEST(GgufValues, ArraysOfOtherTypes) {
  EXPECT_EQ(entry_of(std::vector<float>{1.5f, -2}).value, MetaValue(std::vector<double>{1.5, -2}));
  EXPECT_EQ(entry_of(std::vector<double>{0.1}).value, MetaValue(std::vector<double>{0.1}));
  EXPECT_EQ(entry_of(std::vector<bool>{true, false}).value, MetaValue(std::vector<bool>{true, false}));
  EXPECT_EQ(entry_of(std::vector<std::string>{"a", "", "bc"}).value, MetaValue(strings({"a", "", "bc"})));
  EXPECT_EQ(entry_of(std::vector<std::string>{}).type, "array of string");
}

TEST(GgufValues, EmptyArraysStayEmpty) {
  EXPECT_EQ(entry_of(std::vector<std::int32_t>{}).value, MetaValue(std::vector<std::int64_t>{}));
  EXPECT_EQ(entry_of(std::vector<std::string>{}).value, MetaValue(StringList()));
}

TEST(GgufValues, ArraysInArraysKeepTypeAndCountOnly) {
  ByteSink sink;   // [["a"], [], [1.5f]]
  sink.put(kGgufArray);
  sink.put(std::uint64_t{3});
  sink.put(std::uint32_t{8});
  sink.put(std::uint64_t{1});
  sink.put(std::string_view("a"));
  sink.put(kGgufArray);
  sink.put(std::uint64_t{0});
  sink.put(std::uint32_t{6});
  sink.put(std::uint64_t{1});
  sink.put(1.5f);
  const ModelDescriptor model = read(llama().raw("k", kGgufArray, sink.bytes).set("after", "it"));
  EXPECT_EQ(model.find_meta("k")->type, "array of array");
  EXPECT_EQ(model.find_meta("k")->value, MetaValue(MovedArray{"array", 3}));
  EXPECT_EQ(model.find_meta("after")->value, MetaValue(std::string("it")));
}

// ---- keys that become facts

TEST(GgufDescriptor, TellsValuesApartByTheirFingerprints) {
  const auto of = [](std::vector<std::uint8_t> bytes) {
    GgufWriter w = llama();
    return read(w.set("k", bytes)).find_meta("k")->fingerprint;
  };
  std::vector<std::uint8_t> bytes(40);
  const std::uint64_t first = of(bytes);
  EXPECT_EQ(of(bytes), first);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::vector<std::uint8_t> other = bytes;
    other[i] = 1;
    EXPECT_NE(of(other), first) << i;
  }
  for (std::size_t n = 1; n < bytes.size(); ++n) EXPECT_NE(of({bytes.begin(), bytes.end() - static_cast<std::ptrdiff_t>(n)}), first) << n;
}

TEST(GgufDescriptor, FillsTheHyperParameters) {
  GgufWriter w = llama();
  w.set("general.name", "a name");
  w.set("llama.vocab_size", std::uint32_t{1}).set("llama.context_length", std::uint32_t{2});
  w.set("llama.embedding_length", std::uint32_t{3}).set("llama.block_count", std::uint32_t{4});
  w.set("llama.feed_forward_length", std::uint32_t{5}).set("llama.attention.head_count", std::uint32_t{6});
  w.set("llama.attention.head_count_kv", std::uint32_t{7}).set("llama.attention.key_length", std::uint32_t{8});
  w.set("llama.attention.value_length", std::uint32_t{9}).set("llama.attention.sliding_window", std::uint32_t{10});
  w.set("llama.attention.layer_norm_rms_epsilon", 0.5f).set("llama.attention.layer_norm_epsilon", 0.25f);
  w.set("llama.rope.dimension_count", std::uint32_t{11}).set("llama.rope.freq_base", 2.0f);
  w.set("llama.rope.scaling.type", "yarn").set("llama.rope.scaling.factor", 3.0f);
  w.set("llama.rope.scaling.original_context_length", std::uint32_t{12}).set("llama.rope.scaling.attn_factor", 4.0f);
  w.set("llama.rope.scaling.yarn_beta_fast", 5.0f).set("llama.rope.scaling.yarn_beta_slow", 6.0f);
  w.set("llama.rope.scaling.yarn_log_multiplier", 7.0f).set("llama.rope.freq_base_swa", 8.0f);
  w.set("llama.rope.scaling.yarn_attn_factor", 14.0f).set("llama.rope.scaling.yarn_ext_factor", 0.75f);
  w.set("llama.expert_count", std::uint32_t{13}).set("llama.expert_used_count", std::uint32_t{14});
  w.set("llama.expert_feed_forward_length", std::uint32_t{15});
  w.set("llama.expert_shared_feed_forward_length", std::uint32_t{16});
  w.set("llama.expert_weights_norm", true).set("llama.expert_weights_scale", 9.0f);
  w.set("llama.attention.scale", 10.0f).set("llama.attention.sliding_window_pattern", std::uint32_t{17});
  w.set("llama.attn_logit_softcapping", 11.0f).set("llama.final_logit_softcapping", 12.0f);
  w.set("llama.attention.temperature_scale", 13.0f).set("llama.attention.temperature_length", std::uint32_t{18});

  const ModelDescriptor model = read(w);

  EXPECT_EQ(model.architecture, "llama");
  EXPECT_EQ(model.name, "a name");
  const Hyper wanted = {.n_vocab = 1, .context_length = 2, .embedding_length = 3, .n_layers = 4,
                        .feed_forward_length = {5},
                        .n_heads = {6}, .n_kv_heads = {7}, .key_length = 8, .value_length = 9, .attention_scale = 10.0,
                        .sliding_window = 10, .window_period = 17, .window_layers = {}, .attention_softcap = 11.0,
                        .final_softcap = 12.0, .temperature_scale = 13.0, .temperature_length = 18,
                        .rms_epsilon = 0.5, .norm_epsilon = 0.25, .rope_dimensions = 11, .rope_base = 2.0,
                        .rope_base_local = 8.0, .rope_scaling = "yarn", .rope_factor = 3.0, .rope_original_context = 12,
                        .rope_attn_factor = 4.0, .yarn_attn_factor = 14.0, .yarn_ext_factor = 0.75, .yarn_beta_fast = 5.0, .yarn_beta_slow = 6.0,
                        .yarn_log_multiplier = 7.0, .n_experts = 13, .n_experts_used = 14,
                        .expert_feed_forward_length = 15, .shared_expert_feed_forward_length = 16,
                        .expert_weights_norm = true, .expert_weights_scale = 9.0};
  EXPECT_EQ(model.hyper, wanted);
  EXPECT_TRUE(model.warnings.empty());
}

TEST(GgufDescriptor, WhatTheFileDoesNotSayIsAbsent) {
  const ModelDescriptor model = read(llama());
  EXPECT_EQ(model.hyper, Hyper());
  EXPECT_EQ(model.tokenizer, TokenizerSpec());
  EXPECT_TRUE(model.tensors.empty());
}

TEST(GgufDescriptor, AHyperParameterMayHaveAnyIntegerWidth) {
  const auto layers = [](auto value) { return read(llama().set("llama.block_count", value)).hyper.n_layers; };
  EXPECT_EQ(layers(std::uint8_t{7}), 7);
  EXPECT_EQ(layers(std::int8_t{7}), 7);
  EXPECT_EQ(layers(std::uint16_t{7}), 7);
  EXPECT_EQ(layers(std::int16_t{7}), 7);
  EXPECT_EQ(layers(std::int32_t{7}), 7);
  EXPECT_EQ(layers(std::uint64_t{7}), 7);
  EXPECT_EQ(layers(std::int64_t{-7}), -7);
}

TEST(GgufDescriptor, AFloatParameterMayHaveBothWidths) {
  EXPECT_EQ(read(llama().set("llama.rope.freq_base", 10000.5)).hyper.rope_base, 10000.5);
  EXPECT_EQ(read(llama().set("llama.rope.freq_base", 10000.5f)).hyper.rope_base, 10000.5);
}

TEST(GgufDescriptor, PerLayerArraysKeepAllValues) {
  GgufWriter w = llama();
  w.set("llama.attention.head_count", std::vector<std::int32_t>{8, 4, 8});
  w.set("llama.attention.head_count_kv", std::vector<std::uint8_t>{2, 0, 2});
  w.set("llama.feed_forward_length", std::vector<std::uint64_t>{96, 128, 96});
  const Hyper hyper = read(w).hyper;
  EXPECT_EQ(hyper.n_heads, (std::vector<std::int64_t>{8, 4, 8}));
  EXPECT_EQ(hyper.n_kv_heads, (std::vector<std::int64_t>{2, 0, 2}));
  EXPECT_EQ(hyper.feed_forward_length, (std::vector<std::int64_t>{96, 128, 96}));
}

constexpr const char* kPattern = "llama.attention.sliding_window_pattern";

TEST(GgufDescriptor, LayersWithAWindowAreAPeriodOrAList) {
  const auto hyper = [](auto value) { return read(llama().set(kPattern, value)).hyper; };
  EXPECT_EQ(hyper(std::int64_t{6}).window_period, 6);
  EXPECT_TRUE(hyper(std::int64_t{6}).window_layers.empty());
  EXPECT_EQ(hyper(std::vector<bool>{true, false, true}).window_layers, (std::vector<bool>{true, false, true}));
  EXPECT_EQ(hyper(std::vector<bool>{true}).window_period, std::nullopt);
  EXPECT_EQ(hyper(std::vector<std::uint32_t>{0, 1, 2}).window_layers, (std::vector<bool>{false, true, true}));
  EXPECT_EQ(hyper(std::vector<std::int8_t>{-1, 0}).window_layers, (std::vector<bool>{true, false}));
}

TEST(GgufDescriptor, LayersWithAWindowAreOfNoOtherType) {
  const auto refused = [](auto value, Code code) {
    const Status s = parse(llama().set(kPattern, value).build()).status();
    EXPECT_EQ(s.code(), code) << s.message();
    EXPECT_EQ(s.subject(), kPattern);
  };
  refused("every other", Code::metadata);
  refused(2.0f, Code::metadata);
  refused(true, Code::metadata);
  refused(std::vector<float>{1.0f}, Code::metadata);
  refused(std::vector<std::string>{"a"}, Code::metadata);
  refused(std::vector<bool>(), Code::metadata);
  refused(std::vector<std::uint32_t>(), Code::metadata);
  refused(std::vector<bool>(4097, true), Code::limit);
  refused(std::vector<std::uint8_t>(4097, 1), Code::limit);
}

TEST(GgufDescriptor, KeysOfExpertsAndScoresHaveTheirTypes) {
  const auto refused = [](const char* key, auto value) {
    const Status s = parse(llama().set(key, value).build()).status();
    EXPECT_EQ(s.code(), Code::metadata) << s.message();
    EXPECT_EQ(s.subject(), key);
  };
  refused("llama.attention.scale", std::uint32_t{1});
  refused("llama.attn_logit_softcapping", "50");
  refused("llama.final_logit_softcapping", std::numeric_limits<float>::quiet_NaN());
  refused("llama.attention.temperature_scale", std::uint32_t{1});
  refused("llama.attention.temperature_length", 1.0f);
  refused("llama.rope.freq_base_swa", std::uint32_t{10000});
  refused("llama.rope.scaling.yarn_log_multiplier", std::numeric_limits<double>::infinity());
  refused("llama.expert_feed_forward_length", 24.0f);
  refused("llama.expert_shared_feed_forward_length", std::numeric_limits<std::uint64_t>::max());
  refused("llama.expert_weights_norm", std::uint32_t{1});
  refused("llama.expert_weights_scale", true);
}

TEST(GgufDescriptor, TheNewRopeFactorWinsOverTheOld) {
  GgufWriter w = llama();
  EXPECT_EQ(read(w.set("llama.rope.scale_linear", 2.0f)).hyper.rope_factor, 2.0);
  EXPECT_EQ(read(w.set("llama.rope.scaling.factor", 4.0f)).hyper.rope_factor, 4.0);
}

TEST(GgufDescriptor, OnlyKeysOfTheArchitectureCount) {
  GgufWriter w = llama();
  w.set("gemma.block_count", std::uint32_t{3}).set("llama2.block_count", std::uint32_t{4});
  EXPECT_EQ(read(w).hyper.n_layers, std::nullopt);
}

TEST(GgufDescriptor, WithoutAnArchitectureTheOnlyBlockCountNamesTheKeys) {
  GgufWriter w;
  w.set("toy.block_count", std::uint32_t{3}).set("toy.context_length", std::uint32_t{64});
  const ModelDescriptor model = read(w);
  EXPECT_EQ(model.architecture, "");
  EXPECT_EQ(model.hyper.n_layers, 3);
  EXPECT_EQ(model.hyper.context_length, 64);
}

TEST(GgufDescriptor, ABareVocabularyNeedsNoArchitecture) {
  GgufWriter w;
  w.set("tokenizer.ggml.model", "llama").set("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
  EXPECT_EQ(read(w).tokenizer.tokens.size(), 1U);
}

TEST(GgufDescriptor, MovesTheVocabularyToTheTokenizer) {
  GgufWriter w = llama();
  w.set("tokenizer.ggml.model", "llama").set("tokenizer.ggml.pre", "default");
  w.set("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "", "a\xff"});
  w.set("tokenizer.ggml.scores", std::vector<float>{0, -1.5f, -2});
  w.set("tokenizer.ggml.token_type", std::vector<std::int32_t>{2, 3, -1});
  w.set("tokenizer.ggml.merges", std::vector<std::string>{"a b"});

  const ModelDescriptor model = read(w);

  EXPECT_EQ(model.tokenizer.model, "llama");
  EXPECT_EQ(model.tokenizer.pre, "default");
  EXPECT_EQ(model.tokenizer.tokens, strings({"<unk>", "", "a\xff"}));
  EXPECT_EQ(model.tokenizer.scores, (std::vector<float>{0, -1.5f, -2}));
  EXPECT_EQ(model.tokenizer.types, (std::vector<std::int32_t>{2, 3, -1}));
  EXPECT_EQ(model.tokenizer.merges, strings({"a b"}));
  EXPECT_EQ(model.find_meta("tokenizer.ggml.tokens")->value, MetaValue(MovedArray{"string", 3}));
  EXPECT_EQ(model.find_meta("tokenizer.ggml.scores")->value, MetaValue(MovedArray{"f32", 3}));
  EXPECT_EQ(model.find_meta("tokenizer.ggml.token_type")->value, MetaValue(MovedArray{"i32", 3}));
  EXPECT_EQ(model.find_meta("tokenizer.ggml.merges")->value, MetaValue(MovedArray{"string", 1}));
}

TEST(GgufDescriptor, FillsTheTokenizersOtherFacts) {
  GgufWriter w = llama();
  w.set("tokenizer.ggml.bos_token_id", std::uint32_t{1}).set("tokenizer.ggml.eos_token_id", std::int32_t{-1});
  w.set("tokenizer.ggml.unknown_token_id", std::uint64_t{3}).set("tokenizer.ggml.seperator_token_id", std::uint8_t{4});
  w.set("tokenizer.ggml.padding_token_id", std::uint32_t{5}).set("tokenizer.ggml.cls_token_id", std::uint32_t{6});
  w.set("tokenizer.ggml.mask_token_id", std::uint32_t{7}).set("tokenizer.ggml.eot_token_id", std::uint32_t{8});
  w.set("tokenizer.ggml.eom_token_id", std::uint32_t{9}).set("tokenizer.ggml.add_bos_token", true);
  w.set("tokenizer.ggml.add_eos_token", false).set("tokenizer.ggml.add_space_prefix", false);
  w.set("tokenizer.ggml.remove_extra_whitespaces", true).set("tokenizer.chat_template", "{{ x }}");
  w.set("tokenizer.chat_template.tool_use", "{{ y }}").set("tokenizer.chat_templates", std::vector<std::string>{"tool_use"});

  const TokenizerSpec spec = read(w).tokenizer;

  EXPECT_EQ(std::tie(spec.bos, spec.eos, spec.unk, spec.sep, spec.pad), std::tuple(1, -1, 3, 4, 5));
  EXPECT_EQ(std::tie(spec.cls, spec.mask, spec.eot, spec.eom), std::tuple(6, 7, 8, 9));
  EXPECT_EQ(std::tie(spec.add_bos, spec.add_eos, spec.add_space_prefix, spec.remove_extra_whitespaces),
            std::tuple(true, false, false, true));
  EXPECT_EQ(spec.chat_templates, (std::vector<ChatTemplateText>{{"", "{{ x }}", 7}, {"tool_use", "{{ y }}", 7}}));
}

// ---- tensors

TEST(GgufTensors, EveryWeightTypeHasItsSize) {
  GgufWriter w = llama();
  for (int id = 0; id < kDTypeCount; ++id) {
    const DTypeInfo& type = kDTypes[id];
    if (type.use != DTypeUse::weight) continue;
    const std::uint64_t bytes = std::uint64_t{256} * 3 / type.block_elems * type.block_bytes;
    w.tensor(type.name, static_cast<DType>(id), {256, 3}, zeros(bytes));
  }
  ASSERT_EQ(w.tensors.size(), 26U);

  const ModelDescriptor model = read(w);

  ASSERT_EQ(model.tensors.size(), w.tensors.size());
  for (std::size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorMeta& tensor = model.tensors[i];
    EXPECT_EQ(tensor.name, info(tensor.dtype).name);
    EXPECT_EQ(tensor.bytes, w.tensors[i].data.size()) << tensor.name;
  }
  EXPECT_TRUE(model.warnings.empty());
}

TEST(GgufTensors, ShapeAndPlaceAreTheFiles) {
  GgufWriter w = llama();
  w.tensor("a", DType::f32, {5}, zeros(20));
  w.tensor("b", DType::f16, {2, 3, 4, 5}, zeros(240));
  const File file = w.build();

  const ModelDescriptor model = read(w);

  const TensorMeta* a = model.find_tensor("a");
  const TensorMeta* b = model.find_tensor("b");
  ASSERT_TRUE(a != nullptr && b != nullptr);
  EXPECT_EQ(to_string(a->shape), "[5]");
  EXPECT_EQ(a->shape.rows(), 1);
  EXPECT_EQ(to_string(b->shape), "[2, 3, 4, 5]");
  EXPECT_EQ(b->shape.cols(), 2);
  EXPECT_EQ(b->shape.rows(), 60);
  EXPECT_EQ(b->bytes, 240U);
  EXPECT_EQ(b->offset, file.size() - 240);
  EXPECT_EQ(a->offset, b->offset - 32) << "20 bytes and their padding";
  EXPECT_EQ(model.find_tensor("c"), nullptr);
}

TEST(GgufTensors, TheAlignmentKeyPlacesTheData) {
  for (const std::uint32_t alignment : {8U, 32U, 64U, 4096U}) {
    GgufWriter w = llama();
    w.alignment = alignment;
    w.tensor("a", DType::f32, {3}, zeros(12)).tensor("b", DType::f32, {3}, zeros(12));
    w.set("general.alignment", alignment);
    const ModelDescriptor model = read(w);
    ASSERT_EQ(model.tensors.size(), 2U);
    EXPECT_EQ(model.tensors[0].offset % alignment, 0U);
    EXPECT_EQ(model.tensors[1].offset, model.tensors[0].offset + (alignment == 8 ? 16 : alignment));
  }
}

TEST(GgufTensors, TheAlignmentMayBeAnyUnsignedInteger) {
  EXPECT_TRUE(parse(llama().set("general.alignment", std::uint8_t{64}).build()).ok());
  EXPECT_TRUE(parse(llama().set("general.alignment", std::uint16_t{64}).build()).ok());
  EXPECT_TRUE(parse(llama().set("general.alignment", std::uint64_t{64}).build()).ok());
}

TEST(GgufTensors, TheLastTensorNeedsNoPadding) {
  const GgufWriter w = llama().tensor("a", DType::f32, {1}, zeros(4));
  File file = w.build();
  EXPECT_EQ(file.size() % 32, 4U);
  EXPECT_TRUE(parse(file).ok());
  file.resize(file.size() + 28);
  const Result<ModelDescriptor> padded = parse(file);
  ASSERT_TRUE(padded.ok());
  EXPECT_TRUE(padded.value().warnings.empty());
}

// ---- shards

/// A tiny model in three parts of about the same number of tensors; the first has the metadata.
std::vector<GgufWriter> three_parts(const GgufWriter& whole) {
  std::vector<GgufWriter> parts(3);
  parts[0].keys = whole.keys;
  for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
    parts[i * 3 / whole.tensors.size()].tensors.push_back(whole.tensors[i]);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    parts[i].set("split.no", static_cast<std::uint16_t>(i)).set("split.count", std::uint16_t{3});
    parts[i].set("split.tensors.count", static_cast<std::int32_t>(whole.tensors.size()));
  }
  return parts;
}

TEST(GgufShards, PartsBecomeOneModel) {
  const GgufWriter whole = testing::tiny_model_writer({});
  std::vector<File> files;
  for (const GgufWriter& part : three_parts(whole)) files.push_back(part.build());
  const std::vector<Bytes> bytes(files.begin(), files.end());

  const Result<ModelDescriptor> model = gguf().parse(bytes, nullptr);

  ASSERT_TRUE(model.ok()) << model.status().message();
  const ModelDescriptor single = read(whole);
  EXPECT_EQ(model.value().hyper, single.hyper);
  EXPECT_EQ(model.value().tokenizer, single.tokenizer);
  ASSERT_EQ(model.value().tensors.size(), single.tensors.size());
  for (std::size_t i = 0; i < single.tensors.size(); ++i) {
    const TensorMeta& tensor = model.value().tensors[i];
    EXPECT_EQ(tensor.name, single.tensors[i].name);
    EXPECT_EQ(tensor.file, static_cast<int>(i * 3 / single.tensors.size()));
    const File& file = files[static_cast<std::size_t>(tensor.file)];
    const auto place = file.begin() + static_cast<std::ptrdiff_t>(tensor.offset);
    EXPECT_TRUE(std::equal(whole.tensors[i].data.begin(), whole.tensors[i].data.end(), place)) << tensor.name;
  }
}

TEST(GgufShards, EachPartHasAnAlignmentOfItsOwn) {
  const GgufWriter whole = testing::tiny_model_writer({});
  std::vector<GgufWriter> parts = three_parts(whole);
  parts[0].alignment = 128;
  parts[0].set("general.alignment", std::uint32_t{128});   // as a splitter does it, which leaves the others at 32
  parts[2].alignment = 8;
  parts[2].set("general.alignment", std::uint32_t{8});
  std::vector<File> files;
  for (const GgufWriter& part : parts) files.push_back(part.build());
  const std::vector<Bytes> bytes(files.begin(), files.end());

  const Result<ModelDescriptor> model = gguf().parse(bytes, nullptr);

  ASSERT_TRUE(model.ok()) << model.status().message();
  ASSERT_EQ(model.value().tensors.size(), whole.tensors.size());
  for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
    const TensorMeta& tensor = model.value().tensors[i];
    const File& file = files[static_cast<std::size_t>(tensor.file)];
    const auto place = file.begin() + static_cast<std::ptrdiff_t>(tensor.offset);
    EXPECT_TRUE(std::equal(whole.tensors[i].data.begin(), whole.tensors[i].data.end(), place)) << tensor.name;
  }
}

TEST(GgufShards, NamesAllPartsInOrder) {
  const File first = three_parts(testing::tiny_model_writer({}))[0].build();
  const auto names = gguf().parts(first, "my-00001-of-model-00001-of-00003.gguf", nullptr);
  ASSERT_TRUE(names.ok()) << names.status().message();
  EXPECT_EQ(names.value(), (std::vector<std::string>{"my-00001-of-model-00001-of-00003.gguf",
                                                     "my-00001-of-model-00002-of-00003.gguf",
                                                     "my-00001-of-model-00003-of-00003.gguf"}));
}

TEST(GgufShards, OneFileHasNoParts) {
  for (const bool says_so : {false, true}) {
    GgufWriter w = llama();
    if (says_so) w.set("split.count", std::uint16_t{1}).set("split.no", std::uint16_t{0});
    const auto names = gguf().parts(w.build(), "any name", nullptr);
    ASSERT_TRUE(names.ok()) << names.status().message();
    EXPECT_TRUE(names.value().empty());
    EXPECT_TRUE(parse(w.build()).ok());
  }
}

/// The three parts as files in a folder of their own.
class GgufShardFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "libinfer_shards_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    const std::vector<GgufWriter> parts = three_parts(testing::tiny_model_writer({}));
    for (std::size_t i = 0; i < 3; ++i) {
      const File file = parts[i].build();
      std::ofstream(path(i), std::ios::binary)
          .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path path(std::size_t part) const {
    return folder_ / ("m-0000" + std::to_string(part + 1) + "-of-00003.gguf");
  }
  static Result<std::shared_ptr<const Model>> load(const std::filesystem::path& path) {
    return Model::load(Library::builtin(), Source::from_path(path.string()), {});
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(GgufShardFiles, LoadByTheNameOfTheFirst) {
  const auto model = load(path(0));
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model.value()->descriptor().tensors.back().file, 2);
  EXPECT_TRUE(model.value()->tokenizer().ok());
}

TEST_F(GgufShardFiles, AMissingPartIsNamed) {
  std::filesystem::remove(path(1));
  const auto model = load(path(0));
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), Code::shard);
  EXPECT_NE(model.status().message().find("m-00002-of-00003.gguf"), std::string_view::npos) << model.status().message();
}

TEST_F(GgufShardFiles, ALaterPartSaysWhichFileToGive) {
  const auto model = load(path(2));
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), Code::shard);
  EXPECT_NE(model.status().message().find("m-00001-of-00003.gguf"), std::string_view::npos) << model.status().message();
}

TEST_F(GgufShardFiles, PartsThatWereSwappedAreFoundOut) {
  std::filesystem::rename(path(1), path(1).string() + ".away");
  std::filesystem::rename(path(2), path(1));
  std::filesystem::rename(path(1).string() + ".away", path(2));
  EXPECT_EQ(load(path(0)).status().code(), Code::shard);
}

TEST_F(GgufShardFiles, APartThatIsCutOffIsFoundOut) {
  std::filesystem::resize_file(path(2), std::filesystem::file_size(path(2)) - 1);
  const auto model = load(path(0));
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), Code::tensor);
  EXPECT_NE(model.status().message().find("part 3 of 3"), std::string_view::npos) << model.status().message();
}

// ---- files of other makers

TEST(GgufGolden, EveryFileIsRead) {
  const char* shared = std::getenv("INFER_SHARED");
  const std::string golden = shared == nullptr ? "" : std::string(shared) + "/golden";
  if (shared == nullptr || *shared == '\0' || !std::filesystem::is_directory(golden)) {
    GTEST_SKIP() << "no golden files: INFER_SHARED is not set";
  }
  int n_files = 0;
  for (const char* folder : {"/logits/models", "/text/vocab", "/tiny"}) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(golden + folder)) {
      if (file.path().extension() != ".gguf") continue;
      const Result<ModelDescriptor> model = parse(testing::read_bytes(file.path().string()));
      ASSERT_TRUE(model.ok()) << file.path() << ": " << model.status().message();
      for (const std::string& warning : model.value().warnings) ADD_FAILURE() << file.path() << ": " << warning;
      EXPECT_FALSE(model.value().tensors.empty() && model.value().tokenizer.tokens.empty()) << file.path();
      ++n_files;
    }
  }
  EXPECT_GT(n_files, 0);
}

}  // namespace
}  // namespace infer
