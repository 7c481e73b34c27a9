// SPDX-License-Identifier: MIT
// ByteReader: a bounds-checked little-endian cursor with a sticky error. The first read past the end is remembered;
// from then on every read yields zero and nothing moves, so a parser may read a whole paragraph and check once.
// Tested by tests/formats/byte_reader_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "libinfer/format.h"
#include "libinfer/hooks.h"
#include "libinfer/status.h"

namespace infer {

class ByteReader {
 public:
  /// The bytes must outlive the reader and all views that it gives out. `base` is the offset in the file of the first
  /// byte, for messages.
  explicit ByteReader(Bytes bytes, std::uint64_t base = 0) noexcept : bytes_(bytes), base_(base) {}
  /// The same for a whole file, until the flag (null: none) is set: then every read fails and status() says cancelled.
  ByteReader(Bytes file, const CancelFlag* cancel) noexcept : bytes_(file), cancel_(cancel) {}

  std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(little_endian(1)); }
  std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(little_endian(2)); }
  std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(little_endian(4)); }
  std::uint64_t u64() noexcept { return little_endian(8); }
  std::int8_t i8() noexcept { return static_cast<std::int8_t>(u8()); }
  std::int16_t i16() noexcept { return static_cast<std::int16_t>(u16()); }
  std::int32_t i32() noexcept { return static_cast<std::int32_t>(u32()); }
  std::int64_t i64() noexcept { return static_cast<std::int64_t>(u64()); }
  float f32() noexcept;
  double f64() noexcept;

  /// The next `n` bytes; empty when there are fewer.
  Bytes bytes(std::uint64_t n) noexcept;
  /// A 64-bit length and that many bytes.
  std::string_view string() noexcept;
  /// What was read since the reader was at `position` (an earlier answer of position()).
  Bytes since(std::uint64_t position) const noexcept {
    const auto first = static_cast<std::size_t>(position - base_);
    return bytes_.subspan(first, at_ - first);
  }

  bool ok() const noexcept { return !failed_; }
  /// Offset in the file of the next byte.
  std::uint64_t position() const noexcept { return base_ + at_; }
  std::uint64_t remaining() const noexcept { return bytes_.size() - at_; }

  /// Success, or truncated_file: "<what>: 8 bytes needed at offset 16, file has 20", at the offset of the failed read; or
  /// cancelled.
  Status status(std::string_view what) const;

 private:
  std::uint64_t little_endian(std::size_t n) noexcept;

  Bytes bytes_;
  std::uint64_t base_ = 0;
  const CancelFlag* cancel_ = nullptr;
  std::size_t at_ = 0;
  bool failed_ = false;
  bool cancelled_ = false;     ///< that was why it failed
  std::uint64_t needed_ = 0;   ///< bytes that the failed read wanted
};

}  // namespace infer
