// SPDX-License-Identifier: MIT
// Memory is counted by class and given back, a budget refuses before anything is taken, and a host's allocator serves.
#include "libinfer/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace infer {
namespace {

constexpr std::uint64_t kKiB = 1024;

bool names(const Status& status, std::string_view text) { return status.message().find(text) != std::string_view::npos; }

Block taken(MemoryAccount& account, MemoryClass c, std::uint64_t bytes) {
  Result<Block> block = account.allocate(c, bytes);
  EXPECT_TRUE(block.ok()) << block.status().message();
  return block.ok() ? std::move(block).value() : Block();
}

TEST(MemoryAccount, CountsByClassNowAndAtMost) {
  const auto account = MemoryAccount::create();
  {
    const Block weights = taken(*account, MemoryClass::weights, 1000);
    const Block kv = taken(*account, MemoryClass::kv, 500);

    EXPECT_EQ(weights.size(), 1000U);
    EXPECT_EQ(account->now()[MemoryClass::weights], 1000U);
    EXPECT_EQ(account->now()[MemoryClass::kv], 500U);
    EXPECT_EQ(account->owned(), 1500U);
  }
  const Block again = taken(*account, MemoryClass::kv, 700);

  EXPECT_EQ(account->now()[MemoryClass::weights], 0U);
  EXPECT_EQ(account->owned(), 700U);
  EXPECT_EQ(account->peak()[MemoryClass::weights], 1000U);
  EXPECT_EQ(account->peak()[MemoryClass::kv], 700U);
  EXPECT_EQ(account->peak_owned(), 1500U);
}

TEST(MemoryAccount, TakesOneBlockForSeveralClasses) {
  const auto account = MemoryAccount::create();
  MemoryUse use = MemoryUse::of(MemoryClass::kv, 128);
  use[MemoryClass::scratch] = 64;

  const Result<Block> block = account->allocate(use);

  ASSERT_TRUE(block.ok());
  EXPECT_EQ(block.value().size(), 192U);
  EXPECT_EQ(account->now().bytes, use.bytes);
}

TEST(MemoryAccount, AlignsBlocksAndLargeOnesToHugePages) {
  const auto account = MemoryAccount::create();

  const Block small = taken(*account, MemoryClass::weights, 1);
  const Block large = taken(*account, MemoryClass::weights, MemoryAccount::kHugeBlock);

  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(small.data()) % MemoryAccount::kAlignment, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large.data()) % MemoryAccount::kHugePage, 0U);
}

TEST(MemoryAccount, ZeroesOnRequest) {
  const auto account = MemoryAccount::create();
  for (int i = 0; i < 4; ++i) {
    const Result<Block> block = account->allocate(MemoryClass::weights, 4096, {}, true);
    ASSERT_TRUE(block.ok());
    const std::span<std::byte> bytes = block.value().bytes();
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; }));
    std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
  }
}

TEST(MemoryAccount, MovedBlocksAndChargesAreGivenBackOnce) {
  const auto account = MemoryAccount::create();
  {
    Block a = taken(*account, MemoryClass::weights, 100);
    Block b = std::move(a);
    a = taken(*account, MemoryClass::weights, 10);
    b = std::move(a);
    Result<Charge> charge = account->charge(MemoryClass::vocab, 7);
    ASSERT_TRUE(charge.ok());
    Charge moved = std::move(charge).value();
    Charge target;
    target = std::move(moved);
    EXPECT_EQ(target.use()[MemoryClass::vocab], 7U);
    EXPECT_EQ(account->now()[MemoryClass::vocab], 7U);
  }
  EXPECT_EQ(account->owned(), 0U);
}

TEST(MemoryAccount, BlocksOutliveTheLastPointerToTheAccount) {
  auto account = MemoryAccount::create();
  const Block block = taken(*account, MemoryClass::weights, 100);

  account.reset();

  block.data()[99] = std::byte{1};
  EXPECT_EQ(block.size(), 100U);
}

