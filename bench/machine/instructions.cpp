// SPDX-License-Identifier: MIT
// The list of loops of instructions.
#include "bench/machine/instructions.h"

namespace infer::bench {

std::span<const Instructions> instructions() noexcept {
#if defined(__x86_64__)
  static constexpr Instructions all[] = {
      {"vpdpbusd", &kernels_avx512vnni, kPerRound, avx512vnni::dpbusd},
      {"vpdpbusd_and_broadcast_loads", &kernels_avx512vnni, kPerRound, avx512vnni::dpbusd_broadcast},
      {"vpdpbusd_and_vpmulld_for_each_four", &kernels_avx512vnni, kPerRound, avx512vnni::dpbusd_mulld},
      {"vpmulld", &kernels_avx512vnni, kPerRound, avx512vnni::mulld},
      {"vfmadd231ps", &kernels_avx512vnni, kPerRound, avx512vnni::fma},
      {"vpmaddubsw", &kernels_avx2, kPerRound, avx2::maddubs},
      {"vpmaddubsw_and_vpaddw", &kernels_avx2, kPerRound, avx2::maddubs_add},
      {"vfmadd231ps", &kernels_avx2, kPerRound, avx2::fma},
  };
  return all;
#else
  return {};
#endif
}

}  // namespace infer::bench
