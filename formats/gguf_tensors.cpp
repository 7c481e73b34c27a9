// SPDX-License-Identifier: MIT
// The tensor table of a GGUF file, and the proof that every tensor lies whole, aligned and alone inside the file: later
// code trusts it. Reference: docs/gguf.md, "Tensor table". Tested by tests/formats/gguf_test.cpp, gguf_hostile_test.cpp.
#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "formats/gguf_internal.h"
#include "src/base/checked.h"
#include "libinfer/text.h"

namespace infer::gguf {
namespace {

constexpr std::uint64_t kMinTensorBytes = 24;   // empty name 8, no dimensions 4, type 4, offset 8
constexpr std::uint64_t kMaxElements = std::numeric_limits<std::int64_t>::max();

Status tensor_error(Code code, const RawTensor& tensor, std::string_view what) {
  return Status::error(code, fmt::format("tensor {}: {}", quoted(tensor.name), what))
      .about(escaped(tensor.name))
      .at(tensor.offset);
}

Status check_name(const RawTensor& tensor) {
  if (tensor.name.empty()) {
    return Status::error(Code::tensor, "a tensor has an empty name; is the tensor count in the header right?")
        .at(tensor.offset);
  }
  if (tensor.name.size() > kMaxTensorNameBytes) {
    return tensor_error(Code::limit, tensor, fmt::format("name of {} bytes is longer than {}", tensor.name.size(),
                                                         kMaxTensorNameBytes));
  }
  if (!is_printable_utf8(tensor.name)) {
    return tensor_error(Code::tensor, tensor, "the name has control characters or is not UTF-8");
  }
  // Names become file names where tools write tensors out.
  if (tensor.name.find("../") != std::string_view::npos) {
    return tensor_error(Code::tensor, tensor, "the name has '../' in it");
  }
  return {};
}

/// Each dimension alone; products are for set_size().
Status read_shape(ByteReader& reader, const std::string& what, RawTensor& tensor) {
  const std::uint32_t n_dims = reader.u32();
  INFER_TRY(reader.status(what));
  if (n_dims == 0 || n_dims > kMaxDims) {
    return tensor_error(Code::tensor, tensor, fmt::format("{} dimensions; 1 to {} are possible", n_dims, kMaxDims));
  }
  tensor.shape.n_dims = static_cast<int>(n_dims);
  for (std::uint32_t i = 0; i < n_dims; ++i) {
    const std::uint64_t dim = reader.u64();
    INFER_TRY(reader.status(what));
    if (dim == 0) return tensor_error(Code::tensor, tensor, fmt::format("dimension {} is zero", i));
    if (dim > kMaxElements) {
      return tensor_error(Code::tensor, tensor, fmt::format("dimension {} is {}, more than 2^63 - 1", i, dim));
    }
    tensor.shape.dims[i] = static_cast<std::int64_t>(dim);
  }
  return {};
}

Status set_type(std::uint32_t id, RawTensor& tensor) {
  if (id >= kDTypeCount) return tensor_error(Code::quant_type, tensor, fmt::format("unknown element type {}", id));
  const DTypeInfo& facts = kDTypes[id];
  if (facts.use == DTypeUse::removed) {
    return tensor_error(Code::quant_type, tensor,
                        fmt::format("element type {} ({}) was removed from GGUF; convert the model anew", id, facts.name));
  }
  if (facts.use != DTypeUse::weight) {
    return tensor_error(Code::quant_type, tensor, fmt::format("{} is not a type for weights", facts.name));
  }
  tensor.dtype = static_cast<DType>(id);
  return {};
}

/// Byte size from shape and type.
Status set_size(RawTensor& tensor) {
  const DTypeInfo& type = info(tensor.dtype);
  const auto row = static_cast<std::uint64_t>(tensor.shape.cols());
  if (row % type.block_elems != 0) {
    return tensor_error(Code::tensor, tensor, fmt::format("rows of {} elements are not whole {} blocks of {}", row,
                                                          type.name, type.block_elems));
  }
  std::optional<std::uint64_t> elements = 1;
  for (const std::int64_t dim : tensor.shape.dims) {
    if (elements) elements = checked_mul(*elements, static_cast<std::uint64_t>(dim));
  }
  const auto bytes = elements ? checked_mul(*elements / type.block_elems, type.block_bytes) : std::nullopt;
  if (!bytes || *elements > kMaxElements || *bytes > kMaxElements) {
    return tensor_error(Code::tensor, tensor, fmt::format("the size of shape {} does not fit in 63 bits",
                                                          to_string(tensor.shape)));
  }
  tensor.bytes = *bytes;
  return {};
}

/// One entry; `begin` is still relative to the tensor data.
Status read_entry(ByteReader& reader, std::uint64_t number, std::uint64_t n_tensors, RawTensor& tensor) {
  tensor.offset = reader.position();
  tensor.name = reader.string();
  INFER_TRY(reader.status(fmt::format("tensor {} of {}", number, n_tensors)));
  INFER_TRY(check_name(tensor));

  const std::string what = fmt::format("tensor {} ({} of {})", quoted(tensor.name), number, n_tensors);
  INFER_TRY(read_shape(reader, what, tensor));
  const std::uint32_t type = reader.u32();
  tensor.begin = reader.u64();
  INFER_TRY(reader.status(what));
  INFER_TRY(set_type(type, tensor));
  return set_size(tensor);
}

Status check_unique_names(const std::vector<RawTensor>& tensors, std::vector<std::uint32_t>& order) {
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return tensors[a].name != tensors[b].name ? tensors[a].name < tensors[b].name : a < b;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const RawTensor& first = tensors[order[i - 1]];
    const RawTensor& second = tensors[order[i]];
    if (first.name == second.name) {
      return tensor_error(Code::tensor, second, fmt::format("duplicate name, first at offset {}", first.offset));
    }
  }
  return {};
}

/// Makes `begin` absolute.
Status place(std::uint64_t data_start, std::uint64_t alignment, std::uint64_t file_bytes, RawTensor& tensor) {
  if (tensor.begin % alignment != 0) {
    return tensor_error(Code::tensor, tensor, fmt::format("offset {} is not a multiple of the alignment {}",
                                                          tensor.begin, alignment));
  }
  const std::optional<std::uint64_t> begin = checked_add(data_start, tensor.begin);
  const std::optional<std::uint64_t> end = begin ? checked_add(*begin, tensor.bytes) : std::nullopt;
  if (!end) return tensor_error(Code::tensor, tensor, fmt::format("offset {} is past 2^64", tensor.begin));
  if (!inside(*begin, tensor.bytes, file_bytes)) {
    return tensor_error(Code::tensor, tensor, fmt::format("ends at {}, file has {} bytes; is the download complete?", *end,
                                                          file_bytes));
  }
  tensor.begin = *begin;
  tensor.end = *end;
  return {};
}

/// All tensors are inside the file; now none may share bytes. Says what is odd but harmless.
Status check_neighbours(Bytes file, std::uint64_t data_start, Directory& directory, std::vector<std::uint32_t>& order) {
  const std::vector<RawTensor>& tensors = directory.tensors;
  if (!std::is_sorted(tensors.begin(), tensors.end(),
                      [](const RawTensor& a, const RawTensor& b) { return a.begin < b.begin; })) {
    directory.warnings.push_back("the tensor data is not in the order of the tensor table");
  }
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return tensors[a].begin < tensors[b].begin; });
  std::uint64_t end = data_start;          // of the last tensor, with its padding
  std::uint64_t gaps = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const RawTensor& tensor = tensors[order[i]];
    if (i > 0) {
      const RawTensor& before = tensors[order[i - 1]];
      if (tensor.begin < before.end) {
        return tensor_error(Code::tensor, tensor, fmt::format("overlaps tensor {} at offset {}", quoted(before.name),
                                                              tensor.begin));
      }
    }
    if (tensor.begin > end) gaps += tensor.begin - end;   // all gaps together are smaller than the file
    end = checked_align(tensor.end, directory.alignment).value_or(file.size());
  }
  if (gaps > 0) directory.warnings.push_back(fmt::format("{} bytes between the tensors belong to none", gaps));
  if (file.size() > end) directory.warnings.push_back(fmt::format("{} bytes after the last tensor", file.size() - end));
  return {};
}

