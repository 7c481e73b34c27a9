// SPDX-License-Identifier: MIT
// Choosing a token from logits of large vocabularies. Bound: reading the logits once.
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/bench.h"
#include "libinfer/library.h"
#include "libinfer/sampler.h"
#include "tests/testing/random.h"

namespace infer::bench {
namespace {

void sample(benchmark::State& state, const SamplerParams& params, std::int32_t n_vocab) {
  const auto library = Library::builtin();
  auto chain = SamplerChain::create(params, library->samplers.all(), n_vocab);
  if (!chain.ok()) return state.SkipWithError(std::string(chain.status().message()).c_str());
  testing::Random random(1);
  std::vector<float> logits(static_cast<std::size_t>(n_vocab));
  for (float& logit : logits) logit = 3.0f * random.normal();
  SampleResult result;
  for (auto _ : state) {
    if (!chain.value().sample(logits, result).ok()) state.SkipWithError("nothing was chosen");
    benchmark::DoNotOptimize(result);
  }
  const std::size_t bytes = logits.size() * sizeof(float);
  report(state, "GB/s", static_cast<double>(bytes), read_rate(bytes));
}

}  // namespace

void register_samplers() {
  const std::pair<const char*, SamplerParams> kinds[] = {
      {"greedy", {.temperature = 0.0}},
      {"top_k", {.order = "top_k temperature", .top_k = 40, .seed = 1}},
      {"top_p", {.order = "top_p temperature", .top_p = 0.95, .seed = 1}},
      {"default", {.seed = 1}},
  };
  for (const auto& [name, params] : kinds) {
    for (const std::int32_t n_vocab : {32000, 128000, 256000}) {
      add(fmt::format("sample/{}/{}", name, n_vocab), [params = params, n_vocab](benchmark::State& s) { sample(s, params, n_vocab); })
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace infer::bench
