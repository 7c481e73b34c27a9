// SPDX-License-Identifier: MIT
// The kernel table: every computation that a model makes, as plain function pointers over plain structs. ops/scalar.cpp
// is the specification of each entry; a table for an instruction set replaces entries of it (ops/tables.cpp). Files
// that are compiled for one instruction set will include it, so: no containers, nothing that the linker could share.
//
// A kernel is a pure function of its arguments, splits nothing, allocates nothing, cannot fail. Work is split by the
// blocks (models/blocks). One output element is always accumulated in the same order, whether one row or many are
// computed: that makes logits the same bits for any batch split and thread count.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libinfer/dtype.h"

namespace infer {

/// Expands `n` weights (whole blocks) from `src` to floats.
using DecodeFn = void (*)(const std::byte* src, float* dst, std::int64_t n) noexcept;
/// Rounds `n` floats (whole blocks) to the type, with the scales that make the weighted squared error small.
/// `importance`: (n) weights of that error, not negative; null: all alike. The same bits on every machine.
using EncodeFn = void (*)(const float* x, const float* importance, std::byte* out, std::int64_t n) noexcept;

/// Columns of a small block: sums of products with floats, and of types of 32, are taken block by block (docs/numerics.md).
inline constexpr std::int64_t kBlockCols = 32;
/// Columns of a super-block, that of K-quants and their kin.
inline constexpr std::int64_t kSuperCols = 256;
/// Columns that share a sub-scale, at least.
inline constexpr std::int64_t kSubCols = 16;

/// A block in its parts, the same for every quantised type: weight = (d * scale) * code - m * min, with the scale and min
/// of its sixteen columns. Products are made of these: |code| <= 127 (128 in hostile files where all scales are 1),
/// |scale| <= 128, 0 <= min <= 128; in blocks of 32 all scales, and mins, are 1.
struct CodeBlock {
  std::int8_t codes[kSuperCols];
  std::int16_t scales[kSuperCols / kSubCols];
  std::int16_t mins[kSuperCols / kSubCols];   ///< only where QuantFormat::has_mins
  float d;
  float m;                                    ///< likewise
};
/// Takes one block of the type apart: as many entries as it has columns, 32 or 256.
using CodesFn = void (*)(const std::byte* block, CodeBlock& out) noexcept;
/// Rows of a panel: weights of 16 rows side by side, so that a vector register holds one column of them (ops/panels.h).
inline constexpr std::int64_t kPanelRows = 16;

/// Bytes of one panel of `cols` columns, a multiple of 64.
using PanelBytesFn = std::size_t (*)(std::int64_t cols) noexcept;
/// Rearranges kPanelRows rows of the file, `row_bytes` apart, to a panel.
using PackFn = void (*)(const std::byte* rows, std::size_t row_bytes, std::int64_t cols, std::byte* panel) noexcept;

/// What a product takes for activations.
enum class InputForm : std::uint8_t {
  f32,   ///< as they are
  bf16,  ///< rounded to bfloat16, two columns side by side (docs/numerics.md)
  q8,    ///< rounded to 8 bits in blocks of 32: x = scale * code, scale = max |x| / 127 (docs/numerics.md)
  q8_k,  ///< the same in blocks of 256, with a scale for each half
};
inline constexpr InputForm kInputForms[] = {InputForm::f32, InputForm::bf16, InputForm::q8, InputForm::q8_k};
inline constexpr int kInputFormCount = 4;

/// Bytes that one token takes in the form.
constexpr std::int64_t input_bytes(InputForm form, std::int64_t cols) noexcept {
  switch (form) {
    case InputForm::f32: return cols * 4;
    case InputForm::bf16: return (cols + 1) / 2 * 4;
    case InputForm::q8: return cols / kBlockCols * (kBlockCols + 8);          // codes, scale, minus the sum of the codes
    case InputForm::q8_k: return cols / kSuperCols * (kSuperCols + 8 + 32 + 16);   // codes, scales, minus the sums of 16 and of 32
  }
  return 0;
}
/// What a form's rows have to be a multiple of.
constexpr std::int64_t input_block(InputForm form) noexcept {
  return form == InputForm::q8 ? kBlockCols : form == InputForm::q8_k ? kSuperCols : 1;
}
/// Columns of an activation that share a scale.
constexpr std::int64_t scale_cols(InputForm form) noexcept {
  return form == InputForm::q8_k ? kSuperCols / 2 : input_block(form);
}

/// What the library can do with an element type. One per file in ops/quant; the table is ops/quant/quants.cpp.
struct QuantFormat {
  DType dtype = DType::f32;
  std::uint32_t block_bytes = 0;   ///< as dtype.h says: kernels of instruction sets share no table with others
  InputForm input = InputForm::f32;   ///< of products with weights of this type: q8 for blocks of 32, q8_k for blocks of 256
  bool has_mins = false;        ///< weights are not symmetric around 0: CodeBlock::mins
  bool needs_importance = false;   ///< so few bits that encoding without importance is of no use: refuse it
  DecodeFn decode = nullptr;
  EncodeFn encode = nullptr;    ///< null: cannot be produced
  CodesFn codes = nullptr;      ///< null where input is f32
  PanelBytesFn panel_bytes = nullptr;   ///< null, with pack: has no panel layout
  PackFn pack = nullptr;
};

inline constexpr float kLeastQ8 = 0x1p-100f;   ///< see InputArgs

/// Brings rows of activations into a form. Tokens are taken in tiles of tile_tokens (the last may be smaller); within a tile of
/// n tokens, dwords of the same place stand side by side:
///   f32  (cols, n) floats
///   bf16 (cols / 2, n) pairs of bfloat16, column 2i in the lower half; an odd last column has a zero beside it
///   q8   per block: (8, n) groups of four codes, n scales (float), n times minus the sum of the codes (int32)
///   q8_k per block: (64, n) groups of four codes, (2, n) scales (float) of its halves, (8, n) pairs of int16: minus the sums
///        of sixteen codes and of the next sixteen; (4, n) pairs: minus the sums of 32 codes and of the next 32
/// What shares a scale and has an infinite or NaN entry gets the scale NaN and codes of 0; where all entries are below
/// kLeastQ8 they count as zeros.
struct InputArgs {
  const float* x;             ///< (tokens, cols)
  std::int64_t stride;
  std::int64_t tokens;        ///< starting with a tile
  std::int64_t tile_tokens;   ///< KernelTable::tile of all the tokens that there are
  std::int64_t cols;          ///< a multiple of input_block(form)
  std::byte* out;             ///< tokens * input_bytes(form, cols), 64-byte aligned at its first tile
};

/// y[t][r] = sum over c of weights[r][c] * input[t][c] (+ bias[r]), for `rows` rows and `tokens` tokens.
struct MatmulArgs {
  const std::byte* weights;   ///< rows in the file's format, or panels, as Matmul::packed says
  std::size_t stride;         ///< bytes from row to row, or from panel to panel
  const QuantFormat* format;
  const float* bias;          ///< (rows), or null
  std::int64_t rows;          ///< packed: a multiple of kPanelRows
  std::int64_t cols;          ///< at least 1
  std::int64_t tokens;        ///< starting with a tile
  const std::byte* input;     ///< in the form of the format
  std::int64_t tile_tokens;   ///< of the input
  float* y;                   ///< (tokens, rows)
  std::int64_t y_stride;
  std::byte* scratch;         ///< KernelTable::scratch_bytes of the calling thread's, 64-byte aligned
};

/// out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]. RMSNorm, arXiv:1910.07467.
struct RmsNormArgs {
  const float* x;
  const float* weight;
  float* out;                 ///< may be x
  std::int64_t n;
  float eps;
};

/// out[i] = (x[i] - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * weight[i] + bias[i]. Layer normalisation, arXiv:1607.06450.
struct LayerNormArgs {
  const float* x;
  const float* weight;
  const float* bias;          ///< null: none
  float* out;                 ///< may be x
  std::int64_t n;
  float eps;
};

/// Rotates the first 2 * n_pairs entries of each of `heads` vectors by the angles whose cosine and sine are given, in
/// place. RoPE, arXiv:2104.09864. Which entries form a pair is the RopeStyle.
struct RopeArgs {
  float* x;                   ///< (heads, head_dim)
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t n_pairs;
  const float* cos;           ///< (n_pairs), times the attention magnitude of the scaling method
  const float* sin;           ///< (n_pairs)
};

enum class RopeStyle : std::uint8_t {
  interleaved,   ///< pairs (0,1) (2,3) ...: the `llama` converter permutes for it
  halves,        ///< pairs (0,h) (1,h+1) ...
};
inline constexpr int kRopeStyleCount = 2;

/// How keys and values are stored. Names: src/runtime/kv_kinds.h.
enum class KvType : std::uint8_t { f32, f16, bf16, i16, q8_0, q4_0 };
/// So many entries share a scale, and take so many bytes with it.
struct KvBlock {
  std::uint32_t elems, bytes;
};
inline constexpr KvBlock kKvBlocks[] = {{1, 4}, {1, 2}, {1, 2}, {32, 66}, {32, 34}, {32, 18}};
inline constexpr int kKvTypeCount = sizeof kKvBlocks / sizeof kKvBlocks[0];

/// Bytes of n entries of a key or value, whole blocks.
constexpr std::size_t kv_bytes(KvType type, std::int64_t n) noexcept {
  const KvBlock block = kKvBlocks[static_cast<std::size_t>(type)];
  return static_cast<std::size_t>(n) / block.elems * block.bytes;
}

// Of i16. The limits keep sums of 32 products below 2^31, whatever KvStoreFn has stored.
inline constexpr float kI16Most = 8191.0f;          ///< |code| of keys and values, at most
inline constexpr float kI16Unit = 1.0f / 1024.0f;   ///< x = scale * kI16Unit * code
inline constexpr float kI16Factor = 32767.0f;       ///< |code| of what they are multiplied with, entries of queries and weights, at most
inline constexpr float kI16FactorSum = 262000.0f;   ///< sum of |code| of 32 of those, at most, but for their rounding
inline constexpr float kLog2E = 0x1.715476p+0f;     ///< its weights are powers of 2

/// Positions in one page of the KV cache. Pages start at absolute positions that are multiples of it.
inline constexpr std::int64_t kKvPageTokens = 32;

/// What a query has summed so far; its weighted values are in its row of `out`.
struct AttentionSum {
  float largest;       ///< score; of i16 times kLog2E
  float weights[16];   ///< relative to it, by slot modulo 16
};

/// Queries of one call, at most.
inline constexpr std::int64_t kAttentionQueries = 48;

/// Consecutive tokens of one sequence, each with the query heads that share a KV head, over the cached keys and values of
/// the positions that it sees: out = sum over p of softmax_p(cap(scale * q.k[p])) * v[p], page by page with a running maximum.
/// cap(s) = softcap * tanh(s / softcap) (arXiv:2408.00118), or s where there is none.
/// Online softmax: arXiv:1805.02867, as used in arXiv:2205.14135.
///
/// A call takes the pages first_page .. end_page - 1. Pages that follow each other may be split over calls anywhere: the bits
/// are the same. The call with the first page that any token sees begins, the one with the last ends; between them, what was
/// summed is in `sums` and `out`.
struct AttentionArgs {
  const float* q;                 ///< (tokens, heads, key_dim), rotated
  std::int64_t q_stride;          ///< from token to token
  std::int64_t tokens;
  std::int64_t heads;             ///< tokens * heads <= kAttentionQueries
  const std::byte* keys;          ///< this layer's and KV head's part of page 0
  const std::byte* values;
  std::size_t key_page_bytes;     ///< from page to page
  std::size_t value_page_bytes;
  const std::int32_t* pages;      ///< page of positions [i * kKvPageTokens, (i + 1) * kKvPageTokens)
  std::int64_t position;          ///< of the first token
  std::int64_t window;            ///< positions that a token sees, its own the last of them; 0: all up to its own
  std::int64_t first_page;
  std::int64_t end_page;
  std::int64_t key_dim;
  std::int64_t value_dim;
  float scale;
  float softcap;                  ///< 0: none
  AttentionSum* sums;             ///< (tokens, heads)
  float* out;                     ///< (tokens, heads, value_dim)
  std::int64_t out_stride;

