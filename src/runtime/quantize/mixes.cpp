// SPDX-License-Identifier: MIT
// See mixes.h. A rule is a row: which mixes, which role in the model, under which circumstances, which type. The first
// row that fits is taken; where none does, the mix's base type.
#include "src/runtime/quantize/mixes.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "models/config.h"

namespace infer {
namespace {

enum MixId : std::uint8_t {
  F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q2_K_S, Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M,
  Q6_K, IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ2_M, IQ3_XXS, IQ3_XS, IQ3_S, IQ3_M, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0, MXFP4,
  MXFP4_MOE, kMixCount
};

constexpr Mix kMixes[kMixCount] = {
    {"F32", DType::f32, 0},        {"F16", DType::f16, 1},          {"BF16", DType::bf16, 32},
    {"Q4_0", DType::q4_0, 2},      {"Q4_1", DType::q4_1, 3},        {"Q5_0", DType::q5_0, 8},
    {"Q5_1", DType::q5_1, 9},      {"Q8_0", DType::q8_0, 7},        {"Q2_K", DType::q2_k, 10},
    {"Q2_K_S", DType::q2_k, 21},   {"Q3_K_S", DType::q3_k, 11},     {"Q3_K_M", DType::q3_k, 12},
    {"Q3_K_L", DType::q3_k, 13},   {"Q4_K_S", DType::q4_k, 14},     {"Q4_K_M", DType::q4_k, 15},
    {"Q5_K_S", DType::q5_k, 16},   {"Q5_K_M", DType::q5_k, 17},     {"Q6_K", DType::q6_k, 18},
    {"IQ1_S", DType::iq1_s, 24},   {"IQ1_M", DType::iq1_m, 31},     {"IQ2_XXS", DType::iq2_xxs, 19},
    {"IQ2_XS", DType::iq2_xs, 20}, {"IQ2_S", DType::iq2_xs, 28},    {"IQ2_M", DType::iq2_s, 29},
    {"IQ3_XXS", DType::iq3_xxs, 23}, {"IQ3_XS", DType::iq3_s, 22},  {"IQ3_S", DType::iq3_s, 26},
    {"IQ3_M", DType::iq3_s, 27},   {"IQ4_NL", DType::iq4_nl, 25},   {"IQ4_XS", DType::iq4_xs, 30},
    {"TQ1_0", DType::tq1_0, 36},   {"TQ2_0", DType::tq2_0, 37},     {"MXFP4", DType::mxfp4, 38},
    {"MXFP4_MOE", DType::q8_0, 38},
};

/// What people write for a family's middle member.
struct Alias {
  std::string_view name;
  MixId mix;
};
constexpr Alias kAliases[] = {{"Q3_K", Q3_K_M}, {"Q4_K", Q4_K_M}, {"Q5_K", Q5_K_M}};

using MixSet = std::uint64_t;
template <class... Ids>
constexpr MixSet set(Ids... ids) {
  return ((MixSet{1} << ids) | ...);
}
constexpr MixSet kAny = ~MixSet{0};
constexpr MixSet kIq2Larger = set(IQ2_S, IQ2_M);
constexpr MixSet kIq1 = set(IQ1_S, IQ1_M);
constexpr MixSet kFewest = kIq1 | kIq2Larger | set(IQ2_XXS, IQ2_XS);
constexpr MixSet kOthers = ~kFewest;

enum class Role : std::uint8_t {
  output, embedding, attn_q, attn_k, attn_v, attn_qkv, attn_output, ffn_down, ffn_gate, ffn_up, other
};

/// Circumstances, as bits: a row holds when all of its bits do.
enum When : std::uint32_t {
  always = 0,
  wide_gqa = 1 << 0,          ///< four or more query heads share a KV head
  many_experts = 1 << 1,      ///< four or more
  eight_experts = 1 << 2,
  expert_tensor = 1 << 3,     ///< the matrices of all experts in one tensor
  importance = 1 << 4,
  no_importance = 1 << 5,
  falcon = 1 << 6,
  not_falcon = 1 << 7,
  first_16th = 1 << 8,        ///< of the layers
  first_8th = 1 << 9,
  more_bits = 1 << 10,        ///< first and last eighth, and every third layer between
  middle = 1 << 11,           ///< neither first nor last eighth
  first_two = 1 << 12,        ///< of the tensors with attention values
  first_four = 1 << 13,
  ragged = 1 << 14,           ///< rows are not whole blocks of the base type
};

struct Rule {
  MixSet mixes;
  Role role;
  std::uint32_t when;
  DType type;
};

using enum DType;

constexpr Rule kRules[] = {
    // Head and embedding see every token.
    {kAny, Role::output, falcon, q8_0},
    {kAny, Role::output, ragged, q8_0},
    {kFewest | set(IQ3_XXS), Role::output, always, q5_k},
    {set(Q8_0, MXFP4_MOE), Role::output, always, q8_0},
    {kAny, Role::output, always, q6_k},
    {kIq2Larger | set(IQ3_XXS), Role::embedding, always, iq3_s},
    {kFewest, Role::embedding, always, q2_k},
    {set(TQ1_0, TQ2_0), Role::embedding, always, q4_k},

    // Mixes of one and two bits.
    {kFewest, Role::attn_v, wide_gqa, q4_k},
    {kFewest, Role::attn_v, many_experts, q4_k},
    {kIq2Larger, Role::attn_v, always, iq3_s},
    {kFewest, Role::attn_v, always, q2_k},
    {kFewest, Role::attn_k, eight_experts, q4_k},
    {kIq2Larger, Role::ffn_down, first_8th, iq3_s},
    {kFewest, Role::ffn_down, first_8th, q2_k},
    {kFewest, Role::attn_output, eight_experts, q5_k},
    {kIq1, Role::attn_output, always, iq2_xxs},
    {kIq2Larger, Role::attn_output, always, iq3_s},

    // Attention: values matter most, and are small where heads share them.
    {kOthers, Role::attn_v, eight_experts, q8_0},
    {set(Q2_K, Q2_K_S, IQ3_XXS, IQ3_XS, IQ3_S), Role::attn_v, wide_gqa, q4_k},
    {set(Q2_K), Role::attn_v, always, q3_k},
    {set(IQ3_XXS), Role::attn_v, no_importance, iq3_s},
    {set(IQ3_M), Role::attn_v, always, q4_k},
    {set(Q3_K_M), Role::attn_v, first_two, q5_k},
    {set(Q3_K_M), Role::attn_v, always, q4_k},
    {set(Q3_K_L), Role::attn_v, always, q5_k},
    {set(IQ4_NL, IQ4_XS), Role::attn_v, wide_gqa, q5_k},
    {set(Q4_K_M, Q5_K_M), Role::attn_v, more_bits, q6_k},
    {set(Q4_K_S), Role::attn_v, first_four, q5_k},
    {kOthers, Role::attn_k, eight_experts, q8_0},
    {set(IQ3_XS), Role::attn_k, always, iq3_xxs},
    {set(IQ3_XXS), Role::attn_k, importance, iq2_s},   // without importance there is no IQ2_S
    {set(IQ3_XS), Role::attn_q, always, iq3_xxs},
    {set(IQ3_XXS), Role::attn_q, importance, iq2_s},
    {set(Q2_K, IQ3_XS, IQ3_XXS, Q3_K_S, Q3_K_M, IQ4_NL, Q4_K_S, Q4_K_M, IQ3_S, IQ3_M, IQ4_XS), Role::attn_output,
     not_falcon | eight_experts, q5_k},
    {kOthers, Role::attn_output, not_falcon | eight_experts, DType{}},   // DType{}: the base type after all
    {set(Q2_K), Role::attn_output, not_falcon, q3_k},
    {set(IQ3_XXS), Role::attn_output, not_falcon, iq3_s},
    {set(Q3_K_M, IQ3_M), Role::attn_output, not_falcon, q4_k},
    {set(Q3_K_L), Role::attn_output, not_falcon, q5_k},
    {set(Q3_K_L), Role::attn_output, falcon, q4_k},
    {set(Q3_K_M, Q3_K_L, IQ3_M), Role::attn_qkv, always, q4_k},
    {set(Q4_K_M), Role::attn_qkv, always, q5_k},
    {set(Q5_K_M), Role::attn_qkv, always, q6_k},

    // Feed-forward: what comes down again matters more than what goes up.
    {set(Q2_K), Role::ffn_down, always, q3_k},
    {set(Q2_K_S), Role::ffn_down, first_8th, q4_k},
    {set(IQ3_XXS), Role::ffn_down, no_importance | first_8th, q4_k},
    {set(IQ3_XXS), Role::ffn_down, no_importance, q3_k},
    {set(Q3_K_M), Role::ffn_down, first_16th, q5_k},
    {set(Q3_K_M), Role::ffn_down, not_falcon, q4_k},
    {set(Q3_K_M), Role::ffn_down, more_bits, q4_k},
    {set(IQ3_M), Role::ffn_down, first_8th, q4_k},
    {set(IQ3_M), Role::ffn_down, eight_experts | more_bits, q4_k},
    {set(Q3_K_L), Role::ffn_down, falcon, q4_k},
    {set(Q3_K_L), Role::ffn_down, always, q5_k},
    {set(Q4_K_M), Role::ffn_down, falcon | first_16th, q6_k},
    {set(Q4_K_M), Role::ffn_down, falcon | more_bits, q5_k},
    {set(Q4_K_M), Role::ffn_down, not_falcon | more_bits, q6_k},
    {set(Q5_K_M), Role::ffn_down, more_bits, q6_k},
    {set(IQ4_NL, IQ4_XS), Role::ffn_down, no_importance | first_8th, q5_k},
    {set(Q4_K_S), Role::ffn_down, not_falcon | first_8th, q5_k},
    {set(Q4_0), Role::ffn_down, importance | first_8th, q4_1},
    {set(Q5_0), Role::ffn_down, importance | first_8th, q5_1},
    {set(IQ3_XS), Role::ffn_gate, middle, iq3_xxs},
    {set(IQ3_XS), Role::ffn_up, middle, iq3_xxs},

    // MXFP4_MOE: the experts of a mixture, as they were trained; all else in Q8_0.
    {set(MXFP4_MOE), Role::ffn_down, expert_tensor, mxfp4},
    {set(MXFP4_MOE), Role::ffn_gate, expert_tensor, mxfp4},
    {set(MXFP4_MOE), Role::ffn_up, expert_tensor, mxfp4},
    {set(MXFP4_MOE), Role::other, expert_tensor, mxfp4},
};

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

Role role_of(std::string_view name, bool has_output) {
  if (name == "output.weight" || (!has_output && name == "token_embd.weight")) return Role::output;
  if (name == "token_embd.weight") return Role::embedding;
  constexpr struct {
    std::string_view part;
    Role role;
  } kParts[] = {
      {"attn_v.weight", Role::attn_v},           {"attn_k.weight", Role::attn_k},     {"attn_q.weight", Role::attn_q},
      {"ffn_down", Role::ffn_down},              {"attn_output.weight", Role::attn_output},
      {"attn_qkv.weight", Role::attn_qkv},       {"ffn_gate", Role::ffn_gate},        {"ffn_up", Role::ffn_up},
  };
  for (const auto& p : kParts) {
    if (has(name, p.part)) return p.role;
  }
  return Role::other;
}

/// Of place `i` among `n`.
std::uint32_t place_bits(std::int64_t i, std::int64_t n) noexcept {
  const std::int64_t eighth = n / 8, last = 7 * n / 8;
  std::uint32_t bits = 0;
  if (i < n / 16) bits |= first_16th;
  if (i < eighth) bits |= first_8th;
  if (i >= eighth && i < last) bits |= middle;
  if (i < eighth || i >= last || (i - eighth) % 3 == 2) bits |= more_bits;
  if (i < 2) bits |= first_two;
  if (i < 4) bits |= first_four;
  return bits;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::span<const Mix> mixes() noexcept { return kMixes; }

Result<const Mix*> find_mix(std::string_view name) {
  std::string known;
  for (const Mix& m : kMixes) {
    if (same_name(name, m.name)) return &m;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", m.name);
  }
  for (const Alias& a : kAliases) {
    if (same_name(name, a.name)) return &kMixes[a.mix];
  }
  return Status::error(Code::quant_type, fmt::format("unknown quantisation {}; known: {}", quoted(name), known))
      .about("type");
}

Result<DType> find_dtype(std::string_view name) {
  std::string known;
  for (int i = 0; i < kDTypeCount; ++i) {
    if (kDTypes[i].use != DTypeUse::weight) continue;
    if (same_name(name, kDTypes[i].name)) return static_cast<DType>(i);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", kDTypes[i].name);
  }
  return Status::error(Code::quant_type, fmt::format("unknown type {}; known: {}", quoted(name), known));
}

std::int64_t layer_of(std::string_view tensor_name) noexcept {
  constexpr std::string_view kBlock = "blk.";
  if (!tensor_name.starts_with(kBlock)) return -1;
  std::int32_t layer = -1;
  const char* const end = tensor_name.data() + tensor_name.size();
  const auto [stop, error] = std::from_chars(tensor_name.data() + kBlock.size(), end, layer);
  return error == std::errc() && stop != end && *stop == '.' && layer >= 0 ? layer : -1;
}

bool is_attention_value(std::string_view name) noexcept {
  return has(name, "attn_v.weight") || has(name, "attn_qkv.weight") || has(name, "attn_kv_b.weight");
}

ModelFacts facts_of(const ModelDescriptor& model, bool has_importance) {
  ModelFacts facts;
  facts.is_falcon = model.architecture == "falcon";
  facts.has_importance = has_importance;
  std::int64_t last_layer = -1;
  for (const TensorMeta& t : model.tensors) {
    facts.has_output = facts.has_output || t.name == "output.weight";
    facts.n_attention += is_attention_value(t.name) ? 1 : 0;
    last_layer = std::max(last_layer, layer_of(t.name));
  }
  // A file that is only rewritten may claim any number.
  facts.n_layers = std::clamp<std::int64_t>(model.hyper.n_layers.value_or(last_layer + 1), 0, kMaxLayers);
  facts.n_experts = std::max<std::int64_t>(1, model.hyper.n_experts.value_or(0));
  const auto& q = model.hyper.n_heads;
  const auto& kv = model.hyper.n_kv_heads;
  if (!q.empty() && !kv.empty() && kv.front() > 0) facts.n_gqa = q.front() / kv.front();
  return facts;
}

bool is_quantizable(const TensorMeta& tensor) {
  // Small, or of a precision that is felt at once: norms, routers, positions, convolutions, mixing weights.
  constexpr std::string_view kKept[] = {
      "_norm.weight",          "ffn_gate_inp",            "position_embd.weight",   "token_types.weight",
      "ssm_conv1d",            "shortconv.conv",          "time_mix_first.weight",  "time_mix_w0.weight",
      "time_mix_w1.weight",    "time_mix_w2.weight",      "time_mix_v0.weight",     "time_mix_v1.weight",
      "time_mix_v2.weight",    "time_mix_a0.weight",      "time_mix_a1.weight",     "time_mix_a2.weight",
      "time_mix_g1.weight",    "time_mix_g2.weight",      "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
      "time_mix_lerp_fused.weight", "attn_rel_b.weight",
  };
  const std::string_view name = tensor.name;
  if (!name.ends_with("weight") || tensor.shape.rows() < 2) return false;
  return std::none_of(std::begin(kKept), std::end(kKept), [&](std::string_view part) { return has(name, part); });
}

DType rule_type(const Mix& mix, const ModelFacts& model, const TensorMeta& tensor, std::int64_t attention_rank) {
  const DTypeInfo& base = info(mix.base);
  if (base.block_elems == 1) return mix.base;   // floats are the same for all
  const Role role = role_of(tensor.name, model.has_output);
  const bool by_rank = role == Role::attn_v;
  std::uint32_t facts = by_rank ? place_bits(attention_rank, model.n_attention)
                                : place_bits(std::max<std::int64_t>(0, layer_of(tensor.name)), model.n_layers);
  const auto add = [&](bool holds, std::uint32_t bit) { facts |= holds ? bit : 0; };
  add(model.n_gqa >= 4, wide_gqa);
  add(model.n_experts >= 4, many_experts);
  add(model.n_experts == 8, eight_experts);
  add(tensor.shape.rows() > tensor.shape.dims[1], expert_tensor);
  add(model.has_importance, importance);
  add(!model.has_importance, no_importance);
  add(model.is_falcon, falcon);
  add(!model.is_falcon, not_falcon);
  add(tensor.shape.cols() % base.block_elems != 0, ragged);

  const MixSet self = MixSet{1} << (&mix - kMixes);
  DType type = mix.base;
  for (const Rule& rule : kRules) {
    if ((rule.mixes & self) == 0 || rule.role != role || (facts & rule.when) != rule.when) continue;
    if (rule.type != DType{}) type = rule.type;
    break;
  }
  // Of 70 billion weights with grouped queries, those of the values are a small part: more bits cost next to nothing.
  const bool seventy = model.n_layers == 80 && model.n_gqa > 1;
  if (role == Role::attn_v && (self & kOthers) != 0 && seventy && (type == q3_k || type == q4_k)) type = q5_k;
  return type;
}

DType fallback_type(DType type, std::int64_t cols) noexcept {
  if (cols % info(type).block_elems == 0) return type;
  DType instead = f16;
  switch (type) {
    case tq1_0:
    case tq2_0: instead = q4_0; break;
    case q4_k: instead = q5_0; break;
    case q5_k: instead = q5_1; break;
    case q6_k: instead = q8_0; break;
    default: instead = info(type).block_elems == 256 ? iq4_nl : f16;
  }
  return cols % info(instead).block_elems == 0 ? instead : f16;
}

}  // namespace infer