TEST(MemoryAccount, AnEmptyBlockTakesNothing) {
  const auto account = MemoryAccount::create();

  const Block block = taken(*account, MemoryClass::weights, 0);

  EXPECT_EQ(block.size(), 0U);
  EXPECT_EQ(account->owned(), 0U);
}

TEST(MemoryAccount, RefusesWhatIsOverTheBudgetByOneByte) {
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(10 * kKiB).ok());
  const Block held = taken(*account, MemoryClass::weights, 4 * kKiB);

  const Result<Block> over = account->allocate(MemoryClass::kv, 6 * kKiB + 1, {"the session", "use a smaller n_ctx"});
  const Result<Block> fits = account->allocate(MemoryClass::kv, 6 * kKiB);

  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.status().code(), Code::budget);
  EXPECT_EQ(over.status().message(),
            "the session needs 6145 bytes (kv 6145), the budget is 10240 bytes and 4096 of them are in use (weights 4096); "
            "use a smaller n_ctx or raise the budget");
  EXPECT_TRUE(fits.ok());
  EXPECT_EQ(account->owned(), account->budget());
}

TEST(MemoryAccount, ChargesCountAgainstTheBudgetAndMappedBytesDoNot) {
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(100).ok());

  const Result<Charge> mapped = account->charge(MemoryClass::mapped, std::uint64_t{1} << 40);
  const Result<Charge> vocab = account->charge(MemoryClass::vocab, 100);
  const Result<Charge> other = account->charge(MemoryClass::other, 1);

  ASSERT_TRUE(mapped.ok());
  EXPECT_TRUE(vocab.ok());
  EXPECT_EQ(other.status().code(), Code::budget);
  EXPECT_EQ(account->now()[MemoryClass::mapped], std::uint64_t{1} << 40);
  EXPECT_EQ(account->owned(), 100U);
}

TEST(MemoryAccount, CountsWithoutRefusingWhenAsked) {
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(100).ok());
  {
    const Charge sampler = account->count(MemoryClass::other, 150);

    EXPECT_EQ(account->now()[MemoryClass::other], 150U);
    EXPECT_EQ(account->charge(MemoryClass::vocab, 1).status().code(), Code::budget);
  }
  EXPECT_EQ(account->owned(), 0U);
  EXPECT_EQ(account->peak_owned(), 150U);
  EXPECT_TRUE(account->charge(MemoryClass::vocab, 1).ok());
}

TEST(MemoryAccount, CheckTakesNothing) {
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(100).ok());

  EXPECT_TRUE(account->check(MemoryUse::of(MemoryClass::kv, 100)).ok());
  EXPECT_EQ(account->check(MemoryUse::of(MemoryClass::kv, 101)).code(), Code::budget);
  EXPECT_EQ(account->owned(), 0U);
}

TEST(MemoryAccount, ABudgetBelowWhatIsInUseIsRefusedAndTheOldOneHolds) {
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(1000).ok());
  const Block held = taken(*account, MemoryClass::weights, 500);

  const Status lower = account->set_budget(499);

  EXPECT_EQ(lower.code(), Code::budget);
  EXPECT_TRUE(names(lower, "499") && names(lower, "weights 500"));
  EXPECT_EQ(account->budget(), 1000U);
  EXPECT_TRUE(account->set_budget(500).ok());
  EXPECT_TRUE(account->set_budget(MemoryAccount::kNoLimit).ok());
}

TEST(MemoryAccount, RefusesSumsAndSizesBeyondTheAddressSpace) {
  const auto account = MemoryAccount::create();
  MemoryUse wraps = MemoryUse::of(MemoryClass::kv, std::numeric_limits<std::uint64_t>::max());
  wraps[MemoryClass::scratch] = 2;

  EXPECT_EQ(account->allocate(wraps).status().code(), Code::limit);
  EXPECT_EQ(account->charge(wraps).status().code(), Code::limit);
  EXPECT_EQ(account->check(wraps).code(), Code::limit);
  EXPECT_EQ(account->allocate(MemoryClass::kv, std::uint64_t{1} << 63).status().code(), Code::limit);
  EXPECT_EQ(account->owned(), 0U);
}

