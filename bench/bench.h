// SPDX-License-Identifier: MIT
// The groups of benchmarks, each of which registers its own (--benchmark_filter chooses by name), and how they tell what
// they reached: an amount per second, the bound that this machine was measured to have (bench/limits.cpp), and the share of it.
// docs/performance.md explains the groups.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <utility>

#include "libinfer/machine.h"

namespace infer::bench {

void register_machine();
void register_instructions();
void register_matmul();
void register_forms();
void register_attention();
void register_elementwise();
void register_samplers();
void register_load();
void register_tokenizers();

template <class Fn>
benchmark::internal::Benchmark* add(const std::string& name, Fn fn) {
  return benchmark::RegisterBenchmark(name.c_str(), std::move(fn));
}

/// What a table can do at most on so many threads; measured when it is first asked for.
const MachineLimits& limits_of(const KernelTable& table, int n_threads = 1);
/// Bytes per second at which one thread reads a buffer of this size again and again, with the best table.
double read_rate(std::size_t bytes);

/// `amount` of an iteration per second, in units of 1e9 ("GB/s"), and what share that is of `bound` per second.
void report(benchmark::State& state, const char* unit, double amount, double bound);

}  // namespace infer::bench
