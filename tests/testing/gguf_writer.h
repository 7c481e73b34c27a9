// SPDX-License-Identifier: MIT
// Builds GGUF files in memory, right ones and wrong ones: tests that need a malformed file change a field of an entry
// before build(), or the bytes after it.
//
//   GgufWriter w;
//   w.set("general.architecture", "llama").set("llama.block_count", std::uint32_t{2});
//   w.tensor("token_embd.weight", DType::f32, {64, 320}, bytes);
//   std::vector<std::byte> file = w.build();
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "libinfer/dtype.h"

namespace infer::testing {

/// Little-endian bytes, appended.
class ByteSink {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(T value) {
    std::byte raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes.insert(bytes.end(), raw, raw + sizeof(T));
  }
  /// A 64-bit length and the characters.
  void put(std::string_view text) {
    put(static_cast<std::uint64_t>(text.size()));
    append(std::as_bytes(std::span(text)));
  }
  void append(std::span<const std::byte> more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

  std::vector<std::byte> bytes;
};

/// The type ids of GGUF values.
template <class T>
constexpr std::uint32_t gguf_type() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return 0;
  else if constexpr (std::is_same_v<T, std::int8_t>) return 1;
  else if constexpr (std::is_same_v<T, std::uint16_t>) return 2;
  else if constexpr (std::is_same_v<T, std::int16_t>) return 3;
  else if constexpr (std::is_same_v<T, std::uint32_t>) return 4;
  else if constexpr (std::is_same_v<T, std::int32_t>) return 5;
  else if constexpr (std::is_same_v<T, float>) return 6;
  else if constexpr (std::is_same_v<T, bool>) return 7;
  else if constexpr (std::is_convertible_v<T, std::string_view>) return 8;
  else if constexpr (std::is_same_v<T, std::uint64_t>) return 10;
  else if constexpr (std::is_same_v<T, std::int64_t>) return 11;
  else if constexpr (std::is_same_v<T, double>) return 12;
  else static_assert(!sizeof(T), "no GGUF type");
}
inline constexpr std::uint32_t kGgufArray = 9;

class GgufWriter {
 public:
  struct Key {
    std::string name;
    std::uint32_t type = 0;
    std::vector<std::byte> value;   ///< as it lies in the file
  };
  struct Tensor {
    std::string name;
    std::uint32_t type = 0;
    std::vector<std::uint64_t> dims;   ///< innermost first
    std::vector<std::byte> data;
    std::optional<std::uint64_t> offset;   ///< instead of the right one
  };

  // All of it may be changed on purpose.
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;              ///< of the data; set() the key too when it is not 32
  std::optional<std::uint64_t> n_keys;       ///< instead of the right one
  std::optional<std::uint64_t> n_tensors;
  std::vector<Key> keys;
  std::vector<Tensor> tensors;

  /// A scalar or a string; replaces an earlier value of that name.
  template <class T>
  GgufWriter& set(std::string_view name, const T& value) {
    ByteSink sink;
    if constexpr (std::is_convertible_v<T, std::string_view>) sink.put(std::string_view(value));
    else sink.put(value);
    return raw(name, gguf_type<T>(), std::move(sink.bytes));
  }

  /// An array of scalars or strings.
  template <class T>
  GgufWriter& set(std::string_view name, const std::vector<T>& values) {
    ByteSink sink;
    sink.put(gguf_type<T>());
    sink.put(static_cast<std::uint64_t>(values.size()));
    for (const auto& v : values) {
      if constexpr (std::is_convertible_v<T, std::string_view>) sink.put(std::string_view(v));
      else sink.put(static_cast<T>(v));
    }
    return raw(name, kGgufArray, std::move(sink.bytes));
  }

  /// Any bytes under any type id.
  GgufWriter& raw(std::string_view name, std::uint32_t type, std::vector<std::byte> value) {
    Key* key = find(name);
    if (key == nullptr) key = &keys.emplace_back(Key{std::string(name), 0, {}});
    key->type = type;
    key->value = std::move(value);
    return *this;
  }

  Key* find(std::string_view name) {
    for (Key& k : keys) {
      if (k.name == name) return &k;
    }
    return nullptr;
  }
  GgufWriter& remove(std::string_view name) {
    std::erase_if(keys, [&](const Key& k) { return k.name == name; });
    return *this;
  }

  GgufWriter& tensor(std::string_view name, DType type, const std::vector<std::int64_t>& shape, std::span<const std::byte> data) {
    Tensor t{std::string(name), static_cast<std::uint32_t>(type), {}, {data.begin(), data.end()}, {}};
    for (std::int64_t d : shape) t.dims.push_back(static_cast<std::uint64_t>(d));
    tensors.push_back(std::move(t));
    return *this;
  }
  Tensor* find_tensor(std::string_view name) {
    for (Tensor& t : tensors) {
      if (t.name == name) return &t;
    }
    return nullptr;
  }
  GgufWriter& remove_tensor(std::string_view name) {
    std::erase_if(tensors, [&](const Tensor& t) { return t.name == name; });
    return *this;
  }

  std::vector<std::byte> build() const {
    ByteSink out;
    out.append(std::as_bytes(std::span("GGUF", 4)));
    out.put(version);
    out.put(n_tensors.value_or(tensors.size()));
    out.put(n_keys.value_or(keys.size()));
    for (const Key& k : keys) {
      out.put(std::string_view(k.name));
      out.put(k.type);
      out.append(k.value);
    }
    std::uint64_t at = 0;
    for (const Tensor& t : tensors) {
      out.put(std::string_view(t.name));
      out.put(static_cast<std::uint32_t>(t.dims.size()));
      for (std::uint64_t d : t.dims) out.put(d);
      out.put(t.type);
      out.put(t.offset.value_or(at));
      at = aligned(at + t.data.size());
    }
    if (tensors.empty()) return std::move(out.bytes);
    out.bytes.resize(static_cast<std::size_t>(aligned(out.bytes.size())));
    const std::size_t start = out.bytes.size();
    for (const Tensor& t : tensors) {
      out.bytes.resize(start + static_cast<std::size_t>(aligned(out.bytes.size() - start)));
      out.append(t.data);
    }
    return std::move(out.bytes);
  }

 private:
  std::uint64_t aligned(std::uint64_t n) const { return alignment == 0 ? n : (n + alignment - 1) / alignment * alignment; }
};

}  // namespace infer::testing
