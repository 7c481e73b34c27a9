// SPDX-License-Identifier: MIT
// A session's memory: planned and used by the same code, aligned, zeroed, and refused when it cannot be.
#include "libinfer/workspace.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace infer {
namespace {

struct Buffers {
  std::span<float> a;
  std::span<double> b;
  std::span<std::byte> c;
};

Buffers lay_out(Workspace& w) {
  return {w.take<float>(MemoryClass::scratch, 7), w.take<double>(MemoryClass::kv, 100),
          w.take<std::byte>(MemoryClass::kv, 1)};
}

const MemoryPurpose kPurpose{"the session", "use a smaller n_ctx"};

Result<Workspace> carve(const Workspace& plan) { return Workspace::carve(plan, *MemoryAccount::create(), kPurpose); }

Workspace carved() {
  Workspace plan;
  lay_out(plan);
  Result<Workspace> w = carve(plan);
  EXPECT_TRUE(w.ok());
  return std::move(w).value();
}

bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % Workspace::kAlignment == 0; }

TEST(Workspace, PlansWithoutHandingOutMemory) {
  Workspace plan;

  const Buffers b = lay_out(plan);

  EXPECT_TRUE(plan.planning());
  EXPECT_TRUE(b.a.empty() && b.b.empty() && b.c.empty());
}

TEST(Workspace, CountsWholeAlignedUnitsByClass) {
  Workspace plan;

  lay_out(plan);

  EXPECT_EQ(plan.use()[MemoryClass::scratch], 64U);
  EXPECT_EQ(plan.use()[MemoryClass::kv], 832U + 64U);
  EXPECT_EQ(plan.use().owned(), 960U);
}

TEST(Workspace, UsesWhatItPlanned) {
  Workspace plan;
  lay_out(plan);
  Workspace w = carved();

  const Buffers b = lay_out(w);

  EXPECT_FALSE(w.planning());
  EXPECT_FALSE(w.overflow());
  EXPECT_EQ(b.a.size(), 7U);
  EXPECT_EQ(b.b.size(), 100U);
  EXPECT_EQ(b.c.size(), 1U);
  EXPECT_EQ(w.use().bytes, plan.use().bytes);
}

TEST(Workspace, HandsOutAlignedZeroedSpansThatDoNotOverlap) {
  Workspace w = carved();

  const Buffers b = lay_out(w);

  EXPECT_TRUE(aligned(b.a.data()) && aligned(b.b.data()) && aligned(b.c.data()));
  EXPECT_TRUE(std::all_of(b.a.begin(), b.a.end(), [](float v) { return v == 0.0f; }));
  EXPECT_TRUE(std::all_of(b.b.begin(), b.b.end(), [](double v) { return v == 0.0; }));
  std::fill(b.a.begin(), b.a.end(), 1.0f);
  std::fill(b.b.begin(), b.b.end(), 2.0);
  b.c[0] = std::byte{3};
  EXPECT_TRUE(std::all_of(b.a.begin(), b.a.end(), [](float v) { return v == 1.0f; }));
  EXPECT_TRUE(std::all_of(b.b.begin(), b.b.end(), [](double v) { return v == 2.0; }));
}

TEST(Workspace, NeverGrows) {
  Workspace w = carved();
  lay_out(w);

  const std::span<std::byte> more = w.take<std::byte>(MemoryClass::other, 1);

  EXPECT_TRUE(more.empty());
  EXPECT_TRUE(w.overflow());
}

TEST(Workspace, StaysWhereItIsWhenMoved) {
  Workspace w = carved();
  const Buffers b = lay_out(w);
  b.a[6] = 5.0f;

  const Workspace moved = std::move(w);

  EXPECT_EQ(b.a[6], 5.0f);
  EXPECT_FALSE(moved.planning());
}

TEST(Workspace, CarvesAnEmptyPlan) {
  Result<Workspace> w = carve(Workspace());

  ASSERT_TRUE(w.ok());
  EXPECT_FALSE(w.value().planning());
}

TEST(Workspace, RefusesAProductThatOverflows) {
  Workspace plan;

  plan.take<float>(MemoryClass::kv, std::numeric_limits<std::uint64_t>::max() / 2);

  EXPECT_TRUE(plan.overflow());
  EXPECT_EQ(carve(plan).status().code(), Code::limit);
}

TEST(Workspace, RefusesASumThatOverflows) {
  Workspace plan;

  for (int i = 0; i < 3; ++i) plan.take<std::byte>(MemoryClass::kv, std::uint64_t{1} << 63);

  EXPECT_TRUE(plan.overflow());
  EXPECT_EQ(carve(plan).status().code(), Code::limit);
}

TEST(Workspace, RefusesMoreThanTheAddressSpace) {
  Workspace plan;

  plan.take<std::byte>(MemoryClass::kv, std::uint64_t{1} << 63);

  EXPECT_FALSE(plan.overflow());
  EXPECT_EQ(carve(plan).status().code(), Code::limit);
}

TEST(Workspace, IsCountedInItsAccountByClass) {
  const auto account = MemoryAccount::create();
  Workspace plan;
  lay_out(plan);
  {
    const Result<Workspace> w = Workspace::carve(plan, *account, kPurpose);
    ASSERT_TRUE(w.ok());
    EXPECT_EQ(account->now().bytes, plan.use().bytes);
  }
  EXPECT_EQ(account->owned(), 0U);
}

TEST(Workspace, IsRefusedByABudgetOneByteTooSmall) {
  const auto account = MemoryAccount::create();
  Workspace plan;
  lay_out(plan);

  ASSERT_TRUE(account->set_budget(plan.use().owned() - 1).ok());
  EXPECT_EQ(Workspace::carve(plan, *account, kPurpose).status().code(), Code::budget);
  ASSERT_TRUE(account->set_budget(plan.use().owned()).ok());
  EXPECT_TRUE(Workspace::carve(plan, *account, kPurpose).ok());
}

/// The address sanitizer ends the program on impossible allocations, unless it is told not to.
bool allocations_may_fail() {
#if defined(__SANITIZE_ADDRESS__)
  constexpr bool kSanitized = true;
#elif defined(__has_feature)
  constexpr bool kSanitized = __has_feature(address_sanitizer);
#else
  constexpr bool kSanitized = false;
#endif
  const char* options = std::getenv("ASAN_OPTIONS");
  return !kSanitized || (options != nullptr &&
                         std::string_view(options).find("allocator_may_return_null=1") != std::string_view::npos);
}

TEST(Workspace, SaysHowManyBytesTheSystemDidNotHave) {
  if (!allocations_may_fail()) GTEST_SKIP() << "needs ASAN_OPTIONS=allocator_may_return_null=1";
  Workspace plan;
  plan.take<std::byte>(MemoryClass::kv, std::uint64_t{1} << 62);

  const Result<Workspace> w = carve(plan);

  ASSERT_FALSE(w.ok());
  EXPECT_EQ(w.status().code(), Code::nomem);
  EXPECT_NE(w.status().message().find("4611686018427387904"), std::string_view::npos);
}

}  // namespace
}  // namespace infer
