// SPDX-License-Identifier: MIT
// The groups of benchmarks. Each registers its own; --benchmark_filter chooses by name.
#pragma once

namespace infer::bench {

void register_matmul();
void register_tokenizers();

}  // namespace infer::bench
