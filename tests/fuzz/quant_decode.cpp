// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as blocks of any type, and any floats to be rounded to it. Blocks are decoded and taken apart within
// the bounds of libinfer/kernels.h; every kernel table that runs here multiplies them to the bits of the specification;
// what an encoder writes decodes to numbers, and to the same bytes in every run.
//
// Input: type, rows, blocks in a row, tokens, a byte of choices; then activations as a byte each and the blocks' bytes, or floats.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "ops/ops.h"
#include "ops/quant/quants.h"
#include "tests/fuzz/fuzz.h"
#include "tests/testing/kernel_tester.h"

namespace {

using infer::CodeBlock;
using infer::DTypeInfo;
using infer::QuantFormat;
using infer::fuzz::Input;
using infer::fuzz::require;
using infer::testing::same_bits;

using Bytes = std::vector<std::byte>;

/// n bytes, zeros where the input has no more, that end where their memory ends.
Bytes take_exactly(Input& input, std::size_t n) {
  Bytes bytes = input.take_bytes(n);
  bytes.resize(n);
  bytes.shrink_to_fit();
  return bytes;
}

void judge_parts(const QuantFormat& q, const std::byte* block, const float* decoded) {
  if (q.codes == nullptr) return;
  CodeBlock parts;
  q.codes(block, parts);
  const std::int64_t n = infer::info(q.dtype).block_elems;
  bool unit_scales = true;
  for (std::int64_t sub = 0; sub < n / infer::kSubCols; ++sub) {
    unit_scales &= parts.scales[sub] == 1;
    require(std::abs(parts.scales[sub]) <= 128);
    require(!q.has_mins || (parts.mins[sub] >= 0 && parts.mins[sub] <= 128));
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t sub = i / infer::kSubCols;
    require(parts.codes[i] >= (unit_scales ? -128 : -127));
    const float weight = parts.d * static_cast<float>(parts.scales[sub]) * static_cast<float>(parts.codes[i]);
    const float min = q.has_mins ? parts.m * static_cast<float>(parts.mins[sub]) : 0.0f;
    require(same_bits(decoded[i], q.has_mins ? weight - min : weight));
  }
}

void judge_products(const QuantFormat& q, const Bytes& weights, std::int64_t rows, std::int64_t cols, std::int64_t tokens,
                    Input& input) {
  infer::testing::Matrix x(tokens, cols, 0), expected(tokens, rows, 0);
  for (float& v : x.values) {
    const auto b = input.take<std::int8_t>();
    v = b == -128 ? std::numeric_limits<float>::infinity() : static_cast<float>(b) * 0.0625f;
  }
  infer::testing::multiply(infer::kernels_scalar, q, weights.data(), 0, rows, x, 0, tokens, nullptr, expected);
  for (const infer::KernelTable* table : infer::builtin_kernels()) {
    if (!table->runs_here()) continue;
    infer::testing::Matrix found(tokens, rows, 0);
    infer::testing::multiply(*table, q, weights.data(), 0, rows, x, 0, tokens, nullptr, found);
    for (std::size_t i = 0; i < found.values.size(); ++i) require(same_bits(found.values[i], expected.values[i]));
  }
}

void judge_encoder(const QuantFormat& q, std::size_t blocks, bool with_importance, Input& input) {
  if (q.encode == nullptr) return;
  const DTypeInfo& type = infer::info(q.dtype);
  // A block of floats is one of few, so that some are alike.
  std::vector<float> x(blocks * type.block_elems), importance(x.size());
  float few[16];
  for (float& f : few) f = input.take<float>();
  for (float& v : x) {
    const auto choice = input.take<std::uint8_t>();
    v = choice < 16 ? few[choice] : static_cast<float>(choice - 128) * 0.01f;
    if (choice == 255) v = input.take<float>();
  }
  for (float& v : importance) {
    const auto choice = input.take<std::uint8_t>();
    v = choice < 16 ? few[choice] : static_cast<float>(choice);
  }
  Bytes bytes(blocks * type.block_bytes), again(bytes.size());
  const auto n = static_cast<std::int64_t>(x.size());
  q.encode(x.data(), with_importance ? importance.data() : nullptr, bytes.data(), n);
  q.encode(x.data(), with_importance ? importance.data() : nullptr, again.data(), n);
  require(bytes == again);
  std::vector<float> back(x.size());
  q.decode(bytes.data(), back.data(), n);
  const bool is_float = q.codes == nullptr;
  for (const float v : back) require(is_float || std::isfinite(v));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto quants = infer::builtin_quants();
  const QuantFormat& q = *quants[input.take<std::uint8_t>() % quants.size()];
  const DTypeInfo& type = infer::info(q.dtype);
  const auto rows = static_cast<std::int64_t>(input.take<std::uint8_t>() % 36 + 1);
  const std::size_t least = type.block_elems == 1 ? 17 : 1;   // rows of floats have any length
  const std::size_t row_blocks = input.take<std::uint8_t>() % 3 + least;
  const auto tokens = static_cast<std::int64_t>(input.take<std::uint8_t>() % 14 + 1);
  const auto choices = input.take<std::uint8_t>();

  if ((choices & 1) != 0) {
    judge_encoder(q, row_blocks, (choices & 2) != 0, input);
    return 0;
  }
  const std::size_t row_bytes = row_blocks * type.block_bytes;
  const Bytes pattern = take_exactly(input, row_bytes * ((choices & 4) != 0 ? static_cast<std::size_t>(rows) : 1));
  Bytes weights;   // the same row many times, or all of them from the input
  while (weights.size() < row_bytes * static_cast<std::size_t>(rows)) weights.insert(weights.end(), pattern.begin(), pattern.end());
  weights.shrink_to_fit();

  std::vector<float> decoded(row_blocks * type.block_elems);
  q.decode(weights.data(), decoded.data(), static_cast<std::int64_t>(decoded.size()));
  for (std::size_t b = 0; b < row_blocks; ++b) {
    judge_parts(q, weights.data() + b * type.block_bytes, decoded.data() + b * type.block_elems);
  }
  judge_products(q, weights, rows, static_cast<std::int64_t>(decoded.size()), tokens, input);
  return 0;
}
