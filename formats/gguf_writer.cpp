// SPDX-License-Identifier: MIT
// See gguf_writer.h. Tested by tests/formats/gguf_writer_test.cpp.
#include "formats/gguf_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "libinfer/text.h"
#include "src/base/checked.h"

namespace infer::gguf {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kHeaderBytes = 24;
constexpr std::uint64_t kMaxBytes = std::numeric_limits<std::int64_t>::max();
static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

template <class T>
void put(std::vector<std::byte>& out, T value) {
  const std::size_t at = out.size();   // insert() makes GCC 12 see an overflow that is none
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}

void put_text(std::vector<std::byte>& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), bytes, bytes + text.size());
}

template <class T>
std::vector<std::byte> value_bytes(T value) {
  std::vector<std::byte> out;
  put(out, value);
  return out;
}

constexpr std::uint32_t id(ValueType type) noexcept { return static_cast<std::uint32_t>(type); }

/// Bytes up to the next multiple of the alignment.
std::uint64_t padding(std::uint64_t position, std::uint64_t alignment) noexcept {
  return (alignment - position % alignment) % alignment;
}

}  // namespace

Writer::Writer() noexcept : alignment_(kDefaultAlignment) {}

Status Writer::copy_keys(Bytes file, const CancelFlag* cancel) {
  ByteReader reader(file, cancel);
  INFER_ASSIGN(const Directory directory, read_keys(reader));
  alignment_ = directory.alignment;
  const bool is_first = keys_.empty();   // of the keys of one file no two have one name
  for (const RawEntry& entry : directory.entries) {
    Key& copy = is_first ? keys_.emplace_back(Key{std::string(entry.key), id(entry.type), {}, {}}) : key(entry.key, id(entry.type));
    copy.head.clear();
    if (entry.type == ValueType::array) {
      put(copy.head, id(entry.element));
      put(copy.head, entry.count);
    } else if (entry.type == ValueType::string) {
      put(copy.head, static_cast<std::uint64_t>(entry.payload.size()));
    }
    copy.body = entry.payload;
  }
  return {};
}

Writer::Key& Writer::key(std::string_view name, std::uint32_t type) {
  auto at = std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.name == name; });
  if (at == keys_.end()) at = keys_.insert(keys_.end(), Key{std::string(name), 0, {}, {}});
  at->type = type;
  at->body = {};
  return *at;
}

void Writer::set(std::string_view name, bool value) {
  key(name, id(ValueType::boolean)).head = value_bytes(static_cast<std::uint8_t>(value));
}
void Writer::set(std::string_view name, std::uint16_t value) {
  key(name, id(ValueType::u16)).head = value_bytes(value);
}
void Writer::set(std::string_view name, std::uint32_t value) {
  key(name, id(ValueType::u32)).head = value_bytes(value);
}
void Writer::set(std::string_view name, std::int32_t value) { key(name, id(ValueType::i32)).head = value_bytes(value); }
void Writer::set(std::string_view name, float value) { key(name, id(ValueType::f32)).head = value_bytes(value); }

void Writer::set(std::string_view name, std::string_view value) {
  Key& k = key(name, id(ValueType::string));
  k.head.clear();
  put_text(k.head, value);
}

void Writer::set(std::string_view name, const std::vector<std::string>& values) {
  Key& k = key(name, id(ValueType::array));
  k.head.clear();
  put(k.head, id(ValueType::string));
  put(k.head, static_cast<std::uint64_t>(values.size()));
  for (const std::string& value : values) put_text(k.head, value);
}

void Writer::remove_keys(std::string_view prefix) {
  std::erase_if(keys_, [&](const Key& k) { return k.name.starts_with(prefix); });
}

Status Writer::add_tensor(std::string_view name, DType dtype, const Shape& shape) {
  const auto failure = [&](Code code, std::string what) {
    return Status::error(code, fmt::format("tensor {}: {}", quoted(name), what)).about(escaped(name));
  };
  if (name.empty() || name.size() > kMaxTensorNameBytes) {
    return failure(Code::limit,
                   fmt::format("a name of {} bytes; 1 to {} are possible", name.size(), kMaxTensorNameBytes));
  }
  if (tensors_.size() >= kMaxTensors) return failure(Code::limit, fmt::format("more than {} tensors", kMaxTensors));
  const DTypeInfo& type = info(dtype);
  std::optional<std::uint64_t> elements = 1;
  for (const std::int64_t dim : shape.dims) {
    if (dim < 1) return failure(Code::tensor, fmt::format("shape {} is empty", to_string(shape)));
    if (elements) elements = checked_mul(*elements, static_cast<std::uint64_t>(dim));
  }
  if (shape.n_dims < 1 || shape.n_dims > kMaxDims) return failure(Code::tensor, "has no dimensions");
  if (type.block_elems == 0 || static_cast<std::uint64_t>(shape.cols()) % type.block_elems != 0) {
    return failure(Code::tensor, fmt::format("rows of {} elements are not whole {} blocks of {}", shape.cols(),
                                             type.name, type.block_elems));
  }
  const auto bytes = elements ? checked_mul(*elements / type.block_elems, type.block_bytes) : std::nullopt;
  if (!bytes || *bytes > kMaxBytes) {
    return failure(Code::tensor, fmt::format("the size of shape {} does not fit in 63 bits", to_string(shape)));
  }
  tensors_.push_back({std::string(name), dtype, shape, *bytes});
  return {};
}