/// A host's allocator that keeps books of its own.
struct Host {
  std::size_t live = 0, last_alignment = 0;
  bool refuses = false;
  int n_destroyed = 0;

  AllocatorHooks hooks() {
    return {.allocate = [](void* user, std::size_t size, std::size_t alignment) -> void* {
              Host& host = *static_cast<Host*>(user);
              if (host.refuses) return nullptr;
              host.live += size;
              host.last_alignment = alignment;
              return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
            },
            .free = [](void* user, void* memory, std::size_t size) {
              static_cast<Host*>(user)->live -= size;
              std::free(memory);
            },
            .destroy = [](void* user) { ++static_cast<Host*>(user)->n_destroyed; },
            .user = this};
  }
};

TEST(MemoryAccount, TakesFromTheHostsAllocatorAndGivesBackTheSameSize) {
  Host host;
  {
    auto account = MemoryAccount::create(host.hooks());
    const Block block = taken(*account, MemoryClass::weights, 1000);
    EXPECT_EQ(host.live, 1000U);
    EXPECT_EQ(host.last_alignment, MemoryAccount::kAlignment);
    account.reset();
    EXPECT_EQ(host.n_destroyed, 0);   // the block may still be given back
  }
  EXPECT_EQ(host.live, 0U);
  EXPECT_EQ(host.n_destroyed, 1);
}

TEST(MemoryAccount, AHostWithoutMemoryIsAnErrorAndNothingIsCounted) {
  Host host;
  host.refuses = true;
  const auto account = MemoryAccount::create(host.hooks());

  const Result<Block> block = account->allocate(MemoryClass::weights, 1000, {"the model", "use a smaller one"});

  ASSERT_FALSE(block.ok());
  EXPECT_EQ(block.status().code(), Code::nomem);
  EXPECT_TRUE(names(block.status(), "1000 bytes") && names(block.status(), "the model"));
  EXPECT_EQ(account->owned(), 0U);
}

TEST(MemoryAccount, MisalignedMemoryOfTheHostsIsGivenBackAndRefused) {
  struct Askew {
    std::vector<std::byte> bytes = std::vector<std::byte>(4096);
    int n_free = 0;
  } askew;
  const auto account = MemoryAccount::create(
      {.allocate = [](void* user, std::size_t, std::size_t alignment) -> void* {
         const auto start = reinterpret_cast<std::uintptr_t>(static_cast<Askew*>(user)->bytes.data());
         return static_cast<Askew*>(user)->bytes.data() + (alignment - start % alignment) + 8;
       },
       .free = [](void* user, void*, std::size_t) { ++static_cast<Askew*>(user)->n_free; },
       .user = &askew});

  const Result<Block> block = account->allocate(MemoryClass::weights, 100);

  ASSERT_FALSE(block.ok());
  EXPECT_EQ(block.status().code(), Code::callback);
  EXPECT_TRUE(names(block.status(), "multiple of 64"));
  EXPECT_EQ(askew.n_free, 1);
  EXPECT_EQ(account->owned(), 0U);
}

TEST(MemoryAccount, ThreadsNeverGetMoreThanTheBudgetTogether) {
  constexpr std::uint64_t kBudget = 64;
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(account->set_budget(kBudget).ok());
  std::atomic<int> refused{0};
  {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 2000; ++i) {
          const Result<Charge> a = account->charge(MemoryClass::kv, 24);
          if (!a.ok()) ++refused;
        }
      });
    }
    for (std::thread& t : threads) t.join();
  }
  EXPECT_LE(account->peak_owned(), kBudget);
  EXPECT_EQ(account->owned(), 0U);
  EXPECT_EQ(account->now()[MemoryClass::kv], 0U);
}

}  // namespace
}  // namespace infer
