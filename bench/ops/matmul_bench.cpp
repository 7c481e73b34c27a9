// SPDX-License-Identifier: MIT
// Matrix products of every kernel table and every type, the product alone: inputs are made and weights are packed before. All of it
// lies on huge pages, as it does in a session, where the system has them.
//
//   gemv/TYPE/TABLE/L2          one token, weights in the second cache: arithmetic, share of the table's dot or fma peak
//   gemv/TYPE/TABLE/DRAM/...    one token, weights from memory: bytes of weights, share of what plain reads reach
//   gemm/TYPE/TABLE/N           N tokens, weights in the third cache: arithmetic, share of the peak; "times_one" is the time in
//                               units of that for one token: as long as it stays near 1, more tokens are free
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "bench/bench.h"
#include "libinfer/thread_pool.h"
#include "ops/ops.h"
#include "ops/quant/quants.h"
#include "tests/testing/kernel_tester.h"

namespace infer::bench {
namespace {

constexpr std::int64_t kCols = 2048;
constexpr std::int64_t kMostTokens = 512;
constexpr std::size_t kMostThreads = 64;
constexpr std::size_t kDramBytes = std::size_t{192} << 20;   // several times a third cache

Block allocate_huge(std::size_t bytes) {
  return MemoryAccount::create()->allocate(MemoryClass::other, std::max(bytes, MemoryAccount::kHugeBlock)).value();
}

/// A product ready to run: some random rows of a type, repeated until `rows` are there.
class Product {
 public:
  Product(const KernelTable& table, const QuantFormat& format, std::int64_t rows)
      : table_(table), format_(format), kernel_(table.matmul[static_cast<std::size_t>(format.dtype)]), rows_(rows) {
    testing::Random random(1);
    testing::Weights weights(format, kPanelRows, kCols, random);
    row_bytes_ = weights.row_bytes;
    stride_ = kernel_.packed ? format.panel_bytes(kCols) : row_bytes_;
    const std::size_t group = kernel_.packed ? stride_ : kPanelRows * row_bytes_;
    const auto n = static_cast<std::size_t>(rows / kPanelRows);
    block_ = allocate_huge(n * group);
    if (kernel_.packed) {
      format.pack(weights.bytes.data(), row_bytes_, kCols, block_.data());
    } else {
      std::memcpy(block_.data(), weights.bytes.data(), group);
    }
    for (std::size_t i = 1; i < n; ++i) std::memcpy(block_.data() + i * group, block_.data(), group);
    x_.randomise(random);
    scratch_ = allocate_huge(kMostThreads * table.scratch_bytes);
    input_ = allocate_huge(static_cast<std::size_t>(kMostTokens * input_bytes(format.input, kCols)));
    y_ = allocate_huge(static_cast<std::size_t>(kMostTokens * rows) * sizeof(float));
  }

  std::int64_t rows() const { return rows_; }
  std::byte* scratch(int worker = 0) { return scratch_.data() + static_cast<std::size_t>(worker) * table_.scratch_bytes; }
  /// As in the file: panels of some types are a little larger.
  double bytes() const { return static_cast<double>(row_bytes_) * static_cast<double>(rows_); }
  double mul_adds(std::int64_t tokens) const { return static_cast<double>(rows_ * kCols * tokens); }
  double peak() const {
    const MachineLimits& limits = limits_of(table_);
    return format_.input == InputForm::f32    ? limits.fma_mul_adds
           : format_.input == InputForm::bf16 ? limits.bf16_mul_adds
                                              : limits.dot_mul_adds;
  }

  /// The input of so many tokens.
  void prepare(std::int64_t tokens) {
    if (tokens == tokens_) return;
    const auto input = testing::make_input(table_, format_.input, x_, 0, tokens);
    std::memcpy(input_.data(), input->data, input->size);
    tokens_ = tokens;
  }

  /// Rows times the tokens prepared. `scratch` is the calling thread's.
  void run(std::int64_t first, std::int64_t rows, std::byte* scratch) noexcept {
    kernel_.run({.weights = block_.data() + static_cast<std::size_t>(kernel_.packed ? first / kPanelRows : first) * stride_,
                 .stride = stride_,
                 .format = &format_,
                 .bias = nullptr,
                 .rows = rows,
                 .cols = kCols,
                 .tokens = tokens_,
                 .input = input_.data(),
                 .tile_tokens = table_.tile(format_.input, tokens_),
                 .y = reinterpret_cast<float*>(y_.data()) + first,
                 .y_stride = rows_,
                 .scratch = scratch});
  }

