// SPDX-License-Identifier: MIT
// THE SPECIFICATION: every entry of KernelTable as the shortest loop that is right. Each says which IEEE operations make
// a result and in which order, fused multiply-adds written out; faster tables do the same operations on many results at
// once, so that every table gives the same bits. docs/numerics.md has the reasons. Attention is in ops/scalar_attention.cpp, what
// both share in ops/scalar.h. Tested by tests/ops/kernels_test.cpp,
// elementwise_test.cpp and attention_test.cpp.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "ops/flush.h"
#include "ops/ops.h"
#include "ops/quant/half.h"
#include "ops/scalar.h"

namespace infer {

using namespace scalar;

namespace {

// ---- input of products

/// Tiles of one token: floats as they are.
void input_f32(const InputArgs& a) noexcept {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    std::memcpy(a.out + t * input_bytes(InputForm::f32, a.cols), a.x + t * a.stride,
                static_cast<std::size_t>(a.cols) * sizeof(float));
  }
}

/// Two columns in a dword, the first in its lower half.
void input_bf16(const InputArgs& a) noexcept {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const float* x = a.x + t * a.stride;
    std::byte* out = a.out + t * input_bytes(InputForm::bf16, a.cols);
    for (std::int64_t c = 0; c < a.cols; c += 2, out += 4) {
      const std::uint16_t pair[2] = {float_to_bf16(x[c]), c + 1 < a.cols ? float_to_bf16(x[c + 1]) : std::uint16_t{0}};
      std::memcpy(out, pair, sizeof pair);
    }
  }
}

/// One block to codes and scale. Whether all is finite is seen in the bits of the magnitudes, which as integers are ordered
/// like the floats, with infinity and NaNs above. Answers the scale.
float round_block(const float* x, std::int8_t* codes, std::int64_t n) noexcept {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu);
  std::fill_n(codes, n, std::int8_t{0});
  if (largest >= 0x7f800000u) return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = std::bit_cast<float>(largest);
  if (magnitude < kLeastQ8) return 0.0f;
  const float inverse = 127.0f / magnitude;
  // Ties to even; at most 127, as 127 / m * m is.
  for (std::int64_t i = 0; i < n; ++i) codes[i] = static_cast<std::int8_t>(std::nearbyint(x[i] * inverse));
  return magnitude / 127.0f;
}

std::int32_t sum_of(const std::int8_t* codes, std::int64_t n) noexcept {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += codes[i];
  return sum;
}

void block_q8(const float* x, std::byte* out) noexcept {
  std::int8_t codes[kBlockCols];
  const float scale = round_block(x, codes, kBlockCols);
  const std::int32_t minus_sum = -sum_of(codes, kBlockCols);
  std::memcpy(out, codes, sizeof codes);
  std::memcpy(out + kBlockCols, &scale, sizeof scale);
  std::memcpy(out + kBlockCols + 4, &minus_sum, sizeof minus_sum);
}

void block_q8_k(const float* x, std::byte* out) noexcept {
  constexpr std::int64_t kHalf = scale_cols(InputForm::q8_k);
  std::int8_t codes[kSuperCols];
  const float scales[2] = {round_block(x, codes, kHalf), round_block(x + kHalf, codes + kHalf, kHalf)};
  std::int16_t of_16[kSuperCols / kSubCols], of_32[kSuperCols / kBlockCols];
  for (std::int64_t i = 0; i < kSuperCols; i += kSubCols) of_16[i / kSubCols] = static_cast<std::int16_t>(-sum_of(codes + i, kSubCols));
  for (std::int64_t i = 0; i < kSuperCols; i += kBlockCols) {
    of_32[i / kBlockCols] = static_cast<std::int16_t>(-sum_of(codes + i, kBlockCols));
  }
  std::memcpy(out, codes, sizeof codes);
  std::memcpy(out + kSuperCols, scales, sizeof scales);
  std::memcpy(out + kSuperCols + sizeof scales, of_16, sizeof of_16);
  std::memcpy(out + kSuperCols + sizeof scales + sizeof of_16, of_32, sizeof of_32);
}

template <InputForm form, void (*block)(const float*, std::byte*) noexcept>
void input_blocks(const InputArgs& a) noexcept {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    for (std::int64_t c = 0; c < a.cols; c += input_block(form)) {
      block(a.x + t * a.stride + c, a.out + t * input_bytes(form, a.cols) + input_bytes(form, c));
    }
  }
}

// ---- products

/// Whole blocks from column c of a row on.
const std::byte* at_col(const MatmulArgs& m, std::int64_t row, std::int64_t c) noexcept {
  return m.weights + static_cast<std::size_t>(row) * m.stride +
         static_cast<std::size_t>(c) / info(m.format->dtype).block_elems * info(m.format->dtype).block_bytes;
}

