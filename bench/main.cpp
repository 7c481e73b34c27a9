// SPDX-License-Identifier: MIT
// All micro-benchmarks.
#include <benchmark/benchmark.h>

#include "bench/bench.h"

int main(int argc, char** argv) {
  infer::bench::register_matmul();
  infer::bench::register_tokenizers();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
