// SPDX-License-Identifier: MIT
// Tests of formats/byte_reader.h: byte order, the sticky error and what it says.
#include "formats/byte_reader.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/testing/gguf_writer.h"

namespace infer {
namespace {

using testing::ByteSink;

std::vector<std::byte> bytes_of(std::initializer_list<unsigned> values) {
  std::vector<std::byte> bytes;
  for (const unsigned v : values) bytes.push_back(static_cast<std::byte>(v));
  return bytes;
}

TEST(ByteReader, ReadsIntegersLittleEndian) {
  const auto bytes = bytes_of({0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
                               0x0f});
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u8(), 0x01);
  EXPECT_EQ(reader.u16(), 0x0302);
  EXPECT_EQ(reader.u32(), 0x07060504U);
  EXPECT_EQ(reader.u64(), 0x0f0e0d0c0b0a0908U);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReader, ReadsSignedIntegersAsTwosComplement) {
  ByteSink sink;
  sink.put(std::int8_t{-1});
  sink.put(std::int16_t{-2});
  sink.put(std::int32_t{-3});
  sink.put(std::numeric_limits<std::int64_t>::min());
  ByteReader reader(sink.bytes);
  EXPECT_EQ(reader.i8(), -1);
  EXPECT_EQ(reader.i16(), -2);
  EXPECT_EQ(reader.i32(), -3);
  EXPECT_EQ(reader.i64(), std::numeric_limits<std::int64_t>::min());
}

TEST(ByteReader, ReadsFloatsBitForBit) {
  const auto bytes = bytes_of({0x00, 0x00, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0, 0x04, 0xc0});
  ByteReader reader(bytes);
  EXPECT_EQ(reader.f32(), 1.5f);
  EXPECT_EQ(reader.f64(), -2.5);
}

TEST(ByteReader, ReadsStringsWithTheirLength) {
  ByteSink sink;
  sink.put(std::string_view("one"));
  sink.put(std::string_view(""));
  sink.put(std::string_view("t\0o", 3));
  ByteReader reader(sink.bytes);
  EXPECT_EQ(reader.string(), "one");
  EXPECT_EQ(reader.string(), "");
  EXPECT_EQ(reader.string(), std::string_view("t\0o", 3));
  EXPECT_TRUE(reader.ok());
}

TEST(ByteReader, GivesViewsIntoTheBytes) {
  const auto bytes = bytes_of({1, 2, 3, 4});
  ByteReader reader(bytes, 100);
  reader.u8();
  const std::uint64_t position = reader.position();
  EXPECT_EQ(position, 101U);
  EXPECT_EQ(reader.bytes(2).data(), bytes.data() + 1);
  EXPECT_EQ(reader.since(position).data(), bytes.data() + 1);
  EXPECT_EQ(reader.since(position).size(), 2U);
}

TEST(ByteReader, AFailedReadYieldsZeroAndMovesNothing) {
  const auto bytes = bytes_of({1, 2, 3});
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.position(), 0U);
  EXPECT_EQ(reader.remaining(), 3U);
}

TEST(ByteReader, TheErrorSticks) {
  const auto bytes = bytes_of({1, 2, 3});
  ByteReader reader(bytes);
  reader.u32();
  EXPECT_EQ(reader.u8(), 0) << "there is a byte, but a read before it failed";
  EXPECT_TRUE(reader.bytes(1).empty());
  EXPECT_TRUE(reader.string().empty());
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, ALengthThatWrapsIsTooLong) {
  ByteSink sink;
  sink.put(std::numeric_limits<std::uint64_t>::max());
  sink.put(std::uint64_t{0});
  ByteReader reader(sink.bytes);
  EXPECT_TRUE(reader.string().empty());
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, NothingCanBeTakenFromTheEnd) {
  ByteReader reader(Bytes{});
  EXPECT_TRUE(reader.bytes(0).empty());
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, StatusNamesTheFirstFailedRead) {
  const auto bytes = bytes_of({1, 2, 3, 4, 5});
  ByteReader reader(bytes, 16);
  EXPECT_TRUE(reader.status("header").ok());
  reader.u32();
  reader.u64();
  reader.u16();
  const Status status = reader.status("header");
  EXPECT_EQ(status.code(), Code::truncated_file);
  EXPECT_EQ(status.message(), "header: 8 bytes needed at offset 20, file has 21");
  EXPECT_EQ(status.offset(), 20);
}

}  // namespace
}  // namespace infer