/// The bytes between table and data are zeros: anything else means that table or alignment are not what they seem.
Status check_padding(Bytes file, std::uint64_t table_end, std::uint64_t data_start) {
  for (std::uint64_t i = table_end; i < std::min<std::uint64_t>(data_start, file.size()); ++i) {
    if (file[static_cast<std::size_t>(i)] != std::byte{0}) {
      return Status::error(Code::tensor, "the padding in front of the tensor data is not zero; "
                                         "the tensor count or general.alignment is wrong").at(i);
    }
  }
  return {};
}

}  // namespace

Status read_tensors(ByteReader& reader, Bytes file, Directory& directory) {
  const std::uint64_t n = directory.n_tensors;
  directory.tensors.reserve(static_cast<std::size_t>(std::min(n, reader.remaining() / kMinTensorBytes)));
  for (std::uint64_t i = 0; i < n; ++i) {
    RawTensor tensor;
    if (Status status = read_entry(reader, i + 1, n, tensor); !status.ok()) {
      return std::move(status).about(escaped(tensor.name));
    }
    directory.tensors.push_back(tensor);
  }

  const std::uint64_t table_end = reader.position();
  const std::optional<std::uint64_t> data_start = checked_align(table_end, directory.alignment);
  if (!data_start) return Status::error(Code::tensor, "the tensor data begins past 2^64").at(table_end);
  for (RawTensor& tensor : directory.tensors) {
    INFER_TRY(place(*data_start, directory.alignment, file.size(), tensor));
  }
  if (n > 0) INFER_TRY(check_padding(file, table_end, *data_start));

  std::vector<std::uint32_t> order(directory.tensors.size());
  std::iota(order.begin(), order.end(), 0U);
  INFER_TRY(check_unique_names(directory.tensors, order));
  return check_neighbours(file, *data_start, directory, order);
}

}  // namespace infer::gguf