  /// The first position that a token sees.
  constexpr std::int64_t first_seen(std::int64_t token) const noexcept {
    const std::int64_t end = position + token + 1;
    return window > 0 && window < end ? end - window : 0;
  }
  /// All pages that tokens see: page_begin() .. page_end() - 1.
  constexpr std::int64_t page_begin() const noexcept { return first_seen(0) / kKvPageTokens; }
  constexpr std::int64_t page_end() const noexcept { return (position + tokens - 1) / kKvPageTokens + 1; }
};

/// Stores one position of one head in its page. Keys lie (2, key_dim, 16): sixteen positions side by side, so that a
/// vector register holds one entry of all their keys. Values lie (32, value_dim).
///
/// q8_0 and q4_0 round 32 entries at a time to codes with a scale, a half: values are blocks as in a file. Keys are blocks of
/// sixteen positions: their scales, then for q8_0 (32, 16) codes, for q4_0 (16, 16) bytes, which hold entry i in the low bits
/// and entry i + 16 in the high ones.
///
/// i16 rounds keys 32 entries at a time, values all at once, to int16 with a scale, a half. Both lie by blocks of 32 entries: the
/// scales of the 32 positions (a value's is in each of its blocks), then sixteen lines of pairs, as products of pairs take them: keys
/// (16, 32, 2), entries 2i and 2i + 1 of a position side by side; values (16, 32, 2), of positions 2j and 2j + 1 the same entry.
///
/// No byte belongs to two positions, so these may be stored at once.
struct KvStoreArgs {
  const float* key;       ///< (key_dim)
  const float* value;     ///< (value_dim)
  std::byte* keys;        ///< the head's part of the page
  std::byte* values;
  std::int64_t slot;      ///< position modulo kKvPageTokens
  std::int64_t key_dim;
  std::int64_t value_dim;
};

using InputFn = void (*)(const InputArgs&) noexcept;
using MatmulFn = void (*)(const MatmulArgs&) noexcept;
using AttentionFn = void (*)(const AttentionArgs&) noexcept;
using KvStoreFn = void (*)(const KvStoreArgs&) noexcept;

/// What a feed-forward block does between its products.
enum class Activation : std::uint8_t {
  silu,   ///< z / (1 + exp(-z)), arXiv:1702.03118
  gelu,   ///< z / 2 (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))), arXiv:1606.08415: the form that models are trained with
};
inline constexpr int kActivationCount = 2;

/// A product with weights of one type.
struct Matmul {
  MatmulFn run;
  bool packed;                            ///< takes panels, not rows of the file
};

/// What the instructions of a table can do at most: loops for measuring a machine (libinfer/machine.h), never for results.
struct Probes {
  static constexpr std::size_t kReadStep = 256;
  /// Loads all of n bytes, from first to last; 64-byte aligned, n a multiple of kReadStep and not 0.
  void (*read)(const std::byte* bytes, std::size_t n) noexcept;
  /// Rounds of multiply-adds of 8-bit codes with the instructions of products, nothing around them; answers how many.
  std::int64_t (*dot)(std::int64_t rounds) noexcept;
  /// The same of fused multiply-adds of floats.
  std::int64_t (*fma)(std::int64_t rounds) noexcept;
  /// The same of products of two pairs of bfloat16.
  std::int64_t (*bf16)(std::int64_t rounds) noexcept;
};

/// Every table computes the same bits: an entry is a stated sequence of IEEE operations (docs/numerics.md).
struct KernelTable {
  const char* name;                       ///< "scalar"
  bool (*runs_here)() noexcept;           ///< whether this machine has the instructions
  /// Tokens that stand side by side in an input of so many: no more, at least 1.
  std::int64_t (*tile)(InputForm form, std::int64_t tokens) noexcept;
  std::size_t scratch_bytes;              ///< of each thread that multiplies; a multiple of 64
  std::int64_t work_per_look;             ///< multiply-adds between two looks at the cancel flag: below 1 ms of work, 20 ms of the specification's
  InputFn input[kInputFormCount];
  Matmul matmul[kDTypeCount];             ///< by weight type
  MatmulFn matmul_rows;                   ///< any weight type, rows of the file: what is left over beside whole panels
  AttentionFn attention[kKvTypeCount];
  KvStoreFn kv_store[kKvTypeCount];
  void (*rms_norm)(const RmsNormArgs&) noexcept;
  void (*layer_norm)(const LayerNormArgs&) noexcept;
  void (*rope[kRopeStyleCount])(const RopeArgs&) noexcept;
  /// x[i] = activation(x[i])
  void (*activation[kActivationCount])(float* x, std::int64_t n) noexcept;
  /// out[i] = activation(gate[i]) * up[i]: SwiGLU and GeGLU, arXiv:2002.05202. out may be gate.
  void (*gated[kActivationCount])(const float* gate, const float* up, float* out, std::int64_t n) noexcept;
  /// x[i] = cap * tanh(x[i] / cap); cap > 0
  void (*softcap)(float* x, std::int64_t n, float cap) noexcept;
  /// x[i] += y[i]
  void (*add)(float* x, const float* y, std::int64_t n) noexcept;
  /// x[i] += factor * y[i]
  void (*add_scaled)(float* x, const float* y, float factor, std::int64_t n) noexcept;
  Probes probes;                          ///< the only entry without a result
};

}  // namespace infer
