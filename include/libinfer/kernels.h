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
/// Rounds `n` floats (whole blocks) to the type: the plain rounding, for tests and tools.
using EncodeFn = void (*)(const float* src, std::byte* dst, std::int64_t n) noexcept;

/// What the library can do with an element type. One per file in ops/quant; the table is ops/quant/quants.cpp.
struct QuantFormat {
  DType dtype;
  DecodeFn decode;
  EncodeFn encode;   ///< null: cannot be produced
};

/// y[t][r] = sum over c of weights[r][c] * x[t][c] (+ bias[r]), for `rows` rows and `tokens` tokens.
struct MatmulArgs {
  const std::byte* weights;   ///< (rows, cols) in the file's own block format
  std::size_t row_bytes;
  DecodeFn decode;            ///< of the weights' type
  const float* bias;          ///< (rows), or null
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t tokens;
  const float* x;             ///< (tokens, cols)
  std::int64_t x_stride;
  float* y;                   ///< (tokens, rows)
  std::int64_t y_stride;
};

/// out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]. RMSNorm, arXiv:1910.07467.
struct RmsNormArgs {
  const float* x;
  const float* weight;
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

/// How keys and values are stored. Names and sizes: src/runtime/kv_kinds.cpp.
enum class KvType : std::uint8_t { f32, f16 };
inline constexpr int kKvTypeCount = 2;

/// Positions in one page of the KV cache. Pages start at absolute positions that are multiples of it.
inline constexpr std::int64_t kKvPageTokens = 32;

/// One query head of one token over the cached keys and values of its sequence, positions first..last:
/// out = sum over p of softmax_p(scale * q.k[p]) * v[p].
/// A page holds (kKvPageTokens, head_dim) of one head contiguously; `pages` says which page holds which positions.
struct AttentionArgs {
  const float* q;                 ///< (key_dim), rotated
  const std::byte* keys;          ///< this layer's and KV head's part of page 0
  const std::byte* values;
  std::size_t key_page_bytes;     ///< from page to page
  std::size_t value_page_bytes;
  const std::int32_t* pages;      ///< page of positions [i * kKvPageTokens, (i + 1) * kKvPageTokens)
  std::int64_t first;
  std::int64_t last;              ///< inclusive; first <= last
  std::int64_t key_dim;
  std::int64_t value_dim;
  float scale;
  float* scores;                  ///< scratch (last - first + 1)
  float* out;                     ///< (value_dim)
};

using MatmulFn = void (*)(const MatmulArgs&) noexcept;
using AttentionFn = void (*)(const AttentionArgs&) noexcept;
/// Stores n floats as cached keys or values.
using KvStoreFn = void (*)(const float* src, std::byte* dst, std::int64_t n) noexcept;

struct KernelTable {
  const char* name;                       ///< "scalar"
  MatmulFn matmul[kDTypeCount];           ///< by weight type; the generic path where a type has none of its own
  AttentionFn attention[kKvTypeCount];
  KvStoreFn kv_store[kKvTypeCount];
  void (*rms_norm)(const RmsNormArgs&) noexcept;
  void (*rope[kRopeStyleCount])(const RopeArgs&) noexcept;
  /// out[i] = silu(gate[i]) * up[i], silu(z) = z / (1 + exp(-z)). SwiGLU, arXiv:2002.05202. out may be gate.
  void (*silu_mul)(const float* gate, const float* up, float* out, std::int64_t n) noexcept;
  /// x[i] += y[i]
  void (*add)(float* x, const float* y, std::int64_t n) noexcept;
};

}  // namespace infer
