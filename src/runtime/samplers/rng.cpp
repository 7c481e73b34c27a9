// SPDX-License-Identifier: MIT
// The generator behind every draw: xoshiro256** 1.0 and, for its seeding, splitmix64; both by Blackman and Vigna,
// "Scrambled linear pseudorandom number generators" (arXiv:1805.01407, https://prng.di.unimi.it). Integer arithmetic
// only, hence the same numbers on every machine. Tested by tests/runtime/rng_test.cpp.
#include <bit>
#include <cerrno>
#include <cstdint>

#include <unistd.h>

#include <fmt/format.h>

#include "libinfer/sampler.h"

namespace infer {

namespace {

// Spreads a seed over 256 bits of state: nearby seeds give unrelated streams, and no seed gives the all-zero state that
// xoshiro must not have.
std::uint64_t splitmix64(std::uint64_t& state) noexcept {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

constexpr int kSeedBits = 53;

}  // namespace

Rng::Rng(std::uint64_t seed) noexcept {
  for (std::uint64_t& word : s_) word = splitmix64(seed);
}

std::uint64_t Rng::next() noexcept {
  const std::uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
  const std::uint64_t shifted = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= shifted;
  s_[3] = std::rotl(s_[3], 45);
  return result;
}

double Rng::uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

// getentropy and not std::random_device, which reports failure by throwing.
Result<std::uint64_t> Rng::system_seed() {
  std::uint64_t seed = 0;
  if (getentropy(&seed, sizeof seed) != 0) {
    const int error = errno;
    return Status::error(
               Code::io, fmt::format("seed: the system gives no random numbers (errno {}); state a seed", error))
        .about("seed");
  }
  return seed >> (64 - kSeedBits);
}

}  // namespace infer
