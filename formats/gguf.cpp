// SPDX-License-Identifier: MIT
// The GGUF format, versions 2 and 3: header and keys to a raw directory, and the FormatParser that puts the steps
// together. Nothing is copied and nothing is believed: each count is compared with a limit and each size with the bytes
// that are left. Reference: docs/gguf.md. Tested by tests/formats/gguf_test.cpp and gguf_hostile_test.cpp.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "src/base/checked.h"
#include "libinfer/text.h"

namespace infer::gguf {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint64_t kCountsOffset = 8;   // of the tensor count; the key count follows
constexpr std::uint64_t kMinKeyBytes = 13;   // empty key 8, type 4, one byte of value

Status check_version(std::uint32_t version, std::uint64_t offset) {
  if (version == 2 || version == 3) return {};
  const bool swapped = version == 0x01000000 || version == 0x02000000 || version == 0x03000000;
  const char* why = version == 1 ? "is not supported; convert the model anew"
                    : version == 0 ? "does not exist"
                    : swapped ? "has the wrong byte order: this is a big-endian file"
                              : "is newer than the supported versions 2 and 3";
  return Status::error(Code::version, fmt::format("version {} {}", version, why)).about("version").at(offset);
}

Status check_count(std::string_view what, std::uint64_t count, std::uint64_t limit, std::uint64_t offset) {
  if (count <= limit) return {};
  return Status::error(Code::limit, fmt::format("{} {} exceed the limit of {}", count, what, limit)).at(offset);
}

/// Type and count of an array, at any depth.
Status read_array_head(ByteReader& reader, const std::string& what, ValueType& element, std::uint64_t& count) {
  const std::uint64_t offset = reader.position();
  const std::uint32_t type = reader.u32();
  count = reader.u64();
  INFER_TRY(reader.status(what));
  if (type >= kValueTypeCount) {
    return Status::error(Code::metadata, fmt::format("{}: unknown element type {}", what, type)).at(offset);
  }
  element = static_cast<ValueType>(type);
  return {};
}

/// Passes over `count` strings; `text_bytes` becomes the sum of their lengths.
Status skip_strings(ByteReader& reader, const std::string& what, std::uint64_t count, std::uint64_t& text_bytes) {
  if (count > reader.remaining() / 8) {
    return Status::error(Code::truncated_file,
                         fmt::format("{}: {} strings do not fit in the {} bytes that are left", what, count,
                                     reader.remaining())).at(reader.position());
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    text_bytes += reader.string().size();   // cannot wrap: the strings lie in the file, side by side
    if (!reader.ok()) return reader.status(fmt::format("{}: element {}", what, i));
  }
  return {};
}

Status skip_numbers(ByteReader& reader, const std::string& what, ValueType element, std::uint64_t count) {
  const std::optional<std::uint64_t> bytes = checked_mul(count, type_bytes(element));
  if (!bytes || !inside(0, *bytes, reader.remaining())) {
    return Status::error(Code::truncated_file, fmt::format("{}: {} values of type {} do not fit in the {} bytes that "
                                                           "are left", what, count, type_name(element),
                                                           reader.remaining())).at(reader.position());
  }
  reader.bytes(*bytes);
  return {};
}

/// Passes over the elements of an array of arrays. A loop with a stack of counts: depth is the file's choice.
Status skip_arrays(ByteReader& reader, const std::string& what, std::uint64_t count) {
  std::array<std::uint64_t, kMaxArrayDepth - 1> left{};   // arrays still to come, by depth
  left[0] = count;
  for (std::size_t depth = 0;;) {
    if (left[depth] == 0) {
      if (depth == 0) return {};
      --depth;
      continue;
    }
    --left[depth];
    const std::uint64_t offset = reader.position();
    ValueType element{};
    std::uint64_t n = 0;
    INFER_TRY(read_array_head(reader, what, element, n));
    if (element == ValueType::array) {
      if (++depth == left.size()) {
        return Status::error(Code::limit, fmt::format("{}: arrays are nested deeper than {}", what, kMaxArrayDepth))
            .at(offset);
      }
      left[depth] = n;
    } else if (element == ValueType::string) {
      std::uint64_t ignored = 0;
      INFER_TRY(skip_strings(reader, what, n, ignored));
    } else {
      INFER_TRY(skip_numbers(reader, what, element, n));
    }
  }
}

/// Type and value of a key: fills in all but the key itself.
Status read_value(ByteReader& reader, RawEntry& entry) {
  const std::string what = fmt::format("key {}", quoted(entry.key));
  const std::uint64_t type_offset = reader.position();
  const std::uint32_t type = reader.u32();
  INFER_TRY(reader.status(what));
  if (type >= kValueTypeCount) {
    return Status::error(Code::metadata, fmt::format("{}: unknown type {}", what, type)).at(type_offset);
  }
  entry.type = entry.element = static_cast<ValueType>(type);

  if (entry.type == ValueType::array) {
    INFER_TRY(read_array_head(reader, what, entry.element, entry.count));
    const std::uint64_t begin = reader.position();
    if (entry.element == ValueType::array) {
      INFER_TRY(skip_arrays(reader, what, entry.count));
    } else if (entry.element == ValueType::string) {
      INFER_TRY(skip_strings(reader, what, entry.count, entry.text_bytes));
    } else {
      INFER_TRY(skip_numbers(reader, what, entry.element, entry.count));
    }
    entry.payload = reader.since(begin);
  } else {
    const std::uint64_t bytes = entry.type == ValueType::string ? reader.u64() : type_bytes(entry.type);
    entry.payload = reader.bytes(bytes);
    INFER_TRY(reader.status(what));
  }
  return {};
}

/// A key must be fit to be shown and compared.
Status check_key(const RawEntry& entry) {
  if (entry.key.empty()) return Status::error(Code::metadata, "empty key").at(entry.offset);
  if (entry.key.size() > kMaxKeyBytes) {
    return Status::error(Code::limit, fmt::format("key {} of {} bytes is longer than {}", quoted(entry.key),
                                                  entry.key.size(), kMaxKeyBytes)).at(entry.offset);
  }
  if (!is_printable_utf8(entry.key)) {
    return key_error(Code::metadata, entry, "the key has control characters or is not UTF-8");
  }
  return {};
}

/// Fills Directory::by_key and refuses duplicates. Sorting keeps this n log n whatever the keys are.
Status index_keys(Directory& directory) {
  const std::vector<RawEntry>& entries = directory.entries;
  std::vector<std::uint32_t>& order = directory.by_key;
  order.resize(entries.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return entries[a].key != entries[b].key ? entries[a].key < entries[b].key : a < b;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const RawEntry& first = entries[order[i - 1]];
    const RawEntry& second = entries[order[i]];
    if (first.key == second.key) {
      return key_error(Code::metadata, second, fmt::format("duplicate key, first at offset {}", first.offset));
    }
  }
  return {};
}

Result<std::uint64_t> alignment_of(const Directory& directory) {
  const RawEntry* entry = directory.find("general.alignment");
  if (entry == nullptr) return kDefaultAlignment;
  if (entry->type != ValueType::u8 && entry->type != ValueType::u16 && entry->type != ValueType::u32 &&
      entry->type != ValueType::u64) {
    return key_error(Code::metadata, *entry, fmt::format("expected unsigned integer, found {}", type_text(*entry)));
  }
  ByteReader value(entry->payload);
  bool too_large = false;
  const auto alignment = static_cast<std::uint64_t>(read_integer(value, entry->type, too_large));
  if (alignment > kMaxAlignment) {
    return key_error(Code::limit, *entry, fmt::format("alignment {} exceeds {}", alignment, kMaxAlignment));
  }
  if (alignment < kMinAlignment || !std::has_single_bit(alignment)) {
    return key_error(Code::metadata, *entry, fmt::format("alignment must be a power of two of at least {}, found {}",
                                                         kMinAlignment, alignment));
  }
  return alignment;
}

bool sniff(Bytes file) noexcept {
  const std::size_t n = std::min(file.size(), kMagic.size());   // a shorter file is reported as truncated, not foreign
  return n > 0 && std::memcmp(file.data(), kMagic.data(), n) == 0;
}

Result<ModelDescriptor> parse_files(std::span<const Bytes> files, const CancelFlag* cancel) {
  if (files.empty()) return Status::error(Code::argument, "no file given");
  std::vector<Directory> parts;
  parts.reserve(files.size());
  std::uint64_t n_tensors = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    Result<Directory> part = read_directory(files[i], cancel);
    if (!part.ok()) {
      if (files.size() == 1) return std::move(part).status();
      return std::move(part).status().with_context(fmt::format("part {} of {}", i + 1, files.size()));
    }
    parts.push_back(std::move(part).value());
    n_tensors += parts.back().tensors.size();
    INFER_TRY(check_count("tensors in all parts", n_tensors, kMaxTensors, kCountsOffset));
  }
  INFER_TRY(check_shards(parts));

