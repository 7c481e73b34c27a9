// SPDX-License-Identifier: MIT
// See byte_reader.h. Tested by tests/formats/byte_reader_test.cpp.
#include "formats/byte_reader.h"

#include <bit>

#include <fmt/format.h>

#include "src/base/checked.h"

namespace infer {

Bytes ByteReader::bytes(std::uint64_t n) noexcept {
  if (failed_) return {};
  cancelled_ = is_cancelled(cancel_);
  if (cancelled_ || !inside(at_, n, bytes_.size())) {
    failed_ = true;
    needed_ = n;
    return {};
  }
  const Bytes taken = bytes_.subspan(at_, static_cast<std::size_t>(n));
  at_ += taken.size();
  return taken;
}

std::uint64_t ByteReader::little_endian(std::size_t n) noexcept {
  std::uint64_t value = 0;
  int shift = 0;
  for (const std::byte b : bytes(n)) {
    value |= std::to_integer<std::uint64_t>(b) << shift;
    shift += 8;
  }
  return value;
}

float ByteReader::f32() noexcept { return std::bit_cast<float>(u32()); }
double ByteReader::f64() noexcept { return std::bit_cast<double>(u64()); }

std::string_view ByteReader::string() noexcept {
  const Bytes text = bytes(u64());
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

Status ByteReader::status(std::string_view what) const {
  if (ok()) return {};
  if (cancelled_) return Status::error(Code::cancelled, fmt::format("{}: loading was cancelled", what)).at(position());
  return Status::error(Code::truncated_file, fmt::format("{}: {} bytes needed at offset {}, file has {}", what, needed_,
                                                         position(), base_ + bytes_.size())).at(position());
}

}  // namespace infer
