// SPDX-License-Identifier: MIT
// Loading a model whose file is in the page cache: parsing, binding, packing, the tokenizer. INFER_BENCH_MODEL names the file
// (default: the bundled model, which is too small to show more than the fixed cost). Bound: reading the file's bytes once.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "bench/bench.h"
#include "libinfer/library.h"
#include "libinfer/model.h"
#include "libinfer/thread_pool.h"

namespace infer::bench {
namespace {

void load(benchmark::State& state, const std::string& path) {
  const auto library = Library::builtin();
  for (auto _ : state) {
    const auto model = Model::load(library, Source::from_path(path), {});
    if (!model.ok()) return state.SkipWithError(std::string(model.status().message()).c_str());
    benchmark::DoNotOptimize(model);
  }
  const auto kernels = choose_kernels(*library);
  if (!kernels.ok()) return state.SkipWithError(std::string(kernels.status().message()).c_str());
  report(state, "GB/s", static_cast<double>(std::filesystem::file_size(path)), limits_of(*kernels.value(), available_cores()).read_bytes);
}

}  // namespace

void register_load() {
  const char* const given = std::getenv("INFER_BENCH_MODEL");
  const std::string path = given != nullptr ? given : INFER_TEST_DATA_DIR "/war-and-peace-2.6m-q8_0.gguf";
  add("load/" + std::filesystem::path(path).stem().string(), [path](benchmark::State& s) { load(s, path); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace infer::bench
