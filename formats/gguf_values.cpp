// SPDX-License-Identifier: MIT
// Typed access to the values of a GGUF directory. Integers are taken from any integer width when the value fits; nothing
// else is converted silently. Reference: docs/gguf.md, "Values". Tested by tests/formats/gguf_test.cpp.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "src/base/checked.h"
#include "libinfer/text.h"

namespace infer::gguf {
namespace {

struct TypeFacts {
  const char* name;
  std::uint8_t bytes;
};

constexpr TypeFacts kTypes[kValueTypeCount] = {
    {"u8", 1},   {"i8", 1},     {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
    {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8},
};

Status wrong_type(const RawEntry& entry, const char* expected) {
  return key_error(Code::metadata, entry, fmt::format("expected {}, found {}", expected, type_text(entry)));
}

Status check_bool(const RawEntry& entry, std::uint8_t byte) {
  if (byte <= 1) return {};
  return key_error(Code::metadata, entry, fmt::format("a bool must be 0 or 1, found {}", byte));
}

Result<MetaValue> array_value(const RawEntry& entry, GrowthBudget& budget, std::vector<std::string>& warnings,
                              const CancelFlag* cancel) {
  const MovedArray left_out{type_name(entry.element), entry.count};
  const auto n = static_cast<std::size_t>(entry.count);
  ElementReader reader(entry, cancel);

  if (entry.element == ValueType::array) return MetaValue(left_out);
  if (entry.element == ValueType::string) {
    INFER_ASSIGN(StringList strings, strings_of(entry, cancel));
    return MetaValue(std::move(strings));
  }
  if (entry.element == ValueType::boolean) {
    std::vector<bool> values;
    values.reserve(n);
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint8_t byte = reader.u8();
      INFER_TRY(check_bool(entry, byte));
      values.push_back(byte != 0);
    }
    INFER_TRY(reader.done());
    return MetaValue(std::move(values));
  }

  const std::optional<std::uint64_t> memory = checked_mul(entry.count, sizeof(std::int64_t));
  if (!memory || !budget.take(*memory, entry.payload.size())) {
    warnings.push_back(fmt::format("key {}: {} values are too many to keep", quoted(entry.key), entry.count));
    return MetaValue(left_out);
  }
  if (is_float(entry.element)) {
    std::vector<double> values(n);
    for (double& value : values) value = read_real(reader, entry.element);
    INFER_TRY(reader.done());
    return MetaValue(std::move(values));
  }
  std::vector<std::int64_t> values(n);
  for (std::int64_t& value : values) {
    bool too_large = false;
    value = read_integer(reader, entry.element, too_large);
    if (too_large) {
      warnings.push_back(fmt::format("key {}: values past 2^63 - 1 are not kept", quoted(entry.key)));
      return MetaValue(left_out);
    }
  }
  INFER_TRY(reader.done());
  return MetaValue(std::move(values));
}

}  // namespace

const char* type_name(ValueType type) noexcept { return kTypes[static_cast<std::size_t>(type)].name; }
std::uint64_t type_bytes(ValueType type) noexcept { return kTypes[static_cast<std::size_t>(type)].bytes; }

bool is_float(ValueType type) noexcept { return type == ValueType::f32 || type == ValueType::f64; }
bool is_integer(ValueType type) noexcept {
  return !is_float(type) && type != ValueType::boolean && type != ValueType::string && type != ValueType::array;
}

std::string type_text(const RawEntry& entry) {
  if (entry.type != ValueType::array) return type_name(entry.type);
  return fmt::format("array of {}", type_name(entry.element));
}

std::int64_t read_integer(ByteReader& reader, ValueType type, bool& too_large) noexcept {
  too_large = false;
  switch (type) {
    case ValueType::u8: return reader.u8();
    case ValueType::i8: return reader.i8();
    case ValueType::u16: return reader.u16();
    case ValueType::i16: return reader.i16();
    case ValueType::u32: return reader.u32();
    case ValueType::i32: return reader.i32();
    case ValueType::i64: return reader.i64();
    default: break;
  }
  const std::uint64_t value = reader.u64();
  too_large = value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return static_cast<std::int64_t>(value);
}

double read_real(ByteReader& reader, ValueType type) noexcept {
  return type == ValueType::f32 ? static_cast<double>(reader.f32()) : reader.f64();
}

Result<std::int64_t> integer_of(const RawEntry& entry) {
  if (!is_integer(entry.type)) return wrong_type(entry, "integer");
  ByteReader reader(entry.payload);
  bool too_large = false;
  const std::int64_t value = read_integer(reader, entry.type, too_large);
  if (too_large) {
    return key_error(Code::metadata, entry, fmt::format("{} exceeds 2^63 - 1", static_cast<std::uint64_t>(value)));
  }
  return value;
}

Result<double> real_of(const RawEntry& entry) {
  if (!is_float(entry.type)) return wrong_type(entry, "float");
  ByteReader reader(entry.payload);
  const double value = read_real(reader, entry.type);
  if (!std::isfinite(value)) return key_error(Code::metadata, entry, fmt::format("{} is not a finite number", value));
  return value;
}

Result<bool> boolean_of(const RawEntry& entry) {
  if (entry.type != ValueType::boolean) return wrong_type(entry, "bool");
  const std::uint8_t byte = ByteReader(entry.payload).u8();
  INFER_TRY(check_bool(entry, byte));
  return byte != 0;
}

Result<std::string_view> text_of(const RawEntry& entry) {
  if (entry.type != ValueType::string) return wrong_type(entry, "string");
  return as_text(entry.payload);
}

Result<StringList> strings_of(const RawEntry& entry, const CancelFlag* cancel) {
  if (entry.text_bytes > StringList::kMaxBytes) {
    return key_error(Code::limit, entry, fmt::format("strings of {} bytes together exceed the limit of {}",
                                                     entry.text_bytes, StringList::kMaxBytes));
  }
  StringList strings;
  strings.reserve(static_cast<std::size_t>(entry.count), static_cast<std::size_t>(entry.text_bytes));
  ElementReader reader(entry, cancel);
  for (std::uint64_t i = 0; i < entry.count && reader.ok(); ++i) strings.push_back(reader.string());
  INFER_TRY(reader.done());
  return strings;
}

std::uint64_t fingerprint_of(Bytes bytes) noexcept {
  // Words are mixed in one by one, each step one to one in the number so far; the length tells apart what padding makes alike.
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;   // 2^64 over the golden ratio
  std::uint64_t number = bytes.size() + kOdd;
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const std::size_t n = std::min(bytes.size(), sizeof word);
    std::memcpy(&word, bytes.data(), n);
    bytes = bytes.subspan(n);
    number = (number ^ word) * kOdd;
    number ^= number >> 32;
  }
  return number;
}

bool GrowthBudget::take(std::uint64_t memory, std::uint64_t file) noexcept {
  const std::uint64_t growth = memory > file ? memory - file : 0;
  if (growth > left) return false;
  left -= growth;
  return true;
}

Result<MetaValue> meta_value(const RawEntry& entry, GrowthBudget& budget, std::vector<std::string>& warnings,
                             const CancelFlag* cancel) {
  switch (entry.type) {
    case ValueType::array:
      return array_value(entry, budget, warnings, cancel);
    case ValueType::string:
      return MetaValue(std::string(as_text(entry.payload)));
    case ValueType::boolean: {
      INFER_ASSIGN(const bool value, boolean_of(entry));
      return MetaValue(value);
    }
    default:
      break;
  }
  ByteReader reader(entry.payload);
  if (is_float(entry.type)) return MetaValue(read_real(reader, entry.type));
  bool too_large = false;
  const std::int64_t value = read_integer(reader, entry.type, too_large);
  return too_large ? MetaValue(static_cast<std::uint64_t>(value)) : MetaValue(value);
}

}  // namespace infer::gguf
