// SPDX-License-Identifier: MIT
// Models in several GGUF files: the names of the parts, and whether parts belong together. The first part has the
// metadata, every part its own tensors. Reference: docs/gguf.md, "Shards". Tested by tests/formats/gguf_test.cpp and
// gguf_hostile_test.cpp.
#include <algorithm>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "libinfer/text.h"

namespace infer::gguf {
namespace {

constexpr std::string_view kCount = "split.count";
constexpr std::string_view kNumber = "split.no";
constexpr std::string_view kTensors = "split.tensors.count";

/// split.count; 0 stands for a model that is one file: the key is absent, or a merge of parts left it as 0.
Result<std::uint64_t> count_of(const Directory& directory) {
  const RawEntry* entry = directory.find(kCount);
  if (entry == nullptr) return std::uint64_t{0};
  INFER_ASSIGN(const std::int64_t count, integer_of(*entry));
  if (count < 0) return key_error(Code::shard, *entry, fmt::format("{} parts", count));
  if (static_cast<std::uint64_t>(count) > kMaxShards) {
    return key_error(Code::shard, *entry, fmt::format("{} parts exceed the limit of {}", count, kMaxShards));
  }
  return static_cast<std::uint64_t>(count);
}

/// split.no, from 0; an absent key is the first part.
Result<std::uint64_t> number_of(const Directory& directory, std::uint64_t count) {
  const RawEntry* entry = directory.find(kNumber);
  if (entry == nullptr) return std::uint64_t{0};
  INFER_ASSIGN(const std::int64_t number, integer_of(*entry));
  if (number < 0 || static_cast<std::uint64_t>(number) >= std::max<std::uint64_t>(count, 1)) {
    return key_error(Code::shard, *entry, fmt::format("part number {} (from 0) with {} parts", number, count));
  }
  return static_cast<std::uint64_t>(number);
}

std::string suffix(std::uint64_t part, std::uint64_t count) { return fmt::format("-{:05}-of-{:05}.gguf", part, count); }

/// What stands in front of "-0000X-of-0000N.gguf", for any X.
std::string_view stem_of(std::string_view file_name, std::uint64_t count) {
  constexpr std::size_t kDash = 1;
  constexpr std::size_t kDigits = 5;
  const std::string last = suffix(count, count);
  if (file_name.size() < last.size()) return {};
  const std::string_view stem = file_name.substr(0, file_name.size() - last.size());
  std::string_view rest = file_name.substr(stem.size());
  if (rest[0] != '-' || !rest.ends_with(std::string_view(last).substr(kDash + kDigits))) return {};
  for (const char c : rest.substr(kDash, kDigits)) {
    if (c < '0' || c > '9') return {};
  }
  return stem;
}

/// Each part is the one that its place says, and they are all of one model.
Status check_part(const Directory& part, const Directory& first, std::size_t index, std::size_t n_parts) {
  INFER_ASSIGN(const std::uint64_t count, count_of(part));
  if (std::max<std::uint64_t>(count, 1) != n_parts) {
    return Status::error(Code::shard, fmt::format("the file is one of {} parts, {} given", std::max<std::uint64_t>(count, 1),
                                                  n_parts)).about(kCount);
  }
  INFER_ASSIGN(const std::uint64_t number, number_of(part, count));
  if (number != index) {
    return Status::error(Code::shard, fmt::format("the file is part {} of {}, part {} was expected here", number + 1,
                                                  n_parts, index + 1)).about(kNumber);
  }
  if (n_parts > 1 && part.find(kNumber) == nullptr) {
    return Status::error(Code::shard, "key 'split.no' is missing").about(kNumber);
  }
  if (part.version != first.version) {   // the alignment is each part's own: who splits writes it to the first alone
    return Status::error(Code::shard, fmt::format("version {} differs from the first part's version {}", part.version,
                                                  first.version)).about("version");
  }
  const RawEntry* own = part.find("general.architecture");
  const RawEntry* shared = first.find("general.architecture");
  if (own != nullptr && shared != nullptr && as_text(own->payload) != as_text(shared->payload)) {
    return key_error(Code::shard, *own, "differs from the first part's: these are parts of different models");
  }
  return {};
}

/// Every part announces the tensors of all parts together: one of another model rarely has the same number.
Status check_tensor_count(const Directory& part, std::uint64_t n_tensors) {
  const RawEntry* entry = part.find(kTensors);
  if (entry == nullptr) return {};
  INFER_ASSIGN(const std::int64_t count, integer_of(*entry));
  if (count >= 0 && static_cast<std::uint64_t>(count) == n_tensors) return {};
  return key_error(Code::shard, *entry, fmt::format("{} tensors are announced, the parts have {}", count, n_tensors));
}

Status check_unique_tensors(const std::vector<Directory>& parts, std::size_t n_tensors) {
  struct Named {
    std::string_view name;
    std::size_t part;
  };
  std::vector<Named> names;
  names.reserve(n_tensors);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (const RawTensor& tensor : parts[i].tensors) names.push_back({tensor.name, i});
  }
  std::sort(names.begin(), names.end(), [](const Named& a, const Named& b) {
    return a.name != b.name ? a.name < b.name : a.part < b.part;
  });
  const auto twice = std::adjacent_find(names.begin(), names.end(),
                                        [](const Named& a, const Named& b) { return a.name == b.name; });
  if (twice == names.end()) return {};
  return Status::error(Code::shard, fmt::format("tensor {} is in part {} and in part {}", quoted(twice->name),
                                                twice[0].part + 1, twice[1].part + 1)).about(escaped(twice->name));
}

}  // namespace

Result<std::vector<std::string>> shard_names(Bytes first, std::string_view file_name, const CancelFlag* cancel) {
  ByteReader reader(first, cancel);
  INFER_ASSIGN(const Directory directory, read_keys(reader));
  INFER_ASSIGN(const std::uint64_t count, count_of(directory));
  INFER_ASSIGN(const std::uint64_t number, number_of(directory, count));
  if (count <= 1) return std::vector<std::string>();

  if (file_name.find('/') != std::string_view::npos) {
    return Status::error(Code::argument, fmt::format("{} is a path; a file name was expected", quoted(file_name)));
  }
  const std::string_view stem = stem_of(file_name, count);
  if (number != 0) {
    const std::string wanted = stem.empty() ? "the first part" : quoted(std::string(stem) + suffix(1, count));
    return Status::error(Code::shard, fmt::format("the file is part {} of {}; give {}", number + 1, count, wanted))
        .about(kNumber);
  }
  if (stem.empty() || !file_name.ends_with(suffix(1, count))) {
    const std::string name = file_name.empty() ? "a file without a name" : "file name " + quoted(file_name);
    return Status::error(Code::shard, fmt::format("the model has {} parts, but {} does not end in '{}', so the other "
                                                  "parts cannot be found", count, name, suffix(1, count))).about(kCount);
  }

  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t part = 1; part <= count; ++part) names.push_back(std::string(stem) + suffix(part, count));
  return names;
}

Status check_shards(const std::vector<Directory>& parts) {
  std::size_t n_tensors = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (Status status = check_part(parts[i], parts.front(), i, parts.size()); !status.ok()) {
      if (parts.size() == 1) return status;
      return std::move(status).with_context(fmt::format("part {} of {}", i + 1, parts.size()));
    }
    n_tensors += parts[i].tensors.size();
  }
  for (const Directory& part : parts) INFER_TRY(check_tensor_count(part, n_tensors));
  return parts.size() == 1 ? Status() : check_unique_tensors(parts, n_tensors);
}

}  // namespace infer::gguf