/// A stretch of weights is decoded at a time, and never more: a multiple of every block.
constexpr std::int64_t kStretch = 256;

void store(const MatmulArgs& m, std::int64_t t, std::int64_t r, float sum) noexcept {
  m.y[t * m.y_stride + r] = m.bias == nullptr ? sum : sum + m.bias[r];
}

/// The tile that a token stands in: n tokens side by side, this one in column t.
struct InTile {
  const std::byte* data;
  std::int64_t n;
  std::int64_t t;
};

InTile find(const MatmulArgs& m, std::int64_t token) noexcept {
  const std::int64_t first = token / m.tile_tokens * m.tile_tokens;
  return {m.input + first * input_bytes(m.format->input, m.cols), std::min(m.tile_tokens, m.tokens - first), token - first};
}

/// Weights as floats: within a block of 32 columns one chain of fused multiply-adds, then the blocks' sums in order.
/// The tokens of a row are done together for the sake of the decoding alone.
void matmul_f32(const MatmulArgs& m) noexcept {
  for (std::int64_t r = 0; r < m.rows; ++r) {
    for (std::int64_t t = 0; t < m.tokens; ++t) m.y[t * m.y_stride + r] = 0.0f;
    for (std::int64_t c = 0; c < m.cols; c += kStretch) {
      const std::int64_t n = std::min(kStretch, m.cols - c);
      float w[kStretch];
      m.format->decode(at_col(m, r, c), w, n);
      for (std::int64_t t = 0; t < m.tokens; ++t) {
        const InTile tile = find(m, t);
        const float* x = reinterpret_cast<const float*>(tile.data) + c * tile.n + tile.t;
        float& y = m.y[t * m.y_stride + r];
        for (std::int64_t b = 0; b < n; b += kBlockCols) {
          float sum = 0.0f;
          for (std::int64_t i = b; i < std::min(n, b + kBlockCols); ++i) sum = std::fma(w[i], x[i * tile.n], sum);
          y += sum;
        }
      }
    }
    for (std::int64_t t = 0; t < m.tokens; ++t) store(m, t, r, m.y[t * m.y_stride + r]);
  }
}

/// Both as bfloat16: their products are exact in float. Within a block of 32 columns one chain of fused multiply-adds, in which
/// of two columns the second comes first; then the blocks' sums in order. All subnormal numbers count as zeros.
void matmul_bf16(const MatmulArgs& m) noexcept {
  const SubnormalsAreZeros mode;
  for (std::int64_t r = 0; r < m.rows; ++r) {
    for (std::int64_t t = 0; t < m.tokens; ++t) {
      const InTile tile = find(m, t);
      float y = 0.0f;
      for (std::int64_t c = 0; c < m.cols; c += kBlockCols) {
        float w[kBlockCols] = {};
        const std::int64_t n = std::min(kBlockCols, m.cols - c);
        m.format->decode(at_col(m, r, c), w, n);
        float sum = 0.0f;
        for (std::int64_t i = 0; i < n; i += 2) {
          std::uint16_t x[2];
          std::memcpy(x, tile.data + ((c + i) / 2 * tile.n + tile.t) * 4, sizeof x);
          sum = std::fma(w[i + 1], bf16_to_float(x[1]), sum);
          sum = std::fma(w[i], bf16_to_float(x[0]), sum);
        }
        y += sum;
      }
      store(m, t, r, y);
    }
  }
}

