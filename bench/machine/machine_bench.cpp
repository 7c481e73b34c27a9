// SPDX-License-Identifier: MIT
// The machine itself: its clock, how fast it reads from each cache and from memory, what its instructions take, and what it
// costs to hand work to threads. These have no bound; they are the bounds of all others.
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "bench/bench.h"
#include "bench/machine/instructions.h"
#include "libinfer/thread_pool.h"
#include "ops/ops.h"

namespace infer::bench {
namespace {

/// Seconds of this thread's own time, whoever else wants the core.
double thread_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// One addition that waits for the last one: a cycle. The empty statement keeps the compiler from adding up in its head.
void add_to(std::int64_t& x, std::int64_t n) {
  x += n;
  __asm__ volatile("" : "+r"(x));
}

double chain_seconds(std::int64_t n) {
  constexpr std::int64_t kWrittenOut = 8;   // so that the loop itself does not count
  std::int64_t x = 1;
  const double start = thread_seconds();
  for (std::int64_t i = 0; i < n; i += kWrittenOut) {
    add_to(x, n), add_to(x, n), add_to(x, n), add_to(x, n);
    add_to(x, n), add_to(x, n), add_to(x, n), add_to(x, n);
  }
  return thread_seconds() - start;
}

double clock_rate() {
  constexpr std::int64_t kAdditions = std::int64_t{1} << 20;
  double least = chain_seconds(kAdditions);
  for (int i = 0; i < 10; ++i) least = std::min(least, chain_seconds(kAdditions));
  return static_cast<double>(kAdditions) / least;
}

/// The clock right after the core was busy with the widest instructions of a table: they may slow it down.
void clock(benchmark::State& state, const KernelTable& table) {
  constexpr std::int64_t kAdditions = std::int64_t{1} << 18, kRounds = std::int64_t{1} << 14;
  for (auto _ : state) {
    table.probes.dot(kRounds);
    state.SetIterationTime(chain_seconds(kAdditions));
  }
  state.counters["GHz"] = benchmark::Counter(static_cast<double>(kAdditions) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void instruction(benchmark::State& state, const Instructions& loop) {
  constexpr std::int64_t kRounds = 1 << 12;
  static const double hertz = clock_rate();
  for (auto _ : state) loop.run(kRounds);
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["per_cycle"] = benchmark::Counter(static_cast<double>(kRounds * loop.counted) / hertz, rate);
}

enum class Pages { small, huge };

/// Memory of the system's, on pages of one size.
class Mapping {
 public:
  Mapping(std::size_t size, Pages pages) : size_(size) {
    void* const start = ::mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return;
    start_ = start;
    const auto place = (reinterpret_cast<std::uintptr_t>(start) + kHuge - 1) / kHuge * kHuge;
    bytes_ = static_cast<std::byte*>(start) + (place - reinterpret_cast<std::uintptr_t>(start));
    ::madvise(bytes_, size, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    std::fill_n(bytes_, size, std::byte{1});
  }
  ~Mapping() {
    if (start_ != nullptr) ::munmap(start_, size_ + kHuge);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  const std::byte* bytes() const { return bytes_; }   ///< null when there was no memory

 private:
  static constexpr std::size_t kHuge = MemoryAccount::kHugePage;
  std::size_t size_;
  void* start_ = nullptr;
  std::byte* bytes_ = nullptr;
};

/// The last mapping is kept: a benchmark is called several times, until it knows how often it has to repeat.
const std::byte* mapped(std::size_t size, Pages pages) {
  static std::unique_ptr<Mapping> last;
  static std::pair<std::size_t, Pages> what;
  if (last == nullptr || what != std::pair{size, pages}) {
    last.reset();
    last = std::make_unique<Mapping>(size, pages);
    what = {size, pages};
  }
  return last->bytes();
}

void read(benchmark::State& state, const KernelTable& table, std::size_t size, Pages pages, int n_threads) {
  const std::byte* const bytes = mapped(size, pages);
  const auto pool = ThreadPool::create(n_threads);
  if (bytes == nullptr || !pool.ok()) return state.SkipWithError("no memory");
  constexpr std::size_t kRange = std::size_t{16} << 10;
  for (auto _ : state) {
    pool.value()->parallel_for(static_cast<std::int64_t>(size / kRange), [&](int, std::int64_t first, std::int64_t last) noexcept {
      table.probes.read(bytes + static_cast<std::size_t>(first) * kRange, static_cast<std::size_t>(last - first) * kRange);
    });
  }
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(size) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

/// One loop of nothing: what every step of a layer pays for its threads.
void barrier(benchmark::State& state, int n_threads) {
  const auto pool = ThreadPool::create(n_threads);
  if (!pool.ok()) return state.SkipWithError("no threads");
  for (auto _ : state) pool.value()->parallel_for(n_threads, 1, [](int, std::int64_t, std::int64_t) noexcept {});
}

std::string size_text(std::size_t bytes) {
  constexpr std::size_t kKi = 1024;
  return bytes < kKi * kKi ? fmt::format("{}KiB", bytes / kKi) : fmt::format("{}MiB", bytes / kKi / kKi);
}

}  // namespace

void register_machine() {
  const int n_cores = available_cores();
  for (const KernelTable* table : builtin_kernels()) {
    if (!table->runs_here()) continue;
    add(fmt::format("clock/{}", table->name), [=](benchmark::State& s) { clock(s, *table); })->UseManualTime();
    for (const std::size_t size : {std::size_t{16} << 10, std::size_t{512} << 10, std::size_t{8} << 20, std::size_t{256} << 20}) {
      for (const Pages pages : {Pages::small, Pages::huge}) {
        for (int n_threads = 1; n_threads <= n_cores; n_threads *= 2) {
          if (n_threads > 1 && size < std::size_t{256} << 20) continue;   // caches belong to cores
          const std::string name = fmt::format("read/{}/{}/{}/threads:{}", table->name, size_text(size),
                                               pages == Pages::huge ? "2MiB_pages" : "4KiB_pages", n_threads);
          add(name, [=](benchmark::State& s) { read(s, *table, size, pages, n_threads); })->UseRealTime();
        }
      }
    }
  }
  for (int n_threads = 1; n_threads <= n_cores; ++n_threads) {
    add(fmt::format("barrier/threads:{}", n_threads), [=](benchmark::State& s) { barrier(s, n_threads); })->UseRealTime();
  }
}

void register_instructions() {
  for (const Instructions& loop : instructions()) {
    if (!loop.table->runs_here()) continue;
    add(fmt::format("instructions/{}/{}", loop.table->name, loop.name), [&loop](benchmark::State& s) { instruction(s, loop); });
  }
}

}  // namespace infer::bench
