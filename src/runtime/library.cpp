// SPDX-License-Identifier: MIT
// The composition root: joins the folders' tables into a Library. The only place where all of them meet.
#include "libinfer/library.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "formats/formats.h"
#include "models/architectures.h"
#include "ops/ops.h"
#include "ops/quant/quants.h"
#include "src/runtime/kv_kinds.h"
#include "src/runtime/samplers/samplers.h"
#include "tokenizers/tokenizers.h"

namespace infer {

bool answers_to(const Architecture& architecture, std::string_view name) {
  return std::find(architecture.names.begin(), architecture.names.end(), name) != architecture.names.end();
}

std::vector<std::string_view> names_of(const Architecture& architecture) {
  return {architecture.names.begin(), architecture.names.end()};
}

Result<const KernelTable*> choose_kernels(const Library& library) {
  if (const char* forced = std::getenv("INFER_FORCE_ISA"); forced != nullptr && *forced != '\0') {
    Result<const KernelTable*> named = library.kernels.require(forced, Code::unsupported);
    if (!named.ok()) return std::move(named).status().with_context("INFER_FORCE_ISA");
    const KernelTable* const table = named.value();
    if (table->runs_here()) return table;
    return Status::error(Code::unsupported, fmt::format("INFER_FORCE_ISA = {}: this machine lacks instructions that these kernels need; unset "
                                                         "it, or name others (infer kernels shows which run)", quoted(forced)));
  }
  for (const KernelTable* table : library.kernels.all()) {
    if (table->runs_here()) return table;
  }
  return Status::error(Code::unsupported, "no kernel table runs on this machine");
}

std::shared_ptr<const Library> Library::builtin() {
  return std::make_shared<const Library>(Library{
      .formats = {"format", builtin_formats()},
      .architectures = {"architecture", builtin_architectures()},
      .tokenizers = {"tokenizer", builtin_tokenizers()},
      .samplers = {"sampler", builtin_samplers()},
      .kv_kinds = {"KV type", builtin_kv_kinds()},
      .kernels = {"kernel table", builtin_kernels()},
      .quants = builtin_quants(),
  });
}

}  // namespace infer