  /// Seconds for one token, measured when first asked for.
  double seconds_of_one() {
    constexpr int kAttempts = 10;
    for (int i = 0; i < kAttempts && attempts_ < kAttempts; ++i, ++attempts_) {
      const auto start = std::chrono::steady_clock::now();
      prepare(1);
      run(0, rows_, scratch());
      seconds_of_one_ = std::min(seconds_of_one_, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return seconds_of_one_;
  }

 private:
  const KernelTable& table_;
  const QuantFormat& format_;
  const Matmul& kernel_;
  std::int64_t rows_;
  std::size_t row_bytes_ = 0, stride_ = 0;
  Block block_;
  Block scratch_;
  testing::Matrix x_{kMostTokens, kCols, 0};
  Block input_;
  Block y_;
  std::int64_t tokens_ = 0;
  double seconds_of_one_ = 1e9;
  int attempts_ = 0;
};

/// The last product is kept: benchmarks of one follow each other, and are called several times.
Product& product(const KernelTable& table, const QuantFormat& format, std::int64_t rows) {
  static std::unique_ptr<Product> last;
  static std::tuple<const KernelTable*, const QuantFormat*, std::int64_t> what;
  if (last == nullptr || what != std::tuple{&table, &format, rows}) {
    last.reset();
    last = std::make_unique<Product>(table, format, rows);
    what = {&table, &format, rows};
  }
  return *last;
}

void gemm(benchmark::State& state, const KernelTable& table, const QuantFormat& format, std::int64_t rows, std::int64_t tokens) {
  Product& p = product(table, format, rows);
  const double one = p.seconds_of_one();
  p.prepare(tokens);
  for (auto _ : state) p.run(0, p.rows(), p.scratch());
  report(state, "GMAC/s", p.mul_adds(tokens), p.peak());
  if (tokens == 1) return;
  using benchmark::Counter;
  state.counters["times_one"] = Counter(one, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

void gemv_from_memory(benchmark::State& state, const KernelTable& table, const QuantFormat& format, std::int64_t rows, int n_threads) {
  Product& p = product(table, format, rows);
  const auto pool = ThreadPool::create(n_threads);
  if (!pool.ok()) return state.SkipWithError("no threads");
  p.prepare(1);
  for (auto _ : state) {
    pool.value()->parallel_for(p.rows() / kPanelRows, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
      p.run(first * kPanelRows, (last - first) * kPanelRows, p.scratch(worker));
    });
  }
  report(state, "GB/s", p.bytes(), limits_of(table, n_threads).read_bytes);
}

void add_type(const KernelTable& table, const QuantFormat& format) {
  const std::string of = fmt::format("{}/{}", info(format.dtype).name, table.name);
  const bool is_packed = table.matmul[static_cast<std::size_t>(format.dtype)].packed;
  const std::size_t row_bytes = static_cast<std::size_t>(kCols) / info(format.dtype).block_elems * info(format.dtype).block_bytes;
  const auto rows_of = [row_bytes](std::size_t bytes) {
    return static_cast<std::int64_t>(bytes / row_bytes) / kPanelRows * kPanelRows;
  };
  const std::int64_t in_cache = rows_of(std::size_t{400} << 10), from_memory = rows_of(kDramBytes), several = 1024;
  add("gemv/" + of + "/L2", [=, &table, &format](benchmark::State& s) { gemm(s, table, format, in_cache, 1); });
  if (is_packed) {   // the others are arithmetic alone, and slow
    std::vector<int> threads = {1};
    if (available_cores() > 1) threads.push_back(std::min(available_cores(), static_cast<int>(kMostThreads)));
    for (const int n : threads) {
      add(fmt::format("gemv/{}/DRAM/threads:{}", of, n), [=, &table, &format](benchmark::State& s) {
        gemv_from_memory(s, table, format, from_memory, n);
      })->UseRealTime();
    }
  }
  for (const std::int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 24, 32, 48, 64, 128, 512}) {
    if (!is_packed && tokens > 1 && tokens != 6) continue;
    add(fmt::format("gemm/{}/{}", of, tokens), [=, &table, &format](benchmark::State& s) { gemm(s, table, format, several, tokens); });
  }
}

}  // namespace

void register_matmul() {
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    for (const QuantFormat* format : builtin_quants()) add_type(*table, *format);
  }
}

}  // namespace infer::bench
