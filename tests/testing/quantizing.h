// SPDX-License-Identifier: MIT
// For tests of quantising: a library whose every weight type can be produced, and importance matrices as files.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libinfer/library.h"
#include "tests/testing/gguf_writer.h"

namespace infer::testing {

/// The built-in library, but with encoders for all types that say nothing: plans need them only to be there.
inline std::shared_ptr<const Library> library_that_makes_all_types() {
  static const std::vector<QuantFormat> formats = [] {
    std::vector<QuantFormat> all;
    for (int i = 0; i < kDTypeCount; ++i) {
      if (kDTypes[i].use != DTypeUse::weight) continue;
      QuantFormat f;
      f.dtype = static_cast<DType>(i);
      f.decode = [](const std::byte*, float* to, std::int64_t n) noexcept {
        for (std::int64_t j = 0; j < n; ++j) to[j] = 0;
      };
      f.encode = [](const float*, const float*, std::byte*, std::int64_t) noexcept {};
      const std::string name = kDTypes[i].name;
      f.needs_importance = name.starts_with("IQ1") || name.starts_with("IQ2");
      all.push_back(f);
    }
    return all;
  }();
  static const std::vector<const QuantFormat*> pointers = [] {
    std::vector<const QuantFormat*> all;
    for (const QuantFormat& f : formats) all.push_back(&f);
    return all;
  }();
  auto library = std::make_shared<Library>(*Library::builtin());
  library->quants = pointers;
  return library;
}

inline std::vector<std::byte> float_bytes(const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// One tensor's part of an importance matrix: sums of squares (n, cols) after `counts` tokens.
inline void add_importance(GgufWriter& writer, const std::string& name, const std::vector<float>& sums,
                           const std::vector<float>& counts) {
  const auto n = static_cast<std::int64_t>(counts.size());
  writer.tensor(name + ".in_sum2", DType::f32, {static_cast<std::int64_t>(sums.size()) / n, n}, float_bytes(sums));
  writer.tensor(name + ".counts", DType::f32, {1, n}, float_bytes(counts));
}

inline GgufWriter imatrix_writer() {
  GgufWriter writer;
  writer.set("general.type", "imatrix").set("imatrix.datasets", std::vector<std::string>{"folder/text.txt"});
  writer.set("imatrix.chunk_count", std::uint32_t{7}).set("imatrix.chunk_size", std::uint32_t{512});
  return writer;
}

}  // namespace infer::testing
