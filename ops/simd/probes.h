// SPDX-License-Identifier: MIT
// What the instructions of an instruction set can do at most (Probes in libinfer/kernels.h): loops that do nothing but load
// lines, take dot products of codes, or multiply and add floats or bfloat16. The empty asm statements, which may read and write
// all memory, keep a compiler from seeing that the rounds are alike. Tested by tests/runtime/machine_test.cpp.
#pragma once

#include <utility>

#include "ops/simd/codes.h"
#include "ops/simd/lanes.h"

namespace infer::simd {

/// A compiler must have the value ready here, and know nothing of memory from here on.
template <class T>
INFER_INLINE void keep(T& value) noexcept {
  __asm__ volatile("" : : "r"(&value) : "memory");
}

template <class Isa>
void probe_read(const std::byte* bytes, std::size_t n) noexcept {
  constexpr std::size_t kLine = 64, kLines = Probes::kReadStep / kLine;
  using Line = typename Isa::Line;
  Line seen[kLines];
  for (std::size_t l = 0; l < kLines; ++l) seen[l] = Isa::line(bytes + l * kLine);
  for (std::size_t i = Probes::kReadStep; i < n; i += Probes::kReadStep) {
    for (std::size_t l = 0; l < kLines; ++l) seen[l] = Isa::either(seen[l], Isa::line(bytes + i + l * kLine));
  }
  for (std::size_t l = 1; l < kLines; ++l) seen[0] = Isa::either(seen[0], seen[l]);
  keep(seen[0]);
}

/// The register tile of products with all but the dot products left out: each line of codes serves all tokens, each four
/// codes of a token serve all panels. Codes of four bits, for which AVX2 has the shortest sequence. What adds up in the dots
/// themselves takes more tokens where a tile's sums do not hide their latency, as products do by beginning the next block.
template <class Isa>
constexpr int dot_tokens() noexcept {
  constexpr int kTwelve = 12 / (Isa::kTilePanels * Lanes<Isa>::kRegs);
  return Isa::kSeeds && Isa::kTileTokens < kTwelve ? kTwelve : Isa::kTileTokens;
}
template <class Isa, int... s>
std::int64_t dot_rounds(std::int64_t rounds, std::integer_sequence<int, s...>) noexcept {
  constexpr int kPanels = Isa::kTilePanels, kTokens = dot_tokens<Isa>(), kLineCodes = 64, kSteps = 4;
  alignas(64) std::byte lines[kPanels][kLineCodes] = {};
  std::int32_t codes[kTokens] = {};
  // All is written out: GCC 12 keeps sums of loops in memory, and copies registers from round to round.
  using Dot = typename Isa::template Dot<15>;
  Dot sums[] = {(static_cast<void>(s), Dot())...};
  const auto step = [&]() INFER_INLINE_LAMBDA {
    keep(lines);
    keep(codes);
    typename Isa::Line line[kPanels];
    for (int p = 0; p < kPanels; ++p) line[p] = Isa::line(lines[p]);
    (sums[s].add(line[s % kPanels], codes[s / kPanels]), ...);
  };
  for (std::int64_t i = 0; i < rounds; ++i) {
    step(), step(), step(), step();
  }
  Lanes<Isa> results[] = {Isa::floats(sums[s].sum(Isa::ints(0)))...};
  keep(results);
  return rounds * kSteps * kPanels * kTokens * kLineCodes;
}
template <class Isa>
std::int64_t probe_dot(std::int64_t rounds) noexcept {
  return dot_rounds<Isa>(rounds, std::make_integer_sequence<int, Isa::kTilePanels * dot_tokens<Isa>()>());
}

/// As many chains as hide the latency of an instruction and fit the registers.
template <class Isa>
std::int64_t probe_fma(std::int64_t rounds) noexcept {
  using L = Lanes<Isa>;
  constexpr int kTile = Isa::kTilePanels * Isa::kTileTokens, kTwelve = 12 / L::kRegs;
  constexpr int kChains = kTile > kTwelve ? kTile : kTwelve;
  alignas(64) float factors[2][kLanes] = {};
  keep(factors);
  const L a = L::load(factors[0]), b = L::load(factors[1]);
  L sums[kChains];
  for (int c = 0; c < kChains; ++c) sums[c] = L::of(0.0f);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < kChains; ++c) sums[c] = fma(a, b, sums[c]);
  }
  for (int c = 0; c < kChains; ++c) keep(sums[c]);
  return rounds * kChains * kLanes;
}

/// The same of pairs of bfloat16.
template <class Isa>
std::int64_t probe_bf16(std::int64_t rounds) noexcept {
  constexpr int kChains = Isa::kTilePanels * Isa::kPairTokens;
  alignas(64) std::byte pairs[kLineBytes] = {};
  std::int32_t pair = 0;
  keep(pairs);
  keep(pair);
  const typename Isa::Line line = Isa::line(pairs);
  const std::int32_t other = pair;
  Lanes<Isa> sums[kChains];
  for (int c = 0; c < kChains; ++c) sums[c] = Lanes<Isa>::of(0.0f);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < kChains; ++c) sums[c] = Isa::dot_bf16(line, other, sums[c]);
  }
  for (int c = 0; c < kChains; ++c) keep(sums[c]);
  return rounds * kChains * kLanes * 2;
}

}  // namespace infer::simd
