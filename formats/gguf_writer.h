// SPDX-License-Identifier: MIT
// gguf::Writer: GGUF version 3 files, to any sink. First keys and tensors are named, then begin() writes all that
// stands in front of the data, then the data of the tensors follow in order, in pieces of any size; padding comes by
// itself.
//
//   gguf::Writer writer;
//   writer.set("general.type", std::string_view("imatrix"));
//   INFER_TRY(writer.add_tensor("a", DType::f32, shape));
//   INFER_TRY(writer.begin(sink));
//   INFER_TRY(writer.append(bytes_of_a));
//   INFER_TRY(writer.finish());
//
// Reference: docs/gguf.md. Tested by tests/formats/gguf_writer_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/dtype.h"
#include "libinfer/format.h"
#include "libinfer/hooks.h"
#include "libinfer/status.h"
#include "libinfer/tensor.h"
#include "src/base/output_file.h"

namespace infer::gguf {

class Writer {
 public:
  Writer() noexcept;

  /// The keys of a GGUF file, bit for bit and in its order, its alignment too. `file` outlives the writer: values are
  /// not copied. Errors: as of parsing.
  Status copy_keys(Bytes file, const CancelFlag* cancel);

  // Values of keys. One that is there already keeps its place.
  void set(std::string_view key, bool value);
  void set(std::string_view key, std::uint16_t value);
  void set(std::string_view key, std::uint32_t value);
  void set(std::string_view key, std::int32_t value);
  void set(std::string_view key, float value);
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, const std::vector<std::string>& values);
  /// Removes all keys that begin so.
  void remove_keys(std::string_view prefix);

  /// The next tensor, in table and data. Errors: tensor (empty shape, rows that are not whole blocks, a size beyond 63
  /// bits), limit (a name that is too long, too many tensors).
  Status add_tensor(std::string_view name, DType dtype, const Shape& shape);

  /// Bytes of the whole file. Errors: limit (a size beyond 63 bits, more keys than are read).
  Result<std::uint64_t> file_bytes() const;
  /// Header, keys, tensor table and padding. The sink is used until finish(). Errors: limit, and the sink's.
  Status begin(ByteSink& sink);
  /// The next bytes of the current tensor; at its end the next one is the current. Errors: state (more than the tensors
  /// take), and the sink's.
  Status append(Bytes bytes);
  /// Errors: state, when tensors are not complete.
  Status finish();

 private:
  /// The bytes of the value are `head`, then `body`.
  struct Key {
    std::string name;
    std::uint32_t type = 0;
    std::vector<std::byte> head;
    Bytes body;   ///< in a file that outlives the writer
  };
  struct Tensor {
    std::string name;
    DType dtype;
    Shape shape;
    std::uint64_t bytes;
  };

  Key& key(std::string_view name, std::uint32_t type);
  std::uint64_t header_bytes() const noexcept;
  Status pad();

  std::uint64_t alignment_;
  std::vector<Key> keys_;
  std::vector<Tensor> tensors_;
  ByteSink* sink_ = nullptr;
  std::uint64_t position_ = 0;   ///< in the file
  std::size_t current_ = 0;      ///< tensor
  std::uint64_t left_ = 0;       ///< bytes of it that are to come

};

}  // namespace infer::gguf
