// SPDX-License-Identifier: MIT
// Library: all registries in one value. Copy the built-in one to extend it; nothing global changes.
#pragma once

#include <memory>
#include <span>

#include "libinfer/architecture.h"
#include "libinfer/format.h"
#include "libinfer/kernels.h"
#include "libinfer/kv_cache.h"
#include "libinfer/registry.h"
#include "libinfer/sampler.h"
#include "libinfer/tokenizer.h"

namespace infer {

bool answers_to(const Architecture& architecture, std::string_view name);
std::vector<std::string_view> names_of(const Architecture& architecture);

struct Library {
  Registry<FormatParser> formats;
  Registry<Architecture> architectures;
  Registry<TokenizerKind> tokenizers;
  Registry<SamplerKind> samplers;
  Registry<KvKind> kv_kinds;
  Registry<KernelTable> kernels;                    ///< best first
  std::span<const QuantFormat* const> quants;

  /// What libinfer brings along.
  static std::shared_ptr<const Library> builtin();
};

/// The best kernels that run on this machine, or those that the environment variable INFER_FORCE_ISA names (for tests and
/// for comparing: every table gives the same bits). Errors: unsupported (an unknown name, or not for this machine).
Result<const KernelTable*> choose_kernels(const Library& library);

}  // namespace infer
