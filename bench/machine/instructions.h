// SPDX-License-Identifier: MIT
// Loops of a few instructions on registers, independent of each other: how many of them a core starts in a cycle. The loops
// are in bench/machine/isa, one file per instruction set, compiled with its flags like those of ops/isa; they share no code
// with any other object.
#pragma once

#include <cstdint>
#include <span>

#include "ops/ops.h"

namespace infer::bench {

struct Instructions {
  const char* name;                       ///< "dpbusd + broadcast load"
  const KernelTable* table;               ///< runs where this runs
  int counted;                            ///< of the first instruction named, in a round
  void (*run)(std::int64_t rounds) noexcept;
};

/// All that are built in.
std::span<const Instructions> instructions() noexcept;

#if defined(__x86_64__)
namespace avx512vnni {
void dpbusd(std::int64_t rounds) noexcept;
void dpbusd_broadcast(std::int64_t rounds) noexcept;
void dpbusd_mulld(std::int64_t rounds) noexcept;
void mulld(std::int64_t rounds) noexcept;
void fma(std::int64_t rounds) noexcept;
}  // namespace avx512vnni
namespace avx2 {
void maddubs(std::int64_t rounds) noexcept;
void maddubs_add(std::int64_t rounds) noexcept;
void fma(std::int64_t rounds) noexcept;
}  // namespace avx2
inline constexpr int kPerRound = 12;   ///< of each loop: enough to hide a latency of four at three per cycle
#endif

}  // namespace infer::bench