  INFER_ASSIGN(ModelDescriptor model, describe(parts.front(), cancel));
  model.tensors.reserve(static_cast<std::size_t>(n_tensors));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (const RawTensor& raw : parts[i].tensors) {
      model.tensors.push_back(
          {std::string(raw.name), raw.dtype, raw.shape, static_cast<int>(i), raw.begin, raw.bytes});
    }
    for (const std::string& warning : parts[i].warnings) {
      model.warnings.push_back(parts.size() == 1 ? warning : fmt::format("part {}: {}", i + 1, warning));
    }
  }
  return model;
}

Result<ModelDescriptor> parse(std::span<const Bytes> files, const CancelFlag* cancel) {
  Result<ModelDescriptor> model = parse_files(files, cancel);
  if (!model.ok()) return std::move(model).status().with_context("gguf");
  return model;
}

Result<std::vector<std::string>> parts(Bytes first, std::string_view file_name, const CancelFlag* cancel) {
  Result<std::vector<std::string>> names = shard_names(first, file_name, cancel);
  if (!names.ok()) return std::move(names).status().with_context("gguf");
  return names;
}

}  // namespace

const RawEntry* Directory::find(std::string_view key) const noexcept {
  const auto at = std::lower_bound(by_key.begin(), by_key.end(), key,
                                   [&](std::uint32_t i, std::string_view wanted) { return entries[i].key < wanted; });
  return at != by_key.end() && entries[*at].key == key ? &entries[*at] : nullptr;
}

