// SPDX-License-Identifier: MIT
// All micro-benchmarks, the machine first: what it can do is the bound of the others.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/bench.h"

int main(int argc, char** argv) {
  infer::bench::register_machine();
  infer::bench::register_instructions();
  infer::bench::register_matmul();
  infer::bench::register_forms();
  infer::bench::register_attention();
  infer::bench::register_elementwise();
  infer::bench::register_samplers();
  infer::bench::register_load();
  infer::bench::register_tokenizers();
  // There are a thousand of them: each is short, and all together take some minutes. What is given comes later and wins.
  std::string min_time = "--benchmark_min_time=0.01";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, min_time.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