/// All in front of the data, without padding. Fits: it lies in memory, or in files that do.
std::uint64_t Writer::header_bytes() const noexcept {
  std::uint64_t sum = kHeaderBytes;
  for (const Key& k : keys_) sum += 8 + k.name.size() + 4 + k.head.size() + k.body.size();
  for (const Tensor& t : tensors_)
    sum += 8 + t.name.size() + 4 + 8 * static_cast<std::uint64_t>(t.shape.n_dims) + 4 + 8;
  return sum;
}

Result<std::uint64_t> Writer::file_bytes() const {
  if (keys_.size() > kMaxKeys) {
    return Status::error(Code::limit, fmt::format("{} keys exceed the limit of {}; {} is the last of them", keys_.size(), kMaxKeys,
                                                  quoted(keys_.back().name))).about(escaped(keys_.back().name));
  }
  std::optional<std::uint64_t> sum = header_bytes();
  if (!tensors_.empty()) sum = checked_align(*sum, alignment_);
  for (const Tensor& t : tensors_) {
    sum = sum ? checked_add(*sum, t.bytes) : std::nullopt;
    sum = sum ? checked_align(*sum, alignment_) : std::nullopt;
  }
  if (!sum || *sum > kMaxBytes) return Status::error(Code::limit, "the file would have more than 2^63 - 1 bytes");
  return *sum;
}

Status Writer::begin(ByteSink& sink) {
  INFER_ASSIGN(const std::uint64_t bytes, file_bytes());   // so no sum below can wrap
  static_cast<void>(bytes);
  sink_ = &sink;
  current_ = 0;
  left_ = tensors_.empty() ? 0 : tensors_.front().bytes;

  std::vector<std::byte> part;
  const auto write = [&](Bytes more) {
    position_ += more.size();
    return sink_->write(more);
  };
  for (const char c : std::string_view("GGUF")) put(part, c);
  put(part, kVersion);
  put(part, static_cast<std::uint64_t>(tensors_.size()));
  put(part, static_cast<std::uint64_t>(keys_.size()));
  position_ = 0;
  INFER_TRY(write(part));
  for (const Key& k : keys_) {
    part.clear();
    put_text(part, k.name);
    put(part, k.type);
    INFER_TRY(write(part));
    INFER_TRY(write(k.head));
    INFER_TRY(write(k.body));
  }
  std::uint64_t offset = 0;
  for (const Tensor& t : tensors_) {
    part.clear();
    put_text(part, t.name);
    put(part, static_cast<std::uint32_t>(t.shape.n_dims));
    for (int i = 0; i < t.shape.n_dims; ++i)
      put(part, static_cast<std::uint64_t>(t.shape.dims[static_cast<std::size_t>(i)]));
    put(part, static_cast<std::uint32_t>(t.dtype));
    put(part, offset);
    INFER_TRY(write(part));
    offset += t.bytes + padding(t.bytes, alignment_);
  }
  return tensors_.empty() ? Status() : pad();
}

Status Writer::pad() {
  static constexpr std::array<std::byte, 4096> kZeros{};
  for (std::uint64_t left = padding(position_, alignment_); left > 0;) {
    const std::uint64_t n = std::min<std::uint64_t>(left, kZeros.size());
    INFER_TRY(sink_->write(Bytes(kZeros).first(static_cast<std::size_t>(n))));
    position_ += n;
    left -= n;
  }
  return {};
}

Status Writer::append(Bytes bytes) {
  while (!bytes.empty()) {
    if (left_ == 0) {
      return Status::error(Code::state,
                           fmt::format("{} bytes more than the {} tensors take", bytes.size(), tensors_.size()));
    }
    const Bytes piece = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
    INFER_TRY(sink_->write(piece));
    position_ += piece.size();
    left_ -= piece.size();
    bytes = bytes.subspan(piece.size());
    if (left_ > 0) continue;
    INFER_TRY(pad());
    if (++current_ < tensors_.size()) left_ = tensors_[current_].bytes;
  }
  return {};
}

Status Writer::finish() {
  if (current_ == tensors_.size()) return {};
  return Status::error(Code::state,
                       fmt::format("tensor {}: {} bytes are missing", quoted(tensors_[current_].name), left_));
}

}  // namespace infer::gguf
