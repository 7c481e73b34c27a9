// SPDX-License-Identifier: MIT
// Models in several files: NAME-00001-of-0000N.gguf. The first part has the metadata and says how many there are
// (split.count); each part says which it is (split.no, from 0). Only siblings of the first part are ever named.
// Reference: docs/gguf.md, "Shards". Tested by tests/formats/gguf_test.cpp and gguf_hostile_test.cpp.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "src/base/text.h"

namespace infer::gguf {
namespace {

struct SplitFacts {
  std::int64_t count = 1;    ///< parts of the model
  std::int64_t number = 0;   ///< of this one
  std::int64_t tensors = -1; ///< in all parts together; -1 when not said
};

Status shard_error(std::string_view key, std::string what) { return Status::error(Code::shard, std::move(what)).about(key); }

/// A key of the split, or the fallback where it is absent. Every complaint is about shards.
Status read(const Directory& directory, std::string_view key, std::int64_t min, std::int64_t max, std::int64_t& value) {
  const RawEntry* entry = directory.find(key);
  if (entry == nullptr) return {};
  const Result<std::int64_t> number = integer_of(*entry);
  if (!number.ok()) return shard_error(key, std::string(number.status().message()));
  if (number.value() < min || number.value() > max) {
    return shard_error(key, fmt::format("key '{}': {} is outside {}..{}", key, number.value(), min, max));
  }
  value = number.value();
  return {};
}

Result<SplitFacts> split_facts(const Directory& directory) {
  SplitFacts facts;
  INFER_TRY(read(directory, "split.count", 1, static_cast<std::int64_t>(kMaxShards), facts.count));
  INFER_TRY(read(directory, "split.no", 0, facts.count - 1, facts.number));
  INFER_TRY(read(directory, "split.tensors.count", 0, static_cast<std::int64_t>(kMaxShards * kMaxTensors), facts.tensors));
  return facts;
}

}  // namespace

Result<std::vector<std::string>> shard_names(Bytes first, std::string_view file_name) {
  ByteReader reader(first);
  INFER_ASSIGN(const Directory directory, read_keys(reader));
  INFER_ASSIGN(const SplitFacts facts, split_facts(directory));
  if (facts.count == 1) return std::vector<std::string>();
  if (facts.number != 0) {
    return shard_error("split.no", fmt::format("this is part {} of {}; give the first part, -00001-of-{:05}.gguf",
                                               facts.number + 1, facts.count, facts.count));
  }
  const std::string ending = fmt::format("-00001-of-{:05}.gguf", facts.count);
  if (!file_name.ends_with(ending)) {
    return shard_error("split.count", fmt::format("the model has {} parts, and the name of the first does not end in {}; "
                                                  "parts are found by their file names", facts.count, ending));
  }
  const std::string_view stem = file_name.substr(0, file_name.size() - ending.size());
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(facts.count));
  for (std::int64_t i = 1; i <= facts.count; ++i) names.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", stem, i, facts.count));
  return names;
}

Status check_shards(const std::vector<Directory>& parts) {
  INFER_ASSIGN(const SplitFacts first, split_facts(parts.front()));
  if (static_cast<std::size_t>(first.count) != parts.size()) {
    return shard_error("split.count", fmt::format("the model has {} parts, {} were given", first.count, parts.size()));
  }
  std::uint64_t n_tensors = 0;
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    INFER_ASSIGN(const SplitFacts facts, split_facts(parts[i]));
    if (facts.count != first.count || static_cast<std::size_t>(facts.number) != i) {
      return shard_error("split.no", fmt::format("part {} says that it is part {} of {}; it belongs to another model",
                                                 i + 1, facts.number + 1, facts.count));
    }
    if (parts[i].version != parts.front().version || parts[i].alignment != parts.front().alignment) {
      return shard_error("version", fmt::format("part {} has version {} and alignment {}, the first part {} and {}", i + 1,
                                                parts[i].version, parts[i].alignment, parts.front().version,
                                                parts.front().alignment));
    }
    n_tensors += parts[i].tensors.size();
    for (const RawTensor& tensor : parts[i].tensors) names.push_back(tensor.name);
  }
  if (parts.size() > 1 && first.tensors >= 0 && static_cast<std::uint64_t>(first.tensors) != n_tensors) {
    return shard_error("split.tensors.count", fmt::format("key 'split.tensors.count': {} tensors, the parts have {}",
                                                          first.tensors, n_tensors));
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    return shard_error(escaped(*twice), fmt::format("tensor {} is in two parts", quoted(*twice)));
  }
  return {};
}

}  // namespace infer::gguf