Status key_error(Code code, const RawEntry& entry, std::string_view what) {
  return Status::error(code, fmt::format("key {}: {}", quoted(entry.key), what)).about(escaped(entry.key)).at(entry.offset);
}

Result<Directory> read_keys(ByteReader& reader) {
  Directory directory;
  const std::string_view magic = as_text(reader.bytes(kMagic.size()));
  INFER_TRY(reader.status("header"));
  if (magic != kMagic) return Status::error(Code::format, "the file does not begin with GGUF").at(0);
  const std::uint64_t version_offset = reader.position();
  directory.version = reader.u32();
  INFER_TRY(reader.status("header"));
  INFER_TRY(check_version(directory.version, version_offset));

  directory.n_tensors = reader.u64();
  const std::uint64_t n_keys = reader.u64();
  INFER_TRY(reader.status("header"));
  INFER_TRY(check_count("tensors", directory.n_tensors, kMaxTensors, kCountsOffset));
  INFER_TRY(check_count("keys", n_keys, kMaxKeys, kCountsOffset + 8));

  directory.entries.reserve(static_cast<std::size_t>(std::min(n_keys, reader.remaining() / kMinKeyBytes)));
  for (std::uint64_t i = 0; i < n_keys; ++i) {
    RawEntry entry;
    entry.offset = reader.position();
    entry.key = reader.string();
    INFER_TRY(reader.status(fmt::format("key {} of {}", i + 1, n_keys)));
    INFER_TRY(check_key(entry));
    if (Status status = read_value(reader, entry); !status.ok()) return std::move(status).about(escaped(entry.key));
    directory.entries.push_back(entry);
  }
  INFER_TRY(index_keys(directory));
  INFER_ASSIGN(directory.alignment, alignment_of(directory));
  return directory;
}

Result<Directory> read_directory(Bytes file, const CancelFlag* cancel) {
  ByteReader reader(file, cancel);
  INFER_ASSIGN(Directory directory, read_keys(reader));
  INFER_TRY(read_tensors(reader, file, directory));
  return directory;
}

}  // namespace infer::gguf

namespace infer {

extern constinit const FormatParser gguf_parser;
constinit const FormatParser gguf_parser = {
    .name = "gguf", .sniff = gguf::sniff, .parts = gguf::parts, .parse = gguf::parse};

}  // namespace infer