/// Weights and activations as codes. Of the columns that share a scale of the activations the products are summed exactly, in
/// integers: those of sixteen columns times their scale; and the columns' activations times their min. These sums times the
/// floats of the weights, and then the scale of the activations, go to the row's.
void matmul_codes(const MatmulArgs& m) noexcept {
  const InputForm form = m.format->input;
  const std::int64_t block_cols = input_block(form), part_cols = scale_cols(form);
  for (std::int64_t r = 0; r < m.rows; ++r) {
    for (std::int64_t t = 0; t < m.tokens; ++t) m.y[t * m.y_stride + r] = 0.0f;
    for (std::int64_t c = 0; c < m.cols; c += block_cols) {
      CodeBlock w;
      m.format->codes(at_col(m, r, c), w);
      for (std::int64_t t = 0; t < m.tokens; ++t) {
        const InTile tile = find(m, t);
        const std::byte* x = tile.data + tile.n * input_bytes(form, c) + tile.t * 4;
        float& y = m.y[t * m.y_stride + r];
        for (std::int64_t part = 0; part < block_cols / part_cols; ++part) {
          std::int32_t dot = 0, offset = 0;
          for (std::int64_t sub = part * part_cols / kSubCols; sub < (part + 1) * part_cols / kSubCols; ++sub) {
            std::int8_t codes[kSubCols];
            for (std::int64_t i = 0; i < kSubCols; i += 4) std::memcpy(codes + i, x + (sub * kSubCols + i) * tile.n, 4);
            std::int32_t products = 0, sum = 0;
            for (std::int64_t i = 0; i < kSubCols; ++i) {
              products += w.codes[sub * kSubCols + i] * codes[i];
              sum += codes[i];
            }
            dot += w.scales[sub] * products;
            if (m.format->has_mins) offset += w.mins[sub] * sum;
          }
          float x_scale;
          std::memcpy(&x_scale, x + (block_cols + part * 4) * tile.n, sizeof x_scale);
          float sum = static_cast<float>(dot) * w.d;
          if (m.format->has_mins) sum = std::fma(static_cast<float>(-offset), w.m, sum);
          y = std::fma(sum, x_scale, y);
        }
      }
    }
    for (std::int64_t t = 0; t < m.tokens; ++t) store(m, t, r, m.y[t * m.y_stride + r]);
  }
}

void matmul(const MatmulArgs& m) noexcept {
  switch (m.format->input) {
    case InputForm::f32: return matmul_f32(m);
    case InputForm::bf16: return matmul_bf16(m);
    case InputForm::q8:
    case InputForm::q8_k: return matmul_codes(m);
  }
}

// ---- norms

/// Element i goes to partial sum i mod 16.
void rms_norm(const RmsNormArgs& a) noexcept {
  float lanes[kLanes] = {};
  for (std::int64_t i = 0; i < a.n; ++i) lanes[i % kLanes] = std::fma(a.x[i], a.x[i], lanes[i % kLanes]);
  const float mean = total(lanes) / static_cast<float>(a.n);
  const float scale = 1.0f / std::sqrt(mean + a.eps);
  for (std::int64_t i = 0; i < a.n; ++i) a.out[i] = a.x[i] * scale * a.weight[i];
}

/// The mean first, then the squares of what is left. The bias is added in one step with the product.
void layer_norm(const LayerNormArgs& a) noexcept {
  float lanes[kLanes] = {};
  for (std::int64_t i = 0; i < a.n; ++i) lanes[i % kLanes] += a.x[i];
  const float mean = total(lanes) / static_cast<float>(a.n);
  float squares[kLanes] = {};
  for (std::int64_t i = 0; i < a.n; ++i) squares[i % kLanes] = std::fma(a.x[i] - mean, a.x[i] - mean, squares[i % kLanes]);
  const float scale = 1.0f / std::sqrt(total(squares) / static_cast<float>(a.n) + a.eps);
  for (std::int64_t i = 0; i < a.n; ++i) {
    const float z = (a.x[i] - mean) * scale;
    a.out[i] = a.bias == nullptr ? z * a.weight[i] : std::fma(z, a.weight[i], a.bias[i]);
  }
}

// ---- element by element

/// z / (1 + e^-z).
float silu_of(float z) noexcept { return z / (1.0f + exp_of(-z)); }

/// (1 + tanh u) / 2 = 1 / (1 + e^-2u), with u = sqrt(2 / pi) (z + 0.044715 z^3).
float gelu_of(float z) noexcept {
  const float u = std::fma(z * z, z * 0.044715f, z);
  return z / (1.0f + exp_of(u * -1.5957691216f));   // -2 sqrt(2 / pi)
}

template <Activation kind>
float activation_of(float z) noexcept {
  return kind == Activation::silu ? silu_of(z) : gelu_of(z);
}

/// Pair p of a head is (x[first(p)], x[second(p)]).
template <RopeStyle style>
void rope(const RopeArgs& a) noexcept {
  for (std::int64_t h = 0; h < a.heads; ++h) {
    float* x = a.x + h * a.head_dim;
    for (std::int64_t p = 0; p < a.n_pairs; ++p) {
      const std::int64_t first = style == RopeStyle::interleaved ? 2 * p : p;
      const std::int64_t second = style == RopeStyle::interleaved ? 2 * p + 1 : p + a.n_pairs;
      const float u = x[first], v = x[second];
      x[first] = u * a.cos[p] - v * a.sin[p];
      x[second] = u * a.sin[p] + v * a.cos[p];
    }
  }
}

template <Activation kind>
void activation(float* x, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) x[i] = activation_of<kind>(x[i]);
}

template <Activation kind>
void gated(const float* gate, const float* up, float* out, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) out[i] = activation_of<kind>(gate[i]) * up[i];
}

