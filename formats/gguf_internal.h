// SPDX-License-Identifier: MIT
// What the files of the GGUF parser share: the raw directory (names, types and places, all views into the file) and
// typed access to its values. Reading goes in three steps: keys (gguf.cpp), tensor table (gguf_tensors.cpp), then the
// descriptor (gguf_descriptor.cpp); shards are gguf_shards.cpp. The format is described in docs/gguf.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/byte_reader.h"
#include "libinfer/format.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/status.h"
#include "libinfer/tensor.h"

namespace infer::gguf {

// Limits that bound memory whatever a file claims; see docs/gguf.md for what real files need.
inline constexpr std::uint64_t kMaxKeys = 16384;
inline constexpr std::uint64_t kMaxTensors = 16384;           ///< in all parts together
inline constexpr std::uint64_t kMaxKeyBytes = 65535;           ///< of the specification
inline constexpr std::uint64_t kMaxTensorNameBytes = 64;       ///< of the specification
inline constexpr int kMaxArrayDepth = 4;
inline constexpr std::uint64_t kMaxAlignment = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kDefaultAlignment = 32;
inline constexpr std::uint64_t kMinAlignment = 8;
inline constexpr std::uint64_t kMaxShards = 1024;

enum class ValueType : std::uint32_t {
  u8 = 0, i8 = 1, u16 = 2, i16 = 3, u32 = 4, i32 = 5, f32 = 6, boolean = 7, string = 8, array = 9, u64 = 10, i64 = 11,
  f64 = 12,
};
inline constexpr std::uint32_t kValueTypeCount = 13;

/// "u32", "string" ...
const char* type_name(ValueType type) noexcept;
/// Bytes of one value; 0 for strings and arrays, whose size differs from value to value.
std::uint64_t type_bytes(ValueType type) noexcept;
bool is_integer(ValueType type) noexcept;
bool is_float(ValueType type) noexcept;

inline std::string_view as_text(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// One key and where its value lies.
struct RawEntry {
  std::string_view key;
  ValueType type = ValueType::u8;
  ValueType element = ValueType::u8;   ///< of an array; otherwise the type itself
  std::uint64_t count = 1;             ///< elements of an array
  Bytes payload;                       ///< the value; for an array its elements, for a string its characters
  std::uint64_t text_bytes = 0;        ///< of an array of strings: all characters together
  std::uint64_t offset = 0;            ///< of the key in the file

  bool is_array_of(ValueType wanted) const noexcept { return type == ValueType::array && element == wanted; }
};

struct RawTensor {
  std::string_view name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t begin = 0;    ///< of its bytes, in the file
  std::uint64_t bytes = 0;
  std::uint64_t end = 0;      ///< begin + bytes
  std::uint64_t offset = 0;   ///< of its entry in the table
};

/// Everything in front of the tensor data. Views point into the file.
struct Directory {
  std::uint32_t version = 0;
  std::uint64_t n_tensors = 0;             ///< as the header says
  std::uint64_t alignment = kDefaultAlignment;
  std::vector<RawEntry> entries;           ///< in file order; keys are unique
  std::vector<std::uint32_t> by_key;       ///< entries sorted by key
  std::vector<RawTensor> tensors;          ///< in table order; names are unique
  std::vector<std::string> warnings;

  const RawEntry* find(std::string_view key) const noexcept;
};

/// Header and keys; leaves the reader at the tensor table.
Result<Directory> read_keys(ByteReader& reader);
/// Tensor table and the places of the tensors; the reader is where read_keys() left it.
Status read_tensors(ByteReader& reader, Bytes file, Directory& directory);
/// Both. The flag (null: none) is looked at with every value.
Result<Directory> read_directory(Bytes file, const CancelFlag* cancel);

/// A key's value as a number. Errors: metadata ("expected integer, found string").
Result<std::int64_t> integer_of(const RawEntry& entry);
/// Finite only. Errors: metadata.
Result<double> real_of(const RawEntry& entry);
Result<bool> boolean_of(const RawEntry& entry);
Result<std::string_view> text_of(const RawEntry& entry);
/// "u32", "array of i32"
std::string type_text(const RawEntry& entry);
/// The next value of an integer type. `too_large`: a u64 past INT64_MAX; the answer is then its bit pattern.
std::int64_t read_integer(ByteReader& reader, ValueType type, bool& too_large) noexcept;
double read_real(ByteReader& reader, ValueType type) noexcept;

/// Of all bytes: other bytes have another number, but by chance. Not made against who looks for two that have the same.
std::uint64_t fingerprint_of(Bytes bytes) noexcept;

/// An error about a key: "key 'llama.block_count': <what>", with subject and offset.
Status key_error(Code code, const RawEntry& entry, std::string_view what);

/// Memory that number arrays may take beyond the bytes that they have in the file.
struct GrowthBudget {
  std::uint64_t left = std::uint64_t{1} << 20;
  /// False, and nothing is taken, when `memory` bytes for `file` bytes are too much.
  bool take(std::uint64_t memory, std::uint64_t file) noexcept;
};

/// The value for ModelDescriptor::metadata. Arrays that the budget has no room for keep type and count only.
Result<MetaValue> meta_value(const RawEntry& entry, GrowthBudget& budget, std::vector<std::string>& warnings,
                             const CancelFlag* cancel);
/// The elements of an array of strings.
Result<StringList> strings_of(const RawEntry& entry, const CancelFlag* cancel);
/// A reader of the elements of an array; what was read counts only when done() says so.
class ElementReader : public ByteReader {
 public:
  ElementReader(const RawEntry& entry, const CancelFlag* cancel) noexcept
      : ByteReader(entry.payload, cancel), entry_(entry) {}
  /// Cancelled, or success: all elements are there.
  Status done() const { return ok() ? Status() : key_error(Code::cancelled, entry_, "loading was cancelled"); }

 private:
  const RawEntry& entry_;
};

/// Hyper, tokenizer, metadata and warnings; no tensors. The flag (null: none) is looked at with every value.
Result<ModelDescriptor> describe(const Directory& directory, const CancelFlag* cancel);

// FormatParser::parts, and the check that parts belong together (formats/gguf_shards.cpp).
Result<std::vector<std::string>> shard_names(Bytes first, std::string_view file_name, const CancelFlag* cancel);
Status check_shards(const std::vector<Directory>& parts);

}  // namespace infer::gguf
