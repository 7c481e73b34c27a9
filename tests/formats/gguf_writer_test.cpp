// SPDX-License-Identifier: MIT
// What is written is what is read: by our parser, and byte for byte what the tests' own writer makes.
#include "formats/gguf_writer.h"

#include <string>

#include <gtest/gtest.h>

#include "formats/formats.h"
#include "formats/gguf_internal.h"
#include "tests/testing/bundled.h"
#include "tests/testing/gguf_writer.h"

namespace infer::gguf {
namespace {

class MemorySink final : public ByteSink {
 public:
  Status write(Bytes more) override {
    if (room < more.size()) return Status::error(Code::io, "full");
    room -= more.size();
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
  std::vector<std::byte> bytes;
  std::size_t room = 1 << 24;
};

Shape shape_of(std::vector<std::int64_t> dims) {
  Shape shape;
  for (std::size_t i = 0; i < dims.size(); ++i) shape.dims[i] = dims[i];
  shape.n_dims = static_cast<int>(dims.size());
  return shape;
}

std::vector<std::byte> bytes_of(std::size_t n, int seed) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(seed));
  return bytes;
}

/// Keys of every type, with an alignment of 64 and two tensors that need padding.
testing::GgufWriter example() {
  testing::GgufWriter w;
  w.alignment = 64;
  w.set("general.architecture", "llama").set("general.alignment", std::uint32_t{64});
  w.set("a.u8", std::uint8_t{1})
      .set("a.i8", std::int8_t{-1})
      .set("a.u16", std::uint16_t{2})
      .set("a.i16", std::int16_t{-2});
  w.set("a.f32", 0.1f)
      .set("a.f64", 0.1)
      .set("a.bool", true)
      .set("a.u64", ~std::uint64_t{0})
      .set("a.i64", std::int64_t{-3});
  w.set("a.texts", std::vector<std::string>{"one", "", "three"}).set("a.numbers", std::vector<float>{1, 2, 3});
  w.set("llama.block_count", std::uint32_t{0});
  testing::ByteSink nested;   // an array of two arrays of u8
  nested.put(std::uint32_t{9});
  nested.put(std::uint64_t{2});
  for (int i = 0; i < 2; ++i) {
    nested.put(std::uint32_t{0});
    nested.put(std::uint64_t{3});
    for (std::uint8_t b = 0; b < 3; ++b) nested.put(b);
  }
  w.raw("a.nested", 9, nested.bytes);
  w.tensor("first", DType::f32, {3}, bytes_of(12, 1)).tensor("second", DType::q8_0, {32, 2, 1, 3}, bytes_of(204, 2));
  return w;
}

/// The tensors of the example, in pieces of `piece` bytes.
Status write_tensors(Writer& writer, std::size_t piece) {
  for (const auto& data : {bytes_of(12, 1), bytes_of(204, 2)}) {
    for (std::size_t at = 0; at < data.size(); at += piece) {
      INFER_TRY(writer.append(Bytes(data).subspan(at, std::min(piece, data.size() - at))));
    }
  }
  return writer.finish();
}

TEST(GgufWriter, CopiesKeysAndLaysOutTensorsBitForBit) {
  const std::vector<std::byte> wanted = example().build();
  for (const std::size_t piece : {1U, 5U, 1000U}) {
    Writer writer;
    MemorySink sink;
    ASSERT_TRUE(writer.copy_keys(wanted, nullptr).ok());
    ASSERT_TRUE(writer.add_tensor("first", DType::f32, shape_of({3})).ok());
    ASSERT_TRUE(writer.add_tensor("second", DType::q8_0, shape_of({32, 2, 1, 3})).ok());

    ASSERT_TRUE(writer.begin(sink).ok());
    ASSERT_TRUE(write_tensors(writer, piece).ok());

    EXPECT_EQ(sink.bytes.size(), writer.file_bytes().value());
    sink.bytes.resize(wanted.size());   // the tests' writer has no padding after the last tensor
    EXPECT_EQ(sink.bytes, wanted) << piece;
  }
}

TEST(GgufWriter, SetsReplacesAndRemovesKeys) {
  const std::vector<std::byte> file = example().build();
  Writer writer;
  MemorySink sink;
  ASSERT_TRUE(writer.copy_keys(file, nullptr).ok());
  writer.set("a.f64", std::uint32_t{7});   // another type, the same place
  writer.set("new.text", "text");
  writer.set("new.list", std::vector<std::string>{"x", "yy"});
  writer.set("new.bool", true);
  writer.set("new.i32", std::int32_t{-5});
  writer.set("new.f32", 0.5f);
  writer.set("new.u16", std::uint16_t{9});
  writer.remove_keys("a.u");
  ASSERT_TRUE(writer.begin(sink).ok());

  testing::GgufWriter wanted = example();
  wanted.set("a.f64", std::uint32_t{7}).set("new.text", "text").set("new.list", std::vector<std::string>{"x", "yy"});
  wanted.set("new.bool", true).set("new.i32", std::int32_t{-5}).set("new.f32", 0.5f).set("new.u16", std::uint16_t{9});
  wanted.remove("a.u8").remove("a.u16").remove("a.u64");
  wanted.tensors.clear();
  EXPECT_EQ(sink.bytes, wanted.build());
}

TEST(GgufWriter, KeysOfTheBundledModelSurvive) {
  const auto file = MappedFile::open(Source::from_path(testing::bundled_path()), {});
  ASSERT_TRUE(file.ok());
  const FormatParser& parser = *builtin_formats().front();
  const Bytes bytes[] = {file.value().bytes()};
  const auto before = parser.parse({bytes, 1}, nullptr);
  ASSERT_TRUE(before.ok());

  Writer writer;
  MemorySink sink;
  ASSERT_TRUE(writer.copy_keys(bytes[0], nullptr).ok());
  for (const TensorMeta& t : before.value().tensors) ASSERT_TRUE(writer.add_tensor(t.name, t.dtype, t.shape).ok());
  ASSERT_TRUE(writer.begin(sink).ok());
  for (const TensorMeta& t : before.value().tensors)
    ASSERT_TRUE(writer.append(bytes[0].subspan(t.offset, t.bytes)).ok());
  ASSERT_TRUE(writer.finish().ok());

  const Bytes written[] = {sink.bytes};
  const auto after = parser.parse({written, 1}, nullptr);
  ASSERT_TRUE(after.ok()) << after.status().message();
  EXPECT_EQ(after.value(), before.value());
}

TEST(GgufWriter, RefusesTensorsThatNoFileCanHave) {
  Writer writer;
  const auto code = [&](std::string_view name, DType type, std::vector<std::int64_t> dims) {
    return writer.add_tensor(name, type, shape_of(std::move(dims))).code();
  };
  EXPECT_EQ(code("", DType::f32, {1}), Code::limit);
  EXPECT_EQ(code(std::string(65, 'a'), DType::f32, {1}), Code::limit);
  EXPECT_EQ(code("a", DType::f32, {}), Code::tensor);
  EXPECT_EQ(code("a", DType::f32, {0}), Code::tensor);
  EXPECT_EQ(code("a", DType::f32, {1, -1}), Code::tensor);
  EXPECT_EQ(code("a", DType::q8_0, {33}), Code::tensor);
  EXPECT_EQ(code("a", static_cast<DType>(4), {32}), Code::tensor);   // a removed type
  EXPECT_EQ(code("a", DType::f32, {std::int64_t{1} << 62, 4}), Code::tensor);
  EXPECT_EQ(code("a", DType::f32, {std::int64_t{1} << 62}), Code::tensor);
  EXPECT_EQ(code("a", DType::q8_0, {std::int64_t{1} << 61}), Code::ok);
  EXPECT_EQ(code("b", DType::q8_0, {std::int64_t{1} << 61}), Code::ok);
  EXPECT_EQ(code("c", DType::q8_0, {std::int64_t{1} << 61}), Code::ok);
  EXPECT_EQ(code("d", DType::q8_0, {std::int64_t{1} << 61}), Code::ok);
  EXPECT_EQ(writer.file_bytes().status().code(), Code::limit);
  MemorySink sink;
  EXPECT_EQ(writer.begin(sink).code(), Code::limit);
}

TEST(GgufWriter, RefusesMoreKeysThanAreRead) {
  testing::GgufWriter source;
  for (std::uint64_t i = 0; i < kMaxKeys; ++i) source.set("key." + std::to_string(i), true);
  const std::vector<std::byte> file = source.build();
  Writer writer;
  ASSERT_TRUE(writer.copy_keys(file, nullptr).ok());
  EXPECT_TRUE(writer.file_bytes().ok());
  writer.set("key.0", false);
  EXPECT_TRUE(writer.file_bytes().ok());
  writer.set("general.file_type", std::uint32_t{2});

  EXPECT_EQ(writer.file_bytes().status().code(), Code::limit);
  EXPECT_EQ(writer.file_bytes().status().message(), "16385 keys exceed the limit of 16384; 'general.file_type' is the last of them");
  MemorySink sink;
  EXPECT_EQ(writer.begin(sink).code(), Code::limit);
  EXPECT_TRUE(sink.bytes.empty());
}

TEST(GgufWriter, SaysWhenTensorDataAreTooMuchOrTooLittle) {
  Writer writer;
  MemorySink sink;
  ASSERT_TRUE(writer.add_tensor("first", DType::f32, shape_of({3})).ok());
  ASSERT_TRUE(writer.begin(sink).ok());
  EXPECT_EQ(writer.finish().code(), Code::state);
  ASSERT_TRUE(writer.append(bytes_of(12, 0)).ok());
  EXPECT_TRUE(writer.finish().ok());
  EXPECT_EQ(writer.append(bytes_of(1, 0)).code(), Code::state);
}

TEST(GgufWriter, HandsOnEveryFailureOfItsSink) {
  const std::vector<std::byte> file = example().build();
  for (std::size_t room = 0; room < file.size(); room += 13) {
    Writer writer;
    MemorySink sink;
    sink.room = room;
    ASSERT_TRUE(writer.copy_keys(file, nullptr).ok());
    ASSERT_TRUE(writer.add_tensor("first", DType::f32, shape_of({3})).ok());
    ASSERT_TRUE(writer.add_tensor("second", DType::q8_0, shape_of({32, 2, 1, 3})).ok());
    Status status = writer.begin(sink);
    if (status.ok()) status = write_tensors(writer, 100);
    EXPECT_EQ(status.code(), Code::io) << room;
  }
}

TEST(GgufWriter, HandsOnWhatIsWrongWithAFile) {
  Writer writer;
  std::vector<std::byte> file = example().build();
  file.resize(100);
  EXPECT_EQ(writer.copy_keys(file, nullptr).code(), Code::truncated_file);
}

}  // namespace
}  // namespace infer::gguf