void softcap(float* x, std::int64_t n, float cap) noexcept {
  for (std::int64_t i = 0; i < n; ++i) x[i] = softcap_of(x[i], cap);
}

void add(float* x, const float* y, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void add_scaled(float* x, const float* y, float factor, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) x[i] = std::fma(factor, y[i], x[i]);
}

// ---- keys and values: ops/scalar_attention.cpp

template <KvType... types>
constexpr void set_kv(KernelTable& t) noexcept {
  ((t.attention[static_cast<int>(types)] = attention<types>, t.kv_store[static_cast<int>(types)] = kv_store<types>), ...);
}

// ---- Probes: as the compiler makes them, like all of this file. A statement of no instructions hides the values from it.

template <class T>
void keep(T& value) noexcept {
  __asm__ volatile("" : : "r"(&value) : "memory");
}

void probe_read(const std::byte* bytes, std::size_t n) noexcept {
  std::uint64_t seen[Probes::kReadStep / sizeof(std::uint64_t)] = {};
  for (std::size_t i = 0; i < n; i += sizeof(seen)) {
    for (std::size_t l = 0; l < std::size(seen); ++l) {
      std::uint64_t word;
      std::memcpy(&word, bytes + i + l * sizeof(word), sizeof(word));
      seen[l] |= word;
    }
  }
  keep(seen);
}

std::int64_t probe_dot(std::int64_t rounds) noexcept {
  std::int8_t weights[kBlockCols] = {}, codes[kBlockCols] = {};
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < rounds; ++i) {
    keep(weights);
    keep(codes);
    for (std::int64_t c = 0; c < kBlockCols; ++c) sum += std::int32_t{weights[c]} * codes[c];
  }
  keep(sum);
  return rounds * kBlockCols;
}

std::int64_t probe_fma(std::int64_t rounds) noexcept {
  float factors[2] = {}, sums[kLanes] = {};
  keep(factors);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (float& sum : sums) sum = std::fma(factors[0], factors[1], sum);
  }
  keep(sums);
  return rounds * kLanes;
}

std::int64_t probe_bf16(std::int64_t rounds) noexcept {
  std::uint16_t pairs[2][2] = {};
  float sums[kLanes] = {};
  for (std::int64_t i = 0; i < rounds; ++i) {
    keep(pairs);
    for (float& sum : sums) {
      sum = std::fma(bf16_to_float(pairs[0][1]), bf16_to_float(pairs[1][1]), sum);
      sum = std::fma(bf16_to_float(pairs[0][0]), bf16_to_float(pairs[1][0]), sum);
    }
  }
  keep(sums);
  return rounds * kLanes * 2;
}

constexpr KernelTable make_table() noexcept {
  KernelTable t{};
  t.name = "scalar";
  t.runs_here = []() noexcept { return true; };
  t.tile = [](InputForm, std::int64_t) noexcept { return std::int64_t{1}; };
  t.work_per_look = std::int64_t{1} << 22;
  t.input[static_cast<int>(InputForm::f32)] = input_f32;
  t.input[static_cast<int>(InputForm::bf16)] = input_bf16;
  t.input[static_cast<int>(InputForm::q8)] = input_blocks<InputForm::q8, block_q8>;
  t.input[static_cast<int>(InputForm::q8_k)] = input_blocks<InputForm::q8_k, block_q8_k>;
  for (Matmul& m : t.matmul) m = {.run = matmul, .packed = false};
  t.matmul_rows = matmul;
  set_kv<KvType::f32, KvType::f16, KvType::bf16, KvType::i16, KvType::q8_0, KvType::q4_0>(t);
  t.rms_norm = rms_norm;
  t.layer_norm = layer_norm;
  t.rope[static_cast<int>(RopeStyle::interleaved)] = rope<RopeStyle::interleaved>;
  t.rope[static_cast<int>(RopeStyle::halves)] = rope<RopeStyle::halves>;
  t.activation[static_cast<int>(Activation::silu)] = activation<Activation::silu>;
  t.activation[static_cast<int>(Activation::gelu)] = activation<Activation::gelu>;
  t.gated[static_cast<int>(Activation::silu)] = gated<Activation::silu>;
  t.gated[static_cast<int>(Activation::gelu)] = gated<Activation::gelu>;
  t.softcap = softcap;
  t.add = add;
  t.add_scaled = add_scaled;
  t.probes = {.read = probe_read, .dot = probe_dot, .fma = probe_fma, .bf16 = probe_bf16};
  return t;
}

}  // namespace

constinit const KernelTable kernels_scalar = make_table();

}  // namespace infer
