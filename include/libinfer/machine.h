// SPDX-License-Identifier: MIT
// The limits of speed: what this machine can do at most, as measured, and what a pass asks of it (docs/performance.md).
// Tested by tests/runtime/machine_test.cpp.
#pragma once

#include <cstdint>
#include <memory>

#include "libinfer/architecture.h"
#include "libinfer/executor.h"
#include "libinfer/kernels.h"
#include "libinfer/memory.h"
#include "libinfer/status.h"

namespace infer {

/// Per second, of all threads together: the best of several attempts.
struct MachineLimits {
  double read_bytes = 0.0;     ///< of a block larger than the caches, read from its start to its end
  double dot_mul_adds = 0.0;   ///< of the kernels' instructions for 8-bit codes
  double fma_mul_adds = 0.0;   ///< of floats
  double bf16_mul_adds = 0.0;  ///< of bfloat16
};

struct MachineProbe {
  int n_threads = 0;                       ///< 0: default_threads(); never more than there are cores
  Executor executor{};                     ///< instead of threads of its own
  std::shared_ptr<MemoryAccount> memory{};   ///< of the block that is read; null: one without limit
};
inline constexpr std::uint64_t kProbeBytes = std::uint64_t{512} << 20;

/// Measures for about half a second. Errors: range, nomem, budget.
Result<MachineLimits> probe_machine(const KernelTable& kernels, const MachineProbe& probe);

/// What the matrix products of one pass ask of the machine, attention apart.
struct Work {
  double bytes = 0.0;          ///< of weights, as in the file, each read once
  double dot_mul_adds = 0.0;   ///< with weights that are codes
  double fma_mul_adds = 0.0;   ///< with weights that are floats, F32 or F16
  double bf16_mul_adds = 0.0;  ///< with weights that are bfloat16
};
/// Of a pass of n_tokens, with n_logits rows of logits: the last layer makes keys and values of all tokens and the rest of these
/// rows alone. Of experts, as many are read as tokens meet that choose at random.
Work work_of_pass(const Decoder& decoder, std::int64_t n_tokens, std::int64_t n_logits) noexcept;

}  // namespace infer
