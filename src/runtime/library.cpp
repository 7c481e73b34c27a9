// SPDX-License-Identifier: MIT
// The composition root: joins the folders' tables into a Library. The only place where all of them meet.
#include "libinfer/library.h"

#include <algorithm>

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

std::string names_of(const Architecture& architecture) {
  std::string names;
  for (std::string_view n : architecture.names) names.append(names.empty() ? "" : ", ").append(n);
  return names;
}

const QuantFormat* Library::quant(DType type) const noexcept {
  for (const QuantFormat* q : quants) {
    if (q->dtype == type) return q;
  }
  return nullptr;
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
